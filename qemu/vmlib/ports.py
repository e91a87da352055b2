"""Host ports of a machine: --publish values to forwards. Used by machine.py.

A forward is a dict {host, guest, proto}. Free ports are found by binding; somebody else may take one before
QEMU does, so that the caller tries again when QEMU says so.
"""

import re
import socket

from .places import VmError

SPEC = re.compile(r"(auto|\d{1,5})(\?)?:(\d{1,5})(?:/(tcp|udp))?")


def _bindable(port, proto):
    """The port number when 127.0.0.1:port can be bound (0: any), else None."""
    kind = socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as sock:
        if proto == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return None
        return sock.getsockname()[1]


def free_port(proto="tcp"):
    return _bindable(0, proto)


def forward(spec):
    """Reads HOST:GUEST[/tcp|/udp]; HOST is a port, `auto` (any free one) or `8080?` (this or a free one)."""
    match = SPEC.fullmatch(spec)
    if not match or not 0 < int(match.group(3)) < 65536:
        raise VmError(f"--publish {spec}: expected HOST:GUEST[/tcp|/udp], HOST a port, 'auto' or '8080?'")
    wish, soft, guest, proto = match.groups()
    proto = proto or "tcp"
    host = 0 if wish == "auto" else int(wish)
    if host > 65535:
        raise VmError(f"--publish {spec}: {host} is not a port")
    bound = _bindable(host, proto)
    if bound is None and soft:
        bound = free_port(proto)
    if bound is None:
        raise VmError(f"--publish {spec}: port {host} of 127.0.0.1 is taken; "
                      f"use '{host}?' or 'auto' to get a free one")
    return {"host": bound, "guest": int(guest), "proto": proto}
