"""Decides between KVM and TCG.

/dev/kvm may open and still never run a guest: the guest hangs, or dies in an emulation error. So KVM
counts only after the real kernel came up with it as far as the search for its root (it is given none,
says so and stops). The answer is kept per kernel and boot of the host in the cache.
"""

import hashlib
import os
import subprocess
import sys

from . import places

SECONDS = 10                              # far more than a working KVM needs
REACHED = b"Unable to mount root fs"      # the kernel's words when it looked for a root


def _proof_path(kernel):
    with open(kernel, "rb") as data:
        digest = hashlib.sha256(data.read()).hexdigest()[:20]
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as text:
        return places.cache("kvm-proof", f"{digest}-{text.read().strip()}")


def _boots_with_kvm(kernel):
    command = ["qemu-system-x86_64", "-M", "q35", "-accel", "kvm", "-cpu", "host", "-m", "256",
               "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
               "-kernel", kernel, "-append", "console=ttyS0 panic=-1"]
    try:
        run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return REACHED in run.stdout


def kvm_works(kernel):
    """Whether the kernel at this path boots with KVM here; asks the machine only once."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    path = _proof_path(kernel)
    if os.path.exists(path):
        with open(path, encoding="ascii") as text:
            return text.read() == "yes"
    print(f"vm: trying whether KVM works here, once ({SECONDS} s at most)", file=sys.stderr, flush=True)
    works = _boots_with_kvm(kernel)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temp = f"{path}.{os.getpid()}"
    with open(temp, "w", encoding="ascii") as text:
        text.write("yes" if works else "no")
    os.rename(temp, path)
    return works


def choose(wish, kernel):
    """kvm or tcg, for --accel auto|tcg|kvm."""
    if wish == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise places.VmError("--accel kvm: /dev/kvm is not there or not yours to open")
    if wish != "auto":
        return wish
    return "kvm" if kvm_works(kernel) else "tcg"
