#!/usr/bin/env python3
"""Log drivers: json-file, local and syslog with their options, seen through the docker client; the syslog servers are this program's own."""

import base64
import datetime
import gzip
import json
import os
import re
import socket
import ssl
import subprocess
import threading

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

box = vm.shared()
IMAGE = "test/logs:latest"
HOST = "10.0.2.2"       # this host, as QEMU's user network shows it to the machine
FILES = "/run/logs-test"
PKI = os.path.join(box.scratch, "pki")
STAMP = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 1-3]\d \d\d:\d\d:\d\d"
NEW_PKI = r"""set -e
new='openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'
for ca in ca other; do $new -subj /CN=$ca -keyout $ca-key.pem -out $ca.pem; done
$new -subj /CN=logs -CA ca.pem -CAkey ca-key.pem -keyout server-key.pem -out server.pem \
  -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:10.0.2.2,DNS:loghost.example
$new -subj /CN=client -CA ca.pem -CAkey ca-key.pem -keyout client-key.pem -out client.pem \
  -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=clientAuth
"""


class Udp:
    """A syslog server of datagrams: each is a message."""

    def __init__(self):
        self.messages = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"udp://{HOST}:{self.socket.getsockname()[1]}"
        tap.CLEANUP.append(self.socket.close)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                self.messages.append(self.socket.recv(70000).decode())
            except OSError:
                return

    def text(self):
        return "".join(self.messages)


class Tcp:
    """A syslog server of streams, which may go away, come back, and leave off reading."""

    def __init__(self, scheme="tcp", context=None):
        self.context = context
        self.data = b""
        self.connections = []
        self.reads = threading.Event()
        self.reads.set()
        self.port = 0
        self.start()
        self.address = f"{scheme}://{HOST}:{self.port}"
        tap.CLEANUP.append(self.stop)

    def start(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)    # so that it is full soon
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen()
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, args=[self.listener], daemon=True).start()

    def serve(self, listener):
        while True:
            try:
                conn = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.hear, args=[conn], daemon=True).start()

    def hear(self, conn):
        try:
            if self.context:
                conn = self.context.wrap_socket(conn, server_side=True)
            self.connections.append(conn)
            while True:
                self.reads.wait()
                got = conn.recv(65536)
                if not got:
                    break
                self.data += got
        except OSError:
            pass
        finally:
            conn.close()
            if conn in self.connections:
                self.connections.remove(conn)

    def stop(self):
        """Nobody listens and every connection is cut."""
        self.reads.set()
        for one in [self.listener, *self.connections]:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def text(self):
        return self.data.decode()


def syslog(server, *options):
    """Words of `docker run` for a server (or an address) and further log options."""
    words = ["--log-driver", "syslog", "--log-opt", f"syslog-address={getattr(server, 'address', server)}"]
    for option in options:
        words += ["--log-opt", option]
    return words


def run(name, script, *words, **more):
    return box.docker("run", "--name", name, *words, IMAGE, "sh", "-c", script, **more)


def start(name, script, *words):
    return box.docker("run", "-d", "--name", name, *words, IMAGE, "sh", "-c", script)


def remove(*names):
    box.docker("rm", "-f", *names)


def refused(text, *words, verb="create"):
    done = box.docker(verb, "--name", "logs-refused", *words, IMAGE, "true", check=False)
    check(done.returncode != 0, f"{words}: was taken")
    contains(done.stderr, text, f"{words}")
    check(box.docker("inspect", "logs-refused", check=False).returncode != 0, f"{words}: left a container")


def log_files(name):
    """Names of the files below a container's folder that are log files."""
    folder = f"/var/lib/skerry/containers/{box.inspect(name)['Id']}"
    return box.sh(f"cd {folder}; ls -d *.log* local-logs/* 2>/dev/null; true").split()


def workers():
    return int(box.sh("ps | grep -c '[w]orker syslog'; true"))


def engine():
    return box.sh("pidof skerryd | tr ' ' '\\n' | sort -n | head -1").strip()


def numbers(text, word):
    """The numbers behind a word, as often as it is there."""
    return [int(n) for n in re.findall(rf"{word}(\d+)\b", text)]


@case("an image to run; docker info lists the drivers")
def prepare():
    box.docker("load", "-i", images.busybox_image(os.path.join(box.scratch, "logs.tar"), name=IMAGE))
    info = json.loads(box.docker("info", "--format", "{{json .}}"))
    equal((info["Plugins"]["Log"], info["LoggingDriver"]), (["json-file", "local", "syslog"], "json-file"), "info")


@case("unknown drivers and options, wrong values: 400 that names them, and nothing is made")
def wrong():
    for driver in ("journald", "gelf", "fluentd", "awslogs", "splunk", "gcplogs", "etwlogs", "odd"):
        refused(f"logger: no log driver named '{driver}' is registered", "--log-driver", driver)
    for driver, option, text in (
            ("json-file", "odd=1", "unknown log opt 'odd' for json-file log driver"), ("local", "odd=1", "unknown log opt 'odd' for local log driver"),
            ("syslog", "odd=1", "unknown log opt 'odd' for syslog log driver"), ("json-file", "max-size=x", "max-size"), ("local", "max-file=0", "max-file"),
            ("json-file", "compress=true", "compress cannot be true when max-file is less than 2 or max-size is not set"),
            ("local", "max-file=1", "compression cannot be enabled when max file count is 1"), ("local", "compress=maybe", "compress"),
            ("json-file", "labels-regex=(", "labels-regex"), ("json-file", "tag={{.Odd}}", "{{.Odd}}"), ("json-file", "mode=odd", "logging mode not supported: odd"),
            ("json-file", "max-buffer-size=1m", "max-buffer-size option is only supported with 'mode=non-blocking'"),
            ("syslog", "syslog-address=http://h", "unsupported scheme: 'http'"), ("syslog", "syslog-address=udp://h:99999", "syslog-address"),
            ("syslog", "syslog-address=unix:///not/there", "syslog-address: /not/there"), ("syslog", "syslog-facility=odd", "invalid syslog facility"),
            ("syslog", "syslog-format=odd", "Invalid syslog format"), ("syslog", "syslog-tls-ca-cert=/not/there", "syslog-tls-ca-cert: /not/there"),
            ("syslog", "cache-disabled=odd", "invalid value for option cache-disabled: odd")):
        refused(text, "--log-driver", driver, "--log-opt", option)
    for options, text in ((("syslog-address=tcp+tls://h",), "syslog-tls-ca-cert: is needed"),
                          (("syslog-address=tcp://h", "syslog-tls-skip-verify=true"), "needs a syslog-address with tcp+tls://"),
                          (("syslog-address=tcp+tls://h", "syslog-tls-ca-cert=/etc/passwd"), "/etc/passwd")):
        refused(text, "--log-driver", "syslog", *[word for option in options for word in ("--log-opt", option)])
    for kind, config in (("odd", {}), ("none", {"tag": "x"}), ("syslog", {"odd": "1"})):
        status, answer = box.request("POST", "/containers/create", {"Image": IMAGE, "HostConfig": {"LogConfig": {"Type": kind, "Config": config}}})
        check(status == 400 and answer["message"], f"{kind} {config}: {status} {answer}")


@case("json-file: labels, variables and the tag are attributes; --details shows them as Docker does")
def attributes():
    name = start("logs-attr", "echo hello; echo bad >&2", "-l", "com.x=1", "-l", "b=x y", "-l", "no=1", "-e", "VAR=a=b,c", "-e", "LC_A=2",
                 "--log-opt", "labels=com.x", "--log-opt", "labels-regex=^b$", "--log-opt", "env=VAR,NONE", "--log-opt", "env-regex=^LC_",
                 "--log-opt", "tag={{.Name}}|{{.ID}}|{{.ImageName}}|{{.DaemonName}}")
    box.docker("wait", "logs-attr")
    tag = f"logs-attr%7C{name[:12]}%7Ctest%2Flogs%3Alatest%7Cdocker"
    done = box.docker("logs", "--details", "logs-attr", check=False)
    want = f"LC_A=2,VAR=a%3Db%2Cc,b=x+y,com.x=1,tag={tag} "
    equal((done.stdout, done.stderr), (f"{want}hello\n", f"{want}bad\n"), "details")
    check(re.fullmatch(r"\S+Z " + re.escape(want) + "hello\n", box.docker("logs", "-t", "--details", "logs-attr", check=False).stdout), "with times")
    equal(box.docker("logs", "logs-attr"), "hello", "without details")
    record = json.loads(box.sh(f"head -1 {box.inspect('logs-attr')['LogPath']}"))
    equal(record["attrs"], {"LC_A": "2", "VAR": "a=b,c", "b": "x y", "com.x": "1", "tag": f"logs-attr|{name[:12]}|{IMAGE}|docker"}, "record")
    remove("logs-attr")


@case("json-file: rotated by size and count, compressed; docker logs reads on over all of it")
def rotation():
    start("logs-rot", "i=0; while [ $i -lt 2000 ]; do echo line$i; i=$((i+1)); done; sleep 1000",
          "--log-opt", "max-size=20k", "--log-opt", "max-file=4", "--log-opt", "compress=true")
    until(lambda: "line1999" in box.docker("logs", "--tail", "1", "logs-rot"), "all is written")
    base = os.path.basename(box.inspect("logs-rot")["LogPath"])
    until(lambda: log_files("logs-rot") == [base, f"{base}.1.gz", f"{base}.2.gz", f"{base}.3.gz"], "all is compressed")
    folder = os.path.dirname(box.inspect("logs-rot")["LogPath"])
    packed = gzip.decompress(base64.b64decode(box.sh(f"base64 {folder}/{base}.2.gz")))
    check(packed.startswith(b'{"log":"line') and packed.endswith(b"}\n"), f"a packed file: {packed[:100]!r}")
    have = numbers(box.docker("logs", "logs-rot"), "line")
    check(len(have) > 500 and have == list(range(have[0], 2000)), f"{len(have)} lines, {have[:3]}")
    for tail in (1, 200, 500):
        equal(numbers(box.docker("logs", "--tail", str(tail), "logs-rot"), "line"), list(range(2000 - tail, 2000)), f"tail {tail}")
    remove("logs-rot")


@case("json-file: who follows sees every line while files are rotated and compressed")
def followed():
    start("logs-follow", "read x; i=0; while [ $i -lt 3000 ]; do echo line$i; i=$((i+1)); done", "-i",
          "--log-opt", "max-size=20k", "--log-opt", "max-file=50", "--log-opt", "compress=true")
    follower = box.follow("logs", "-f", "logs-follow")
    box.docker("attach", "logs-follow", stdin="go\n", check=False)
    equal(numbers(follower.communicate(timeout=120)[0], "line"), list(range(3000)), "followed")
    equal(numbers(box.docker("logs", "logs-follow"), "line"), list(range(3000)), "read afterwards")
    remove("logs-follow")


@case("local: rotated and compressed by default, no LogPath; logs over a restart")
def local():
    start("logs-local", "echo one; echo two >&2", "--log-driver", "local")
    box.docker("wait", "logs-local")
    done = box.docker("logs", "logs-local", check=False)
    equal((done.stdout, done.stderr), ("one\n", "two\n"), "logs")
    have = box.inspect("logs-local")
    equal((have.get("LogPath", ""), have["HostConfig"]["LogConfig"]), ("", {"Type": "local", "Config": {}}), "inspect")
    box.docker("start", "-a", "logs-local")
    equal(box.docker("logs", "logs-local"), "one\none", "after a restart")
    equal(log_files("logs-local"), ["local-logs/container.log"], "files")
    remove("logs-local")
    start("logs-local", "i=0; while [ $i -lt 1000 ]; do echo line$i; i=$((i+1)); done; sleep 1000", "--log-driver", "local",
          "--log-opt", "max-size=20k", "--log-opt", "max-file=3")
    until(lambda: log_files("logs-local") == ["local-logs/container.log"] + [f"local-logs/container.log.{n}.gz" for n in (1, 2)], "compressed by default")
    until(lambda: numbers(box.docker("logs", "--tail", "300", "logs-local"), "line") == list(range(700, 1000)), "the tail")
    remove("logs-local")


@case("none: no file, and docker logs says so; so does syslog without its cache")
def none():
    start("logs-none", "echo hello", "--log-driver", "none")
    start("logs-nocache", "echo hello", *syslog(udp, "cache-disabled=true"))
    for name in ("logs-none", "logs-nocache"):
        box.docker("wait", name)
        contains(box.docker("logs", name, check=False).stderr, "configured logging driver does not support reading", name)
        equal(log_files(name), [], f"files of {name}")
    remove("logs-none", "logs-nocache")


def message(server, word):
    """The one message that has this word."""
    return until(lambda: [one for one in server.text().splitlines() if word in one], f"a message with {word}")[0]


@case("syslog over UDP: every format, severities by stream, facilities, docker logs beside it")
def formats():
    host = box.sh("hostname").strip()
    for number, (form, pattern) in enumerate((
            ("", rf"<{{p}}>{STAMP} TAG\[\d+\]: {{t}}"), ("rfc3164", rf"<{{p}}>{STAMP} {host} TAG\[\d+\]: {{t}}"),
            ("rfc5424", rf"<{{p}}>1 \d{{{{4}}}}-\d\d-\d\dT\d\d:\d\d:\d\dZ {host} TAG \d+ TAG - {{t}}"),
            ("rfc5424micro", rf"<{{p}}>1 \d{{{{4}}}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{{{1,6}}}}Z {host} TAG \d+ TAG - {{t}}"))):
        out, err = f"out{number}", f"err{number}"
        done = run("logs-udp", f"echo {out}; echo {err} >&2", *syslog(udp, f"syslog-format={form}", "tag=TAG", "syslog-facility=local1"), check=False)
        equal((done.stdout, done.stderr), (f"{out}\n", f"{err}\n"), "attached")
        for word, priority in ((out, 17 * 8 + 6), (err, 17 * 8 + 3)):
            have = message(udp, word)
            check(re.fullmatch(pattern.format(p=priority, t=word), have), f"{form}: {have!r}")
        done = box.docker("logs", "logs-udp", check=False)
        equal((done.stdout, done.stderr), (f"{out}\n", f"{err}\n"), "docker logs")
        remove("logs-udp")
    when = datetime.datetime.fromisoformat(message(udp, "out3").split()[1].replace("Z", "+00:00"))
    check(abs((datetime.datetime.now(datetime.timezone.utc) - when).total_seconds()) < 300, f"the time {when}")
    for facility, want in (("", 3), ("kern", 0), ("23", 23)):
        run("logs-udp", f"echo facility{want}", *syslog(udp, f"syslog-facility={facility}"))
        check(message(udp, f"facility{want}").startswith(f"<{want * 8 + 6}>"), f"facility {facility!r}")
        remove("logs-udp")


@case("syslog: the tag is the short id, or a template")
def tags():
    name = start("logs-tag", "echo standard", *syslog(udp, "syslog-format=rfc5424"))
    contains(message(udp, "standard"), f" {name[:12]} ", "the standard tag")
    remove("logs-tag")
    image = box.inspect(IMAGE, "image")["Id"]
    name = start("logs-tag", "echo template", *syslog(udp, "tag={{.Name}};{{.FullID}};{{ .ImageName }};{{.ImageFullID}};{{.ImageID}};{{.DaemonName}}"))
    contains(message(udp, "template"), f" logs-tag;{name};{IMAGE};{image};{image[:12]};docker[", "the template")
    remove("logs-tag")


@case("syslog: details of the cache, its own rotation, long lines in pieces, an unfinished line at the end")
def cache():
    run("logs-cache", "i=0; while [ $i -lt 1000 ]; do echo line$i; i=$((i+1)); done; printf unfinished", "-l", "a=1",
        *syslog(tcp, "labels=a", "cache-max-size=20k", "cache-max-file=3"))
    until(lambda: "unfinished\n" in tcp.text(), "all of it")
    equal(numbers(tcp.text(), "line"), list(range(1000)), "sent")
    equal(box.docker("logs", "--details", "--tail", "1", "logs-cache"), "a=1 unfinished", "details")
    check(set(log_files("logs-cache")) >= {"local-logs/container-cached.log"}, f"{log_files('logs-cache')}")
    check(0 < len(numbers(box.docker("logs", "logs-cache"), "line")) < 1000, "the cache is rotated")
    remove("logs-cache")
    run("logs-long", "dd if=/dev/zero bs=40000 count=1 2>/dev/null | tr '\\0' x; echo", *syslog(tcp))
    until(lambda: len([one for one in tcp.text().splitlines() if "xxx" in one]) == 3, "three pieces")
    equal(tcp.text().count("x" * 16384), 2, "long pieces")
    remove("logs-long")


@case("syslog: a server by its name")
def by_name():
    box.sh(f"grep -q loghost.example /etc/hosts || echo '{HOST} loghost.example' >> /etc/hosts")
    run("logs-name", "echo byname", *syslog(tcp.address.replace(HOST, "loghost.example")))
    message(tcp, "byname")
    remove("logs-name")
    done = run("logs-noname", "true", *syslog("tcp://nobody.invalid"), check=False)
    check(done.returncode == 125 and "failed to initialize logging driver: tcp://nobody.invalid:514: nobody.invalid: " in done.stderr, done.stderr)
    remove("logs-noname")


@case("syslog over TLS: counted messages, names and authorities checked, a client's certificate")
def tls():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{PKI}/server.pem", f"{PKI}/server-key.pem")
    server = Tcp("tcp+tls", context)
    ca = f"syslog-tls-ca-cert={FILES}/ca.pem"
    run("logs-tls", "echo one; echo two", *syslog(server, ca, "syslog-format=rfc5424", "tag=t"))
    until(lambda: "two\n" in server.text(), "both")
    left = server.data
    while left:
        count, _, rest = left.partition(b" ")
        one, left = rest[:int(count)], rest[int(count):]
        check(re.fullmatch(rb"<30>1 \S+Z \S+ t \d+ t - (one|two)\n", one), f"{one!r}")
    remove("logs-tls")
    run("logs-tls", "echo newline", *syslog(server, ca, "syslog-format=rfc3164"))
    check(re.fullmatch(rf"<30>{STAMP} .*: newline", message(server, "newline")), "no count in the older formats")
    remove("logs-tls")
    for options, text in (([f"syslog-tls-ca-cert={FILES}/other.pem"], "not correctly signed by the trusted CA"), (["name", ca], "CN")):
        address = server.address.replace(HOST, "other.example") if options[0] == "name" else server.address
        box.sh(f"grep -q other.example /etc/hosts || echo '{HOST} other.example' >> /etc/hosts")
        done = run("logs-tls", "true", *syslog(address, *[o for o in options if o != "name"]), check=False)
        check(done.returncode == 125 and "failed to initialize logging driver: tcp+tls://" in done.stderr and text in done.stderr, done.stderr)
        remove("logs-tls")
    run("logs-tls", "echo skipped", *syslog(server.address, "syslog-tls-skip-verify=true"))
    message(server, "skipped")
    remove("logs-tls")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(f"{PKI}/ca.pem")
    run("logs-tls", "echo certified", *syslog(server, ca, f"syslog-tls-cert={FILES}/client.pem", f"syslog-tls-key={FILES}/client-key.pem"))
    message(server, "certified")
    remove("logs-tls")
    context.maximum_version = ssl.TLSVersion.TLSv1_2     # where the refusal is part of the handshake
    done = run("logs-tls", "true", *syslog(server, ca), check=False)
    check(done.returncode == 125 and "failed to initialize logging driver" in done.stderr, f"without a certificate: {done.stderr}")
    remove("logs-tls")
    server.stop()


@case("syslog: a server that cannot be reached fails the start; nothing is left, and a later start is fine")
def unreachable():
    server = Tcp()
    server.stop()
    box.docker("create", "--name", "logs-late", *syslog(server), IMAGE, "echo", "late")
    for _ in range(2):
        done = box.docker("start", "logs-late", check=False)
        contains(done.stderr, f"failed to initialize logging driver: {server.address}: connect: ", "start")
        equal(box.inspect("logs-late")["State"]["Running"], False, "running")
    equal(workers(), 0, "workers")
    equal(box.sh(f"ls /run/skerry/shims/{box.inspect('logs-late')['Id']} 2>/dev/null; true"), "", "the shim's folder")
    server.start()
    equal(box.docker("start", "-a", "logs-late"), "late", "the third start")
    message(server, "late")
    remove("logs-late")
    done = run("logs-late", "true", "--log-driver", "syslog", check=False)
    contains(done.stderr, "failed to initialize logging driver: unixgram:///dev/log", "without an address")
    remove("logs-late")
    server.stop()


@case("syslog: the server goes and comes back; the engine and the worker are killed in between")
def outages():
    server = Tcp()
    start("logs-out", "while read x; do echo word-$x-; done", "-i", *syslog(server))
    feeder = subprocess.Popen(["docker", "attach", "--sig-proxy=false", "logs-out"], env=box.env(), stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)

    def feed(word):
        feeder.stdin.write(f"{word}\n")
        feeder.stdin.flush()
        until(lambda: f"word-{word}-" in box.docker("logs", "logs-out"), f"{word} in docker logs")
    feed("first")
    message(server, "word-first-")
    server.stop()
    box.wait_log(r"tcp://10\.0\.2\.2:\d+: the server closed the connection; trying again")
    feed("away")
    server.start()
    message(server, "word-away-")
    pid = box.sh("ps | awk '/[w]orker syslog/{print $1}'").strip()
    box.sh(f"kill -9 {pid}")
    until(lambda: workers() == 1 and box.sh("ps | awk '/[w]orker syslog/{print $1}'").strip() != pid, "another worker")
    feed("reborn")
    message(server, "word-reborn-")
    old = engine()
    box.sh(f"kill -9 {old}")
    until(lambda: engine() not in ("", old) and "logs-out" in box.docker("ps"), "another engine")
    feeder.kill()
    feeder.wait()
    shim = box.inspect("logs-out")["State"]["Pid"]
    box.sh(f"echo word-direct- > /proc/{shim}/fd/1")
    message(server, "word-direct-")
    equal(server.text().count("word-first-"), 1, "the first word")
    box.docker("stop", "-t", "1", "logs-out")
    until(lambda: workers() == 0, "the worker ends")
    remove("logs-out")
    server.stop()


FLOOD = ("x=$(printf %099d 0); i=0; while [ $i -lt 200 ]; do j=0; while [ $j -lt 500 ]; do echo $x; j=$((j+1)); done; "
         "echo chunk$i; echo $i > /count; i=$((i+1)); done")


def count_of(name):
    return int(box.sh(f"cat /proc/{box.inspect(name)['State']['Pid']}/root/count 2>/dev/null; true") or -1)


@case("syslog, blocking: a server that does not read holds the container up; nothing is lost afterwards")
def blocking():
    server = Tcp()
    server.reads.clear()
    start("logs-block", FLOOD, *syslog(server))
    until(lambda: server.connections, "the connection")
    seen = []

    def stands():
        seen.append(count_of("logs-block"))
        return len(seen) > 15 and len(set(seen[-15:])) == 1
    until(stands, "it stands still", 120)
    check(box.inspect("logs-block")["State"]["Running"] and seen[-1] < 199, f"at {seen[-1]}")
    equal(box.docker("exec", "logs-block", "echo", "alive"), "alive", "the shim's other duties")
    server.reads.set()
    equal(box.docker("wait", "logs-block"), "0", "wait")
    until(lambda: len(numbers(server.text(), "chunk")) == 200, "all chunks")
    equal(numbers(server.text(), "chunk"), list(range(200)), "in order")
    equal(server.text().count("0" * 99), 200 * 500, "no line is missing")
    remove("logs-block")
    server.stop()


@case("syslog, non-blocking: the container runs on, what does not fit is dropped, and the machine's log says how much")
def non_blocking():
    server = Tcp()
    server.reads.clear()
    begin = len(box.log())
    start("logs-free", FLOOD, *syslog(server, "mode=non-blocking", "max-buffer-size=256k"))
    equal(box.docker("wait", "logs-free", seconds=100), "0", "wait")
    box.wait_log(r"container [0-9a-f]{12}: tcp://\S+: [1-9]\d* lines were dropped: the buffer was full", start=begin)
    equal(len(numbers(box.docker("logs", "logs-free"), "chunk")), 200, "docker logs has all")
    server.reads.set()
    until(lambda: workers() == 0, "the worker ends")
    check(len(numbers(server.text(), "chunk")) < 200, "nothing was dropped")
    remove("logs-free")
    server.stop()


@case("syslog, blocking: stop and kill end within bounds when the server is away")
def bounded():
    server = Tcp()
    server.reads.clear()
    start("logs-stuck", FLOOD, *syslog(server))
    until(lambda: server.connections and count_of("logs-stuck") > 0, "it writes")
    box.docker("kill", "logs-stuck")
    equal(box.docker("wait", "logs-stuck", seconds=30), "137", "wait")
    until(lambda: workers() == 0, "the worker ends")
    remove("logs-stuck")
    server.stop()


@case("nothing is left: no workers, no folders; a shim stays below 1 MiB, the worker has no files and no privileges")
def left():
    start("logs-last", "echo last; sleep 1000", *syslog(tcp))
    message(tcp, "last")
    pid = box.sh("ps | awk '/[w]orker syslog/{print $1}'").strip()
    shim = box.sh(f"awk '/^PPid/{{print $2}}' /proc/{pid}/status").strip()
    pss = int(box.sh(f"awk '/^Pss:/{{print $2}}' /proc/{shim}/smaps_rollup"))
    check(pss <= 1024, f"the shim takes {pss} KiB")
    status = box.sh(f"cat /proc/{pid}/status")
    for text in ("Uid:\t65534\t65534", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        contains(status, text, "the worker")
    box.sh(f"kill -9 {shim}")
    until(lambda: workers() == 0, "the worker ends with its shim")
    remove("logs-last")
    equal(box.docker("ps", "-aq", "--filter", "name=logs-"), "", "containers")
    equal(box.sh("ls -d /var/lib/skerry/containers/*/local-logs 2>/dev/null; true"), "", "folders")


def make_pki():
    os.makedirs(PKI)
    subprocess.run(["sh", "-c", NEW_PKI], cwd=PKI, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    box.sh(f"mkdir -p {FILES}")
    for name in ("ca.pem", "other.pem", "client.pem", "client-key.pem"):
        with open(f"{PKI}/{name}", encoding="ascii") as text:
            box.put(f"{FILES}/{name}", text.read())


make_pki()
udp = Udp()
tcp = Tcp()
tap.main()
