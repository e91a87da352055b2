#!/usr/bin/env python3
"""What containers are after the machine was switched off in order, and after a power cut: restart policies, their counts,
stops by hand, --rm, pauses, updates, health."""

import os

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, equal

IMAGE = "test/lifeboot:1"
box = vm.prepared("lifeboot")
DISK = os.path.join(box.scratch, "data.img")


def state(name):
    return box.inspect(name)["State"]


def run(name, *words, options=()):
    return box.docker("run", "-d", "--name", name, "--stop-timeout", "0", *options, IMAGE, *(words or ("sleep", "100000")))


def begin():
    """Containers of every kind, each in the state that it has when the machine goes."""
    for policy in ("no", "always", "unless-stopped", "on-failure"):
        run(f"up-{policy}", options=("--restart", policy))
        run(f"stopped-{policy}", options=("--restart", policy))
        box.docker("stop", f"stopped-{policy}")
    box.docker("create", "--name", "made", "--restart", "always", IMAGE)
    box.docker("create", "--name", "made-rm", "--rm", IMAGE)
    run("gone", options=("--rm",))
    run("frozen", options=("--restart", "always"))
    box.docker("pause", "frozen")
    run("changed", options=("-m", "64m"))
    box.docker("update", "-m", "32m", "--memory-swap", "64m", "--restart", "unless-stopped", "changed")
    run("tired", "sh", "-c", "exit 4", options=("--restart", "on-failure:2"))
    run("checked", options=("--restart", "always", "--health-cmd", "true", "--health-interval", "1s"))
    until(lambda: state("tired")["Status"] == "exited", "both tries are over")
    until(lambda: state("checked")["Health"]["Status"] == "healthy", "it is healthy")
    run("failing", "sh", "-c", "exit 5", options=("--restart", "on-failure:9"))
    until(lambda: box.inspect("failing")["RestartCount"] >= 5, "it waits for some seconds now")


def look(cut):
    """The same containers in the next boot. cut: the power went, so that nobody could stop them."""
    running = ("up-always", "up-unless-stopped", "up-on-failure", "stopped-always", "frozen", "changed", "checked")
    for name in running:
        until(lambda n=name: state(n)["Running"], f"{name} runs again")
        check(not state(name)["Paused"], f"{name} is paused")
        equal(box.inspect(name)["RestartCount"], 0, f"{name}: a boot is no restart")
    for name in ("up-no", "stopped-no", "stopped-unless-stopped", "stopped-on-failure", "tired"):
        equal(state(name)["Status"], "exited", name)
    equal(state("up-no")["ExitCode"], 255 if cut else 137, "exit code of what ran")
    equal((state("tired")["ExitCode"], box.inspect("tired")["RestartCount"]), (4, 2), "the one whose tries were over")
    equal(state("made")["Status"], "created", "what never ran")
    names = box.docker("ps", "-a", "--format", "{{.Names}}").split()
    check("gone" not in names and "made-rm" not in names, f"--rm: {names}")
    changed = box.inspect("changed")
    equal((changed["HostConfig"]["Memory"], box.sh(f"cat /sys/fs/cgroup/containers/{changed['Id']}/memory.max")),
          (32 << 20, str(32 << 20)), "the updated limit")
    check(box.inspect("failing")["RestartCount"] >= 5, "the count of the failing one began anew")
    until(lambda: state("checked")["Health"]["Status"] == "healthy", "it is healthy again")


@case("switched off in order: policies, counts, stops by hand are kept", seconds=600)
def orderly():
    box.up(disk=DISK)
    box.docker("load", "-i", images.busybox_image(os.path.join(box.scratch, "life.tar"), IMAGE))
    begin()
    box.down()
    box.up(disk=DISK)
    look(cut=False)


@case("a power cut: the same; and on-failure:N ends where it would have", seconds=600)
def power_cut():
    for name in ("stopped-always", "stopped-no", "frozen"):
        box.docker("start", name, check=False)
    box.docker("stop", "stopped-always", "stopped-no")
    box.docker("pause", "frozen")
    box.docker("start", "up-no")
    box.docker("create", "--name", "made-rm", "--rm", IMAGE)
    run("gone", options=("--rm",))
    box.docker("rm", "-f", "failing")
    run("failing", "sh", "-c", "exit 5", options=("--restart", "on-failure:7"))
    until(lambda: box.inspect("failing")["RestartCount"] >= 5, "it waits for some seconds now")
    box.kill()
    box.up(disk=DISK)
    look(cut=True)
    until(lambda: state("failing")["Status"] == "exited", "the last try is over", 90)
    equal((box.inspect("failing")["RestartCount"], state("failing")["ExitCode"]), (7, 5), "count, exit code")


tap.main()
