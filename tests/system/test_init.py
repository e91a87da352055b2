#!/usr/bin/env python3
"""PID 1 from outside: what it says, what it keeps running, whom it obeys, and what system.yaml and the command line change."""

import json
import os
import re
import subprocess

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

IMAGE = "test/busybox:1"
MIB = 1024
box = vm.prepared("init")
DISK = os.path.join(box.scratch, "data.img")


def status():
    return json.loads(box.sh("init status"))


def service(name):
    return next(item for item in status()["services"] if item["name"] == name)


def boot_json():
    return box.request("GET", "/skerry/boot")[1]


@case("`init status` names services and links; PID 1 stays under 1 MB", seconds=600)
def says():
    box.up(disk=DISK)
    until(lambda: service("udhcpc@eth0")["state"] == "running", "udhcpc runs")
    now = status()
    equal(service("engine")["state"], "running", "engine")
    equal(now["links"][0]["name"], "eth0", "link")
    contains(now["links"][0]["addresses"], "10.0.2.15", "its addresses")
    equal([item["name"] for item in now["boot"]["phases"]][:3], ["early", "config", "storage"], "phases")
    rss = int(re.search(r"VmRSS:\s+(\d+)", box.sh("cat /proc/1/status")).group(1))
    check(rss <= MIB, f"PID 1 has {rss} kB")


@case("resolv.conf has what DHCP said, and /etc/resolv.conf leads to it")
def resolver():
    contains(box.sh("cat /etc/resolv.conf"), "nameserver 10.0.2.3", "resolv.conf")


@case("the engine is the last to be killed for memory, and its memory is protected")
def engine_protected():
    equal(box.sh(f"cat /proc/{service('engine')['pid']}/oom_score_adj"), "-999", "oom_score_adj")
    check(int(box.sh("cat /sys/fs/cgroup/engine/memory.min")) >= 16 << 20, "memory.min")


@case("services that are killed come back, each after its back-off; the address stays")
def restarted():
    before = service("udhcpc@eth0")
    box.sh(f"kill -9 {before['pid']}")
    until(lambda: service("udhcpc@eth0")["pid"] not in (0, before["pid"]), "a new udhcpc")
    equal(service("udhcpc@eth0")["starts"], before["starts"] + 1, "starts")
    contains(box.sh("ip addr show dev eth0"), "10.0.2.15/24", "the address")


@case("2,000 orphans of a container and of the console are reaped")
def orphans():
    box.docker("load", "-i", images.busybox_image(os.path.join(box.scratch, "busybox.tar"), IMAGE))
    script = "i=0; while [ $i -lt 1000 ]; do (true &); i=$((i+1)); done"
    box.docker("run", "--rm", "--pid", "host", IMAGE, "sh", "-c", script)
    box.sh(script, seconds=120)
    until(lambda: box.sh("grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l") == "0", "no zombie is left", 30)


@case("all signals 1 to 64 from a container with the host's process ids leave PID 1 and the machine alone (threats row 84)")
def signals():
    boot = box.sh("cat /proc/sys/kernel/random/boot_id")
    box.docker("run", "--rm", "--pid", "host", "--privileged", IMAGE, "sh", "-c",
               "s=1; while [ $s -le 64 ]; do kill -$s 1; s=$((s+1)); done; true")
    equal(box.sh("cat /proc/1/comm"), "init", "PID 1")
    equal(box.sh("cat /proc/sys/kernel/random/boot_id"), boot, "the same boot")
    equal(box.request("GET", "/_ping"), (200, "OK"), "ping")
    box.sh("dmesg | grep -q 'is ignored: it is not one of the machine'")


@case("links of others are never touched: a veth pair gets no client and no address")
def foreign_links():
    box.sh("ip link add name other0 type veth && ip link set other0 up && ip link set veth0 up")    # BusyBox names the peer
    until(lambda: "LOWER_UP" in box.sh("ip link show other0"), "it is up")
    equal([item["name"] for item in status()["links"]], ["eth0"], "links")
    box.sh("ip link del other0")


@case("a link that goes down and up again asks for its lease anew")
def carrier():
    def count():
        return int(box.sh("grep -c 'lease of' /var/log/skerry/current.log"))
    before = count()
    box.sh("ip link set eth0 down; ip link set eth0 up")
    until(lambda: count() > before, "a new lease in the log")
    until(lambda: "10.0.2.15/24" in box.sh("ip addr show dev eth0"), "the address")
    until(lambda: "default via 10.0.2.2" in box.sh("ip route"), "the route")
    until(lambda: box.request("GET", "/_ping", seconds=5) == (200, "OK"), "the API answers")


@case("only root reaches the control socket")
def control_socket():
    check(box.sh("ls -l /run/skerry/control.sock").startswith("srw-------"), "mode")
    contains(box.sh("init dance 2>&1; true"), "usage", "an unknown word")


@case("the shell on the console comes back when one leaves it")
def console():
    before = service("console")["pid"]
    box.docker("run", "--rm", "--pid", "host", IMAGE, "kill", "-HUP", str(before))
    until(lambda: service("console")["pid"] not in (0, before), "a new shell")


@case("`reboot REASON`: the file system was left in order, the reason is told, clock and seed are kept", seconds=600)
def rebooted():
    boot, seed = box.sh("cat /proc/sys/kernel/random/boot_id"), box.sh("sha256sum < /var/lib/skerry/machine/seed; true")
    start = len(box.log())
    box.sh("reboot because we test it; true")
    box.wait_log("restarting now", 120, start)
    until(lambda: boot_json()["previous_boot"], "the API is back", 120)
    contains(boot_json()["previous_boot"], "restarted in order (because we test it)", "the end before")
    check(box.sh("cat /proc/sys/kernel/random/boot_id") != boot, "it is the same boot")
    check(box.sh("sha256sum < /var/lib/skerry/machine/seed") != seed, "the seed is the old one")
    check("recovering journal" not in box.sh("grep e2fsck /var/log/skerry/current.log; true"), "the disk was not unmounted")


@case("a power cut is told as one", seconds=600)
def cut():
    box.kill()
    box.up(disk=DISK)
    contains(boot_json()["previous_boot"], "without a shutdown", "the end before")


def overlay(text):
    folder = os.path.join(box.scratch, "overlay")
    os.makedirs(os.path.join(folder, "etc/skerry"), exist_ok=True)
    with open(os.path.join(folder, "etc/skerry/system.yaml"), "w", encoding="utf-8") as out:
        out.write(text)
    return folder


@case("system.yaml: host name, a static address with gateway, name servers, search domain", seconds=600)
def settings():
    own = vm.start("static", no_disk=True, overlay=overlay(
        "hostname: lighthouse\nnetwork:\n  dns: [192.0.2.53]\n  search: [example.net]\n"
        "  links:\n    eth0:\n      address: 10.0.2.15/24\n      gateway: 10.0.2.2\n"))
    equal(own.sh("hostname"), "lighthouse", "host name")
    contains(own.sh("ip addr show dev eth0"), "10.0.2.15/24", "address")
    contains(own.sh("ip route"), "default via 10.0.2.2", "route")
    check("udhcpc" not in own.sh("ps"), "a DHCP client runs")
    text = own.sh("cat /etc/resolv.conf")
    contains(text, "search example.net", "resolv.conf")
    contains(text, "nameserver 192.0.2.53", "resolv.conf")


@case("a broken system.yaml is a warning with file and line, and the defaults count", seconds=600)
def broken_settings():
    own = vm.start("broken-yaml", no_disk=True, overlay=overlay("hostname: box\nnetwurk: {}\n"))
    warnings = " | ".join(own.request("GET", "/skerry/boot")[1]["warnings"])
    contains(warnings, "/etc/skerry/system.yaml:2: netwurk", "warnings")
    equal(own.sh("hostname"), "skerry", "host name")
    contains(own.sh("ip addr show dev eth0"), "10.0.2.15/24", "address")


@case("the command line: its options win, wrong ones are told", seconds=600)
def command_line():
    own = vm.start("cmdline", append="skerry.hostname=from-cmdline skerry.data=none skerry.consle=no skerry.network=maybe")
    equal(own.sh("hostname"), "from-cmdline", "host name")
    contains(own.sh("grep ' /var ' /proc/mounts"), "tmpfs", "/var")
    warnings = " | ".join(own.request("GET", "/skerry/boot")[1]["warnings"])
    contains(warnings, "there is no option skerry.consle", "warnings")
    contains(warnings, "skerry.network=maybe is ignored, it must be yes or no", "warnings")
    check("no data disk" not in warnings, "it was asked for, so it is no warning")


@case("a data disk that is asked for but absent, and one that is somebody else's, are told and left alone", seconds=600)
def named_disk():
    other = os.path.join(box.scratch, "other.img")
    subprocess.run(["truncate", "-s", "64M", other], check=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-L", "OTHER", other], check=True)
    own = vm.start("named", disk=other, append="skerry.data=/dev/vda")
    warnings = " | ".join(own.request("GET", "/skerry/boot")[1]["warnings"])
    contains(warnings, "/dev/vda holds an ext4 file system labelled \"OTHER\"", "warnings")
    contains(own.sh("grep ' /var ' /proc/mounts"), "tmpfs", "/var")


tap.main()
