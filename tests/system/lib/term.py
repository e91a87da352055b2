"""A program inside a pseudo terminal, as a person at a terminal would run it: `docker run -it`, `attach`, `exec -it`.

    with Terminal(["docker", "exec", "-it", "box", "sh"], env, rows=30, cols=90) as term:
        term.expect("# ")
        term.send("stty size\r")
        term.expect("30 90")
        term.resize(40, 100)
"""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from .tap import Failed

SECONDS = 60        # for one text to come
TIOCSCTTY = 0x540E


def set_size(fd, rows, cols):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


class Terminal:
    """One program and the terminal around it; the test holds the master."""

    def __init__(self, argv, env, rows=24, cols=80):
        self.master, slave = pty.openpty()
        set_size(slave, rows, cols)
        self.text = ""      # what came and was not expected yet
        self.all = ""
        self.process = subprocess.Popen(argv, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, TIOCSCTTY, 0))
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_what):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)

    def _read(self, seconds):
        """More text; False at its end or when the time is over."""
        if not select.select([self.master], [], [], max(seconds, 0))[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:     # the last user of the terminal is gone
            return False
        text = data.decode("utf-8", "replace")
        self.text += text
        self.all += text
        return bool(data)

    def expect(self, pattern, seconds=SECONDS):
        """Reads until pattern matches; returns the match, and forgets everything up to it."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.text, re.S)
            if found:
                self.text = self.text[found.end():]
                return found
            if not self._read(end - time.monotonic()):
                raise Failed(f"the terminal shows no {pattern!r}: {self.all[-1500:]!r}")

    def send(self, text):
        os.write(self.master, text.encode())

    def resize(self, rows, cols):
        """As a window does it: the size, and SIGWINCH to who is in front."""
        set_size(self.master, rows, cols)

    def ends(self, seconds=SECONDS):
        """Reads to the end; the exit status."""
        end = time.monotonic() + seconds
        while self._read(end - time.monotonic()):
            pass
        try:
            return self.process.wait(timeout=max(1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Failed(f"the program in the terminal does not end: {self.all[-1500:]!r}") from None
