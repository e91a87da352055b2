#!/usr/bin/env python3
"""dockerode and testcontainers (npm, pinned in tests/node) over mutual TLS: their cases, run by Node.js, told here."""

import hashlib
import json
import os
import shutil
import subprocess

from lib import images, tap, vm
from lib.tap import Failed, case, check

box = vm.shared()
HERE = os.path.join(vm.TOP, "tests/node")
IMAGE = "test/node:1"
CACHE = os.path.join(os.environ.get("SKERRY_CACHE") or os.path.expanduser("~/.cache/skerry"), "npm")
INSTALL_SECONDS = 600
PROGRAMS = ("dockerode", "testcontainers")
RESULTS = {}    # program -> {case: error or None}


def installed():
    """The folder with the libraries, made from the lock file once, and these programs in it."""
    with open(os.path.join(HERE, "package-lock.json"), "rb") as lock:
        folder = os.path.join(vm.TOP, "build/tests", f"node-{hashlib.sha256(lock.read()).hexdigest()[:12]}")
    if not os.path.exists(os.path.join(folder, "node_modules/.package-lock.json")):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(HERE, name), folder)
        done = subprocess.run(["npm", "ci", "--prefer-offline", "--cache", CACHE, "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=INSTALL_SECONDS, check=False)
        check(done.returncode == 0, f"npm ci: {done.stdout[-2000:]}")
    for name in os.listdir(HERE):
        if name.endswith(".js"):
            shutil.copy(os.path.join(HERE, name), folder)
    return folder


def run(program):
    """Runs all cases of the program; what it says about each."""
    env = box.env(IMAGE=IMAGE, ARCHIVE=os.path.join(box.scratch, "node.tar"), TESTCONTAINERS_RYUK_DISABLED="true",
                  WEB_PORT=str(box.host_port(8081)), NODE_PATH="")
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NODE_EXTRA_CA_CERTS"):
        env.pop(name, None)
    done = subprocess.run(["node", f"{program}.js"], cwd=installed(), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=tap.CASE_SECONDS * 3, check=False)
    told = {}
    for line in done.stdout.splitlines():
        if line.startswith('{"name":'):
            result = json.loads(line)
            told[result["name"]] = result["error"]
    told["exit"] = f"exit {done.returncode}: {done.stderr[-2000:]}"
    return told


@case("npm installs what is pinned; the image of the tests is made", seconds=INSTALL_SECONDS)
def setup():
    installed()
    # the label makes it an image of its own: containers of equal images are not told apart
    images.busybox_image(os.path.join(box.scratch, "node.tar"), IMAGE, config={"Labels": {"of": "node"}})


def register(program, name):
    @case(f"{program}: {name}", seconds=tap.CASE_SECONDS * 3)
    def told():
        if program not in RESULTS:
            RESULTS[program] = run(program)
        results = RESULTS[program]
        if name not in results:
            raise Failed(f"it was not told: {results['exit']}")
        if results[name] is not None:
            raise Failed(results[name])


for _program in PROGRAMS:
    _list = subprocess.run(["node", f"{_program}.js", "--list"], cwd=HERE, check=True, stdout=subprocess.PIPE, text=True)
    for _name in _list.stdout.splitlines():
        register(_program, _name)


@case("afterwards nothing of the libraries is left")
def left():
    have = box.docker("ps", "-aq", "--filter", f"ancestor={IMAGE}")
    check(not have, f"containers {have}")
    box.docker("rmi", IMAGE)


tap.main()
