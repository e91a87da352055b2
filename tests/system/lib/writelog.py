"""The log of a disk's writes (dm-log-writes' format, as QEMU's blklogwrites and `qemu/vm up --disk-log` make it), and disks
as they would be had the power gone at a point of it.

A cut is a number of entries: what came before it was written. What was written before the last flush in it is on the
disk in any case; of what came after it a disk may have any part, in any order: a torn cut has some of these writes only.
"""

import os
import random
import shutil
import struct

MAGIC, VERSION = 0x6A736677736872, 1
SUPER = struct.Struct("<QQQI")          # magic, version, entries, size of a sector
ENTRY = struct.Struct("<QQQQ")          # sector, sectors, flags, length of data
FLUSH, FUA, DISCARD = 1, 2, 4


class WriteLog:
    """Reads a log, also while it grows."""

    def __init__(self, path):
        self.path = path
        self.entries = []               # (offset on the disk, place in the log, bytes, flags)

    def _super(self, log):
        magic, version, count, size = SUPER.unpack(os.pread(log, SUPER.size, 0))
        if (magic, version) != (MAGIC, VERSION):
            raise ValueError(f"{self.path} is no log of writes")
        return count, size

    def position(self):
        """How many entries there are now; all that the machine was told to be on disk is among them."""
        log = os.open(self.path, os.O_RDONLY)
        try:
            return self._super(log)[0]
        finally:
            os.close(log)

    def read(self):
        """Reads all entries, without their data."""
        log = os.open(self.path, os.O_RDONLY)
        try:
            count, size = self._super(log)
            at = size
            self.entries = []
            for _number in range(count):
                sector, sectors, flags, _length = ENTRY.unpack(os.pread(log, ENTRY.size, at))
                length = 0 if flags & DISCARD else sectors * size
                self.entries.append((sector * size, at + size, length, flags))
                at += size + length
        finally:
            os.close(log)
        return self

    def last_flush(self, cut):
        """The number of entries of `cut` up to its last flush."""
        while cut > 0 and not self.entries[cut - 1][3] & (FLUSH | FUA):
            cut -= 1
        return cut

    def apply(self, disk, entries):
        with open(self.path, "rb") as log, open(disk, "r+b") as to:
            for offset, place, length, _flags in entries:
                if length:
                    os.pwrite(to.fileno(), os.pread(log.fileno(), length, place), offset)

    def cuts(self, first, last, count):
        """`count` cuts in [first, last], each with whether it is torn: flushes, what is just before them, and in between."""
        flushes = [cut for cut in range(first + 1, last + 1) if self.entries[cut - 1][3] & FLUSH]
        chosen = {(cut, False) for cut in _spread(flushes, count // 3)}
        chosen |= {(cut - 1, True) for cut in _spread(flushes, count // 3) if cut - 1 >= first}
        every = [(cut, torn) for cut in range(first, last + 1) for torn in (False, True)
                 if not torn or cut - self.last_flush(cut) > 1]
        chosen |= set(_spread([item for item in every if item not in chosen], count - len(chosen)))
        return sorted(chosen)


def _spread(items, count):
    """At most `count` of the items, evenly spread."""
    return items if len(items) <= count else [items[number * len(items) // count] for number in range(count)]


class Replay:
    """Makes the disks of ascending cuts, each from the one before."""

    def __init__(self, log, disk, size):
        self.log, self.disk, self.at = log, disk, 0
        with open(disk, "wb") as made:
            made.truncate(size)

    def make(self, cut, torn, to):
        """Writes the disk of a cut to the path `to`."""
        flushed = self.log.last_flush(cut)
        self.log.apply(self.disk, self.log.entries[self.at:flushed])
        self.at = max(self.at, flushed)
        shutil.copyfile(self.disk, to) if not shutil.which("cp") else os.spawnlp(
            os.P_WAIT, "cp", "cp", "--sparse=always", self.disk, to)
        rest = self.log.entries[flushed:cut]
        if torn:
            luck = random.Random(cut)
            rest = [entry for entry in rest if luck.random() < 0.5]
        self.log.apply(to, rest)
