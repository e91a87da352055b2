"""Connections that were upgraded: attach, exec, and what else goes on in both directions."""

import json
import struct

from lib.tap import check


def frames_of(data):
    """{stream: data} of the frames that logs, attach and exec send where there is no terminal."""
    found = {1: b"", 2: b""}
    while data:
        kind, length = data[0], struct.unpack(">I", data[4:8])[0]
        found[kind] += data[8:8 + length]
        data = data[8 + length:]
    return found


class Stream:
    """A connection that was upgraded: what came behind the head, and frames of it."""

    def __init__(self, box, method, path, body=None, headers=(), seconds=60):
        conn = box.connection(seconds)
        conn.connect()
        self.sock = conn.sock
        data = json.dumps(body).encode() if body is not None else b""
        lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(data)}", "Content-Type: application/json",
                 *(headers or ("Connection: Upgrade", "Upgrade: tcp"))]
        self.sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        raw = b""
        while b"\r\n\r\n" not in raw:
            more = self.sock.recv(4096)
            check(more, f"{method} {path}: {raw!r}")
            raw += more
        head, self.rest = raw.split(b"\r\n\r\n", 1)
        self.head = head.decode()
        self.status = int(self.head.split()[1])

    def __enter__(self):
        return self

    def __exit__(self, *_what):
        self.sock.close()

    def more(self):
        data = self.sock.recv(65536)
        self.rest += data
        return data

    def until(self, part):
        while part not in self.rest:
            check(self.more(), f"no {part!r} in {self.rest[-500:]!r}")

    def to_end(self):
        while self.more():
            pass
        return self.rest

    def frames(self):
        """{stream: data} of everything up to the end."""
        return frames_of(self.to_end())
