#!/usr/bin/env python3
"""Declared containers: started in order at boot, applied when a file changes; what is wrong in a file is said with file,
line and key, and hurts nothing else."""

import os

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

FOLDER = "/etc/skerry/compose"
IMAGE = "test/busybox:1"
GOOD = """\
services:
  web:
    image: test/busybox:1
    command: ["sh", "-c", "echo page > /tmp/index.html; exec httpd -f -p 80 -h /tmp"]
    depends_on: [base]
    ports: ["8081:80"]
    environment: {GREETING: hello}
    hostname: webhost
    labels: {color: blue}
    restart: always
    mem_limit: 32m
    volumes: ["kept:/data", {type: tmpfs, target: /scratch}]
  base:
    image: test/busybox:1
    command: [sleep, "100000"]
    read_only: true
    cap_drop: [ALL]
    secrets: [word]
volumes:
  kept: {}
secrets:
  word: {content: said-once}
"""
# file name: (text, line that the error must name, word that it must say)
BAD = {
    "syntax": ("services:\n  a:\n    image: [x\n", None, ""),
    "unknown": ("services:\n  a:\n    image: test/busybox:1\n    imagee: x\n", 4, "imagee"),
    "type": ("services:\n  a:\n    image: test/busybox:1\n    ports: 7\n", 4, "ports"),
    "cycle": ("services:\n  a:\n    image: test/busybox:1\n    depends_on: [b]\n  b:\n    image: test/busybox:1\n"
              "    depends_on: [a]\n", None, "depends_on"),
    "noimage": ("services:\n  a:\n    command: [\"true\"]\n", None, "image"),
    "duplicate": ("services:\n  a:\n    image: test/busybox:1\n    image: test/busybox:1\n", 4, "image"),
}


def overlay(folder):
    """An image with the good manifest, the bad ones, and the test image in /usr/share/skerry/images."""
    compose = os.path.join(folder, FOLDER[1:])
    archives = os.path.join(folder, "usr/share/skerry/images")
    os.makedirs(compose)
    os.makedirs(archives)
    images.busybox_image(os.path.join(archives, "test.tar"), IMAGE)
    for name, text in {"good": GOOD, **{key: value[0] for key, value in BAD.items()}}.items():
        with open(os.path.join(compose, f"{name}.yaml"), "w", encoding="utf-8") as file:
            file.write(text)
    return folder


box = vm.prepared("manifest")
box.up(overlay=overlay(os.path.join(box.scratch, "overlay")), publish=["auto:8081", "auto:8082"],
       disk=os.path.join(box.scratch, "data.img"))


def manifests():
    """What GET /skerry/manifests says, by project name."""
    status, answer = box.request("GET", "/skerry/manifests")
    equal(status, 200, "GET /skerry/manifests")
    return {item["name"]: item for item in answer}


def write(name, text):
    box.put(f"{FOLDER}/{name}.yaml", text)


@case("the declared project runs after boot, in dependency order, and its port answers")
def good():
    until(lambda: "page" in box.curl(8081, check=False).stdout, "the page of the declared container", 120)
    names = box.docker("ps", "--format", "{{.Names}}").split()
    for service in ("good-web-1", "good-base-1"):
        check(service in names, f"{service} is not in {names}")
    started = [box.inspect(f"good-{name}-1")["State"]["StartedAt"] for name in ("base", "web")]
    check(started[0] < started[1], f"base, web started at {started}")


@case("its containers have what the file says, and compose's labels")
def details():
    web = box.inspect("good-web-1")
    equal(web["Config"]["Hostname"], "webhost", "hostname")
    check("GREETING=hello" in web["Config"]["Env"], str(web["Config"]["Env"]))
    equal(web["HostConfig"]["Memory"], 32 << 20, "memory")
    labels = web["Config"]["Labels"]
    equal((labels["color"], labels["com.docker.compose.project"], labels["com.docker.compose.service"]),
          ("blue", "good", "web"), "labels")
    base = box.inspect("good-base-1")["HostConfig"]
    equal((base["ReadonlyRootfs"], base["CapDrop"]), (True, ["ALL"]), "base")


for _name, (_text, _line, _word) in BAD.items():
    @case(f"a manifest with a fault ({_name}): file, line and key in the error, on the console and over the API")
    def bad(name=_name, line=_line, word=_word):
        text = str(manifests()[name])
        contains(text, f"{name}.yaml" + (f":{line}" if line else ""), "the error")
        contains(text, word, "the error")
        contains(box.log(), f"{name}.yaml", "the console")


@case("a broken new version does not stop the running old one, and the repaired one is applied")
def broken():
    before = box.inspect("good-web-1")["Id"]
    write("good", "services:\n  web: {imagee: x}\n")
    until(lambda: "imagee" in str(manifests()["good"]), "the error is told")
    check(box.inspect("good-web-1")["State"]["Running"], "it was stopped")
    equal(box.inspect("good-web-1")["Id"], before, "container")
    write("good", GOOD.replace("page", "leaf"))
    until(lambda: "leaf" in box.curl(8081, check=False).stdout, "the new page", 120)
    check(box.inspect("good-web-1")["Id"] != before, "the container is still the old one")


@case("a new file is applied, a file that goes takes its containers with it, volumes stay")
def added():
    write("more", "services:\n  one:\n    image: test/busybox:1\n    command: [sleep, '100000']\n    volumes: [stay:/d]\n"
                  "volumes: {stay: {}}\n")
    until(lambda: "more-one-1" in box.docker("ps", "--format", "{{.Names}}"), "the new project runs", 120)
    box.sh(f"rm {FOLDER}/more.yaml")
    until(lambda: "more-one-1" not in box.docker("ps", "-a", "--format", "{{.Names}}"), "the project is gone", 120)
    box.sh("ls -d /var/lib/skerry/volumes/more_stay")


@case("a port that is taken: said once, the rest runs, and it starts once the port is free")
def taken():
    box.docker("run", "-d", "--name", "squatter", "-p", "8082:80", IMAGE, "sleep", "100000")
    write("late", "services:\n  a:\n    image: test/busybox:1\n    command: [sleep, '100000']\n    ports: ['8082:80']\n"
                  "  b:\n    image: test/busybox:1\n    command: [sleep, '100000']\n")
    until(lambda: "late-b-1" in box.docker("ps", "--format", "{{.Names}}"), "the other service runs", 120)
    until(lambda: "8082" in str(manifests().get("late")), "the error is told")
    box.docker("rm", "-f", "squatter")
    until(lambda: "late-a-1" in box.docker("ps", "--format", "{{.Names}}"), "it starts once the port is free", 180)


@case("an image that is missing: said, retried, and started once the archive is there")
def missing():
    write("wait", "services:\n  a:\n    image: test/later:1\n    command: [sleep, '100000']\n")
    # a registry out of reach takes its time to say so
    until(lambda: "test/later" in str(manifests().get("wait")), "the error is told", 180)
    path = images.busybox_image(os.path.join(box.scratch, "later.tar"), "test/later:1")
    box.docker("load", "-i", path)
    until(lambda: "wait-a-1" in box.docker("ps", "--format", "{{.Names}}"), "it starts once the image is there", 180)


@case("a declared container that dies is started again, and everything is back after a power cut")
def again():
    pid = box.inspect("good-web-1")["State"]["Pid"]
    box.sh(f"kill -9 {pid}")
    until(lambda: box.inspect("good-web-1")["State"]["Pid"] not in (0, pid), "it runs again")
    box.sh("sync")
    box.kill()
    box.up(overlay=os.path.join(box.scratch, "overlay"), publish=["auto:8081", "auto:8082"],
           disk=os.path.join(box.scratch, "data.img"))
    until(lambda: "leaf" in box.curl(8081, check=False).stdout, "the changed page after the power cut", 120)
    equal(box.docker("exec", "good-base-1", "cat", "/run/secrets/word").strip(), "said-once", "the secret after the power cut")


tap.main()
