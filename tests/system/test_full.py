#!/usr/bin/env python3
"""A full disk, and one without inodes: in the middle of load, import and commit it is a clear error and all is given back;
containers are stopped, and containers, images and volumes removed, with 0 bytes free; the reserve that makes room for this
is taken back afterwards."""

import itertools
import json
import os
import re
import subprocess

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, equal

DISK = "128M"
INODES = 2048
STORE = "/var/lib/skerry/images"
RESERVE = "/var/lib/skerry/.reserve"
RESERVE_FILES = 8           # engine/state/reserve.h
FILLING = "/var/filling"
FILES = itertools.count()
NOSPACE = re.compile("no space left on device", re.I)
SLACK = 64                  # KiB that folders may keep when they have grown
IMAGE = "test/full:1"
SECONDS = 600               # for a case, at most

box = vm.prepared("full")


def local(name):
    return os.path.join(box.scratch, name)


def reserve():
    return int(box.sh(f"ls {RESERVE} | wc -l"))


def whole_reserve():
    """With room, the engine takes back what was given up."""
    until(lambda: reserve() == RESERVE_FILES, "the reserve is whole", 120)


def df():
    """KiB of the data disk that are used, and that can be had."""
    return tuple(int(word) for word in box.sh("sync; df -k /var | tail -1").split()[-4:-2])


def used():
    """KiB, and files."""
    return df()[0], int(box.sh("find /var/lib/skerry | wc -l"))


def ids():
    return sorted(box.docker("images", "-aq", "--no-trunc").split())


def is_full():
    equal(df()[1], 0, "KiB that can be had")


def fill(room_kib=0):
    """Leaves so much of the disk free, and nothing when it is 0: most of it is taken at once, the rest block by block."""
    box.sh(f"mkdir -p {FILLING}")
    if room_kib:
        box.sh(f"cd {FILLING}; rm -f *; fallocate -l {room_kib << 10} room")
    most = df()[1] - 1024
    if most > 1024:
        box.sh(f"fallocate -l {most << 10} {FILLING}/{next(FILES)}")
    box.sh(f"cd {FILLING}; for size in 64k 4k 4k; do dd if=/dev/zero bs=$size >> rest 2>/dev/null; sync; done; rm -f room; sync")
    if not room_kib:
        is_full()


def unfill():
    box.sh(f"rm -rf {FILLING} /var/inodes; sync")


def fill_inodes():
    box.sh("mkdir -p /var/inodes; i=0; while echo > /var/inodes/$i; do i=$((i+1)); done 2>/dev/null; sync", seconds=120)
    check(box.sh("echo > /var/one-more", check=False)[0] != 0, "there is still an inode")


def in_order():
    status, said = box.sh(f"/sbin/skerryd store-check {STORE}", check=False)
    check(status == 0 and " 0 left-overs" in said, f"the store's check: {said}")


def refused(what, run):
    """The operation fails for want of room, and leaves nothing."""
    images_before, before = ids(), used()
    done = run()
    check(done.returncode != 0 and NOSPACE.search(done.stdout + done.stderr),
          f"{what}: exit {done.returncode}: {done.stdout[-300:]} {done.stderr[-300:]}")
    equal(ids(), images_before, f"images after {what}")
    in_order()
    after = used()
    check(after[0] <= before[0] + SLACK and after[1] == before[1], f"{what}: used (KiB, files) {before}, after it {after}")
    equal(reserve(), RESERVE_FILES, f"files of the reserve after {what}")


def large(name):
    """An image of 12 MB in three layers."""
    layers = [images.layer({f"{number}": os.urandom(4 << 20)}) for number in range(3)]
    return images.docker_archive(local("large.tar"), name, layers, {"Cmd": ["/0"]})


def commands(name):
    return {"load": lambda: box.docker("load", "-i", local("large.tar"), check=False),
            "import": lambda: box.docker("import", local("layer.tar"), "test/full-import:1", check=False),
            "commit": lambda: box.docker("commit", name, "test/full-commit:1", check=False)}


@case("the machine starts on a small disk with few inodes, and holds a reserve", SECONDS)
def start():
    disk = local("disk")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-m", "1", "-N", str(INODES), "-L", "SKERRY-DATA", disk,
                    DISK], check=True)
    box.up(disk=disk)
    box.wait_declared()
    box.docker("load", "-i", images.busybox_image(local("image.tar"), IMAGE, more={"more": b"more\n"}))
    large("test/full-large:1")
    with open(local("layer.tar"), "wb") as to:
        to.write(images.layer({f"{number}": os.urandom(3 << 20) for number in range(3)}))
    box.docker("run", "-d", "--name", "keeper", "--restart", "always", IMAGE, "sleep", "100000")
    box.docker("run", "--name", "writer", IMAGE, "dd", "if=/dev/urandom", "of=/large", "bs=1M", "count=5")
    whole_reserve()


@case("a disk that is full in the middle of load, import and commit: a clear error, and all is given back", SECONDS)
def full():
    fill(room_kib=6 << 10)
    for what, run in commands("writer").items():
        refused(what, run)
    fill()
    for what, run in commands("writer").items():
        refused(f"{what} without any room", run)
    unfill()


@case("no inodes in load, import, commit and create: a clear error, and all is given back", SECONDS)
def inodes():
    fill_inodes()
    for what, run in commands("writer").items():
        refused(what, run)
    refused("create", lambda: box.docker("create", IMAGE, "true", check=False))
    unfill()


def numbers(name):
    return box.inspect(name)["State"]


@case("with 0 bytes free a container is stopped, and that is still known after a kill -9 of the engine", SECONDS)
def stopping():
    fill()
    box.docker("stop", "-t", "1", "keeper")
    equal((numbers("keeper")["Status"], numbers("keeper")["ExitCode"]), ("exited", 137), "keeper")
    finished = numbers("keeper")["FinishedAt"]
    box.sh(f"kill -9 {vm.ENGINE}")
    box.wait_api()
    equal((numbers("keeper")["Status"], numbers("keeper")["FinishedAt"]), ("exited", finished), "after the kill")
    is_full()
    unfill()
    whole_reserve()


@case("with 0 bytes free rmi (by name, digest and id), rm, volume rm and prune work", SECONDS)
def removing():
    for number in range(3):
        images.oci_archive(local("small.tar"), f"test/full{number}:1", [images.layer({f"{number}": b"x" * 100000})], {})
        box.docker("load", "-i", local("small.tar"))
    box.docker("tag", "test/full1:1", "test/full-second:1")
    digest = box.inspect("test/full1:1", "image")["RepoDigests"][0]
    third = box.inspect("test/full2:1", "image")["Id"]
    box.docker("volume", "create", "full")
    box.docker("create", "--name", "spare", "-v", "/anonymous", IMAGE, "true")
    for words in (("rmi", "test/full0:1"), ("rmi", digest), ("rmi", third), ("rm", "writer"), ("rm", "-v", "spare"),
                  ("volume", "rm", "full"), ("container", "prune", "-f"), ("image", "prune", "-af")):
        fill()
        box.docker(*words)
    left = json.dumps([box.docker("images", "-a", "--format", "{{.Repository}}"), box.docker("ps", "-aq", "-f", "name=spare"),
                       box.docker("volume", "ls", "-q")])
    check("test/full" not in left, f"left: {left}")
    in_order()


@case("with no inodes the same works", SECONDS)
def removing_without_inodes():
    unfill()
    whole_reserve()
    images.oci_archive(local("small.tar"), "test/full3:1", [images.layer({"3": b"x" * 100000})], {})
    box.docker("load", "-i", local("small.tar"))
    box.docker("load", "-i", local("image.tar"))
    box.docker("tag", "test/full3:1", "test/full-second:1")
    digest = box.inspect("test/full3:1", "image")["RepoDigests"][0]
    box.docker("run", "-d", "--name", "keeper", IMAGE, "sleep", "100000")
    for words in (("stop", "-t", "1", "keeper"), ("rm", "keeper"), ("rmi", digest), ("rmi", "test/full3:1"),
                  ("image", "prune", "-af")):
        fill_inodes()
        box.docker(*words)
    check("test/full" not in box.docker("images", "-a", "--format", "{{.Repository}}"), "images are left")
    in_order()


@case("the reserve is taken back when there is room again", SECONDS)
def taken_back():
    unfill()
    whole_reserve()
    in_order()


tap.main()
