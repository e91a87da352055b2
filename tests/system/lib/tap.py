"""Test cases of one program: registered by a decorator, run in order, told as TAP.

    @case("the kernel is 6.12")
    def kernel(): ...

    main()

A case fails by any exception; `check` and `equal` raise with a text that says what was there. A case that
needs something that is missing fails too: nothing is skipped in silence. Each case has a time limit.
"""

import os
import signal
import sys
import time
import traceback

CASE_SECONDS = 240      # a case that takes longer hangs
CASES = []
FINAL = []              # run after the cases, whatever they did: (name, function, seconds)
CLEANUP = []            # functions called at the very end; no results


class Failed(Exception):
    """A finding of a test; its text is shown without a traceback."""


def case(name, seconds=CASE_SECONDS):
    def register(function):
        CASES.append((name, function, seconds))
        return function
    return register


def finally_case(name, function):
    """A case that runs at the end: a machine's console is searched, a machine is ended."""
    FINAL.append((name, function, CASE_SECONDS))


def check(condition, text):
    if not condition:
        raise Failed(text)


def equal(have, want, what):
    if have != want:
        raise Failed(f"{what}: have {have!r}, want {want!r}")


def contains(text, part, what):
    if part not in text:
        raise Failed(f"{what}: no {part!r} in {text[-2000:]!r}")


def _too_long(_signal, _frame):
    raise Failed("the case ran into its time limit")


def _run_one(function, seconds):
    """None when the case passed, else the lines that explain."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(seconds)
    try:
        function()
        return None
    except Failed as finding:
        place = [f"line {at.lineno}" for at in traceback.extract_tb(finding.__traceback__)
                 if os.path.basename(at.filename).startswith("test_")]
        return [f"{' < '.join(place)}"] + str(finding).splitlines()
    except Exception:   # whatever it is, it is a failed case
        return traceback.format_exc().splitlines()
    finally:
        signal.alarm(0)


def main():
    """Runs the cases; with arguments only those whose name contains one of them."""
    program = os.path.splitext(os.path.basename(sys.argv[0]))[0].removeprefix("test_")
    chosen = [item for item in CASES
              if not sys.argv[1:] or any(word in item[0] for word in sys.argv[1:])]
    failed = number = 0
    for name, function, seconds in chosen:
        failed += _tell(number := number + 1, f"{program}: {name}", function, seconds)
    for name, function, seconds in FINAL:       # grows while the cases run
        failed += _tell(number := number + 1, f"{program}: {name}", function, seconds)
    print(f"1..{number}", flush=True)
    for function in CLEANUP:
        function()
    sys.exit(1 if failed or not number else 0)


def _tell(number, name, function, seconds):
    start = time.monotonic()
    lines = _run_one(function, seconds)
    print(f"{'ok' if lines is None else 'not ok'} {number} - {name} "
          f"({time.monotonic() - start:.1f} s)", flush=True)
    for line in lines or []:
        print(f"# {line}", flush=True)
    return lines is not None
