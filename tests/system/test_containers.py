#!/usr/bin/env python3
"""Containers by the docker client over mutual TLS: every verb, what is in a container, limits, the security profile."""

import json
import os
import re
import urllib.parse

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

box = vm.shared()
IMAGE = "test/busybox:latest"
CAPS = 0x00000000a80425fb       # the 14 capabilities of Docker's default profile


def run(*words, **more):
    """docker run --rm of the test image; the output."""
    return box.docker("run", "--rm", *words, **more)


def inside(script, *options, **more):
    return run(*options, IMAGE, "sh", "-c", script, **more)


@case("docker load takes a docker archive; docker images and inspect show it")
def load():
    path = images.busybox_image(os.path.join(box.scratch, "busybox.tar"), more={"layer2": b"second layer\n"})
    contains(box.docker("load", "-i", path), IMAGE, "docker load")
    contains(box.docker("images", "--format", "{{.Repository}}:{{.Tag}}"), IMAGE, "docker images")
    have = box.inspect(IMAGE, "image")
    equal((have["Os"], have["Architecture"], have["Config"]["Cmd"]), ("linux", "amd64", ["sh"]), "inspect")
    equal(len(have["RootFS"]["Layers"]), 2, "layers")


@case("docker load takes an OCI layout")
def load_oci():
    path = images.busybox_image(os.path.join(box.scratch, "oci.tar"), name="test/oci:1", write=images.oci_archive)
    box.docker("load", "-i", path)
    equal(box.docker("run", "--rm", "test/oci:1", "echo", "hello"), "hello", "run")


@case("docker version and docker info answer as an engine of API 1.51 does")
def version():
    server = json.loads(box.docker("version", "--format", "{{json .Server}}"))
    equal((server["ApiVersion"], server["MinAPIVersion"], server["Os"]), ("1.51", "1.24", "linux"), "version")
    info = json.loads(box.docker("info", "--format", "{{json .}}"))
    equal(info["CgroupVersion"], "2", "cgroup version")
    contains(str(info["SecurityOptions"]), "name=seccomp,profile=builtin", "security options")


@case("run: output, errors and exit status come back apart")
def streams():
    done = box.docker("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    equal((done.stdout, done.stderr, done.returncode), ("out\n", "err\n", 7), "run")


@case("run: the layers are stacked, and writes stay in the container")
def layers():
    equal(inside("cat /layer2; echo changed > /layer2; cat /layer2"), "second layer\nchanged", "overlay")
    equal(inside("cat /layer2"), "second layer", "another container")


@case("create, start, inspect, logs, wait, rm; ps shows it in between")
def life():
    name = box.docker("create", "--name", "life", "-l", "a=b", IMAGE, "sh", "-c", "echo one; echo two >&2; sleep 1; exit 3")
    equal(box.inspect("life")["State"]["Status"], "created", "state")
    box.docker("start", "life")
    contains(box.docker("ps", "--format", "{{.Names}}"), "life", "ps")
    equal(box.docker("wait", "life"), "3", "wait")
    state = box.inspect("life")["State"]
    equal((state["Status"], state["ExitCode"], state["Running"]), ("exited", 3, False), "state")
    done = box.docker("logs", "life", check=False)
    equal((done.stdout, done.stderr), ("one\n", "two\n"), "logs")
    contains(box.docker("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Status}}"), f"{name} Exited (3)", "ps -a")
    box.docker("rm", "life")
    done = box.docker("inspect", "life", check=False)
    check(done.returncode == 1 and "no such object: life" in done.stderr.lower(), done.stderr)


@case("stop sends the signal and waits; restart starts again; kill ends at once")
def signals():
    script = "trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 1; done"
    box.docker("run", "-d", "--name", "sig", IMAGE, "sh", "-c", script)
    until(lambda: "ready" in box.docker("logs", "sig"), "the trap is set")
    box.docker("stop", "sig")
    equal((box.inspect("sig")["State"]["ExitCode"], box.docker("logs", "sig").split()), (5, ["ready", "term"]), "stop")
    box.docker("start", "sig")
    until(lambda: box.docker("logs", "sig").split().count("ready") == 2, "it runs again")
    box.docker("restart", "-t", "5", "sig")
    until(lambda: box.docker("logs", "sig").split().count("ready") == 3, "it was restarted")
    box.docker("kill", "sig")
    until(lambda: box.inspect("sig")["State"]["ExitCode"] == 137, "killed")
    box.docker("rm", "sig")


@case("a container that ignores its signal is killed after the grace period")
def grace():
    box.docker("run", "-d", "--name", "deaf", IMAGE, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
    until(lambda: "ready" in box.docker("logs", "deaf"), "the trap is set")
    box.docker("stop", "-t", "1", "deaf")
    equal(box.inspect("deaf")["State"]["ExitCode"], 137, "exit code")
    box.docker("rm", "-f", "deaf")


@case("attach shows what comes, logs -f ends with the container")
def attach():
    box.docker("run", "-d", "--name", "att", IMAGE, "sh", "-c", "while [ ! -e /go ]; do echo tick; sleep 1; done; echo late")
    clients = [box.follow("attach", "--no-stdin", "att"), box.follow("logs", "-f", "att")]
    for client in clients:
        equal(client.stdout.readline(), "tick\n", "the first line")
    box.sh(f"touch /proc/{box.inspect('att')['State']['Pid']}/root/go")
    for client in clients:
        check(client.communicate(timeout=60)[0].endswith("late\n"), "the last line")
    box.docker("rm", "-f", "att")


@case("run -i passes standard input, and its end")
def stdin():
    equal(box.docker("run", "-i", "--rm", IMAGE, "wc", "-c", stdin="12345"), "5", "wc")


@case("events tell a container's life in order")
def events():
    conn = box.connection(60)
    conn.request("GET", "/events?filters=" + urllib.parse.quote(json.dumps({"container": ["told"]})))
    stream = conn.getresponse()         # the head comes when the listener is in place
    box.docker("run", "--name", "told", IMAGE, "true")
    box.docker("rm", "told")
    seen = []
    while "destroy" not in seen:
        line = stream.readline()
        check(line, f"events ended after {seen}")
        seen.append(json.loads(line)["Action"])
    conn.close()
    order = [word for word in seen if word in ("create", "start", "die", "destroy")]
    equal(order, ["create", "start", "die", "destroy"], "events")


@case("environment, working directory, user, groups, host name, entry point")
def options():
    equal(inside("echo $A $HOSTNAME; hostname; pwd; id -u; id -G", "-e", "A=1", "-h", "box1", "-w", "/var/x", "-u", "user"),
          "1 box1\nbox1\n/var/x\n1000\n1000 2000", "options")
    equal(run("--entrypoint", "/bin/echo", IMAGE, "a", "b"), "a b", "entry point")
    equal(inside("id -u; id -g", "-u", "1234:4321"), "1234\n4321", "numeric user")
    done = box.docker("run", "--rm", "-u", "nobodyhere", IMAGE, "true", check=False)
    check(done.returncode == 125 and "unable to find user nobodyhere" in done.stderr, done.stderr)


@case("a missing program is 127, one that may not run is 126, an unknown image says so")
def cannot():
    done = box.docker("run", "--rm", IMAGE, "/nothing", check=False)
    check(done.returncode == 127 and "no such file or directory" in done.stderr, f"{done.returncode} {done.stderr}")
    done = box.docker("run", "--rm", IMAGE, "/etc/passwd", check=False)
    check(done.returncode == 126 and "permission denied" in done.stderr, f"{done.returncode} {done.stderr}")
    done = box.docker("run", "--rm", "--pull=never", "test/nowhere", check=False)
    check(done.returncode == 125 and "No such image: test/nowhere" in done.stderr, done.stderr)


@case("capabilities: the 14 of the default profile, none inheritable or ambient; add, drop, another user")
def capabilities():
    def sets(*words):
        text = inside("grep Cap /proc/self/status", *words)
        return {line.split()[0][3:6]: int(line.split()[1], 16) for line in text.splitlines()}
    equal(sets(), {"Inh": 0, "Prm": CAPS, "Eff": CAPS, "Bnd": CAPS, "Amb": 0}, "default")
    equal(sets("-u", "1000"), {"Inh": 0, "Prm": 0, "Eff": 0, "Bnd": CAPS, "Amb": 0}, "user 1000")
    equal(sets("--cap-drop", "ALL", "--cap-add", "NET_ADMIN")["Eff"], 1 << 12, "NET_ADMIN alone")
    equal(sets("--cap-drop", "chown")["Eff"], CAPS & ~1, "without CHOWN")


@case("a system call filter is on; mount, unshare and new user namespaces are refused")
def filtered():
    equal(inside("grep Seccomp: /proc/self/status").split()[1], "2", "mode")
    for words in ("mount -t tmpfs none /tmp", "unshare -m true", "unshare -U true", "chroot /proc/1/root true; umount /proc"):
        check(inside(f"{words} 2>/dev/null && echo done || true") == "", f"{words} worked")


@case("masked paths are empty, read-only paths cannot be written")
def masked():
    equal(inside("cat /proc/kcore /proc/keys /proc/timer_list /proc/interrupts 2>/dev/null; ls /sys/firmware /proc/acpi "
                 "/proc/scsi 2>/dev/null | grep -v ':$'; true").strip(), "", "masked")
    for path in ("/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity", "/sys/power/state",
                 "/sys/fs/cgroup/cgroup.procs"):
        check(inside(f"(echo 0 > {path}) 2>/dev/null && echo written || true") == "", f"{path} could be written")


@case("devices: the usual ones, no disk; making and opening another is refused")
def devices():
    have = set(inside("ls /dev").split())
    equal({"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "fd", "stdin", "stdout",
           "stderr", "core"} - {"core"} - have, set(), "missing")
    check(not {"vda", "mem", "kmsg", "fuse"} & have, f"devices {have}")
    equal(inside("mknod /tmp/d b 254 0 && (cat /tmp/d >/dev/null 2>&1 && echo open || echo refused)"), "refused", "a disk")


@case("mounts are flagged as in the profile; nothing of the host shows")
def mounts():
    table = {line.split()[1]: line.split() for line in inside("cat /proc/mounts").splitlines()}
    equal(table["/"][2], "overlay", "root")
    for path, flags in (("/proc", "nosuid,nodev,noexec"), ("/sys", "ro,nosuid,nodev,noexec"), ("/dev/pts", "nosuid,noexec"),
                        ("/sys/fs/cgroup", "ro,nosuid,nodev,noexec"), ("/dev/shm", "nosuid,nodev,noexec"),
                        ("/dev/mqueue", "nosuid,nodev,noexec"), ("/dev", "nosuid")):
        check(path in table and set(flags.split(",")) <= set(table[path][3].split(",")), f"{path}: {table.get(path)}")
    host = [line for line in box.sh("cat /proc/mounts").splitlines() if line.split()[1:3] != ["/etc", "overlay"]]
    check("overlay" not in "\n".join(host), f"a container's mount shows on the host: {host}")


@case("each container has its own namespaces")
def namespaces():
    names = ("mnt", "uts", "ipc", "pid", "net", "cgroup", "time")
    pids = []
    for name in ("one", "two"):
        box.docker("run", "-d", "--name", f"ns-{name}", IMAGE, "sleep", "1000")
        pids.append(box.inspect(f"ns-{name}")["State"]["Pid"])
    have = [box.sh(f"for n in {' '.join(names)}; do readlink /proc/{pid}/ns/$n; done").split() for pid in [1, *pids]]
    for links in zip(*have):
        check(len(set(links)) == 3, f"shared: {links}")
    box.docker("rm", "-f", "ns-one", "ns-two")
    equal(inside("echo $$"), "1", "process id")


@case("limits: memory, processes and cpus are in the container's cgroup, and hold")
def limits():
    script = "cd /sys/fs/cgroup; cat memory.max pids.max cpu.max"
    equal(inside(script, "-m", "32m", "--pids-limit", "20", "--cpus", "0.5"), "33554432\n20\n50000 100000", "limits")
    box.allow(r"invoked oom-killer|Call Trace|Memory cgroup out of memory")
    box.docker("run", "--name", "hog", "-m", "16m", "--memory-swap", "16m", IMAGE, "sh", "-c", "tail /dev/zero", check=False)
    state = box.inspect("hog")["State"]
    box.docker("rm", "hog")
    equal((state["ExitCode"], state["OOMKilled"]), (137, True), "a hog")
    done = box.docker("run", "--rm", "--pids-limit", "10", IMAGE, "sh", "-c",
                      "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done", check=False)
    contains(done.stderr, "can't fork", "a fork bomb")


@case("--read-only, --tmpfs, bind mounts and named volumes")
def volumes():
    check(inside("touch /x 2>/dev/null && echo made || true", "--read-only") == "", "read-only root was written")
    contains(inside("touch /scratch/x; grep /scratch /proc/mounts", "--read-only", "--tmpfs", "/scratch:size=1m"), "size=1024k",
             "tmpfs")
    inside("echo kept > /data/x", "-v", "testdata:/data")
    equal(inside("cat /data/x; touch /data/y 2>/dev/null || echo ro", "-v", "testdata:/data:ro"), "kept\nro", "volume")
    box.sh("mkdir -p /var/lib/skerry-test && echo host > /var/lib/skerry-test/f")
    equal(inside("cat /in/f", "-v", "/var/lib/skerry-test:/in:ro"), "host", "bind")
    box.sh("rm -r /var/lib/skerry-test")


@case("network: address on the bridge, default route, the machine's resolver, hosts file; out by NAT")
def network():
    text = inside("ip -4 addr show eth0; ip route; cat /etc/resolv.conf /etc/hosts; hostname -i", "-h", "netbox")
    for part in ("default via", "nameserver", "netbox"):
        contains(text, part, "network")
    contains(box.sh("ip addr show skerry0"), "inet ", "bridge")
    # 10.0.2.2 is QEMU's host side: that a connection is refused by it means that packets went out and came back.
    contains(inside("nc -w 5 10.0.2.2 1 2>&1; echo end", both=True), "end", "way out")
    equal(inside("ping -c 1 -w 5 10.0.2.2 >/dev/null && echo pong"), "pong", "ping through NAT")


@case("published ports: reached from outside; taken ones are an error; freed afterwards")
def published():
    box.docker("run", "-d", "--name", "web", "-p", "8081:80", IMAGE, "sh", "-c",
               "echo hello-from-port > /tmp/index.html; exec httpd -f -p 80 -h /tmp")
    until(lambda: "hello-from-port" in box.curl(8081, check=False).stdout, "the page")
    contains(box.docker("port", "web"), "80/tcp -> 0.0.0.0:8081", "docker port")
    done = box.docker("run", "--rm", "-p", "8081:80", IMAGE, "true", check=False)
    check(done.returncode == 125 and "8081" in done.stderr, done.stderr)
    box.docker("rm", "-f", "web")
    box.docker("run", "--rm", "-p", "8081:80", IMAGE, "true")


@case("logs: --tail, --since and --timestamps; 5000 lines arrive whole")
def logs():
    box.docker("run", "--name", "logs", IMAGE, "seq", "5000", check=True)
    equal(box.docker("logs", "logs").split(), [str(number) for number in range(1, 5001)], "lines")
    equal(box.docker("logs", "--tail", "2", "logs"), "4999\n5000", "tail")
    check(re.match(r"\d{4}-\d\d-\d\dT[0-9:.]+Z 5000$", box.docker("logs", "-t", "--tail", "1", "logs")), "timestamps")
    box.docker("rm", "logs")


@case("names: a taken one is a conflict, an unknown one is not found, a malformed one is refused")
def names():
    box.docker("create", "--name", "twin", IMAGE, "true")
    done = box.docker("create", "--name", "twin", IMAGE, "true", check=False)
    check("Conflict" in done.stderr and "twin" in done.stderr, done.stderr)
    box.docker("rm", "twin")
    contains(box.docker("rm", "twin", check=False).stderr, "No such container: twin", "rm")
    equal(box.request("POST", "/containers/create?name=../x", {"Image": IMAGE})[0], 400, "a path as a name")


@case("malformed requests: Docker's status codes with a message, and the engine goes on")
def malformed():
    for method, path, body, want in (
            ("POST", "/containers/create", "{", 400), ("POST", "/containers/create", {"Image": 7}, 400),
            ("POST", "/containers/create", {"Image": ""}, 400), ("POST", "/containers/create", {"Image": "no/such"}, 404),
            ("GET", "/containers/nothing/json", None, 404), ("GET", "/nothing", None, 404),
            ("POST", "/containers/nothing/start", None, 404), ("GET", "/images/nothing/json", None, 404),
            ("GET", "/v1.99/info", None, 400)):
        head = {"Content-Type": "application/json"} if isinstance(body, str) else None
        status, answer = box.request(method, path, body, head)
        equal(status, want, f"{method} {path} {body}")
        check(isinstance(answer, dict) and answer.get("message"), f"{method} {path}: no message in {answer!r}")
    # Clients older than 1.23 are told in plain text, as Docker does.
    equal(box.request("GET", "/v1.10/info")[0], 400, "an old version")
    equal(box.request("GET", "/_ping"), (200, "OK"), "ping")


@case("afterwards no container, mount, link or process of the tests is left")
def left():
    equal(box.docker("ps", "-aq", "--filter", f"ancestor={IMAGE}"), "", "containers")
    for path in ("/run/skerry/netns", "/run/skerry/shims"):
        known = set(box.docker("ps", "-aq", "--no-trunc").split())
        have = set(box.sh(f"ls {path}").split())
        check(have <= known, f"{path}: {have - known}")


tap.main()
