"""QEMU's control socket (QMP): one command, one answer. Used by machine.py."""

import json
import socket

from .places import VmError

DEADLINE = 10   # seconds for one answer


def command(path, name, **arguments):
    """Connects, sends one command and returns its answer. Events in between are skipped."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(path)
            stream = sock.makefile("rw", encoding="utf-8", newline="\n")
            _answer(stream, "QMP")
            _ask(stream, "qmp_capabilities", {})
            return _ask(stream, name, arguments)
    except (OSError, ValueError) as error:
        raise VmError(f"QEMU does not answer at {path}: {error}") from None


def _ask(stream, name, arguments):
    stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
    stream.flush()
    return _answer(stream, "return")


def _answer(stream, key):
    for line in stream:
        message = json.loads(line)
        if "error" in message:
            raise VmError(f"QEMU refuses: {message['error'].get('desc')}")
        if key in message:
            return message[key]
    raise OSError("connection closed")
