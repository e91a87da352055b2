#!/usr/bin/env python3
"""engine.userns-remap of system.yaml: root of a container is nobody on the machine, and notices it as little as possible.

The machine has `userns-remap: default`: ids 0..65535 of a container are 100000..165535 of the machine, unless it was made with
--userns=host. On disk nothing is shifted, so that a volume or an image serves both.
"""

import io
import os
import tarfile

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

IMAGE = "test/userns:1"
FIRST, COUNT = 100000, 65536
MAP = f"0 {FIRST} {COUNT}"
HOST = "/var/lib/userns-host"           # a folder of the machine
box = vm.prepared("userns")
DISK = os.path.join(box.scratch, "data.img")
MANIFEST = f"""\
services:
  mapped: {{image: "{IMAGE}", command: sleep 100000, restart: always}}
  plain: {{image: "{IMAGE}", command: sleep 100000, restart: always, userns_mode: host, privileged: true}}
"""


def overlay(remap, name):
    folder = os.path.join(box.scratch, name)
    os.makedirs(os.path.join(folder, "etc/skerry"), exist_ok=True)
    with open(os.path.join(folder, "etc/skerry/system.yaml"), "w", encoding="ascii") as text:
        text.write(f"engine:\n  userns-remap: {remap}\n")
    return folder


def run(*words, **more):
    return box.docker("run", "--rm", *words, **more)


def inside(script, *options, **more):
    return run(*options, IMAGE, "sh", "-c", script, **more)


def detached(name, *options, command=("sleep", "100000")):
    box.docker("run", "-d", "--name", name, "--stop-timeout", "0", *options, IMAGE, *command)


def execute(name, script, *options, **more):
    return box.docker("exec", *options, name, "sh", "-c", script, **more)


def pid_of(name):
    return box.inspect(name)["State"]["Pid"]


def on_machine(name, what):
    """A line of /proc/PID/status of a container's first process, as the machine sees it; its numbers."""
    return [int(n) for n in box.sh(f"grep '^{what}:' /proc/{pid_of(name)}/status").split()[1:]]


def id_map(name):
    """Of a container that runs, else ""."""
    status, text = box.sh(f"cat /proc/{pid_of(name)}/uid_map", check=False)
    return " ".join(text.split()) if status == 0 else ""


def refused(*words):
    done = box.docker("create", *words, check=False)
    check(done.returncode != 0, f"docker create {' '.join(words)}: was taken")
    return done.stderr


def owners(stream):
    """name -> (uid, gid) of an archive."""
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        return {m.name: (m.uid, m.gid) for m in tar}


def archive(*words):
    return owners(box.docker(*words, stdin=b"", check=False).stdout)


def remains():
    """What containers leave on the machine when they do not go completely."""
    return box.sh("ls /run/skerry/netns /run/skerry/shims /run/skerry/shm; ls /var/lib/skerry/containers | sort; "
                  "ip -o link | wc -l; grep -c . /proc/mounts; ls /sys/fs/cgroup/containers | grep -v '\\.'; "
                  "ls /proc/$(pidof skerryd | tr ' ' '\\n' | sort -n | head -1)/fd | wc -l")


@case("a machine with userns-remap: default says so in docker info", seconds=600)
def begin():
    box.up(disk=DISK, overlay=overlay("default", "default"), publish=["auto:8081"])
    program = images.program("setid.c")
    with open(program, "rb") as data:
        box.docker("load", "-i", images.busybox_image(os.path.join(box.scratch, "image.tar"), IMAGE, more={
            "bin/setid": data.read(), "opt": None, "opt/preset": b"from the image\n"}))
    contains(box.request("GET", "/info")[1]["SecurityOptions"], "name=userns", "info")
    box.sh(f"mkdir -p {HOST} && echo secret > {HOST}/closed && chmod 600 {HOST}/closed && echo open > {HOST}/open && "
           f"chmod 644 {HOST}/open && mkdir {HOST}/given && chown {FIRST + 5}:{FIRST + 6} {HOST}/given")


@case("root inside is uid 100000 on the machine, other users follow, and capabilities are the usual ones")
def ids():
    detached("u-ids", "-u", "5:6")
    detached("u-root")
    equal(id_map("u-root"), MAP, "uid_map")
    equal(on_machine("u-root", "Uid"), [FIRST] * 4, "uid of root")
    equal(on_machine("u-ids", "Uid"), [FIRST + 5] * 4, "uid of 5")
    equal(on_machine("u-ids", "Gid"), [FIRST + 6] * 4, "gid of 6")
    equal(execute("u-root", "id -u; id -g"), "0\n0", "inside")
    equal(execute("u-ids", "id -u; id -g"), "5\n6", "inside, user 5")
    equal(inside("grep CapEff /proc/self/status"), inside("grep CapEff /proc/self/status", "--userns=host"), "capabilities")
    contains(box.docker("top", "u-root"), str(FIRST), "top")
    box.docker("rm", "-f", "u-ids")


@case("root owns /, the network's files, /dev/shm, a tmpfs and its terminal; it can write, chown and remove")
def ownership():
    equal(inside("stat -c '%n %u:%g' / /etc/hosts /etc/hostname /etc/resolv.conf /dev /dev/shm /dev/mqueue /t /opt/preset",
                 "--tmpfs", "/t").split("\n"),
          [f"{p} 0:0" for p in ("/", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev", "/dev/shm", "/dev/mqueue", "/t", "/opt/preset")],
          "owners")
    equal(inside("echo x >> /etc/hosts && echo 1 > /x && chown 7:8 /x && chmod 640 /x && stat -c '%u:%g %a' /x && "
                 "rm /opt/preset && ls /opt && mkdir /opt/preset && ln -s a /opt/l && ls /opt"), "7:8 640\nl\npreset", "writing")
    equal(inside("for d in null zero full random urandom tty; do test -c /dev/$d || echo no $d; done; "
                 "dd if=/dev/zero bs=3 count=1 2> /dev/null | wc -c"), "3", "devices")
    equal(inside("touch /x", "--read-only", check=False).returncode, 1, "--read-only")
    equal(inside("echo again > /dev/stdout; echo e > /dev/stderr; echo y > /proc/self/fd/1"), "again\ny", "/dev/stdout")
    equal(inside("stat -c '%u' /dev/shm; echo 1 > /dev/shm/x", "--ipc=shareable"), "0", "a shareable /dev/shm")


@case("programs with set-user-id and with file capabilities work")
def setid():
    detached("u-set")
    execute("u-set", "cp /bin/setid /s && chmod 4755 /s && cp /bin/setid /c && setid cap /c && cp /bin/setid /n")
    equal(execute("u-set", "/s; /c; /n", "-u", "user"), "1000 0 raw\n1000 1000 raw\n1000 1000 ping", "set-id")
    box.docker("restart", "-t", "0", "u-set")
    equal(execute("u-set", "/s; /c; /n", "-u", "user"), "1000 0 raw\n1000 1000 raw\n1000 1000 ping", "set-id after a restart")
    box.docker("rm", "-f", "u-set")


@case("volumes: what either kind of container writes belongs to the same user for the other; filled from the image, --volumes-from")
def volumes():
    look = "stat -c '%n %u:%g' /v/*"
    inside("echo m > /v/m; chown 5:6 /v/m; echo r > /v/r", "-v", "u-vol:/v")
    equal(inside(f"{look}; echo h > /v/h; chown 7:8 /v/h", "-v", "u-vol:/v", "--userns=host"), "/v/m 5:6\n/v/r 0:0", "for the host's")
    equal(inside(f"{look}; rm /v/h; ls /v", "-v", "u-vol:/v"), "/v/h 7:8\n/v/m 5:6\n/v/r 0:0\nm\nr", "for the mapped")
    equal(box.sh("stat -c '%u:%g' /var/lib/skerry/volumes/u-vol/_data/m"), "5:6", "on disk")
    equal(inside("stat -c '%u' /opt/preset; cat /opt/preset; echo w > /opt/w", "-v", "/opt"), "0\nfrom the image", "filled")
    detached("u-donor", "-v", "u-vol:/v")
    equal(inside("stat -c '%u' /v/m; echo 2 > /v/2; stat -c '%u' /v/2", "--volumes-from", "u-donor"), "5\n0", "--volumes-from")
    box.docker("rm", "-f", "u-donor")


@case("binds are the machine's: root inside cannot write or read what the machine's root keeps, and owns what was given to it")
def binds():
    script = ("cat /b/open; cat /b/closed; echo x > /b/open; echo x > /b/new; rm /b/open; chown 0 /b/open; chmod 666 /b/open; "
              "stat -c '%u' /b/open; stat -c '%u:%g' /b/given; mkdir /b/given/x && stat -c '%u' /b/given/x")
    text = inside(f"({script}) 2>&1", "-v", f"{HOST}:/b")
    for line in ("can't open '/b/closed': Permission denied", "can't create /b/open: Permission denied",
                 "can't create /b/new: Permission denied", "can't remove '/b/open': Permission denied"):
        contains(text, line, "as the container's root")
    contains(text, "65534\n5:6", "owners")
    equal(box.sh(f"cat {HOST}/open; ls {HOST}; stat -c '%u %a' {HOST}/open"), "open\nclosed\ngiven\nopen\n0 644", "on the machine")
    equal(inside("stat -c '%u' /b; echo 1 > /b/mine", "-v", f"{HOST}/made:/b"), "0", "a source that the engine made")
    equal(box.sh(f"stat -c '%u' {HOST}/made/mine"), str(FIRST), "its owner on the machine")


@case("docker cp both ways, export and diff have the container's ids, running and stopped")
def files():
    local = os.path.join(box.scratch, "file")
    with open(local, "w", encoding="ascii") as text:
        text.write("from outside\n")
    detached("u-cp", "-v", "u-vol:/v")
    execute("u-cp", "echo f > /f; chown 5:6 /f; rm /opt/preset")
    given = tarfile.TarInfo("given")
    given.uid, given.gid, given.size = 21, 22, 1
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(given, io.BytesIO(b"g"))
    for state in ("running", "stopped"):
        equal(archive("cp", "u-cp:/f", "-"), {"f": (5, 6)}, f"cp from a {state} one")
        equal(archive("cp", "u-cp:/v/m", "-"), {"m": (5, 6)}, f"cp from the volume of a {state} one")
        box.docker("cp", local, f"u-cp:/in-{state}")
        done = box.docker("cp", "-a", "-", "u-cp:/root", stdin=stream.getvalue(), check=False)
        equal(done.returncode, 0, f"cp -a to a {state} one: {done.stderr}")
        have = archive("export", "u-cp")
        equal((have["f"], have[f"in-{state}"], have["root/given"], have["bin/busybox"]), ((5, 6), (0, 0), (21, 22), (0, 0)),
              f"export of a {state} one")
        contains(box.docker("diff", "u-cp"), "D /opt/preset", f"diff of a {state} one")
        check("busybox" not in box.docker("diff", "u-cp"), "diff tells of what is the image's")
        if state == "running":
            box.docker("commit", "u-cp", "test/userns-running:1")
        box.docker("stop", "u-cp")
    equal(box.sh(f"stat -c '%u:%g' /var/lib/skerry/containers/{box.inspect('u-cp')['Id']}/upper/f"), "5:6", "on disk")
    box.docker("commit", "u-cp", "test/userns-stopped:1")
    for state in ("running", "stopped"):
        for mode in ("", "host"):
            equal(run("--userns", mode, f"test/userns-{state}:1", "sh", "-c", "stat -c '%u:%g' /f /root/given; ls /opt/preset; cat /f",
                      both=True, check=False).stdout.splitlines()[:2], ["5:6", "21:22"], f"what was committed of a {state} one")
    box.docker("rmi", "test/userns-running:1", "test/userns-stopped:1")
    box.docker("start", "u-cp")
    equal(execute("u-cp", "stat -c '%u:%g' /f /in-running /in-stopped /root/given"), "5:6\n0:0\n0:0\n21:22", "inside")
    box.docker("rm", "-f", "u-cp")


@case("exec: users, a terminal, streams, --privileged; attach, logs, resize, pause, kill, stats, health")
def living():
    equal(execute("u-root", "id -u; id -g; echo o > /dev/stdout", "-u", "user"), "1000\n1000\no", "exec -u")
    equal(execute("u-root", "test -t 0 && stat -c '%u:%g' $(tty)", "-t").strip(), "0:5", "exec -t")
    equal(execute("u-root", "stat -c '%u' $(tty)", "-t", "-u", "user").strip(), "1000", "exec -t -u")
    equal(execute("u-root", "cat", "-i", stdin="through\n"), "through", "exec -i")
    contains(execute("u-root", "grep CapEff /proc/self/status; mknod /n b 8 0 2>&1", "--privileged", check=False).stdout,
             "000001ffffffffff\nmknod: /n: Operation not permitted", "exec --privileged: all that its users can have")
    detached("u-tty", "-t", "--health-cmd", "test $(id -u) = 0", "--health-interval", "1s",
             command=("sh", "-c", "stat -c 'owner %u' $(tty); exec sleep 100000"))
    until(lambda: "owner 0" in box.docker("logs", "u-tty"), "the owner of the terminal in the log")
    box.request("POST", "/containers/u-tty/resize?h=33&w=77")
    until(lambda: execute("u-tty", "stty size < /dev/pts/0").strip() == "33 77", "the terminal's size")
    until(lambda: box.inspect("u-tty")["State"]["Health"]["Status"] == "healthy", "it is healthy")
    box.docker("pause", "u-tty")
    equal(box.inspect("u-tty")["State"]["Status"], "paused", "paused")
    box.docker("unpause", "u-tty")
    check(int(box.docker("stats", "--no-stream", "--format", "{{.PIDs}}", "u-tty")) >= 1, "stats: no process")
    box.docker("kill", "u-tty")
    until(lambda: box.inspect("u-tty")["State"]["ExitCode"] == 137, "killed")
    box.docker("rm", "u-tty")
    equal(inside("ulimit -Hn", "--ulimit", "nofile=200000:200000"), "200000", "a hard limit above the usual")


@case("network: a published port answers from port 80, ping, DNS's file, sysctls of its own; another container joins it")
def network():
    detached("u-net", "-p", "8081:80", "--sysctl", "net.ipv4.ip_default_ttl=77",
             command=("httpd", "-f", "-p", "80", "-h", "/opt"))
    until(lambda: "from the image" in box.curl(8081, "/preset", check=False).stdout, "the published port")
    contains(execute("u-net", "ping -c 1 -w 5 $(ip route | awk '/default/{print $3}')"), "1 packets received", "ping")
    equal(execute("u-net", "cat /proc/sys/net/ipv4/ip_default_ttl"), "77", "--sysctl")
    contains(execute("u-net", "ls /sys/class/net"), "eth0", "sysfs shows its own links")
    equal(inside("wget -q -O - http://127.0.0.1/preset; ip addr add 192.0.2.9/32 dev lo && echo added",
                 "--network", "container:u-net", "--cap-add", "NET_ADMIN"), "from the image\nadded", "--network container:")
    contains(inside("ps", "--pid", "container:u-net"), "httpd -f -p 80", "--pid container:")
    text = box.docker("run", "--rm", "--userns=host", "--network", "container:u-net", IMAGE, "id", "-u", check=False)
    equal(text.stdout.strip(), "0", f"the host's users in its network: {text.stderr}")
    detached("u-plain", "--userns=host")
    text = box.docker("run", "--rm", "--network", "container:u-plain", IMAGE, "true", check=False).stderr
    contains(text, "does not have the same users", "joining one of the host's")
    box.docker("rm", "-f", "u-net", "u-plain")


@case("--userns=host: the machine's users; what does not go with a map is refused in Docker's words, and taken with --userns=host")
def host_mode():
    equal(inside("id -u; cat /proc/self/uid_map; grep -c . /proc/1/status > /dev/null && echo seen", "--userns=host", "--privileged",
                 "--network", "host", "--pid", "host").split(), ["0", "0", "0", "4294967295", "seen"], "--userns=host")
    for options, text in (
            (["--privileged"], "privileged mode is incompatible with user namespaces.  You must run the container in the host "
                               "namespace when running privileged mode"),
            (["--network", "host"], "cannot share the host's network namespace when user namespaces are enabled"),
            (["--pid", "host"], "cannot share the host PID namespace when user namespaces are enabled")):
        contains(refused(*options, IMAGE), text, "refusal")
    equal(inside("id -u", "--uts", "host", "--ipc", "host", "--cgroupns", "host"), "0", "what goes together")
    status, answer = box.request("POST", "/containers/create", {"Image": IMAGE, "HostConfig": {"UsernsMode": "private"}})
    equal((status, answer["message"]), (400, "invalid USER mode: private"), "another mode")
    detached("u-mode", "--userns", "host")
    equal(box.inspect("u-mode")["HostConfig"]["UsernsMode"], "host", "inspect")
    equal(on_machine("u-mode", "Uid"), [0] * 4, "uid")
    box.docker("rm", "-f", "u-mode")


@case("threats: even with all capabilities root inside makes no device, writes no setting of the machine's, mounts no disk, "
      "leaves no cgroup and sees nothing of the store")
def threats():
    before = box.sh("cat /proc/sys/kernel/core_pattern /proc/sys/vm/swappiness; ls -l /dev/console")
    script = """
        mknod /n c 1 3; mknod /tmp/b b 8 0
        umount /proc/sys; echo '|/x' > /proc/sys/kernel/core_pattern; echo 1 > /proc/sys/vm/swappiness; echo h > /proc/sysrq-trigger
        mkdir /m; mount -t ext4 /dev/vda /m; mount -t cgroup2 c /m && echo 0 > /m/cgroup.procs; mount -t devtmpfs d /m
        mount -t debugfs d /m; echo 1 > /sys/kernel/uevent_helper; date -s 2001-01-01; dmesg -c
        echo -1000 > /proc/self/oom_score_adj; ls /run/skerry /var/lib/skerry"""
    text = inside(f"({script}) 2>&1; echo alive", "--cap-add", "ALL", "--security-opt", "seccomp=unconfined",
                  "--security-opt", "systempaths=unconfined")
    for part in ("mknod: /n: Operation not permitted", "mknod: /tmp/b: Operation not permitted",
                 "can't create /proc/sys/kernel/core_pattern: Permission denied",
                 "can't create /proc/sys/vm/swappiness: Permission denied",
                 "can't create /proc/sysrq-trigger: Permission denied", "date: can't set date: Operation not permitted", "alive"):
        contains(text, part, "what it was told")
    equal(box.sh("cat /proc/sys/kernel/core_pattern /proc/sys/vm/swappiness; ls -l /dev/console"), before, "the machine")
    equal(inside("mount | grep '/dev/vd' | grep -vc ' on /etc/'; grep -h . /proc/self/cgroup"), "0\n0::/", "disks and cgroup")
    owned = box.sh(f"find /var/lib/skerry /run/skerry -xdev -user {FIRST} 2>/dev/null | grep -v /shm/ | head -3", check=False)[1]
    equal(owned, "", "the store belongs to no container's root")


@case("the engine is killed: containers run on, are seen, entered, copied from, stopped and started as before", seconds=300)
def killed():
    execute("u-root", "touch /kept")
    pid, engine = pid_of("u-root"), "pidof skerryd | tr ' ' '\\n' | sort -n | head -1"
    old = box.sh(engine)
    box.sh(f"kill -9 {old}")
    until(lambda: box.sh(engine) not in ("", old), "a new engine")
    box.wait_api()
    until(lambda: box.inspect("u-root")["State"]["Running"], "it is found again")
    equal((pid_of("u-root"), id_map("u-root")), (pid, MAP), "process and map")
    equal(execute("u-root", "id -u; stat -c '%u' /kept"), "0\n0", "exec")
    equal(archive("cp", "u-root:/kept", "-"), {"kept": (0, 0)}, "cp")
    box.docker("restart", "-t", "0", "u-root")
    equal((on_machine("u-root", "Uid"), execute("u-root", "stat -c '%u' /kept")), ([FIRST] * 4, "0"), "after a restart")


@case("declared containers are mapped too, unless userns_mode: host", seconds=180)
def declared():
    box.put("/etc/skerry/compose/uns.yaml", MANIFEST)
    until(lambda: "uns-plain-1" in box.docker("ps", "--format", "{{.Names}}"), "the declared ones", 60)
    until(lambda: "uns-mapped-1" in box.docker("ps", "--format", "{{.Names}}"), "the declared ones", 60)
    equal(on_machine("uns-mapped-1", "Uid"), [FIRST] * 4, "mapped")
    equal(on_machine("uns-plain-1", "Uid"), [0] * 4, "userns_mode: host")


@case("a reboot with another map: what exists keeps its own, what is new or declared gets the new one", seconds=600)
def reboot():
    detached("u-boot", "--restart", "always", "-v", "u-vol:/v")
    execute("u-boot", "echo b > /b; chown 3:4 /b")
    box.down()
    box.up(disk=DISK, overlay=overlay("300000:70000", "other"), publish=["auto:8081"])
    until(lambda: id_map("u-boot") == MAP, "it runs again, with its own map", 60)
    equal(execute("u-boot", "stat -c '%u:%g' /b /v/m"), "3:4\n5:6", "what was there")
    detached("u-new", "-v", "u-vol:/v")
    equal((id_map("u-new"), execute("u-new", "stat -c '%u:%g' /v/m")), ("0 300000 70000", "5:6"), "what is new")
    until(lambda: id_map("uns-mapped-1") == "0 300000 70000", "the declared one is made anew", 60)
    equal(on_machine("uns-plain-1", "Uid"), [0] * 4, "userns_mode: host")
    text = box.docker("run", "--rm", "--network", "container:u-boot", IMAGE, "true", check=False).stderr
    contains(text, "does not have the same users", "joining one of another map")


@case("a mistake elsewhere in system.yaml is told with line and key, and the map stays in force", seconds=600)
def mistake():
    box.down()
    folder = overlay("300000:70000\ntime:\n  server: x", "mistake")
    box.up(disk=DISK, overlay=folder, publish=["auto:8081"])
    contains(" ".join(box.request("GET", "/skerry/boot")[1]["warnings"]), "/etc/skerry/system.yaml:4: time.server: unknown key", "warnings")
    contains(box.request("GET", "/info")[1]["SecurityOptions"], "name=userns", "info")
    equal(" ".join(inside("cat /proc/self/uid_map").split()), "0 300000 70000", "a new container")


@case("nothing is left of containers that went: --rm, rm -f, a failed start", seconds=300)
def left():
    box.sh("rm /etc/skerry/compose/uns.yaml")
    until(lambda: "uns-" not in box.docker("ps", "-a", "--format", "{{.Names}}"), "the declared ones are gone", 60)
    box.docker("rm", "-f", *box.docker("ps", "-aq", "--filter", "name=u-").split())
    before = remains()
    for _ in range(3):
        inside("true", "-v", "/opt")
        box.docker("run", "--rm", IMAGE, "no-such-program", check=False)
        detached("u-left", "--ipc", "shareable")
        box.docker("cp", "u-left:/etc/passwd", "-")
        box.docker("rm", "-f", "u-left")
    until(lambda: remains() == before, "the machine is as before")


tap.main()
