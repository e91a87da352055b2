#!/usr/bin/env python3
"""The threat list, part A: starts, execs and mounts of hostile containers, by the docker client against the machine.

Each case names its rows of the list. The races run together in one window of SKERRY_RACE_SECONDS (default 20): their attackers exchange names
in one shared volume each, their victims are started one after the other.

Rows that are shown elsewhere, or that cannot be shown on this kernel:

    1   the machine's programs are on EROFS, which has no way to write; that the command line protects itself where its file can be written
        is a case of tests/host/test_oci (sealed memory)
    6   AppArmor and SELinux are not in this kernel, so there is no attribute file to fool; that /proc cannot be a volume is shown
    13  cgroup v1 is not in this kernel at all: that it cannot be mounted, not even by a privileged container, is what is shown
    19  the files of users are read in the container's own process (engine/runtime/user.c), so the engine's memory cannot grow; bounds of
        single lines are unit tests (tests/unit/engine/runtime/user_test.c)
    22  there is no length-prefixed bootstrap message: the plan is read from config.json; what is shown is that huge lists are an error
    28  attach and exec under load: tests/system/test_exec.py and the shim's tests
"""

import json
import os
import re
import tarfile
import threading
import time

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

box = vm.shared()
RACE_SECONDS = float(os.environ.get("SKERRY_RACE_SECONDS", "20"))
IMAGE = "test/threats:latest"
CANARY = "/var/lib/threats-canary"      # on the machine: nothing may appear, change or vanish here
CAPS = 0x00000000a80425fb


def docker(*words, **more):
    return box.docker(*words, **more)


def run(*words, **more):
    return box.docker("run", "--rm", *words, **more)


def inside(script, *options, **more):
    return run(*options, IMAGE, "sh", "-c", script, **more)


def refused(*words, text, seconds=60):
    """A container that must not come to run; the client's exit code is the engine's."""
    done = box.docker("run", "--rm", *words, check=False, seconds=seconds)
    check(done.returncode in (125, 126, 127), f"docker run {words}: exit {done.returncode}: {done.stdout} {done.stderr}")
    contains(done.stderr, text, f"docker run {words}")
    return done


def member(name, kind, **fields):
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def image(name, files=None, config=None, without=()):
    """Loads a BusyBox image with the probe; names of it left out, files over it."""
    with open(images.program("../../runtime/probe.c"), "rb") as data:
        more = {"bin/probe": data.read(), **(files or {})}
    base = {path: what for path, what in images.busybox_files().items() if path not in without}
    path = images.docker_archive(os.path.join(box.scratch, "image.tar"), name, [images.layer(base), images.layer(more)],
                                 {"Cmd": ["sh"], "Env": ["PATH=/bin"], **(config or {})})
    docker("load", "-i", path)
    os.unlink(path)
    return name


def program():
    """The engine's own file."""
    return box.sh(f"readlink /proc/{vm.ENGINE}/exe").strip()


def canary():
    return box.sh(f"cd {CANARY} && find . -exec stat -c '%n %a %u %s %Y' {{}} + && cat a/secret && sha256sum {program()} && "
                  "cat /proc/sys/kernel/core_pattern /proc/sys/kernel/sysrq && grep -vE 'overlay|netns' /proc/mounts | wc -l")


KEPT = []


def request(method, path, body=None, seconds=120):
    """(status, answer) over one kept connection: matrices would be slow with a client's start for each field."""
    if not KEPT:
        KEPT.append(box.connection(seconds))
    conn = KEPT[0]
    conn.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
    answer = conn.getresponse()
    raw = answer.read()
    if "json" not in answer.headers.get("Content-Type", "") or answer.will_close or answer.status == 101:
        KEPT.pop().close()
    try:
        return answer.status, json.loads(raw)
    except ValueError:
        return answer.status, raw.decode("utf-8", "replace")


def create(body):
    return request("POST", "/containers/create", {"Image": IMAGE, **body})


def executed(name, body):
    """An exec to its end: what inspect says of it, with its output."""
    status, made = request("POST", f"/containers/{name}/exec", {"AttachStdout": True, "AttachStderr": True, **body})
    if status != 201:
        return {"status": status, "message": made["message"], "output": "", "ExitCode": None}
    status, output = request("POST", f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False})
    return {**request("GET", f"/exec/{made['Id']}/json")[1], "status": status, "output": str(output)}


def engine_rss():
    pid = box.sh(f"echo {vm.ENGINE}").strip()
    return int(box.sh(f"grep VmRSS /proc/{pid}/status | tr -dc 0-9"))


@case("images and a canary are made")
def prepare():
    image(IMAGE, {"etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/:/bin/sh\n4294967296:x:0:0::/:/bin/sh\n1000:x:0:0::/:/bin/sh\n",
                  "etc/group": b"root:x:0:root\nadm:x:4:root,web\nweb:x:33:\n4294967296:x:0:\n", "bin/evil": b"#!/proc/self/exe\n",
                  "etc/sub": None})
    box.sh(f"mkdir -p {CANARY}/a/b && echo host-secret > {CANARY}/a/secret && chmod 700 {CANARY}/a")
    contains(canary(), "host-secret", "the canary")


# --- rows 1 to 3: the runtime's own process ---------------------------------------------------------------------------

@case("threats row 1: the engine's program cannot be written through /proc/PID/exe or #!/proc/self/exe")
def row1():
    before = box.sh(f"sha256sum {program()}")
    docker("run", "-d", "--name", "threats-thief", "--cap-add", "SYS_PTRACE", "--security-opt", "seccomp=unconfined", IMAGE,
           "probe", "steal", "600")
    until(lambda: "ready" in docker("logs", "threats-thief"), "the thief")
    def attack():
        docker("exec", "threats-thief", "/bin/evil", check=False)
        return "skerryd" in docker("logs", "threats-thief")
    until(attack, "the thief had the program open", 60)
    box.docker("run", "--rm", "--pid", "container:threats-thief", IMAGE, "/bin/evil", check=False)
    log = docker("logs", "threats-thief")
    docker("rm", "-f", "threats-thief")
    check("WRITTEN" not in log, log)
    check(re.search(r"found .*skerryd: (EROFS|ETXTBSY)", log), log)
    equal(box.sh(f"sha256sum {program()}"), before, "the program")


@case("threats row 2: a process that enters cannot be traced before its program runs, and brings no descriptor of the machine")
def row2():
    docker("run", "-d", "--name", "threats-tracer", IMAGE, "probe", "trace", "600")
    until(lambda: "ready" in docker("logs", "threats-tracer"), "the tracer")
    for _ in range(10):
        lines = docker("exec", "threats-tracer", "probe", "fds").splitlines()
        equal(sorted(line.split()[0] for line in lines), ["0", "1", "2"], f"descriptors {lines}")
        check(all(line.split()[1].startswith(("pipe:", "/dev/", "socket:")) for line in lines), f"{lines}")
    docker("exec", "threats-tracer", "touch", "/stop")
    equal(docker("wait", "threats-tracer"), "0", "the tracer's end")
    contains(docker("logs", "threats-tracer"), "caught 0", "the tracer")
    docker("rm", "-f", "threats-tracer")


@case("threats row 3: no working directory through a descriptor of the runtime, in run, image and exec")
def row3():
    for path in ("/proc/self/fd/3", "/proc/self/fd/8", "/proc/1/cwd"):
        done = box.docker("run", "--rm", "-w", path, IMAGE, "probe", "cwd", check=False)
        check(done.returncode != 0 or (done.stdout.startswith("/") and "unreachable" not in done.stdout), f"{path}: {done.stdout}")
        check("fd" not in path or done.returncode in (125, 126, 127), f"{path}: exit {done.returncode} {done.stdout}")
    image("test/threats:cwd", config={"WorkingDir": "/proc/self/fd/8"})
    done = box.docker("run", "--rm", "test/threats:cwd", "probe", "cwd", check=False)
    check(done.returncode in (125, 126, 127) and "chdir to cwd" in done.stderr, f"image: {done}")
    docker("run", "-d", "--name", "threats-cwd", IMAGE, "sleep", "1000")
    for number in [*range(3, 11), 64]:
        have = executed("threats-cwd", {"Cmd": ["probe", "cwd"], "WorkingDir": f"/proc/self/fd/{number}"})
        check(have["ExitCode"] in (125, 126, 127), f"/proc/self/fd/{number}: {have}")
    docker("rm", "-f", "threats-cwd")


# --- rows 5, 6, 10, 12, 13: what is mounted where ------------------------------------------------------------------------

@case("threats row 5: /proc or /sys is a link of the image, or a volume is mounted where /proc leads")
def row5():
    for number, (at, to, text) in enumerate((("proc", "/bad", "/proc in the image is not an ordinary directory"),
                                             ("sys", "bad/../bad", "/sys in the image is not an ordinary directory"))):
        image(f"test/threats:link{number}", {"bad": None, at: ("link", to)})
        refused(f"test/threats:link{number}", "true", text=text)
    before = canary()
    refused("-v", "threats-v5:/proc/sys", IMAGE, "true", text="inside /proc")
    refused("-v", "threats-v5:/proc/self/attr", IMAGE, "true", text="inside /proc")
    refused("-v", "threats-v5:/sys/../proc/1", IMAGE, "true", text="proc")
    equal(canary(), before, "the canary")


@case("threats row 6: a volume cannot play /proc")
def row6():
    inside("mkdir -p /v/self/attr && echo x > /v/self/attr/exec", "-v", "threats-v6:/v")
    refused("-v", "threats-v6:/proc", IMAGE, "true", text="not a procfs")
    refused("--tmpfs", "/proc", IMAGE, "true", text="proc")
    equal(inside("awk '$2 == \"/proc\" {print $3}' /proc/mounts"), "proc", "file system")


@case("threats row 10: /dev, /dev/pts and /dev/shm are links of the image: nothing is made on the machine")
def row10():
    before = canary()
    for number, files in enumerate(({"dev": ("link", f"../../../../../..{CANARY}/a")}, {"dev": ("link", f"{CANARY}/a")},
                                    {"dev": None, "dev/pts": ("link", f"{CANARY}/a"), "dev/shm": ("link", f"../../..{CANARY}/a"),
                                     "dev/null": ("link", f"{CANARY}/a/null"), "dev/console": ("link", f"{CANARY}/a/console")},
                                    {"etc": ("link", f"{CANARY}/a"), "var": ("link", "/" + "../" * 9 + CANARY[1:])})):
        name = image(f"test/threats:dev{number}", files, without=("etc", "etc/passwd", "etc/group", "var") if "etc" in files else ())
        done = box.docker("run", "--rm", "-t", "-v", "threats-v10:/var/x", "-w", "/var/made/here", name, "true", check=False)
        check(done.returncode in (0, 125, 126, 127), f"{done}")
    equal(canary(), before, "the canary")
    equal(box.sh(f"ls {CANARY}/a"), "b\nsecret", "files")


@case("threats row 12: every cgroup file system in a container is read-only")
def row12():
    text = inside("grep cgroup /proc/self/mountinfo; for f in $(find /sys/fs/cgroup -name cgroup.procs -o -name cgroup.kill -o -name memory.max); do"
                  " (echo 1 > $f) 2>/dev/null && echo written $f; done; mkdir /sys/fs/cgroup/x 2>/dev/null && echo made; true")
    mounts = [line for line in text.splitlines() if "cgroup2" in line]
    check(mounts and all(line.split()[5].startswith("ro,") for line in mounts), text)
    check("written" not in text and "made" not in text, text)
    done = docker("run", "--rm", "--cgroupns", "host", IMAGE, "sh", "-c", "(echo 1 > /sys/fs/cgroup/cgroup.procs) 2>/dev/null && echo written; true")
    equal(done, "", "with the machine's cgroup namespace")


@case("threats row 13: no release_agent: cgroup v1 cannot be mounted by anybody")
def row13():
    for options in ([], ["--cap-add", "SYS_ADMIN"], ["--privileged"]):
        text = inside("mkdir /tmp/c; for o in memory none,name=x; do mount -t cgroup -o $o none /tmp/c 2>/dev/null && echo mounted; done;"
                      "find / -xdev -name release_agent 2>/dev/null; ls /sys/fs/cgroup | grep release_agent; true", *options)
        equal(text, "", f"{options}")


# --- rows 14 to 20: credentials ----------------------------------------------------------------------------------------------

def sets(text):
    return {line.split()[0][3:6]: int(line.split()[1], 16) for line in text.splitlines()}


@case("threats row 14, 15: no inheritable or ambient capabilities; none in effect for another user; run and exec alike")
def row14():
    asked = ["grep", "^Cap", "/proc/self/status"]
    for user, options in (("0", []), ("1000", ["--cap-add", "NET_ADMIN"]), ("0", ["--cap-add", "NET_ADMIN"]), ("web", ["--privileged"])):
        docker("run", "-d", "--name", "threats-caps", "-u", user, *options, IMAGE, "sh", "-c", f"{' '.join(asked)}; exec sleep 1000")
        for text in (docker("logs", "threats-caps"), docker("exec", "threats-caps", *asked), docker("exec", "-u", user, "--privileged",
                                                                                                    "threats-caps", *asked)):
            have = sets(text)
            equal((have["Inh"], have["Amb"]), (0, 0), f"{user} {options}")
            check(user == "0" or have["Eff"] == have["Prm"] == 0, f"{user} {options}: {have}")
            check(user != "0" or options or have["Eff"] in (CAPS, 0x1ffffffffff), f"{have}")
        docker("rm", "-f", "threats-caps")


FORMS = {"": "uid=0(root) gid=0(root) groups=0(root),4(adm)", "0": "uid=0(root) gid=0(root) groups=0(root),4(adm)",
         "web": "uid=33(web) gid=33(web) groups=33(web),4(adm)", "33": "uid=33(web) gid=33(web) groups=33(web),4(adm)",
         "web:4": "uid=33(web) gid=4(adm) groups=4(adm)", "33:web": "uid=33(web) gid=33(web) groups=33(web)",
         "77:88": "uid=77 gid=88 groups=88", "77": "uid=77 gid=0(root) groups=0(root)",
         "2147483647": "uid=2147483647 gid=0(root) groups=0(root)"}
BAD = ["2147483648", "4294967296", "-1", "0x0", "00", "1000 ", " 0", "nobody", "web:none", "web:4294967296", "web:-1", "+0", "root\n"]


def same_groups(text, want):
    """id prints groups in its own order."""
    return sorted(re.split(r"[ ,=]", text.strip())) == sorted(re.split(r"[ ,=]", want))


@case("threats row 16, 17, 18: users by name and number: groups are right, numbers are never names, run and exec agree")
def row16():
    docker("run", "-d", "--name", "threats-users", IMAGE, "sleep", "1000")
    for number, (form, want) in enumerate(FORMS.items()):
        have = executed("threats-users", {"Cmd": ["id"], "User": form})
        check(have["ExitCode"] == 0 and same_groups(have["output"][have["output"].index("uid="):], want), f"exec -u {form!r}: {have}")
        if number % 2:
            check(same_groups(inside("id", "-u", form), want), f"run -u {form!r}")
    equal(sorted(inside("id -G", "-u", "77", "--group-add", "adm", "--group-add", "99").split()), ["0", "4", "99"], "--group-add")
    equal(inside("grep Groups: /proc/self/status | tr -dc '0-9 '", "-u", "77:88").split(), ["88"], "no group of the engine's")
    for form in BAD:
        status, made = create({"Cmd": ["id"], "User": form})
        if status == 201:
            status, answer = request("POST", f"/containers/{made['Id']}/start")
            request("DELETE", f"/containers/{made['Id']}?force=1")
            check(status in (400, 500) and ("user" in answer["message"] or "group" in answer["message"]), f"run {form!r}: {status} {answer}")
        else:
            equal(status, 400, f"run {form!r}: {made}")
        have = executed("threats-users", {"Cmd": ["id"], "User": form})
        check("uid=" not in have["output"] and (have["status"] == 400 or have["ExitCode"] not in (0, None)), f"exec {form!r}: {have}")
    docker("rm", "-f", "threats-users")


@case("threats row 19: huge user files are refused at once, and the engine does not grow")
def row19():
    docker("run", "-d", "--name", "threats-files", IMAGE, "sleep", "1000")
    before = engine_rss()
    for made, text in (("truncate -s 2G /etc/group", "larger than"), ("rm /etc/group; yes x:x:1: | head -n 200000 > /etc/group", "larger than"),
                       ("rm /etc/group; dd if=/dev/zero bs=8000 count=1 2>/dev/null | tr '\\0' x > /etc/group", "longer than"),
                       ("rm /etc/group; echo adm:x:4: > /etc/group; truncate -s 2G /etc/passwd", "larger than")):
        docker("exec", "-u", "0:0", "threats-files", "sh", "-c", made)
        begin = time.monotonic()
        done = box.docker("exec", "-u", "web:adm", "threats-files", "true", check=False)
        check(done.returncode != 0 and text in done.stderr + done.stdout, f"{made}: {done}")
        check(time.monotonic() - begin < 10, f"{made}: {time.monotonic() - begin:.1f} s")
    check(engine_rss() - before < 2048, f"the engine grew from {before} to {engine_rss()} kB")
    docker("rm", "-f", "threats-files")


@case("threats row 20: /etc/passwd as a fifo, a device, or a link to either or to /proc: an error at once")
def row20():
    name = image("test/threats:pass", {"etc/passwd": member("etc/passwd", tarfile.FIFOTYPE, mode=0o666)}, without=("etc/passwd",))
    begin = time.monotonic()
    refused("-u", "web", name, "true", text="/etc/passwd in the container is not a regular file")
    check(time.monotonic() - begin < 15, f"{time.monotonic() - begin:.1f} s")
    docker("run", "-d", "--name", "threats-pass", IMAGE, "sleep", "1000")
    etc = f"/proc/{box.inspect('threats-pass')['State']['Pid']}/root/etc"
    for made in ("ln -s /proc/kmsg passwd", "ln -s /proc/self/fd/0 passwd", "ln -s /dev/zero passwd", "mknod passwd c 1 5", "ln -s fifo passwd",
                 "mkdir passwd", "ln -s passwd passwd", "ln -s /sys/kernel/mm/transparent_hugepage/enabled passwd"):
        box.sh(f"cd {etc} && rm -rf passwd && {made}; [ -e fifo ] || mknod fifo p")
        begin = time.monotonic()
        have = executed("threats-pass", {"Cmd": ["true"], "User": "web"})
        check(have["ExitCode"] not in (0, None) and ("passwd" in have["output"] or "find user" in have["output"]), f"{made}: {have}")
        check(time.monotonic() - begin < 15, f"{made}: {time.monotonic() - begin:.1f} s")
    docker("rm", "-f", "threats-pass")


# --- rows 21 to 27 ---------------------------------------------------------------------------------------------------------------

@case("threats row 21: no abstract socket of the machine is there for a container with the machine's network")
def row21():
    text = run("--network", "host", IMAGE, "sh", "-c", "grep -c . /proc/net/unix; awk '$8 ~ /^@/ {print \"abstract \" $8}' /proc/net/unix")
    check("abstract" not in text and int(text.split()[0]) > 1, text)


@case("threats row 22: huge lists of mounts, variables and labels are errors of the client, or work; the engine goes on")
def row22():
    status, answer = create({"Cmd": ["true"], "HostConfig": {"Binds": [f"threats-none:/m/{n}" for n in range(5000)]}})
    if status == 201:
        status, answer = request("POST", f"/containers/{answer['Id']}/start")
        check(status >= 400, f"5000 mounts were made: {status}")
    check(answer.get("message"), f"5000 mounts: {status} {answer}")
    for body in ({"Env": [f"V{n}={'x' * 1000}" for n in range(3000)]}, {"Labels": {f"l{n}": "x" * 1000 for n in range(3000)}},
                 {"Env": ["X=" + "x" * 140000]}, {"Cmd": ["true", "x" * 140000]}, {"Hostname": "h" * 70000}, {"User": "u" * 70000},
                 {"WorkingDir": "/" + "w" * 70000}):
        status, made = create({"Cmd": ["true"], **body})
        if status == 201:
            request("POST", f"/containers/{made['Id']}/start")
            request("DELETE", f"/containers/{made['Id']}?force=1")
        else:
            check(400 <= status < 500 and made.get("message"), f"{list(body)}: {status} {made}")
    for line in docker("ps", "-aq", "--filter", f"ancestor={IMAGE}").split():
        request("DELETE", f"/containers/{line}?force=1")
    equal(box.request("GET", "/_ping"), (200, "OK"), "ping")


@case("threats row 23: no signal reaches a process that has an old number: few numbers, many forks")
def row23():
    docker("run", "-d", "--name", "threats-quiet", IMAGE, "sh", "-c",
           "for s in 1 2 3 10 12 15; do trap \"echo signal $s\" $s; done; echo ready; while :; do sleep 1; done")
    until(lambda: "ready" in docker("logs", "threats-quiet"), "the bystander")
    limit = box.sh("cat /proc/sys/kernel/pid_max").strip()
    used = int(box.sh("ls /proc | grep -c '^[0-9]'"))
    try:
        box.sh(f"echo {max(301, used + 400)} > /proc/sys/kernel/pid_max")
        docker("run", "-d", "--name", "threats-forks", IMAGE, "sh", "-c", "while :; do true & true & wait; done")
        for number in range(4):
            docker("run", "-d", "--name", "threats-short", IMAGE, "sh", "-c", "sleep 0" if number % 2 else "sleep 1000")
            for words in (["kill", "-s", "USR1", "threats-short"], ["exec", "threats-short", "true"], ["kill", "threats-short"],
                          ["kill", "-s", "TERM", "threats-short"]):
                docker(*words, check=False)
            docker("rm", "-f", "threats-short")
    finally:
        box.sh(f"echo {limit} > /proc/sys/kernel/pid_max")
    equal(docker("logs", "threats-quiet"), "ready", "the bystander")
    check(box.inspect("threats-quiet")["State"]["Running"], "the bystander")
    docker("rm", "-f", "threats-quiet", "threats-forks")


@case("threats row 24: session keyrings: no quota is used up, and the calls are closed")
def row24():
    equal(inside("probe call 250 0; probe call 248; probe call 249"), "EPERM\nEPERM\nEPERM", "keyctl, add_key, request_key")
    def keys():
        return box.sh("cat /proc/key-users 2>/dev/null | awk '{print $1, $4}' || true")
    inside("true", "-u", "1000")
    before = keys()
    for _ in range(8):
        inside("true", "-u", "1000")
    until(lambda: keys() == before, "keys are given back", 60)


@case("threats row 25: nothing can be typed into a terminal from inside")
def row25():
    equal(box.sh("cat /proc/sys/dev/tty/legacy_tiocsti 2>/dev/null || echo 0").strip(), "0", "sysctl")
    for options in ([], ["-u", "1000"], ["--security-opt", "seccomp=unconfined"]):
        check(run("-t", *options, IMAGE, "probe", "tiocsti").strip() in ("EIO", "EPERM"), f"{options}")
    text = run("-t", IMAGE, "sh", "-c", "tty; awk '{print $5 == $1, $6 == $1}' /proc/self/stat; awk '{print $6}' /proc/1/stat").split()
    check(text[0] == "/dev/pts/0" and text[-1] == "1", f"a session and a terminal of its own: {text}")


@case("threats row 26: AF_ALG through the 64-bit, 32-bit and x32 entries")
def row26():
    for options in ([], ["--privileged"]):
        text = inside("probe call 41 38 5 0; probe call 0x40000029 38 5 0; probe int80 359 38 5 0; probe int80 102 1 0", *options).split("\n")
        for line in text:
            check(line in ("EPERM", "EAFNOSUPPORT", "ENOSYS", "SIGNAL", "EFAULT", "EINVAL"), f"{options}: {text}")
        check(text[0] in (("EPERM",) if not options else ("EAFNOSUPPORT",)), f"{options}: {text}")


@case("threats row 27: clone3 and calls that nobody knows are ENOSYS")
def row27():
    equal(inside("probe call 435; probe call 999; probe call 0x400003e7"), "ENOSYS\nENOSYS\nENOSYS", "answers")


# --- the races: rows 4, 7, 8, 9, 11 --------------------------------------------------------------------------------------------

class Race:
    """Victims of some rows are started in turn until the time is over: row -> words of `docker run` for the n-th."""

    def __init__(self, **rows):
        self.ran, self.error, self.rows = {}, None, rows
        self.end = time.monotonic() + RACE_SECONDS
        self.thread = threading.Thread(target=self.loop)
        self.thread.start()

    def loop(self):
        number = 0
        try:
            while time.monotonic() < self.end or number < 2:
                number += 1
                for row, words in self.rows.items():
                    done = box.docker("run", "--rm", *words(number), check=False)
                    check(done.returncode in (0, 125, 126, 127), f"{row}: exit {done.returncode}: {done.stdout} {done.stderr}")
                    check("host-secret" not in done.stdout and "WRONG" not in done.stdout, f"{row}: {done.stdout}")
                    self.ran.setdefault(row, []).append(done.returncode)
        except Exception as error:      # told by the rows' cases
            self.error = error


RACES, BEFORE = [], {}


@case("threats row 4, 7, 8, 9, 11: attackers exchange names with links while containers start", seconds=int(400 + 2 * RACE_SECONDS))
def races():
    up = "/" + "../" * 12
    # they run on what time the victims leave: these are what the race is about
    docker("run", "-d", "--name", "threats-evil4", "--cpu-shares", "256", "-v", "threats-r4:/s", "-v", "threats-r11:/e", IMAGE, "sh", "-c",
           f"mkdir -p /s/t/deep /e/t/deep; ln -s {up}{CANARY[1:]}/a /s/x; ln -s {CANARY}/a /e/x; echo ready;"
           " exec probe swap /s/t /s/x /e/t /e/x 100000")
    docker("run", "-d", "--name", "threats-evil7", "--cpu-shares", "256", "-v", "threats-r7:/d", "-v", "threats-r9:/p", IMAGE, "sh", "-c",
           "mkdir -p /d/pts /d/shm /d/mqueue; mknod /d/null c 1 3; ln -s /proc/sys/kernel/core_pattern /d/x; touch /d/console;"
           f" ln -s {CANARY}/a/secret /d/y; mkdir -p /p/t/in; ln -s /proc/sys/net /p/x; echo ready;"
           " exec probe swap /d/null /d/x /d/console /d/y /p/t /p/x 100000")
    for name in ("threats-evil4", "threats-evil7"):
        until(lambda n=name: "ready" in docker("logs", n), f"{name} attacks")
    BEFORE["canary"] = canary()
    box.sh("echo one-file > /tmp/threats-file")
    RACES.append(Race(row4=lambda n: [
        "-v", "threats-r4:/s", "-v", "threats-in:/s/t/deep", "--tmpfs", f"/s/t/tmp{n}", IMAGE, "sh", "-c",
        "cat /s/t/secret /s/x/secret 2>/dev/null; ls -d /s/t/b 2>/dev/null && echo WRONG; true"], row11=lambda n: [
            "-v", "threats-r11:/e", "-v", f"/tmp/threats-file:/e/t/file{n}", "-v", f"/tmp/threats-file:/e/t/deep/n{n}/f", "-w", f"/e/t/w{n}",
            IMAGE, "true"]))
    RACES.append(Race(row7_8=lambda n: [
        *(["-t"] if n % 2 else []), "-v", "threats-r7:/dev", IMAGE, "sh", "-c", "head -n 1 /proc/keys 2>/dev/null;"
        "[ -s /proc/timer_list ] && echo WRONG; (echo x > /proc/sys/kernel/core_pattern) 2>/dev/null && echo WRONG; true"], row9=lambda n: [
            "-v", "threats-r9:/p", "-v", "threats-in:/p/t/in", "-v", "threats-in:/p/t/ipv4", "--sysctl", "net.ipv4.ip_default_ttl=77",
            IMAGE, "sh", "-c", "[ $(cat /proc/sys/net/ipv4/ip_default_ttl) = 77 ] || echo WRONG"]))
    for race in RACES:
        race.thread.join()
    docker("rm", "-f", "threats-evil4", "threats-evil7")
    BEFORE["after"] = canary()


def judged(number, row):
    race = RACES[number]
    check(race.error is None, f"{race.error!r} after {race.ran}")
    check(len(race.ran[row]) >= 2, f"only {race.ran}")
    equal(BEFORE["after"], BEFORE["canary"], "the canary, the machine's program, settings and mounts")


@case("threats row 4: a mount below a name that is exchanged is never a mount of the machine's")
def row4():
    judged(0, "row4")


@case("threats row 7, 8: hidden files and the console with a /dev that another container changes")
def row7():
    judged(1, "row7_8")


@case("threats row 9: settings are written where they belong, whatever is mounted meanwhile")
def row9():
    judged(1, "row9")


@case("threats row 11: files and folders made for mounts stay in the container")
def row11():
    judged(0, "row11")
    box.sh("rm /tmp/threats-file")


# --- the security profile, seen from inside -----------------------------------------------------------------------------------------

def numbers():
    """Names of system calls -> numbers, as this machine's headers have them."""
    found = {}
    for path in ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"):
        if os.path.exists(path):
            with open(path, encoding="ascii") as text:
                found.update(re.findall(r"#define __NR_(\w+)\s+(\d+)", text.read()))
    return found


@case("security profile: every system call that the reference refuses is refused in a running container")
def refused_calls():
    with open(os.path.join(vm.TOP, "tests/unit/engine/runtime/seccomp_default.txt"), encoding="ascii") as text:
        wanted = {line.split()[0]: line.split()[1][1] for line in text if not line.startswith("#")}     # the default capabilities
    known = numbers()
    ask = {known[name]: {"E": "EPERM", "N": "ENOSYS"}[verdict] for name, verdict in wanted.items() if verdict != "A" and name in known}
    check(len(ask) > 60, f"only {len(ask)} calls")
    have = dict(line.split() for line in run(IMAGE, "probe", "calls", *ask).splitlines())
    equal({nr: have.get(nr) for nr in ask}, ask, "answers")
    text = inside("probe call 41 1 1 0 | cut -c1; probe call 41 40 1 0; probe call 135 8 | cut -c1; probe call 135 4; probe call 56 0x10000000;"
                  "probe call 272 0x10000000; probe call 101 0 0 0 0 | cut -c1")
    equal(text.split("\n")[:6], ["=", "EPERM", "=", "EPERM", "EPERM", "EPERM"], "arguments decide")


@case("security profile: hidden and read-only paths, mounts, device files and namespaces are the profile's")
def profile():
    spec = json.loads(box.sh("rm -rf /tmp/threats-spec; mkdir /tmp/threats-spec; skerryd runtime spec --bundle /tmp/threats-spec;"
                             "cat /tmp/threats-spec/config.json; rm -r /tmp/threats-spec").replace("\n", ""))
    masked, readonly = spec["linux"]["maskedPaths"], spec["linux"]["readonlyPaths"]
    check(len(masked) >= 12 and len(readonly) == 5, f"{masked} {readonly}")
    text = inside("for p in " + " ".join(masked) + "; do [ -d $p ] && ls -A $p; [ -f $p -o -c $p ] && head -n 1 $p; done 2>&1; echo seen;"
                  "for p in " + " ".join(readonly) + "; do [ -e $p ] && grep -q \" $p [a-z]* ro\" /proc/mounts && echo ro $p; done")
    equal(text.split("\n")[0], "seen", "what can be read of hidden paths")
    equal({line[3:] for line in text.split("\n")[1:]}, set(readonly) & set(inside("ls -d " + " ".join(readonly) + " 2>/dev/null; true").split()),
          "read-only paths")
    table = {line.split()[1]: line.split() for line in inside("cat /proc/mounts").splitlines()}
    for m in spec["mounts"]:
        flags = {o for o in m["options"] if o in ("nosuid", "noexec", "nodev", "ro")}
        check(m["destination"] in table and flags <= set(table[m["destination"]][3].split(",")), f"{m}: {table.get(m['destination'])}")
    contains(table["/dev/shm"][3], "size=65536k", "/dev/shm")
    contains(inside("cat /proc/sys/net/ipv4/ping_group_range /proc/sys/net/ipv4/ip_unprivileged_port_start"), "2147483647\n0", "sysctls")
    text = inside("for d in 'c 1 3' 'c 1 5' 'c 1 7' 'c 1 8' 'c 1 9' 'c 5 0' 'c 10 229' 'c 1 1' 'c 1 11' 'b 254 0' 'b 7 0' 'c 10 200'; do"
                  " rm -f /tmp/d; mknod /tmp/d $d; probe write /tmp/d; done").split("\n")
    equal(text[:5], ["OPENED"] * 5, "devices that may be opened")
    equal(text[6:11], ["EPERM"] * 5, "devices that may not")


@case("afterwards nothing of this program is left")
def leftovers():
    names = [name for name in docker("images", "--format", "{{.Repository}}:{{.Tag}}").split() if name.startswith("test/threats")]
    equal(docker("ps", "-aq", "--filter", "name=threats-"), "", "containers")
    for name in names:
        equal(docker("ps", "-aq", "--filter", f"ancestor={name}"), "", f"containers of {name}")
    docker("rmi", "-f", *names)
    docker("volume", "rm", *[name for name in docker("volume", "ls", "-q").split() if name.startswith("threats-")])
    equal(box.sh(f"ls -A {CANARY}/a; rm -r {CANARY}"), "b\nsecret", "the canary")


tap.main()
