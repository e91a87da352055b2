"""Where things are: the checkout, the cache, and the directory of each machine.

A machine's directory is $SKERRY_VM_DIR/NAME, or skerry-vm-UID/NAME below $XDG_RUNTIME_DIR or /tmp. It holds
machine.json (what was started, see machine.py), console.log, console.sock, qmp.sock, qemu.log and the
machine's own disk where none was given.
"""

import os
import re

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PKI = os.path.join(TOP, "build", "pki")
IMAGE = os.path.join(TOP, "build", "image")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


class VmError(Exception):
    """Something that a person can act on; the text is the whole message."""


def cache(*parts):
    base = os.environ.get("SKERRY_CACHE") or os.path.expanduser("~/.cache/skerry")
    return os.path.join(base, *parts)


def state_root():
    own = os.environ.get("SKERRY_VM_DIR")
    if own:
        return own
    return os.path.join(os.environ.get("XDG_RUNTIME_DIR") or "/tmp", f"skerry-vm-{os.getuid()}")


def machine_dir(name):
    """The directory of a machine. A name is also a file name, so that it is checked here."""
    if not NAME.fullmatch(name):
        raise VmError(f"machine name {name!r}: use 1 to 31 of a-z, 0-9 and '-', not first")
    path = os.path.join(state_root(), name)
    if len(os.path.join(path, "console.sock")) > 100:
        raise VmError(f"{path}: too long for a unix socket; set SKERRY_VM_DIR to a shorter directory")
    return path


def make_private(path):
    """Makes a directory that only its owner enters, and refuses one that somebody else made."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    if os.stat(path).st_uid != os.getuid():
        raise VmError(f"{path}: belongs to somebody else; set SKERRY_VM_DIR to another directory")
