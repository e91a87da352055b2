#!/usr/bin/env python3
"""Poor machines: without a disk, with a full or a foreign one, without network, clock, entropy; small and smallest.
Each boots, serves what it can, and says what is missing."""

import os
import re
import shutil
import subprocess
import tempfile

from lib import tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal


def boot_warnings(box):
    status, boot = box.request("GET", "/skerry/boot")
    equal(status, 200, "GET /skerry/boot")
    return " | ".join(boot["warnings"])


def disk(box, name, size="1G"):
    path = os.path.join(box.scratch, name)
    subprocess.run(["truncate", "-s", size, path], check=True)
    return path


def head(path, size=1 << 20):
    with open(path, "rb") as data:
        return data.read(size)


@case("96 MB of memory, one processor, no disk, no entropy device, the clock in 1970: the API answers and a container runs",
      seconds=600)
def smallest():
    # certificates that are younger than the build, and so than this machine's clock
    pki = os.path.join(tempfile.mkdtemp(prefix="skerry-pki-"), "pki")
    tap.CLEANUP.append(lambda: shutil.rmtree(os.path.dirname(pki)))
    subprocess.run([os.path.join(vm.TOP, "image-tools/mkpki"), pki], check=True, stderr=subprocess.DEVNULL)
    box = vm.start("small", pki=pki, memory="96M", cpus=1, no_disk=True, no_rng=True, publish=["auto:8080"],
                   qemu=["-rtc", "base=1970-01-01T00:00:00", "-cpu", "max,-rdrand,-rdseed"])
    contains(boot_warnings(box), "no data disk", "warnings")
    contains(box.log(), "no data disk", "console")
    contains(box.sh("grep ' /var ' /proc/mounts"), "tmpfs", "/var")
    check(int(box.sh("date +%s")) > 1735689600, "the clock is before the build")
    until(lambda: "<html" in box.curl(8080, check=False).stdout.lower(), "the demo's page", 120)
    free = int(re.search(r"MemAvailable: +(\d+)", box.sh("cat /proc/meminfo")).group(1))
    check(free > 8000, f"only {free} kB of memory are free")


@case("no network card: boots, says so, the console and the containers work", seconds=600)
def no_network():
    box = vm.prepared("nonet")
    box.up(no_net=True, no_disk=True, wait_for=r"demo")
    links = box.sh("ls /sys/class/net").split()     # whole names: a container's link may be called veth0…
    check("lo" in links and "eth0" not in links, f"links {links}")
    box.wait_log(r"no (wired |network )?link|no network")
    until(lambda: box.sh("wget -q -O - http://127.0.0.1:8080/ | grep -qi html", check=False)[0] == 0, "the demo's page", 60)


@case("a disk that is not blank and not ours is never touched", seconds=600)
def foreign():
    box = vm.prepared("foreign")
    ext4 = disk(box, "ext4.img", "64M")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-L", "OTHER", ext4], check=True)
    table = disk(box, "table.img", "64M")
    with open(table, "r+b") as data:
        data.seek(510)
        data.write(b"\x55\xaa")
    tail = disk(box, "tail.img", "64M")
    with open(tail, "r+b") as data:
        data.seek(-100, os.SEEK_END)
        data.write(b"something")
    before = [head(path, 64 << 20) for path in (ext4, table, tail)]
    box.up(disk=[ext4, table, tail])
    contains(boot_warnings(box), "no data disk", "warnings")
    contains(box.sh("grep ' /var ' /proc/mounts"), "tmpfs", "/var")
    box.down()
    check([head(path, 64 << 20) for path in (ext4, table, tail)] == before, "a disk was written")


@case("the first blank disk is taken, labelled, and found again by its label in another place", seconds=900)
def blank():
    box = vm.prepared("blank")
    data, other = disk(box, "data.img"), disk(box, "other.img", "64M")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-L", "OTHER", other], check=True)
    box.up(disk=[other, data])
    contains(box.sh("grep ' /var ' /proc/mounts"), "/dev/vdb", "/var")
    machine_id = box.sh("cat /etc/machine-id; echo kept > /etc/kept; echo kept > /var/kept")
    box.down()
    contains(subprocess.run(["blkid", "-p", "-o", "value", "-s", "LABEL", data], stdout=subprocess.PIPE, text=True,
                            check=True).stdout, "SKERRY-DATA", "label")
    box.up(disk=[data, other])
    contains(box.sh("grep ' /var ' /proc/mounts"), "/dev/vda", "/var")
    equal(box.sh("cat /etc/kept /var/kept"), "kept\nkept", "what was written")
    equal(box.sh("cat /etc/machine-id"), machine_id, "machine-id")


@case("a disk that grew is used whole; a damaged one is repaired", seconds=900)
def grown():
    box = vm.prepared("grown")
    data = disk(box, "data.img", "512M")
    box.up(disk=data)
    before = int(box.sh("df -k /var | tail -1").split()[1])
    box.down()
    subprocess.run(["truncate", "-s", "1G", data], check=True)
    # A wrong free count, the commonest damage: e2fsck corrects it.
    subprocess.run(["debugfs", "-w", "-R", "ssv free_blocks_count 1", data], check=True, stderr=subprocess.DEVNULL)
    subprocess.run(["debugfs", "-w", "-R", "ssv state 2", data], check=True, stderr=subprocess.DEVNULL)
    box.up(disk=data)
    after = int(box.sh("df -k /var | tail -1").split()[1])
    check(after > before * 1.7, f"{before} kB before, {after} kB after")
    box.down()
    done = subprocess.run(["e2fsck", "-fn", data], stdout=subprocess.PIPE, text=True, check=False)
    equal(done.returncode, 0, f"e2fsck: {done.stdout}")


@case("a data disk beyond repair is mounted read-only or not at all, and never made new", seconds=600)
def broken():
    box = vm.prepared("broken")
    data = disk(box, "data.img", "256M")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-L", "SKERRY-DATA", data], check=True)
    with open(data, "r+b") as raw:      # the superblock stays, everything behind it is noise
        raw.seek(2048)
        raw.write(os.urandom(16 << 20))
    uuid = head(data, 2048)[1024 + 104:1024 + 120]
    box.allow(r"EXT4-fs (error|warning)|I/O error")
    box.up(disk=data)
    contains(boot_warnings(box), "data disk", "warnings")
    box.down()
    equal(head(data, 2048)[1024 + 104:1024 + 120], uuid, "UUID of the file system: it was made new")


@case("a full data disk: the machine boots, says so, the API and what runs go on", seconds=600)
def full():
    box = vm.prepared("full")
    data = disk(box, "data.img", "256M")
    box.up(disk=data)
    box.sh("dd if=/dev/zero of=/var/filler bs=1M 2>/dev/null; sync; true", seconds=240)
    box.down()
    box.up(disk=data)
    equal(box.request("GET", "/_ping"), (200, "OK"), "ping")
    box.docker("ps")
    box.sh("rm /var/filler")


@case("a root image with a wrong hash stops with one clear sentence and a reboot", seconds=600)
def wrong_hash():
    box = vm.prepared("hash")
    image = os.path.join(box.scratch, "image")
    os.mkdir(image)
    with open(os.path.join(vm.TOP, "build/image/initramfs"), "rb") as data:
        archive = bytearray(data.read())
    place = archive.find(b"\xe2\xe1\xf5\xe0")       # the magic of EROFS, 1024 bytes into the image
    check(place > 0, "the initramfs has no EROFS in plain sight")
    archive[place + 4096] ^= 1
    with open(os.path.join(image, "initramfs"), "wb") as data:
        data.write(archive)
    os.symlink(os.path.join(vm.TOP, "build/image/bzImage"), os.path.join(image, "bzImage"))
    box.up(image=image, no_disk=True, no_reboot=True, no_wait=True)
    box.wait_log(r"rootfs.*(hash|sha256)|(hash|sha256).*rootfs")
    check(box.machine.wait_end(30), "it did not reboot within 30 s")


@case("the machine also comes up as a microvm", seconds=600)
def microvm():
    box = vm.start("micro", machine="microvm", publish=["auto:8080"])
    equal(box.request("GET", "/_ping"), (200, "OK"), "ping")


tap.main()
