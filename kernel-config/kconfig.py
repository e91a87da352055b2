"""The kernel configuration as fragments: reading them, and judging a merged configuration by them.

A fragment line is `CONFIG_NAME=value   # reason`. The value is y, n, a number or a "string"; n says that
the symbol must not be in the kernel, and is checked as strictly as y. A line of its own that starts with
`# ` (and is not a symbol) is a comment. A line without a reason, and a symbol named twice, are errors.

Used by kernel-config/build and kernel-config/check.
"""

import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
FRAGMENTS = ("base", "container", "net", "virt", "metal", "hardening", "debug")
LINE = re.compile(r'(CONFIG_\w+)=(y|n|-?\d+|0x[0-9a-f]+|"[^"#]*")\s+# (\S.*)$')


class Wanted:
    """One fragment line: the symbol, the value it must have, why, and where that is written."""

    def __init__(self, symbol, value, reason, place):
        self.symbol = symbol
        self.value = value
        self.reason = reason
        self.place = place

    def line(self):
        if self.value == "n":
            return f"# {self.symbol} is not set"
        return f"{self.symbol}={self.value}"


def read_fragments(folder=os.path.join(HERE, "fragments")):
    """Reads all fragments in order. Returns (list of Wanted, list of error texts)."""
    wanted, errors, seen = [], [], {}
    for name in FRAGMENTS:
        with open(os.path.join(folder, name), encoding="utf-8") as text:
            for number, line in enumerate(text, 1):
                line = line.rstrip("\n")
                place = f"kernel-config/fragments/{name}:{number}"
                if not line.strip() or line.startswith("# "):
                    continue
                match = LINE.match(line)
                if not match:
                    errors.append(f"{place}: expected 'CONFIG_NAME=value   # reason', found: {line}")
                    continue
                symbol, value, reason = match.groups()
                if symbol in seen:
                    errors.append(f"{place}: {symbol} is already at {seen[symbol]}")
                    continue
                seen[symbol] = place
                wanted.append(Wanted(symbol, value, reason, place))
    for stranger in sorted(set(os.listdir(folder)) - set(FRAGMENTS)):
        errors.append(f"kernel-config/fragments/{stranger}: not in FRAGMENTS of kconfig.py")
    return wanted, errors


def read_config(path):
    """Reads a kernel's .config: a dict from symbol to value; what is not set is not in it."""
    values = {}
    with open(path, encoding="utf-8") as text:
        for line in text:
            match = re.match(r"(CONFIG_\w+)=(.*)$", line)
            if match:
                values[match.group(1)] = match.group(2)
    return values


def differences(wanted, values):
    """One text per line of the fragments that the merged configuration does not have."""
    found = []
    for want in wanted:
        have = values.get(want.symbol, "n")
        if have != want.value:
            found.append(f"{want.place}: wants {want.symbol}={want.value}, "
                         f"the merged configuration has {have}")
    return found
