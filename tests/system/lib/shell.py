"""Runs command lines in the shell on a machine's serial console.

What the Docker API cannot show is asked here. A command is sent with a line that prints a marker before and after its
output; what is typed has the marker in two parts, so that its echo never looks like the marker. Kernel messages
come in between, also in the middle of a line: whole ones are taken out before anything is looked for.
"""

import os
import re
import select
import socket
import time

from .tap import Failed

READY_SECONDS = 120     # from power-on to a prompt
ASK_AGAIN = 2.0         # seconds between two tries to wake the prompt
KERNEL_LINE = re.compile(r"(<\d+>)?\[ *\d+\.\d{6}\] [^\n]*\n")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Shell:
    """One connection to the console's socket."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(path)
        self.text = ""

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_what):
        self.close()

    def _read_until(self, pattern, seconds, kernel=True):
        """The match of pattern in what came since the last call, or None; without the kernel's lines, if so wished."""
        end = time.monotonic() + seconds
        while True:
            if not kernel:
                self.text = KERNEL_LINE.sub("", self.text)
            found = re.search(pattern, self.text, re.S)
            if found:
                self.text = self.text[found.end():]
                return found
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                return None
            data = self.sock.recv(65536)
            if not data:
                raise Failed("the console is closed: the machine ended")
            clean = ESCAPES.sub("", data.decode("utf-8", "replace"))
            self.text += clean.replace("\r", "")

    def wait(self, pattern, seconds):
        """Reads on until the pattern comes. Who sends something that makes the kernel talk must read it: a console that
        nobody reads is full after a few hundred characters, and then the machine waits for it at each further one."""
        if not self._read_until(pattern, seconds):
            raise Failed(f"on the console: no {pattern!r} within {seconds} s; the last was: {self.text[-500:]!r}")

    def wake(self, seconds=READY_SECONDS):
        """Waits until a shell answers."""
        end = time.monotonic() + seconds
        mark = os.urandom(4).hex()
        stop = ""
        while time.monotonic() < end:
            self.sock.sendall(f"{stop}\recho 're''ady-'{mark}\r".encode())
            stop = "\x03"       # from the second time on: out of what an earlier command has left, an open quote too
            if self._read_until(f"\nready-{mark}", ASK_AGAIN):
                return
            if "Kernel panic" in self.text:
                break
        raise Failed(f"no shell on the console within {seconds} s; the last was: {self.text[-500:]!r}")

    def run(self, command, seconds=60):
        """(exit status, output) of a command line; its stderr is in the output."""
        mark = os.urandom(4).hex()
        self.text = ""
        self.sock.sendall(f"o=$(exec 2>&1; {command}\n); s=$?; echo 'be''gin-'{mark}; echo \"$o\"; "
                          f"echo 'en''d-'{mark}-$s-\n".encode())
        found = self._read_until(f"\nbegin-{mark}\n(.*?)\n?end-{mark}-(\\d+)-", seconds, kernel=False)
        if not found:
            raise Failed(f"on the console: {command!r} did not end within {seconds} s: {self.text[-500:]!r}")
        return int(found.group(2)), found.group(1).strip("\n")
