"""Attaches this terminal to a machine's serial console. Ctrl-A X leaves; the machine runs on."""

import os
import select
import socket
import sys
import termios
import tty

LEAVE = b"\x01"     # Ctrl-A, then x; Ctrl-A twice sends one


class Keys:
    """Finds the leave keys in what is typed, also when they come in two reads."""

    def __init__(self):
        self.armed = False

    def feed(self, data):
        """(what to send, whether to leave)."""
        out = bytearray()
        for key in data:
            if self.armed:
                self.armed = False
                if key in b"xX":
                    return bytes(out), True
                out += bytes([key]) if bytes([key]) == LEAVE else LEAVE + bytes([key])
            elif bytes([key]) == LEAVE:
                self.armed = True
            else:
                out.append(key)
        return bytes(out), False


def _relay(sock, stdin):
    keys = Keys()
    sources = [sock, stdin]
    while True:
        for ready in select.select(sources, [], [])[0]:
            data = sock.recv(65536) if ready is sock else os.read(stdin, 4096)
            if ready is sock:
                if not data:
                    return
                os.write(sys.stdout.fileno(), data)
                continue
            if not data:
                sources.remove(stdin)
                continue
            data, leave = keys.feed(data)
            sock.sendall(data)
            if leave:
                return


def attach(path):
    """Connects to the console's socket and relays until the keys are pressed or the machine ends."""
    stdin = sys.stdin.fileno()
    saved = termios.tcgetattr(stdin) if os.isatty(stdin) else None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(path)
        if saved:
            print("attached; Ctrl-A X leaves", file=sys.stderr)
            tty.setraw(stdin)
        try:
            _relay(sock, stdin)
        finally:
            if saved:
                termios.tcsetattr(stdin, termios.TCSADRAIN, saved)
