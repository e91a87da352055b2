"""Programs of others that make and check images: Debian's docker-registry, skopeo and umoci."""

import json
import os
import re
import subprocess
import tempfile

from . import poll, registry, tap
from .tap import Failed, check

COST = 4        # of bcrypt: the tests' passwords are no secrets


def _htpasswd(users):
    """Lines as Apache's htpasswd -B writes them, by the C library's crypt()."""
    program = 'print crypt($ARGV[0], sprintf(q($2y$%02d$), $ARGV[1]) . "skerryskerryskerryske.")'
    lines = []
    for name, password in users.items():
        code = subprocess.run(["perl", "-e", program, password, str(COST)], stdout=subprocess.PIPE, text=True,
                              check=True).stdout
        check(code.startswith("$2y$"), f"crypt() knows no bcrypt: {code!r}")
        lines.append(f"{name}:{code}\n")
    return "".join(lines)


class DockerRegistry:
    """A docker-registry of its own on a free port of 127.0.0.1, with an empty store; ended with the program.

    tls: a name of registry.certificates(); users: name -> password, then nothing goes without one.
    """

    def __init__(self, tls=None, users=None):
        self.holder = tempfile.TemporaryDirectory(prefix="skerry-docker-registry-")
        self.folder, self.tls, self.users = self.holder.name, tls, users or {}
        settings = {"version": "0.1", "log": {"level": "info", "formatter": "json"},
                    "storage": {"filesystem": {"rootdirectory": f"{self.folder}/store"}, "delete": {"enabled": True}},
                    "http": {"addr": "127.0.0.1:0", "secret": "tests"}}
        if tls:
            certificate, key = registry.certificates()[tls]
            settings["http"]["tls"] = {"certificate": certificate, "key": key}
        if users:
            with open(f"{self.folder}/users", "w", encoding="ascii") as text:
                text.write(_htpasswd(users))
            settings["auth"] = {"htpasswd": {"realm": "tests", "path": f"{self.folder}/users"}}
        with open(f"{self.folder}/config.yml", "w", encoding="ascii") as text:
            json.dump(settings, text)           # JSON is YAML
        with open(f"{self.folder}/log", "wb") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", f"{self.folder}/config.yml"], stdout=log,
                                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"})
        tap.CLEANUP.append(self.stop)
        self.port = int(poll.until(self._listens, "docker-registry listens", 60))
        self.name = f"{registry.GUEST_SEES}:{self.port}"        # as a machine in QEMU calls it
        self.here = f"127.0.0.1:{self.port}"

    def log(self):
        with open(f"{self.folder}/log", encoding="utf-8", errors="replace") as text:
            return text.read()

    def _listens(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"docker-registry ended: {self.log()}")
        found = re.search(r"listening on 127\.0\.0\.1:(\d+)", self.log())
        return found and found[1]

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.holder.cleanup()

    def skopeo_words(self, which):
        """What skopeo needs to talk to it as "src" or "dest"; which "": for inspect."""
        start = f"--{which}-" if which else "--"
        words = [f"{start}tls-verify=false"] if not self.tls else [f"{start}cert-dir={cert_folder()}"]
        if self.users:
            words.append(f"{start}creds=" + ":".join(next(iter(self.users.items()))))
        return words


_folders = []


def cert_folder():
    """A folder with the tests' authority, as skopeo wants it."""
    if not _folders:
        holder = tempfile.TemporaryDirectory(prefix="skerry-certs-")
        tap.CLEANUP.append(holder.cleanup)
        with open(f"{holder.name}/ca.crt", "w", encoding="ascii") as text:
            text.write(registry.ca_text())
        _folders.append(holder.name)
    return _folders[0]


def run(*words, seconds=300):
    """A program's output; a failure is a finding."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=seconds, check=False,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise Failed(f"{' '.join(words)}: exit {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


def skopeo(*words):
    return run("skopeo", "--insecure-policy", "--override-os", "linux", "--override-arch", "amd64", *words)


def copy(source, target, *words):
    """skopeo copy; what travels keeps its digest."""
    return skopeo("copy", "--preserve-digests", *words, source, target)


def inspect(target, *words):
    """(manifest as bytes, its type) at a skopeo address."""
    raw = run("skopeo", "--insecure-policy", "inspect", "--raw", *words, target).encode()
    return raw, json.loads(raw).get("mediaType")


def unpack(layout, tag, folder):
    """The files of an image in an OCI layout folder, by umoci; rootfs of the bundle that it makes."""
    run("umoci", "unpack", *([] if os.getuid() == 0 else ["--rootless"]), "--image", f"{layout}:{tag}", folder)
    return os.path.join(folder, "rootfs")
