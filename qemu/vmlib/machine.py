"""One virtual machine: start it, wait until it serves, ask about it, end it.

machine.json in the machine's directory is its record (a dict, `spec`): everything that was asked for, the ports
that were found, and the QEMU process as pid and start time (a pid alone may be somebody else's by now).
Used by qemu/vm and by tests/system/lib.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time

from . import accel, api, command, places, ports, qmp, tsc
from .places import VmError

POLL = 0.1              # seconds between two looks at a starting or ending machine
PORT_TRIES = 5          # somebody may take a free port before QEMU does
TAIL = 30               # console lines shown with an error
DEFAULT_DISK = "4G"
# What ends the wait for the API at once, with what it means.
FATAL = ((r"Kernel panic - not syncing: (.*)", "kernel panic"),
         (r"(?:skerry|stage 1|init): (.*) rebooting in \d+", "the machine refuses to start"))


def _start_time(pid):
    """When the process started, in clock ticks since boot; None when there is none (a zombie is none)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as text:
            fields = text.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


class Machine:
    """A machine by name; `spec` is None when it was never started."""

    def __init__(self, name):
        self.name = name
        self.folder = places.machine_dir(name)
        self.spec = None
        path = self.path("machine.json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as text:
                self.spec = json.load(text)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def known(self):
        """The record, or an error for a machine that was never started."""
        if self.spec is None:
            raise VmError(f"no machine {self.name!r}; 'qemu/vm list' shows those that are there")
        return self.spec

    def running(self):
        return bool(self.spec and self.spec.get("pid")
                    and _start_time(self.spec["pid"]) == self.spec["started"])

    def log(self):
        """The console so far, as text."""
        try:
            with open(self.path("console.log"), encoding="utf-8", errors="replace") as text:
                return text.read()
        except FileNotFoundError:
            return ""

    # --- starting -----------------------------------------------------------------------------------

    def prepare(self, spec):
        """Makes the directory, the disks and the image, chooses accelerator and ports; nothing runs yet."""
        if self.running():
            raise VmError(f"machine {self.name!r} is running; 'qemu/vm down {self.name}' ends it")
        places.make_private(places.state_root())
        shutil.rmtree(self.folder, ignore_errors=True)
        os.mkdir(self.folder, 0o700)
        spec["name"] = self.name
        self._image(spec)
        spec["accel"] = accel.choose(spec["accel"], os.path.join(spec["image"], "bzImage"))
        spec["tsc_khz"] = tsc.khz() if spec["accel"] == "tcg" else None
        if spec["cpus"] is None:        # QEMU 7.2's microvm without KVM at times does not wake the second one up
            spec["cpus"] = 1 if (spec["machine"], spec["accel"]) == ("microvm", "tcg") else 2
        if spec["own_disk"]:
            spec["disks"].insert(0, self.path("data.img"))
        for disk in spec["disks"]:
            self._disk(disk, spec["disk_size"])
        if spec["disk_log"]:
            self._empty(spec["disk_log"])
        if spec["pki"] and not os.path.exists(os.path.join(spec["pki"], "cert.pem")):
            raise VmError(f"no certificates in {spec['pki']}; 'make pki' makes them, --no-pki goes without")
        self.spec = spec
        self._find_ports()

    def _image(self, spec):
        if spec["overlay"]:
            spec["image"] = self.path("image")
            subprocess.run([os.path.join(places.TOP, "image-tools/mkimage"),
                            "--overlay", spec["overlay"], "--output", spec["image"]],
                           check=True, stdout=subprocess.DEVNULL)
        for name in ("bzImage", "initramfs"):
            if not os.path.exists(os.path.join(spec["image"], name)):
                raise VmError(f"{spec['image']} has no {name}; 'make image' builds it")

    @staticmethod
    def _disk(path, size):
        if os.path.exists(path):
            return
        run = subprocess.run(["truncate", "-s", size, path], stderr=subprocess.PIPE, text=True, check=False)
        if run.returncode != 0:
            raise VmError(f"disk {path}: {run.stderr.strip()}")

    @staticmethod
    def _empty(path):
        try:
            with open(path, "wb"):
                pass
        except OSError as error:
            raise VmError(f"--disk-log {path}: {error.strerror}") from None

    def _find_ports(self):
        spec = self.spec
        spec["forwards"] = [ports.forward(wish) for wish in spec["publish"]] if spec["net"] else []
        spec["api_port"] = ports.free_port() if spec["net"] and spec["pki"] else None

    def save(self):
        temp = self.path("machine.json.new")
        with open(temp, "w", encoding="utf-8") as text:
            json.dump(self.spec, text, indent=1)
        os.rename(temp, self.path("machine.json"))

    def launch(self):
        """Starts QEMU in the background and returns when it runs the guest."""
        for _try in range(PORT_TRIES):
            if self._spawn():
                return
            if "host forwarding" not in self._qemu_says():
                break
            self._find_ports()
        raise VmError(f"QEMU did not start: {self._qemu_says() or 'it said nothing'}")

    def _spawn(self):
        with open(self.path("qemu.log"), "wb") as output:
            self.child = subprocess.Popen(command.qemu(self.spec, self.folder), stdin=subprocess.DEVNULL,
                                          stdout=output, stderr=output, start_new_session=True)
        self.spec.update(pid=self.child.pid, started=_start_time(self.child.pid), since=time.time())
        while self.child.poll() is None:
            if os.path.exists(self.path("qmp.sock")):
                try:
                    qmp.command(self.path("qmp.sock"), "query-status")
                    self.save()
                    return True
                except VmError:
                    pass
            time.sleep(POLL / 5)
        return False

    def _qemu_says(self):
        with open(self.path("qemu.log"), encoding="utf-8", errors="replace") as text:
            return text.read().strip()

    def foreground(self):
        """Replaces this process by QEMU, with the terminal as the console."""
        words = command.qemu(self.spec, self.folder)
        self.spec.update(pid=os.getpid(), started=_start_time(os.getpid()), since=time.time())
        self.save()
        os.execvp(words[0], words)

    # --- waiting ------------------------------------------------------------------------------------

    def wait(self, reached, what, seconds):
        """Waits until reached() returns None; it returns the reason why not yet. Fails with the console's end
        when the machine dies or panics, or when the time is over."""
        end = time.monotonic() + seconds
        reason = None
        while time.monotonic() < end:
            reason = reached()
            if reason is None:
                return
            self._raise_if_lost(what)
            time.sleep(POLL)
        raise VmError(self._with_console(f"{what}: not within {seconds:.0f} s ({reason})"))

    def _raise_if_lost(self, what):
        text = self.log()
        for pattern, meaning in FATAL:
            match = re.search(pattern, text)
            if match:
                raise VmError(self._with_console(f"{what}: {meaning}: {match.group(1).strip()}"))
        if not self.running():
            raise VmError(self._with_console(f"{what}: the machine ended. {self._qemu_says()}"))

    def _with_console(self, text):
        tail = self.log().replace("\r", "").splitlines()[-TAIL:]
        return "\n".join([text.strip(), "The console's last lines:"] + [f"  | {line}" for line in tail])

    def wait_api(self, seconds):
        """Waits for GET /_ping over mutual TLS. The first tries are short: while the machine boots, a
        connection may be lost in its network; later ones leave a slow machine its time."""
        tries = [0]

        def ask():
            tries[0] += 1
            return api.ping(self.spec["api_port"], self.spec["pki"], min(10, 1 + tries[0] / 10))
        self.wait(ask, f"machine {self.name!r}: its API does not answer", seconds)

    def wait_console(self, pattern, seconds, start=0):
        """Waits until the console's text from position start on matches; returns the match."""
        found = []

        def look():
            found[:] = [re.search(pattern, self.log()[start:], re.M)]
            return None if found[0] else "not on the console"
        self.wait(look, f"machine {self.name!r}: console text {pattern!r}", seconds)
        return found[0]

    def wait_end(self, seconds):
        """Whether the QEMU process ended within the time."""
        end = time.monotonic() + seconds
        while self.running() and time.monotonic() < end:
            if getattr(self, "child", None):
                self.child.poll()
            time.sleep(POLL)
        return not self.running()

    # --- ending -------------------------------------------------------------------------------------

    def down(self, seconds):
        """Presses the power button and waits for the end."""
        self.known()
        if not self.running():
            return
        qmp.command(self.path("qmp.sock"), "system_powerdown")
        if not self.wait_end(seconds):
            raise VmError(self._with_console(
                f"machine {self.name!r} did not power off within {seconds:.0f} s; "
                f"'qemu/vm kill {self.name}' cuts its power"))

    def reset(self):
        """The reset button: no warning, same QEMU."""
        self.known()
        qmp.command(self.path("qmp.sock"), "system_reset")

    def kill(self):
        """Cuts the power."""
        self.known()
        if self.running():
            os.kill(self.spec["pid"], signal.SIGKILL)
            self.wait_end(10)

    def describe(self):
        """What `status` shows, as a dict."""
        spec = self.known()
        return {"name": self.name, "state": "running" if self.running() else "stopped", "pid": spec.get("pid"),
                "accel": spec["accel"], "machine": spec["machine"], "memory": spec["memory"],
                "cpus": spec["cpus"], "image": spec["image"], "disks": spec["disks"],
                "api_port": spec["api_port"], "forwards": spec["forwards"], "folder": self.folder}


def all_names():
    root = places.state_root()
    if not os.path.isdir(root):
        return []
    return sorted(name for name in os.listdir(root)
                  if os.path.exists(os.path.join(root, name, "machine.json")))
