"""Root file systems and config.json for tests that run containers on the host: what a default container has, with single
things changed.
"""

import json
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DRIVER = os.environ.get("SKERRY_DRIVER", os.path.join(TOP, "build/host/tests/runtime/driver"))
BUSYBOX = os.path.join(TOP, "build/target-root/bin/busybox")
ENV = {"PATH": os.environ["PATH"]}

CAPS = ["CAP_" + name for name in (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
    "AUDIT_WRITE").split()]
MOUNTS = [
    ("/proc", "proc", "proc", "nosuid,noexec,nodev"),
    ("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
    ("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
    ("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
    ("/sys/fs/cgroup", "cgroup", "cgroup", "ro,nosuid,noexec,nodev"),
    ("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
    ("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=64m"),
]
MASKED = ("/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi "
          "/proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware").split()
READONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split()
SECCOMP = {}
RULES = [{"allow": False, "access": "rwm"}] + [
    {"allow": True, "type": "c", "major": 1, "minor": n, "access": "rwm"} for n in (3, 5, 8, 9)]


def alone():
    """Goes on as root in a mount namespace of its own, with cgroup2 at /sys/fs/cgroup."""
    if os.geteuid() != 0:
        os.execvp("sudo", ["sudo", "-n", sys.executable, *sys.argv])
    if os.environ.get("SKERRY_INSIDE") != str(os.getppid()):
        sys.exit(subprocess.run(["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv], check=False,
                                env={**os.environ, "SKERRY_INSIDE": str(os.getpid())}).returncode)
    subprocess.run(["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"], check=True)


def make_image(path):
    """A root file system of BusyBox and the probe."""
    for name in "bin etc tmp root usr/bin usr/sbin sbin var".split():
        os.makedirs(os.path.join(path, name), exist_ok=True)
    subprocess.run(["cp", BUSYBOX, f"{path}/bin/busybox"], check=True)
    with open(f"{BUSYBOX}.links", encoding="utf-8") as links:
        for link in links.read().split():
            os.symlink("/bin/busybox", path + link)
    subprocess.run(["gcc", "-static", "-O1", "-o", f"{path}/bin/probe", f"{TOP}/tests/runtime/probe.c"], check=True)
    with open(f"{path}/etc/passwd", "w", encoding="utf-8") as out:
        out.write("root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/var/www:/bin/sh\n4294967296:x:0:0::/:/bin/sh\n")
    with open(f"{path}/etc/group", "w", encoding="utf-8") as out:
        out.write("root:x:0:root\nadm:x:4:root,web\nweb:x:33:\n")
    return path


def seccomp(caps="default"):
    if caps not in SECCOMP:
        words = [DRIVER, "seccomp"] + ([] if caps == "default" else [caps])
        SECCOMP[caps] = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, env=ENV).stdout)
    return SECCOMP[caps]


def config(args, **o):
    """A default container's config.json; keywords change single things."""
    caps = o.get("caps", CAPS)
    result = {
        "ociVersion": "1.2.0", "root": {"path": "rootfs", "readonly": o.get("readonly", False)}, "hostname": "box",
        "process": {"args": args, "cwd": o.get("cwd", "/"), "env": o.get("env", ["PATH=/usr/bin:/bin:/usr/sbin:/sbin"]),
                    "user": {"uid": 0, "gid": 0}, "terminal": o.get("tty", False),
                    "capabilities": {"bounding": caps, "permitted": caps, "effective": caps},
                    "noNewPrivileges": o.get("nnp", False), "oomScoreAdj": 0},
        "mounts": [{"destination": d, "type": t, "source": s, "options": x.split(",")} for d, t, s, x in MOUNTS
                   if d not in o.get("without", ())] + o.get("mounts", []),
        "linux": {"namespaces": [{"type": t} for t in ("mount", "pid", "network", "uts", "ipc", "cgroup", "time")],
                  "maskedPaths": MASKED, "readonlyPaths": READONLY, "resources": {"devices": RULES},
                  "sysctl": {"net.ipv4.ip_unprivileged_port_start": "0"}},
    }
    if o.get("seccomp", True):
        result["linux"]["seccomp"] = o["seccomp"] if isinstance(o.get("seccomp"), dict) else seccomp()
    result["linux"].update(o.get("linux", {}))
    return result
