#!/usr/bin/env python3
"""Exec, terminals, attach: the docker client in a pseudo terminal, the API itself, and what hostile containers try."""

import base64
import hashlib
import http.client
import json
import os
import re
import struct
import time
import urllib.parse

from lib import images, stream, tap, vm
from lib.poll import until
from lib.tap import Failed, case, check, contains, equal
from lib.term import Terminal

box = vm.shared()
IMAGE = "test/exec:latest"
BOX = "exec-box"        # the container in which most commands run
CAPS = 0x00000000a80425fb       # the 14 capabilities of Docker's default profile
FORMS = ("", "1000:7", "user", "user:more", ":7", "1234:more", "nobodyhere", "user:nogroup", "2147483648", "00", "1000 ")


def sh(script, *options, name=BOX, **more):
    """docker exec of a shell line."""
    return box.docker("exec", *options, name, "sh", "-c", script, **more)


def run(name, *words):
    box.docker("run", "-d", "--name", name, *words)
    return name


def terminal(*words, **size):
    return Terminal(["docker", *words], box.env(), **size)


def gone(*names):
    box.docker("rm", "-f", *names)


class Stream(stream.Stream):
    def __init__(self, *words, **more):
        super().__init__(box, *words, **more)


KEPT = []       # one connection for most requests: a TLS handshake costs more than they do


def api(method, path, body=None, want=200):
    """The decoded answer, whose status must be `want` (None: any, then (status, answer))."""
    data = json.dumps(body) if body is not None else None
    for _ in range(2):      # the engine may have been killed since
        conn = KEPT.pop() if KEPT else box.connection(60)
        try:
            conn.request(method, path, data, {"Content-Type": "application/json"} if data else {})
            answer = conn.getresponse()
            raw = answer.read()
            break
        except (OSError, http.client.HTTPException):
            conn.close()
    else:
        raise Failed(f"{method} {path}: no answer")
    if not answer.will_close:
        KEPT.append(conn)
    found = json.loads(raw) if raw.strip() else None
    if want is None:
        return answer.status, found
    equal(answer.status, want, f"{method} {path}: {found}")
    return found


def make(name=BOX, **config):
    """The id of a new exec."""
    return api("POST", f"/containers/{name}/exec", {"AttachStdout": True, "AttachStderr": True, **config}, 201)["Id"]


def start(ident, **config):
    return Stream("POST", f"/exec/{ident}/start", config)


def do(name=BOX, **config):
    """(exit code, stdout, stderr) of a command, by the API."""
    ident = make(name, **config)
    with start(ident) as stream:
        found = stream.frames()
    return api("GET", f"/exec/{ident}/json")["ExitCode"], found[1].decode(), found[2].decode()


def code(name=BOX, **config):
    """(exit code, the engine's words if it did not run) of a command that nobody listens to."""
    ident = make(name, **config)
    status, answer = api("POST", f"/exec/{ident}/start", {"Detach": True}, None)
    until(lambda: not api("GET", f"/exec/{ident}/json")["Running"], "its end")
    return api("GET", f"/exec/{ident}/json")["ExitCode"], answer["message"] if status != 200 else ""


def kill_engine(before=""):
    """`before` runs right before the engine dies."""
    box.sh(f"p={vm.ENGINE}; {before} kill -9 $p")
    until(lambda: box.request("GET", "/_ping", seconds=2)[0] == 200, "the API is back", 60)


def engine_state():
    """(descriptors, resident KiB) of the engine."""
    text = box.sh(f"p={vm.ENGINE}; ls /proc/$p/fd | wc -l; "
                  "grep VmRSS /proc/$p/status").split()
    return int(text[0]), int(text[2])


@case("the test's image and container")
def begin():
    with open(images.program("tracer.c"), "rb") as tracer, open(images.program("attacher.c"), "rb") as attacher:
        files = {"bin/tracer": tracer.read(), "bin/attacher": attacher.read(),
                 "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n"
                               b"4294967296:x:0:0:evil:/:/bin/sh\n00:x:0:0:evil:/:/bin/sh\n"}
    box.docker("load", "-i", images.busybox_image(os.path.join(box.scratch, "exec.tar"), name=IMAGE, more=files))
    run(BOX, "--group-add", "more", "-e", "SET=by-run", "-h", "execbox", "-w", "/var", IMAGE, "sleep", "100000")


# --- docker exec ------------------------------------------------------------------------------------------


@case("exec: output, errors and exit status come back apart")
def streams():
    done = sh("echo out; echo err >&2; exit 7", check=False)
    equal((done.stdout, done.stderr, done.returncode), ("out\n", "err\n", 7), "exec")
    equal(sh("true", check=False).returncode, 0, "true")
    equal(sh("kill -9 $$", check=False).returncode, 137, "killed")


@case("exec: a program that is not there is 127, one that may not run 126, both with Docker's words")
def cannot():
    for words, code, text in ((["nothing"], 127, 'exec: "nothing": executable file not found in $PATH'),
                              (["/nothing"], 127, "no such file or directory"), (["/etc/passwd"], 126, "permission denied"),
                              (["-w", "/nothing", "true"], 127, "no such file or directory"),
                              (["-u", "nobodyhere", "true"], 126, "unable to find user nobodyhere")):
        options = words[:-1]
        done = box.docker("exec", *options, BOX, words[-1], check=False, both=True)
        equal(done.returncode, code, f"exec {words}: {done.stdout}")
        contains(done.stdout, text, f"exec {words}")
        contains(done.stdout, "OCI runtime exec failed: exec failed: ", f"exec {words}")


@case("exec -i: a MiB of stdin goes through and its end is seen; without -i there is none")
def stdin():
    data = os.urandom(1 << 20)
    equal(box.docker("exec", "-i", BOX, "wc", "-c", stdin=data, check=False).stdout.split(), [b"1048576"], "wc")
    equal(box.docker("exec", "-i", BOX, "cat", stdin=data, check=False).stdout == data, True, "cat")
    equal(box.docker("exec", BOX, "wc", "-c", stdin="ignored"), "0", "without -i")


@case("exec -e, --env-file, -w, -u: over what the container has; TERM only with a terminal; HOME by the user")
def options():
    path = os.path.join(box.scratch, "env")
    with open(path, "w", encoding="ascii") as text:
        text.write("FILE=yes\nSET=by-file\n")
    script = "echo $SET $FILE $ONE; echo $HOSTNAME $HOME [$TERM]; pwd; id -u; id -g; id -G"
    equal(sh(script), "by-run\nexecbox /root []\n/var\n0\n0\n0 2000", "defaults")
    equal(sh(script, "-e", "ONE=1", "--env-file", path, "-w", "/tmp", "-u", "user"),
          "by-file yes 1\nexecbox /home []\n/tmp\n1000\n1000\n1000 2000", "options")
    equal(sh("echo [$SET]", "-e", "SET"), "[]", "-e of a variable that the client has not takes it away")


@case("exec --privileged has all capabilities; the container's other processes do not")
def privileged():
    equal(int(sh("grep CapEff /proc/self/status", "--privileged").split()[1], 16) & CAPS, CAPS, "at least the default")
    check(int(sh("grep CapEff /proc/self/status", "--privileged").split()[1], 16) >> 21 & 1, "CAP_SYS_ADMIN")
    equal(int(sh("grep CapEff /proc/self/status").split()[1], 16), CAPS, "without")


@case("exec -d runs on its own; its exit code can be asked for")
def detached():
    equal(box.docker("exec", "-d", BOX, "sh", "-c", "echo done > /tmp/detached"), "", "output")
    until(lambda: sh("cat /tmp/detached", check=False).stdout == "done\n", "it ran")
    done = box.docker("exec", "-d", BOX, "nothing", check=False)
    check(done.returncode != 0 and "executable file not found" in done.stderr, done.stderr)
    ident = make(Cmd=["sh", "-c", "exit 5"])
    api("POST", f"/exec/{ident}/start", {"Detach": True})
    until(lambda: api("GET", f"/exec/{ident}/json")["ExitCode"] == 5, "the exit code")


@case("a process that an exec leaves behind does not hold the client up")
def background():
    begin_ = time.monotonic()
    equal(sh("sleep 1000 & echo started"), "started", "output")
    took = time.monotonic() - begin_
    check(took < 20, f"it took {took:.1f} s")
    sh("kill $(pidof sleep | tr ' ' '\\n' | grep -v '^1$') || true")


# --- the API of exec ------------------------------------------------------------------------------------------


@case("exec inspect is complete; ExecIDs shows what has not ended")
def inspect():
    ident = make(Cmd=["sh", "-c", "while [ ! -e /tmp/inspect ]; do sleep 1; done; exit 4"], AttachStdin=True, Tty=True,
                 User="user", Privileged=True, DetachKeys="ctrl-x,a")
    shown = api("GET", f"/exec/{ident}/json")
    equal((shown["ID"], shown["Running"], shown["ExitCode"], shown["Pid"], shown["ContainerID"]),
          (ident, False, None, 0, box.inspect(BOX)["Id"]), "before")
    equal(shown["ProcessConfig"], {"tty": True, "entrypoint": "sh", "arguments": ["-c", "while [ ! -e /tmp/inspect ]; do "
          "sleep 1; done; exit 4"], "privileged": True, "user": "user"}, "process")
    equal((shown["OpenStdin"], shown["OpenStdout"], shown["OpenStderr"], shown["CanRemove"], base64.b64decode(shown["DetachKeys"])),
          (True, True, True, False, b"\x18a"), "streams")
    contains(box.inspect(BOX)["ExecIDs"], ident, "ExecIDs")
    with start(ident, Tty=True):
        until(lambda: api("GET", f"/exec/{ident}/json")["Pid"] > 0, "it runs")
        shown = api("GET", f"/exec/{ident}/json")
        equal((shown["Running"], shown["ExitCode"]), (True, None), "running")
        contains(box.sh(f"cat /proc/{shown['Pid']}/comm"), "sh", "the machine's pid")
    sh("touch /tmp/inspect")
    until(lambda: api("GET", f"/exec/{ident}/json")["ExitCode"] == 4, "the exit code")
    shown = api("GET", f"/exec/{ident}/json")
    equal((shown["Running"], shown["CanRemove"]), (False, True), "after")
    check(ident not in (box.inspect(BOX)["ExecIDs"] or []), "ExecIDs has one that ended")


@case("hijack: 101 with Upgrade, 200 without; content types by terminal and API version; an error comes in the stream")
def hijack():
    for headers, version, tty, want in (((), "", False, "101 UPGRADED multiplexed"), ((), "", True, "101 UPGRADED raw"),
                                        ((), "/v1.41", False, "101 UPGRADED raw"), (("A: b",), "", False, "200 OK raw")):
        ident = make(Cmd=["echo", "hello"], Tty=tty)
        with Stream("POST", f"{version}/exec/{ident}/start", {"Tty": tty}, headers) as stream:
            status, reason, kind = want.split()
            equal(stream.head.split("\r\n")[0], f"HTTP/1.1 {status} {reason}", "status")
            contains(stream.head, f"Content-Type: application/vnd.docker.{kind}-stream", "type")
            equal(stream.to_end(), b"hello\r\n" if tty else b"\1\0\0\0\0\0\0\6hello\n", "output")
    with start(make(Cmd=["nothing"])) as stream:
        check(stream.status == 101 and b"executable file not found" in stream.frames()[1], stream.rest)


@case("exec: 404 for what is not known, 409 for what does not run, is paused or has run, 400 for nonsense")
def errors():
    equal(api("GET", "/exec/nope/json", None, 404)["message"], "No such exec instance: nope", "inspect")
    equal(api("POST", "/exec/nope/start", {}, 404)["message"], "No such exec instance: nope", "start")
    api("POST", "/containers/nope/exec", {"Cmd": ["id"]}, 404)
    equal(api("POST", f"/containers/{BOX}/exec", {"Cmd": []}, 400)["message"], "No exec command specified", "no command")
    api("POST", f"/containers/{BOX}/exec", {"Cmd": ["id"], "Tty": "yes"}, 400)
    contains(api("POST", f"/containers/{BOX}/exec", {"Cmd": ["id"], "DetachKeys": "foo"}, 400)["message"], "foo", "keys")
    equal(api("POST", f"/containers/{BOX}/exec", None, 400)["message"] != "", True, "no body")
    box.docker("create", "--name", "exec-stopped", IMAGE, "true")
    ident = box.inspect("exec-stopped")["Id"]
    equal(api("POST", "/containers/exec-stopped/exec", {"Cmd": ["id"]}, 409)["message"], f"container {ident} is not running", "stopped")
    gone("exec-stopped")
    done = make(Cmd=["true"])
    box.docker("pause", BOX)
    contains(api("POST", f"/containers/{BOX}/exec", {"Cmd": ["id"]}, 409)["message"], "is paused, unpause the container before exec",
             "create while paused")
    contains(api("POST", f"/exec/{done}/start", {}, 409)["message"], "is paused", "start while paused")
    box.docker("unpause", BOX)
    api("POST", f"/exec/{done}/start", {"Detach": True})
    until(lambda: api("GET", f"/exec/{done}/json")["ExitCode"] == 0, "it ended")
    contains(api("POST", f"/exec/{done}/start", {}, 409)["message"], "has already run", "again")


@case("events: exec_create, exec_start, exec_die with id and exit code, exec_detach and detach by the engine's own keys")
def events():
    run("exec-told", "-it", IMAGE, "sh")
    conn = box.connection(60)
    conn.request("GET", "/events?filters=" + urllib.parse.quote(json.dumps({"container": ["exec-told"]})))
    stream = conn.getresponse()
    ident = make("exec-told", Cmd=["sh", "-c", "exit 3"])
    with start(ident) as client:
        client.to_end()
    other = make("exec-told", Cmd=["cat"], Tty=True, AttachStdin=True)
    with start(other, Tty=True) as client:
        client.sock.sendall(b"x\x10")
        client.until(b"x")
        client.sock.sendall(b"\x11")
        client.to_end()
    equal(api("GET", f"/exec/{other}/json")["Running"], True, "what was left goes on")
    with Stream("POST", "/containers/exec-told/attach?stream=1&stdin=1&stdout=1&detachKeys=ctrl-a,q") as client:
        client.sock.sendall(b"\x01q")
        client.to_end()
    want = [("exec_create: sh -c exit 3", ident, None), ("exec_start: sh -c exit 3", ident, None), ("exec_die", ident, "3"),
            ("exec_create: cat", other, None), ("exec_start: cat", other, None), ("exec_detach", other, None),
            ("attach", None, None), ("detach", None, None)]
    have = []
    while len(have) < len(want):
        event = json.loads(stream.readline())
        about = event["Actor"]["Attributes"]
        have.append((event["Action"], about.get("execID"), about.get("exitCode")))
    conn.close()
    equal(have, want, "events")
    gone("exec-told")


# --- terminals ------------------------------------------------------------------------------------------------


def new_size(term, rows, cols):
    """The window gets another size, and the shell in it sees that. (The client watches its window only after its first request
    for a size has been answered; what changes before is lost on it.)"""
    def seen():
        term.resize(rows, cols - 1)
        term.resize(rows, cols)
        term.send("stty size\r")
        return term.expect(r"(\d+) (\d+)\r\n").groups() == (str(rows), str(cols))
    until(seen, "the new size")


@case("exec -it: the first size, a new size, keys, exit status; TERM is set")
def exec_terminal():
    with terminal("exec", "-it", BOX, "sh", rows=33, cols=97) as term:
        term.expect("# ")
        term.send("stty size; echo $TERM\r")
        term.expect("33 97\r\nxterm\r\n")
        term.expect("# ")
        new_size(term, 44, 111)
        term.send("echo now; sleep 1000\r")
        term.expect("now\r\n")
        until(lambda: (term.send("\x03"), term.expect("# ", 2)), "Ctrl-C ends it, and not the shell")
        term.send("exit 9\r")
        equal(term.ends(), 9, "exit status")


@case("run -it: the first size is there from the start; input, a new size, exit status; --rm removes it")
def run_terminal():
    with terminal("run", "-it", "--rm", "--name", "exec-term", IMAGE, "sh", "-c", "stty size; exec sh", rows=21, cols=71) as term:
        term.expect("21 71\r\n")
        term.expect("# ")
        new_size(term, 50, 150)
        term.send("tty; ls -l /dev/console; echo $TERM; exit 6\r")
        term.expect(r"/dev/(pts/0|console)\r\n.*xterm\r\n")
        equal(term.ends(), 6, "exit status")
    until(lambda: box.docker("inspect", "exec-term", check=False).returncode != 0, "it is removed")


@case("run -t without -i: a terminal, but what is typed does not arrive")
def output_terminal():
    with terminal("run", "-t", "--rm", IMAGE, "sh", "-c", "stty size; read -t 3 x && echo got $x || echo got nothing") as term:
        term.expect("24 80\r+\n")      # the terminal out here is not raw: it adds one \r more
        term.send("typed\r")
        term.expect("got nothing\r+\n")
        equal(term.ends(), 0, "exit status")
    equal(box.docker("run", "-t", "--rm", IMAGE, "sh", "-c", "echo a; echo b >&2"), "a\nb", "both streams are one")


@case("attach to a terminal: leave by ctrl-p ctrl-q, come back, type on; keys of one's own")
def attach_terminal():
    run("exec-att", "-it", IMAGE, "sh")
    with terminal("attach", "exec-att") as term:
        term.send("echo first-$((1+1))\r")
        term.expect("first-2\r\n")
        term.send("\x10\x11")
        term.ends()
        contains(term.all, "read escape sequence", "the client")
    equal(box.inspect("exec-att")["State"]["Running"], True, "it runs on")
    with terminal("attach", "--detach-keys", "ctrl-x,a", "exec-att", rows=30, cols=60) as term:
        term.send("echo again-$((2+2)); stty size\r")
        term.expect("again-4\r\n30 60\r\n")
        term.send("\x18b")      # not the sequence: the shell gets both
        term.send("\r\x18a")
        term.ends()
    equal(box.inspect("exec-att")["State"]["Running"], True, "it runs on")
    with terminal("attach", "exec-att") as term:
        term.send("exit 8\r")
        equal(term.ends(), 8, "exit status")
    gone("exec-att")


@case("exec --detach-keys leaves the command running")
def exec_keys():
    with terminal("exec", "-it", "--detach-keys", "ctrl-a,b", BOX, "sh", "-c", "echo up; while [ ! -e /tmp/keys ]; do sleep 1; done") as term:
        term.expect("up\r\n")
        contains(sh("ps"), "/tmp/keys", "the command")
        term.send("\x01b")
        term.ends()
    contains(sh("ps"), "/tmp/keys", "the command goes on")
    sh("touch /tmp/keys")


@case("resize over the API: 200, 404, 409, 400; without a terminal nothing happens")
def resize():
    run("exec-size", "-it", IMAGE, "sh")
    with Stream("POST", "/containers/exec-size/attach?stream=1&stdin=1&stdout=1") as stream:
        api("POST", "/containers/exec-size/resize?h=13&w=17")
        stream.sock.sendall(b"stty size\r")
        stream.until(b"13 17\r\n")
    api("POST", "/containers/exec-size/resize?h=x&w=17", None, 400)
    api("POST", "/containers/nope/resize?h=1&w=1", None, 404)
    box.docker("stop", "-t", "0", "exec-size")
    contains(api("POST", "/containers/exec-size/resize?h=1&w=1", None, 409)["message"], "is not running", "stopped")
    gone("exec-size")
    api("POST", f"/containers/{BOX}/resize?h=1&w=1")
    ident = make(Cmd=["sh", "-c", "read x; stty size"], Tty=True, AttachStdin=True, ConsoleSize=[5, 6])
    with start(ident, Tty=True) as stream:
        api("POST", f"/exec/{ident}/resize?h=7&w=8")
        stream.sock.sendall(b"\r")
        contains(stream.to_end(), b"7 8\r\n", "the size")


# --- attach -------------------------------------------------------------------------------------------------


def unframed(data):
    parts, at = [], 0
    while at + 8 <= len(data):
        size = struct.unpack(">I", data[at + 4:at + 8])[0]
        parts.append(data[at + 8:at + 8 + size])
        at += 8 + size
    return b"".join(parts)


@case("attach with the log: replay and live without a gap and without doubling, in both kinds of stream")
def attach_log():
    for words, ends in ((["-t"], b"\r\n"), ([], b"\n")):
        run("exec-count", *words, IMAGE, "sh", "-c", "i=0; while :; do echo n$i; i=$((i+1)); done")
        for _ in range(2):
            logged = int(until(lambda: box.docker("logs", "--tail", "1", "exec-count").split(), "a line")[0][1:])
            with Stream("POST", "/containers/exec-count/attach?logs=1&stream=1&stdout=1") as stream:
                stream.until(b"n%d" % (logged + 2000) + ends)
                data = stream.rest
            if not words:
                data = unframed(data)
            lines = data.split(ends)[:-1]
            check(len(lines) > logged + 2000, f"{len(lines)} lines")
            wrong = [at for at, line in enumerate(lines) if line != b"n%d" % at]
            check(not wrong, f"at {wrong[:3]}: {lines[max(0, wrong[0] - 2):wrong[0] + 3] if wrong else ''}")
        gone("exec-count")


@case("attach with the log: an unfinished line is in it, once; the log alone ends; none says so")
def attach_log_edges():
    run("exec-line", "-i", IMAGE, "sh", "-c", "printf 'half '; read x; echo whole; read x")
    until(lambda: sh("true", name="exec-line", check=False).returncode == 0, "it runs")
    with Stream("POST", "/containers/exec-line/attach?logs=1&stream=1&stdout=1&stdin=1") as stream:
        stream.until(b"half ")
        stream.sock.sendall(b"\n")
        stream.until(b"whole\n")
        check(stream.rest.count(b"half ") == 1, stream.rest)
    with Stream("POST", "/containers/exec-line/attach?logs=1&stdout=1") as stream:
        equal(stream.frames()[1], b"half whole\n", "the log alone")
    equal(box.docker("logs", "exec-line"), "half whole", "docker logs")
    gone("exec-line")
    run("exec-none", "--log-driver", "none", IMAGE, "sleep", "1000")
    with Stream("POST", "/containers/exec-none/attach?logs=1&stdout=1") as stream:
        contains(stream.frames()[1], b"does not support reading", "no log")
    gone("exec-none")


class WebSocket(Stream):
    """As little of RFC 6455 as a client needs."""

    def __init__(self, path):
        key = base64.b64encode(os.urandom(16)).decode()
        super().__init__("GET", path, None, ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                                             f"Sec-WebSocket-Key: {key}"))
        want = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        contains(self.head, f"Sec-WebSocket-Accept: {want}", "handshake")

    def send(self, opcode, data, fin=True, cut=None):
        mask = os.urandom(4)
        size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
        raw = bytes([opcode | (0x80 if fin else 0)]) + size + mask + bytes(item ^ mask[at % 4] for at, item in enumerate(data))
        for at in range(0, len(raw), cut or len(raw)):
            self.sock.sendall(raw[at:at + (cut or len(raw))])

    def frame(self):
        def take(count):
            while len(self.rest) < count:
                check(self.more(), "the websocket ended")
            data, self.rest = self.rest[:count], self.rest[count:]
            return data
        first, size = take(2)
        if size >= 126:
            size = struct.unpack(">H" if size == 126 else ">Q", take(2 if size == 126 else 8))[0]
        return first & 15, take(size)

    def gets(self, part):
        data = b""
        while part not in data:
            opcode, piece = self.frame()
            equal(opcode, 2, "binary")
            data += piece
        return data


@case("attach over a websocket: messages both ways, fragments, ping and pong, close; nonsense is refused")
def websocket():
    run("exec-ws", "-i", IMAGE, "sh", "-c", "cat; echo over >&2; read x")
    with WebSocket("/containers/exec-ws/attach/ws?stream=1&stdin=1&stdout=1&stderr=1") as ws:
        ws.send(2, b"hello\n")
        ws.gets(b"hello\n")
        ws.send(1, b"frag", fin=False, cut=1)
        ws.send(9, b"are you there")
        equal(ws.frame(), (10, b"are you there"), "pong")
        ws.send(0, b"ments\n", cut=3)
        ws.gets(b"fragments\n")
        big = b"x" * 60000 + b"\n"
        ws.send(2, big)
        equal(ws.gets(b"\n"), big, "a long message")
        ws.send(8, struct.pack(">H", 1000))
        equal(ws.frame(), (8, struct.pack(">H", 1000)), "close")
        equal(ws.to_end(), b"", "the end")
    with WebSocket("/containers/exec-ws/attach/ws?stream=1&stdout=1&stderr=1") as ws:
        ws.sock.sendall(b"\x82\x01x")       # not masked
        equal(ws.frame(), (8, struct.pack(">H", 1002)), "a protocol error")
    with WebSocket("/containers/exec-ws/attach/ws?stream=1&stdout=1&stderr=1") as ws:
        box.docker("kill", "exec-ws")
        equal(ws.frame()[0], 8, "the container's end")
    contains(api("GET", "/containers/exec-ws/attach/ws?stream=1", None, 400)["message"], "websocket", "no handshake")
    gone("exec-ws")


# --- live restore ------------------------------------------------------------------------------------------------


@case("kill -9 of the engine: execs go on, are known, and end; one that ended meanwhile tells its code; new ones work")
def restore():
    run("exec-tty", "-it", IMAGE, "sh")
    wait = "while [ ! -e /tmp/go-%s ]; do :; done; exit %d"
    ids = [make(Cmd=["sh", "-c", wait % ("on", 31)]), make(Cmd=["sh", "-c", wait % ("away", 32)]), make(Cmd=["sh", "-c", "exit 33"]),
           make(Cmd=["sh", "-c", "exit 34"])]
    for ident in ids[:3]:
        api("POST", f"/exec/{ident}/start", {"Detach": True})
    until(lambda: api("GET", f"/exec/{ids[2]}/json")["ExitCode"] == 33, "one has ended")
    pid = api("GET", f"/exec/{ids[0]}/json")["Pid"]
    root = f"/proc/{box.inspect(BOX)['State']['Pid']}/root"
    kill_engine(f"touch {root}/tmp/go-away &")
    shown = api("GET", f"/exec/{ids[0]}/json")
    equal((shown["Running"], shown["ExitCode"], shown["Pid"]), (True, None, pid), "the one that runs")
    equal(shown["ProcessConfig"]["arguments"][0], "-c", "what it runs")
    equal(api("GET", f"/exec/{ids[2]}/json")["ExitCode"], 33, "the one that had ended")
    until(lambda: api("GET", f"/exec/{ids[1]}/json")["ExitCode"] == 32, "the one that ended meanwhile")
    with start(ids[3]) as stream:
        stream.to_end()
    equal(api("GET", f"/exec/{ids[3]}/json")["ExitCode"], 34, "the one that was only made")
    sh("touch /tmp/go-on")
    until(lambda: api("GET", f"/exec/{ids[0]}/json")["ExitCode"] == 31, "its end is heard")
    equal(sh("echo new"), "new", "a new exec")
    with terminal("attach", "exec-tty") as term:
        term.send("echo found-$((3+4))\r")
        term.expect("found-7\r\n")
        new_size(term, 19, 57)
        term.send("exit 3\r")
        equal(term.ends(), 3, "exit status")
    gone("exec-tty")


@case("kill -9 of the engine: the exec's client is cut off, the command goes on")
def restore_client():
    client = box.follow("exec", BOX, "sh", "-c", "echo up; while [ ! -e /tmp/cut ]; do sleep 1; done; echo end > /tmp/cut-end")
    equal(client.stdout.readline(), "up\n", "the first line")
    kill_engine()
    check(client.wait(timeout=60) != 0, "the client saw a good end")
    sh("touch /tmp/cut")
    until(lambda: sh("cat /tmp/cut-end", check=False).stdout == "end\n", "the command goes on")


@case("the container's end is the end of its execs: their clients hear 137")
def container_ends():
    run("exec-ends", IMAGE, "sleep", "1000")
    client = box.follow("exec", "exec-ends", "sh", "-c", "echo up; sleep 1000")
    equal(client.stdout.readline(), "up\n", "the first line")
    box.docker("kill", "exec-ends")
    equal(client.wait(timeout=60), 137, "exit status")
    gone("exec-ends")


# --- hostile containers -----------------------------------------------------------------------------------------


@case("threats row 2: a container's root cannot trace a process that enters, nor see descriptors of the host in it")
def threats_2():
    run("exec-trace", IMAGE, "tracer")
    until(lambda: "ready" in box.docker("logs", "exec-trace"), "the tracer is ready")
    for _ in range(25):
        equal(code("exec-trace", Cmd=["true"]), (0, ""), "true")
    box.docker("stop", "-t", "5", "exec-trace")
    text = box.docker("logs", "exec-trace")
    gone("exec-trace")
    found = re.search(r"seen (\d+) early (\d+)", text)
    check(found and int(found.group(1)) >= 25 and int(found.group(2)) > 0, f"it came too late to try: {text[-300:]}")
    for line in text.splitlines():
        check(not line.startswith("cwd"), line)
        if line.startswith("traced"):
            equal(line, "traced true", "what was traced")
        if line.startswith("fd"):
            check(re.search(r" -> (pipe:\[\d+\]|/dev/null|/dev/pts/\d+|anon_inode:\S+|/bin/\S+|/lib/\S+)$", line), line)


@case("threats row 3: exec -w into descriptors and magic links fails; the working directory is never outside")
def threats_3():
    places = [f"/proc/self/fd/{number}" for number in range(3, 65)] + \
        ["/proc/1/cwd", "/proc/self/cwd", "/proc/thread-self/root", "/proc/1/root", "/proc/self/exe"]
    for place in places:
        status, words = code(Cmd=["pwd"], WorkingDir=place)
        check(status in (126, 127) and place in words, f"{place}: {status} {words}")
    equal(do(Cmd=["ls", "/proc/self/fd"])[1].split(), ["0", "1", "2", "3"], "descriptors (3 is the directory)")


@case("threats row 14: exec gives no inheritable and no ambient capabilities, to root or another, with and without --cap-add")
def threats_14():
    run("exec-caps", "--cap-add", "NET_ADMIN", IMAGE, "sleep", "1000")
    for name in (BOX, "exec-caps"):
        for user in ("0", "1000", "user:more"):
            for more in (False, True):
                words = "! grep -E 'Cap(Inh|Amb):' /proc/self/status | grep -v '0000000000000000$'"
                equal(code(name, Cmd=["sh", "-c", words], User=user, Privileged=more), (0, ""), f"{name} {user} {more}")
    equal(code(Cmd=["sh", "-c", "! grep CapEff: /proc/self/status | grep -v '0000000000000000$'"])[0], 1, "the test itself")
    gone("exec-caps")


@case("threats row 15: an exec as another user than root has no effective capability")
def threats_15():
    for user in ("1000", "user", "1234:0"):
        status, out, _ = do(Cmd=["grep", "-E", "Cap(Eff|Prm)", "/proc/self/status"], User=user)
        equal((status, [line.split()[1] for line in out.splitlines()]), (0, ["0" * 16] * 2), user)


def identity(status, out, err):
    """What a form of User came to: ids, or the reason without what is around it."""
    told = "\n".join(line for line in (err + out).splitlines() if not line.startswith("time="))
    reason = re.search(r"(unable to find|user |group |invalid ).*", told)
    return out.split() if status == 0 else [reason.group(0).strip() if reason else f"exit {status}: {told}"]


@case("threats row 16, 18: every form of User means in exec what it means in run, supplementary groups and errors too")
def threats_16():
    for form in FORMS:
        script = ["sh", "-c", "id -u; id -g; id -G; grep Groups /proc/self/status"]
        ran = box.docker("run", "--rm", "--group-add", "more", "-u", form, IMAGE, *script, check=False)
        want = identity(ran.returncode, ran.stdout, ran.stderr)
        equal(identity(*do(Cmd=script, User=form or "0")), want, f"User {form!r}")
    equal(do(Cmd=["id", "-G"], User="1234")[1].split(), ["0", "2000"], "the effective group is among the groups")


@case("threats row 17: digits are never a name; what is out of range or no plain number is refused")
def threats_17():
    for form in ("2147483648", "4294967296", "00", "0x0", "1000 ", "-1", "+1", "1e3", "user:4294967296", "user:00"):
        status, words = code(Cmd=["true"], User=form)
        check(status == 126 and words, f"{form!r}: {status} {words}")


@case("threats row 28: 1,000 clients attach and vanish; an exec floods one that does not read: memory and descriptors stay")
def threats_28():
    run("exec-many", IMAGE, "sh", "-c", "while :; do echo tick; sleep 1; done")
    run("exec-clients", "-v", "/run/docker.sock:/run/docker.sock", IMAGE, "sleep", "1000")
    before = engine_state()
    out = sh("attacher /run/docker.sock '/containers/exec-many/attach?stream=1&stdout=1&stderr=1' 1000", name="exec-clients", seconds=200)
    equal(out, "done 1000", "clients")
    until(lambda: engine_state()[0] <= before[0] + 2, "the descriptors are back", 60)
    shim = box.sh(f"awk '/PPid/{{print $2}}' /proc/{box.inspect('exec-many')['State']['Pid']}/status")
    until(lambda: int(box.sh(f"ls /proc/{shim}/fd | wc -l")) < 30, "the shim's too", 60)
    ident = make("exec-many", Cmd=["cat", "/dev/zero"])
    with start(ident) as stream:
        stream.more()
        pid, used = api("GET", f"/exec/{ident}/json")["Pid"], []
        until(lambda: used.append(box.sh(f"cut -d' ' -f14,15 /proc/{pid}/stat")) or used[-1] in used[:-1], "it stands still")
        growth = engine_state()[1] - before[1]
        check(growth < 4096, f"the engine grew by {growth} KiB")
        rss = int(box.sh(f"grep VmRSS /proc/{shim}/status").split()[1])
        check(rss < 8192, f"the shim has {rss} KiB")
        equal(api("GET", f"/exec/{ident}/json")["Running"], True, "it waits, and is not killed")
    gone("exec-many", "exec-clients")
    until(lambda: engine_state()[0] <= before[0] + 2, "the descriptors are back", 60)


@case("afterwards no container and no shim of the tests is left")
def left():
    gone(BOX)
    equal(box.docker("ps", "-aq", "--filter", f"ancestor={IMAGE}"), "", "containers")
    box.docker("rmi", "-f", IMAGE)


tap.main()
