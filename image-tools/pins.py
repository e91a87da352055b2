"""Package pins: the files rootfs/packages/NAME/package, and the cache that everything is kept in.

A pin is a text file of `key value` lines (# starts a comment):

    version 1.2.5-3.1~deb13u1     the Debian version
    suite   trixie                the suite it is looked up in when the pin is moved
    archive debian                debian or debian-security: which of the machine's archives holds it
    source  musl                  the name in that suite, where it differs from the folder's name
    take    orig debian           which files the pin has: orig, debian (patches), deb (a binary package)
    license MIT                   for the SBOM
    needs   zlib zstd             packages that must be built first
    from    linux                 has no sources of its own: takes the files of that package
    skip    version.patch         Debian patches that are not applied here
    flavour target                for this flavour only; any: the same files serve both
    file    SHA256 POOL-PATH      one line per file, below the archive's base address

Used by image-tools/fetch, image-tools/package and image-tools/sbom.
"""

import functools
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGES = os.path.join(TOP, "rootfs", "packages")
WORDS = {"version", "suite", "archive", "source", "take", "license", "needs", "file", "from", "skip", "flavour"}
DEFAULTS = {"archive": "debian", "take": "orig debian", "needs": "", "skip": "", "flavour": ""}


def fail(text):
    """Says one line about what is wrong and ends the program."""
    sys.exit(f"{os.path.basename(sys.argv[0])}: {text}")


def cache(*parts):
    """A path in the build cache, which is outside of the checkout."""
    base = os.environ.get("SKERRY_CACHE") or os.path.expanduser("~/.cache/skerry")
    return os.path.join(base, *parts)


class Pin:
    """One package: its fields, and its files as (sha256, pool path) pairs."""

    def __init__(self, name):
        self.name = name
        self.folder = os.path.join(PACKAGES, name)
        self.path = os.path.join(self.folder, "package")
        self.fields = {}
        self.files = []
        if not os.path.isfile(self.path):
            fail(f"no package {name!r}: {self.path} does not exist")
        with open(self.path, encoding="utf-8") as text:
            for number, line in enumerate(text, 1):
                self._line(number, line.split("#", 1)[0].split(None, 1))
        if "from" in self.fields:
            other = Pin(self.fields["from"])
            self.files = other.files
            self.fields = {**other.fields, **self.fields}
        self.fields = {"source": name, **DEFAULTS, **self.fields}
        for key in ("version", "suite", "license"):
            if key not in self.fields:
                fail(f"{self.path}: no line '{key} …'")

    def _line(self, number, words):
        if not words:
            return
        if words[0] not in WORDS or len(words) != 2:
            fail(f"{self.path}:{number}: expected one of {' '.join(sorted(WORDS))} and a value")
        if words[0] != "file":
            self.fields[words[0]] = words[1].strip()
            return
        pair = words[1].split()
        if len(pair) != 2 or len(pair[0]) != 64 or pair[1].startswith("/") or ".." in pair[1]:
            fail(f"{self.path}:{number}: expected 'file SHA256 POOL-PATH'")
        self.files.append((pair[0], pair[1]))

    def __getattr__(self, key):
        try:
            return self.fields[key]
        except KeyError:
            raise AttributeError(key) from None

    @property
    def dependencies(self):
        return self.fields["needs"].split()

    def write_moved(self, version, files):
        """Rewrites the pin file with a new version and new files; every other line stays."""
        with open(self.path, encoding="utf-8") as text:
            lines = [line for line in text if not line.startswith("file ")]
        out = [f"version {version}\n" if line.startswith("version ") else line for line in lines]
        out += [f"file {digest} {path}\n" for digest, path in files]
        temp = self.path + ".tmp"
        with open(temp, "w", encoding="utf-8") as text:
            text.writelines(out)
        os.rename(temp, self.path)


def all_names():
    return sorted(n for n in os.listdir(PACKAGES) if os.path.isfile(os.path.join(PACKAGES, n, "package")))


@functools.cache
def package_folder(name, flavour):
    """The folder of a built package; builds it when it is not in the cache."""
    tool = os.path.join(TOP, "image-tools", "package")
    run = subprocess.run([tool, name, flavour], stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode != 0:
        sys.exit(1)
    return run.stdout.strip()


def package_file(path, flavour):
    """A file of a built package; path is NAME/PATH."""
    name, _, inside = path.partition("/")
    return os.path.join(package_folder(name, flavour), inside)
