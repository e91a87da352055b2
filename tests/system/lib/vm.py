"""Machines of the tests, driven by what people use: qemu/vm, the docker client, curl.

    vm = start("reboot", disk=path, publish=["auto:80"])    a machine of this test
    vm = shared()                                           one machine for many test programs

A machine that is started here is ended at the end of the program, and its console is searched for what must not be
there (FAULTS); both are cases of their own in the program's results.
"""

import base64
import calendar
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from . import poll, tap
from .shell import Shell
from .tap import Failed, check

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
sys.path.insert(0, os.path.join(TOP, "qemu"))
from vmlib import api  # noqa: E402  (qemu/vm's own parts)
from vmlib.machine import Machine  # noqa: E402

VM = os.path.join(TOP, "qemu/vm")
# in a command line of the machine: the engine's process id (not that of its shims, workers, or of what it has just forked)
ENGINE = ("$(for p in $(cat /sys/fs/cgroup/engine/cgroup.procs); do [ \"$(tr -d '\\0' < /proc/$p/cmdline)\" = skerryd ] "
          "&& grep -q '^PPid:.1$' /proc/$p/status && echo $p; done 2>/dev/null)")
SHARED = "SKERRY_TEST_VM"       # name of the shared machine, set by tests/run
LOUD = "loglevel=7"             # the console shows everything, so that it can be searched
FAULTS = re.compile(
    r"Kernel panic|\bOops\b|\bBUG:|WARNING:|EXT4-fs error|EXT4-fs warning|segfault|general protection"
    r"|detected stalls|blocked for more than|Call Trace|I/O error|unregister_netdevice: waiting"
    r"|AddressSanitizer|stack smashing|double free|[Aa]ssertion .*failed")


class Vm:
    """One machine of the tests."""

    def __init__(self, name, own):
        self.name = name
        self.own = own
        self.allowed = []
        self.scratch = tempfile.mkdtemp(prefix="skerry-system-")
        tap.CLEANUP.append(self.forget)

    @property
    def machine(self):
        return Machine(self.name)

    # --- the docker client --------------------------------------------------------------------------

    def env(self, **more):
        """The environment that points a docker client at this machine, with a configuration of its own."""
        spec = self.machine.known()
        return {**os.environ, "DOCKER_HOST": f"tcp://127.0.0.1:{spec['api_port']}", "DOCKER_TLS_VERIFY": "1",
                "DOCKER_CERT_PATH": spec["pki"], "DOCKER_CONFIG": self.scratch, **more}

    def docker(self, *words, check=True, seconds=120, stdin=None, both=False):
        """Runs the docker client; returns its output (check) or the finished process (check=False)."""
        run = subprocess.run(["docker", *words], env=self.env(), input=stdin, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT if both else subprocess.PIPE,
                             text=not isinstance(stdin, bytes), timeout=seconds, check=False)
        if not check:
            return run
        if run.returncode != 0:
            raise Failed(f"docker {' '.join(words)}: exit {run.returncode}: {run.stderr or run.stdout}")
        return run.stdout.strip()

    def inspect(self, name, kind="container"):
        return json.loads(self.docker(kind, "inspect", name))[0]

    def follow(self, *words):
        """Starts a docker client in the background; the caller ends it."""
        return subprocess.Popen(["docker", *words], env=self.env(), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    # --- the API and the ports ----------------------------------------------------------------------

    def connection(self, seconds=30):
        spec = self.machine.known()
        return api.connection(spec["api_port"], spec["pki"], seconds)

    def request(self, method, path, body=None, headers=None, seconds=30):
        """(status, decoded body) of one API request; the body is JSON where the answer says so."""
        conn = self.connection(seconds)
        try:
            data = json.dumps(body) if isinstance(body, (dict, list)) else body
            head = {"Content-Type": "application/json"} if isinstance(body, (dict, list)) else {}
            conn.request(method, path, data, {**head, **(headers or {})})
            answer = conn.getresponse()
            raw = answer.read()
            if "json" in answer.headers.get("Content-Type", "") and raw.strip():
                return answer.status, json.loads(raw)
            return answer.status, raw.decode("utf-8", "replace")
        except http.client.HTTPException as error:
            raise Failed(f"{method} {path}: {type(error).__name__} {error}") from None
        finally:
            conn.close()

    def lines(self, method, path, headers=None, seconds=120):
        """(status, objects) of an answer of JSON lines; a plain answer is a list of one."""
        conn = self.connection(seconds)
        try:
            conn.request(method, path, headers=headers or {})
            answer = conn.getresponse()
            text = answer.read().decode()
            return answer.status, [json.loads(line) for line in text.splitlines() if line.strip()]
        except http.client.HTTPException as error:
            raise Failed(f"{method} {path}: {type(error).__name__} {error}") from None
        finally:
            conn.close()

    def host_port(self, guest, proto="tcp"):
        """The port of 127.0.0.1 that leads to a port of the machine."""
        for item in self.machine.known()["forwards"]:
            if (item["guest"], item["proto"]) == (guest, proto):
                return item["host"]
        raise Failed(f"port {guest}/{proto} of the machine is not forwarded")

    def curl(self, guest, path="/", *words, check=True):
        """What curl gets from a forwarded port."""
        run = subprocess.run(["curl", "-sS", "--max-time", "20", *words,
                              f"http://127.0.0.1:{self.host_port(guest)}{path}"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if check and run.returncode != 0:
            raise Failed(f"curl of port {guest}{path}: exit {run.returncode}: {run.stderr.strip()}")
        return run.stdout if check else run

    def wait_api(self, seconds=240):
        self.machine.wait_api(seconds)

    def wait_declared(self, seconds=120):
        """Waits until the containers that the image declares run."""
        def all_run():
            found = self.request("GET", "/skerry/manifests")[1]
            return found and all(project["state"] == "ok" for project in found)
        poll.until(all_run, "the declared containers run", seconds)

    def now(self):
        """The machine's clock, in seconds, rounded down to microseconds. The host's may be another one."""
        text = self.request("GET", "/info")[1]["SystemTime"]
        whole, _dot, rest = text.rstrip("Z").partition(".")
        return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + int((rest + "000000")[:6]) / 10**6

    # --- the console --------------------------------------------------------------------------------

    def sh(self, command, check=True, seconds=60):
        """Output of a command line in the shell on the console; with check=False (status, output)."""
        with Shell(self.machine.path("console.sock")) as shell:
            shell.wake()
            status, output = shell.run(command, seconds)
        if not check:
            return status, output
        if status != 0:
            raise Failed(f"on the console: {command!r}: exit {status}: {output}")
        return output

    def put(self, path, text):
        """Writes a file in the machine, complete or not at all. Its shell takes lines of 1000 characters at most."""
        code = base64.b64encode(text.encode()).decode()
        with Shell(self.machine.path("console.sock")) as shell:
            shell.wake()
            shell.run(f": > {path}.b64")
            for start in range(0, len(code), 600):
                shell.run(f"echo {code[start:start + 600]} >> {path}.b64")
            status, output = shell.run(f"base64 -d {path}.b64 > {path}.new && rm {path}.b64 && mv {path}.new {path}")
        check(status == 0, f"{path}: {output}")

    def log(self):
        return self.machine.log().replace("\r", "")

    def wait_log(self, pattern, seconds=120, start=0):
        """Waits for console text; start is a position in log() taken earlier."""
        return poll.until(lambda: re.search(pattern, self.log()[start:], re.M),
                          f"console of {self.name}: {pattern!r}", seconds)

    def allow(self, pattern):
        """Console lines that this test provokes on purpose are no fault, for any program that uses the machine."""
        self.allowed.append(pattern)
        if os.path.isdir(self.machine.folder):      # not before its first start
            with open(self.machine.path("allowed"), "a", encoding="utf-8") as text:
                text.write(pattern + "\n")

    def faults(self):
        allowed = [re.compile(line) for line in self.allowed]
        if os.path.exists(self.machine.path("allowed")):
            with open(self.machine.path("allowed"), encoding="utf-8") as text:
                allowed += [re.compile(line) for line in text.read().splitlines()]
        return [line for line in self.log().splitlines()
                if FAULTS.search(line) and not any(item.search(line) for item in allowed)]

    # --- its start and its end ------------------------------------------------------------------------

    def up(self, **options):
        """Starts it; started again (a reboot by power cut, another image), its console so far is searched first."""
        if self.machine.spec:
            self.check_console()
        options = {"memory": "256M", **options}
        append = f"{LOUD} {options.pop('append', '')}".strip()
        line = ["up", self.name, "--append", append]
        for key, value in options.items():
            for item in value if isinstance(value, (list, tuple)) else [value]:
                line += [f"--{key.replace('_', '-')}"] if item is True else [f"--{key.replace('_', '-')}={item}"]
        vm_command(*line)

    def down(self, seconds=120):
        vm_command("down", self.name, "--timeout", str(seconds))

    def kill(self):
        vm_command("kill", self.name)

    def check_console(self):
        found = self.faults()
        check(not found, "on the console:\n" + "\n".join(found[:20]))

    def finish(self):
        """Ends a machine of this program, if it still runs."""
        machine = self.machine
        if machine.running():
            try:
                self.down()
            finally:
                machine.kill()

    def forget(self):
        """Removes the scratch files, and the directory of a machine that ended well."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        if self.own and not self.machine.running() and not self.faults():
            shutil.rmtree(self.machine.folder, ignore_errors=True)


def vm_command(*words, seconds=600):
    """Runs qemu/vm; a failure is a finding with its text."""
    run = subprocess.run([VM, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         timeout=seconds, check=False)
    if run.returncode != 0:
        raise Failed(f"qemu/vm {' '.join(words)}: {run.stdout}")
    return run.stdout


def start(name, **options):
    """Starts a machine and waits as `qemu/vm up` does. Options are those of `up`: memory="96M", publish=["auto:80"],
    no_disk=True; words of the kernel's command line go into append."""
    vm = prepared(name)
    vm.up(**options)
    return vm


def prepared(name):
    """A machine of this program that is not started yet; its end is prepared."""
    vm = Vm(f"t{os.getpid()}-{name}"[:31], own=True)
    tap.finally_case(f"machine {name}: ends when asked", vm.finish)
    tap.finally_case(f"machine {name}: nothing bad on its console", vm.check_console)
    return vm


_shared = []


def start_shared(vm):
    """Starts the machine for many test programs: the image as it is, with the tests' own programs baked in."""
    from . import images        # which needs this module
    folder = os.path.join(vm.scratch, "overlay/usr/libexec/skerry-test")
    os.makedirs(folder)
    shutil.copy(images.program("probe.c", "-lutil"), os.path.join(folder, "probe"))
    vm.up(overlay=os.path.join(vm.scratch, "overlay"), publish=["auto:80", "auto:8081"])


def shared():
    """The machine that all programs of one run share; a program that is run alone gets one of its own."""
    if not _shared:
        name = os.environ.get(SHARED)
        _shared.append(Vm(name, own=False) if name else prepared("shared"))
        if not name:
            start_shared(_shared[0])
    return _shared[0]
