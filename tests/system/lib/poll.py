"""Waiting for an event that nobody announces: one bounded loop with one interval, for all tests."""

import time

from .tap import Failed

INTERVAL = 0.2          # seconds between two looks


def until(look, what, seconds=60):
    """Calls look() until it returns something true, and returns that. An exception counts as `not yet`."""
    end = time.monotonic() + seconds
    last = None
    while True:
        try:
            found = look()
            if found:
                return found
            last = found
        except Failed as finding:
            last = finding
        except OSError as error:
            last = error
        if time.monotonic() >= end:
            raise Failed(f"{what}: not within {seconds} s (last: {last!r})")
        time.sleep(INTERVAL)
