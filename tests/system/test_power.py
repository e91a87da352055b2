#!/usr/bin/env python3
"""Ends and beginnings: orderly ends by every way, power cuts, panics; what the previous boot left behind; the engine killed."""

import os
import time

from lib import images, tap, vm
from lib.poll import until
from lib.shell import Shell
from lib.tap import case, check, contains, equal

IMAGE = "test/busybox:1"
box = vm.prepared("power")
DISK = os.path.join(box.scratch, "data.img")


def up(**more):
    box.up(disk=DISK, **more)


def loaded():
    path = images.busybox_image(os.path.join(box.scratch, "busybox.tar"), IMAGE)
    box.docker("load", "-i", path)


@case("the power button: containers get their grace period, in order, then everything is written and off", seconds=600)
def button():
    up()
    loaded()
    box.docker("run", "-d", "--name", "graceful", "-v", "kept:/data", IMAGE, "sh", "-c",
               "trap 'sleep 1; echo bye > /data/bye; exit 0' TERM; while :; do sleep 1; done")
    until(lambda: box.inspect("graceful")["State"]["Running"], "it runs")
    begin = time.monotonic()
    box.down(60)
    check(time.monotonic() - begin < 45, "powering off took too long")
    up()
    equal(box.sh("cat /var/lib/skerry/volumes/kept/_data/bye"), "bye", "what the container wrote when asked to end")
    equal(box.inspect("graceful")["State"]["ExitCode"], 0, "exit code")


@case("the log of the previous boot and the reason of its end are kept", seconds=600)
def previous():
    status, boot = box.request("GET", "/skerry/boot")
    equal(status, 200, "status")
    contains(str(boot).lower(), "power button", "the reason of the last end")
    equal(box.sh("grep -c 'switching off: power button' /var/log/skerry/previous.log"), "1", "lines in its log")


@case("reboot by signal to PID 1: the same machine comes back", seconds=600)
def reboot():
    before = box.sh("cat /proc/sys/kernel/random/boot_id")
    start = len(box.log())
    box.sh("kill -INT 1 &")
    box.wait_log("Linux version 6.12", 120, start)
    box.wait_api()
    check(box.sh("cat /proc/sys/kernel/random/boot_id") != before, "it is still the same boot")


@case("after a power cut containers with a restart policy are back, the others are not; what was committed is there", seconds=600)
def cut():
    box.docker("run", "--name", "edited", IMAGE, "sh", "-c", "echo kept > /kept")
    made = box.docker("commit", "edited", "test/committed:1")
    box.docker("run", "-d", "--name", "always", "--restart", "always", IMAGE, "sleep", "100000")
    box.docker("run", "-d", "--name", "never", IMAGE, "sleep", "100000")
    box.kill()
    up()
    until(lambda: box.inspect("always")["State"]["Running"], "it runs again")
    equal(box.inspect("never")["State"]["Status"], "exited", "without a policy")
    equal(box.inspect("test/committed:1", "image")["Id"], made, "the committed image")
    equal(box.docker("run", "--rm", "test/committed:1", "cat", "/kept"), "kept", "its file")


COUNTER = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done"


@case("kill -9 of the engine with 5 containers: all run on, logs have no gap, exit codes are right, the API is back in time",
      seconds=600)
def engine():
    for number in range(5):
        box.docker("run", "-d", "--name", f"on{number}", IMAGE, "sh", "-c", COUNTER)
    box.docker("run", "-d", "--name", "ends", IMAGE, "sh", "-c", "while [ ! -e /go ]; do sleep 1; done; exit 42")
    pids = [box.inspect(f"on{number}")["State"]["Pid"] for number in range(5)]
    ends = box.inspect("ends")["State"]["Pid"]
    engine_pid = vm.ENGINE
    # The container ends while there is no engine: its exit code must not be lost.
    box.sh(f"p={engine_pid}; touch /proc/{ends}/root/go & kill -9 $p")
    begin = time.monotonic()
    until(lambda: box.request("GET", "/_ping", seconds=2)[0] == 200, "the API is back", 30)
    # told, not judged: under emulation the machine's clocks count what else the host does (goal: 2 s)
    print(f"# the API was back after {time.monotonic() - begin:.2f} s")
    equal([box.inspect(f"on{number}")["State"]["Pid"] for number in range(5)], pids, "the containers run on")
    equal(box.docker("wait", "ends"), "42", "the exit code of the one that ended meanwhile")
    seen = box.docker("logs", "on0").split()
    until(lambda: len(box.docker("logs", "on0").split()) > len(seen) + 5, "the log goes on")
    have = box.docker("logs", "on0").split()
    equal(have, [str(number) for number in range(len(have))], "the log, without a gap")
    for number in range(5):
        box.docker("rm", "-f", f"on{number}")


@case("a shim and the engine killed together: the container is gone, the rest goes on", seconds=300)
def shim():
    box.docker("run", "-d", "--name", "orphan", IMAGE, "sleep", "100000")
    pid = box.inspect("orphan")["State"]["Pid"]
    box.sh(f"kill -9 $(awk '/PPid/{{print $2}}' /proc/{pid}/status)")
    until(lambda: not box.inspect("orphan")["State"]["Running"], "the engine sees its end")
    box.docker("rm", "-f", "orphan")
    equal(box.request("GET", "/_ping"), (200, "OK"), "ping")


@case("a kernel panic: the machine starts anew by itself, and tells the kernel's last words", seconds=600)
def panic():
    box.allow(r"Kernel panic|Call Trace|sysrq|SysRq|BUG|Oops|WARNING")
    with Shell(box.machine.path("console.sock")) as shell:
        shell.wake()
        shell.sock.sendall(b"sync; echo c > /proc/sysrq-trigger\n")
        shell.wait("Kernel panic.*Linux version 6.12", 180)
    until(lambda: box.request("GET", "/_ping", seconds=5)[0] == 200, "the API answers again", 240)
    contains(str(box.request("GET", "/skerry/boot")[1]).lower(), "panic", "the reason of the last end")


tap.main()
