#!/usr/bin/env python3
"""The machine as it came up: kernel, root, mounts, limits, PID 1. Asked on its console and over its API."""

import hashlib
import os
import re

from lib import tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

box = vm.shared()
PROBE = "/usr/libexec/skerry-test/probe"      # programs/probe.c, baked in by shared-up
NAMESPACES = ("mnt", "uts", "ipc", "user", "pid", "net", "cgroup", "time")
LINKS = ("veth", "bridge", "macvlan", "ipvlan", "vlan", "vxlan", "bond", "wireguard", "tun")
GONE = {            # what must not be in it, and how its absence shows
    "socket-alg": "EAFNOSUPPORT", "io-uring": "ENOSYS", "userfaultfd": "ENOSYS", "kexec-load": "ENOSYS",
    "kexec-file-load": "ENOSYS", "init-module": "ENOSYS", "finit-module": "ENOSYS", "modify-ldt": "ENOSYS",
    "iopl": "ENOSYS", "x32-getpid": "ENOSYS", "int80-getpid": "signal 11", "tiocsti": "EIO",
    "dev-mem": "ENOENT", "dev-port": "ENOENT", "dev-userfaultfd": "ENOENT", "proc-kcore": "ENOENT"}
_answers = {}


def probe():
    """The answers of the probe, asked once."""
    if not _answers:
        box.allow(r"probe\[\d+\]")          # the 32-bit entry ends its child with a signal, as it must
        _answers.update(line.split(" ", 1) for line in box.sh(PROBE).splitlines() if " " in line)
    return _answers


@case("the kernel is 6.12, ours, and has the configuration that was built")
def kernel():
    check(re.match(r"6\.12\.\d+-skerry$", box.sh("uname -r")), box.sh("uname -r"))
    with open(os.path.join(vm.TOP, "build/kernel/config"), "rb") as text:
        equal(box.sh("gunzip -c /proc/config.gz | sha256sum").split()[0], hashlib.sha256(text.read()).hexdigest(), "config")


@case("all namespaces can be made")
def namespaces():
    equal({name: probe().get(f"ns-{name}") for name in NAMESPACES}, dict.fromkeys(NAMESPACES, "0"), "unshare")


@case("every kind of link can be made")
def links():
    equal({name: probe().get(f"link-{name}", "")[:1].isdigit() for name in LINKS}, dict.fromkeys(LINKS, True), "links")


@case("seccomp filters and Landlock are there")
def filters():
    equal(probe()["seccomp-filter"], "0", "seccomp")
    check(int(probe()["landlock"]) >= 6, f"Landlock ABI {probe()['landlock']}")


for _name, _want in GONE.items():
    @case(f"not in it: {_name} ({_want})")
    def gone(name=_name, want=_want):
        equal(probe().get(name), want, name)


@case("cgroup version 1 cannot be mounted, version 2 can")
def cgroup_versions():
    equal(probe()["mount-cgroup2"], "0", "cgroup2")
    for name in ("mount-cgroup1", "mount-cgroup1-named"):
        check(not probe()[name].isdigit(), f"{name}: {probe()[name]}")


@case("file systems: what a container host mounts is there")
def filesystems():
    have = set(box.sh("cat /proc/filesystems").replace("nodev", "").split())
    want = {"ext4", "erofs", "overlay", "tmpfs", "fuse", "9p", "virtiofs", "vfat", "iso9660", "mqueue", "cgroup2", "pstore"}
    equal(want - have, set(), "missing")
    check("cgroup" not in have or box.sh("mount -t cgroup none /mnt", check=False)[0] != 0, "cgroup version 1 mounts")


@case("security modules: lockdown, Landlock, Yama; lockdown keeps root out of the kernel")
def modules():
    have, lockdown = box.sh("mount -t securityfs none /mnt; cat /mnt/lsm; echo; cat /mnt/lockdown; umount /mnt").split("\n", 1)
    equal({"lockdown", "capability", "landlock", "yama"} - set(have.split(",")), set(), "missing")
    contains(lockdown, "[integrity]", "lockdown")


@case("the root is a read-only EROFS; /etc takes changes; /var is the data partition")
def mounts():
    table = {line.split()[1]: line.split() for line in box.sh("cat /proc/mounts").splitlines()}
    equal(table["/"][2], "erofs", "root")
    check("ro" in table["/"][3].split(","), table["/"][3])
    check(box.sh("touch /x 2>&1", check=False)[0] != 0, "a file could be made in /")
    equal(table["/etc"][2], "overlay", "/etc")
    equal(table["/var"][2], "ext4", "/var")
    box.sh("echo 1 > /etc/skerry-test && rm /etc/skerry-test")
    for path, flags in (("/proc", "nosuid,nodev,noexec"), ("/sys", "nosuid,nodev,noexec"), ("/dev", "nosuid"),
                        ("/run", "nosuid,nodev"), ("/dev/shm", "nosuid,nodev"), ("/var", "nosuid,nodev")):
        have = set(table[path][3].split(","))
        check(set(flags.split(",")) <= have, f"{path}: {table[path][3]}")


@case("cgroup version 2 with all controllers, delegated to the containers")
def controllers():
    want = {"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "misc"}
    equal(want - set(box.sh("cat /sys/fs/cgroup/cgroup.controllers").split()), set(), "missing")
    equal(want - set(box.sh("cat /sys/fs/cgroup/containers/cgroup.subtree_control").split()), set(), "not delegated")
    folders = box.sh("ls -d /sys/fs/cgroup/*/")
    for name in ("init", "engine", "shims", "containers"):
        contains(folders, f"/{name}/", "branches")


SETTINGS = {"kernel.dmesg_restrict": "1", "kernel.kptr_restrict": "2", "kernel.unprivileged_bpf_disabled": "[12]",
            "kernel.yama.ptrace_scope": "[12]", "dev.tty.ldisc_autoload": "0", "fs.protected_symlinks": "1",
            "fs.protected_hardlinks": "1", "fs.protected_fifos": "[12]", "fs.protected_regular": "[12]",
            "fs.suid_dumpable": "0", "kernel.randomize_va_space": "2", "net.ipv4.conf.all.accept_redirects": "0",
            "net.ipv4.tcp_syncookies": "1", "kernel.panic_on_oops": "1", "net.core.bpf_jit_harden": "1"}


@case("settings of the kernel are hardened")
def settings():
    words = " ".join("/proc/sys/" + key.replace(".", "/") for key in SETTINGS)
    have = dict(zip(SETTINGS, box.sh(f"cat {words}").split()))
    wrong = {key: have.get(key) for key, want in SETTINGS.items() if not re.fullmatch(want, have.get(key, ""))}
    equal(wrong, {}, "settings")


@case("PID 1 is ours, and services run below it, each in its branch of cgroups")
def services():
    equal(box.sh("cat /proc/1/comm"), "init", "PID 1")
    contains(box.sh("for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; cat $p/cgroup; done"), "/engine", "engine")


@case("orphans are reaped: 300 of them leave no zombie")
def orphans():
    box.sh("i=0; while [ $i -lt 300 ]; do (true & ); i=$((i+1)); done")
    until(lambda: box.sh("grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l") == "0", "zombies are gone", 30)


@case("signals that mean nothing to PID 1 leave it alone, and the API answering")
def signals():
    ours = {"1", "2", "10", "12", "15", "30"}       # HUP, INT, USR1, USR2, TERM, PWR may mean something
    rest = " ".join(str(number) for number in range(1, 65) if str(number) not in ours and number not in (32, 33))
    box.sh(f"for s in {rest}; do kill -$s 1; done; true")
    equal(box.sh("cat /proc/1/comm"), "init", "PID 1")
    equal(box.request("GET", "/_ping")[0], 200, "GET /_ping")


@case("the boot is told by phases, over the API and in the log")
def phases():
    status, boot = box.request("GET", "/skerry/boot")
    equal(status, 200, "status")
    check(boot.get("phases"), f"no phases in {boot}")
    for phase in boot["phases"]:
        check({"name", "start", "duration"} <= {key.split("_")[0] for key in phase}, f"phase {phase}")
    check(isinstance(boot.get("warnings"), list), f"warnings: {boot.get('warnings')}")


@case("machine-id: 32 hexadecimal digits, the clock is not before the build")
def identity():
    check(re.fullmatch(r"[0-9a-f]{32}", box.sh("cat /etc/machine-id")), box.sh("cat /etc/machine-id"))
    check(int(box.sh("date +%s")) > 1735689600, "the clock is before 2025")


@case("the hardware's watchdog is fed, not the kernel's own")
def watchdog():
    look = 'for w in /sys/class/watchdog/*; do echo "$(cat $w/state) $(cat $w/identity)"; done'
    active = [line for line in box.sh(look).splitlines() if line.startswith("active ")]
    equal(active, ["active iTCO_wdt"], "what is armed")


@case("the uplink takes an IPv6 address and a route from its router (SLAAC)")
def slaac():
    until(lambda: " fec0::" in box.sh("ip -6 addr show dev eth0"), "an address with QEMU's prefix")
    until(lambda: "default via fe80::2" in box.sh("ip -6 route show"), "a default route by the router's advertisement")


@case("only the API listens on the network, and for IPv6 the port that the demo publishes")
def listeners():
    lines = box.sh("cat /proc/net/tcp /proc/net/tcp6").splitlines()
    # state 0A is LISTEN; the local address is hexadecimal. Loopback is 0100007F or ...01000000.
    ports = {int(line.split()[1].rpartition(":")[2], 16) for line in lines
             if line.split()[3] == "0A" and not re.match(r"0100007F|0{24}01000000", line.split()[1])}
    check(2376 in ports, f"listening: {ports}")
    check(ports <= {2376, 8080}, f"listening: {ports}")


@case("the console shows nothing bad so far")
def console():
    box.check_console()


tap.main()
