"""How fast this host's time-stamp counter runs.

QEMU's emulation hands the host's counter to the guest. A guest that measures its rate against an emulated timer while
the host is busy can be wrong by a factor of thirty, and then all its clocks and time-outs are; so the guest is told
(tsc_early_khz). Read by three machine instructions in an executable page, against the monotonic clock.
"""

import ctypes
import mmap
import platform
import time

READ_TSC = b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3"     # rdtsc; shl rdx,32; or rax,rdx; ret
SPAN_NS = 20_000_000
TRIES = 200                 # of one reading: the one that was disturbed least counts


def _pair(read):
    """(ns, ticks) of the same moment, as nearly as that can be had."""
    best = None
    for _ in range(TRIES):
        before = time.monotonic_ns()
        ticks = read()
        after = time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = (after - before, (before + after) // 2, ticks)
    return best[1:]


def khz():
    """kHz, or None where it cannot be read (another architecture, no executable memory)."""
    if platform.machine() != "x86_64":
        return None
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except (OSError, PermissionError):
        return None
    page.write(READ_TSC)
    here = ctypes.c_char.from_buffer(page)
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(here))
    first_ns, first = _pair(read)
    time.sleep(SPAN_NS / 1e9)
    last_ns, last = _pair(read)
    del here
    return round((last - first) * 1_000_000 / (last_ns - first_ns)) or None
