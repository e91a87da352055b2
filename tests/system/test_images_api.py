#!/usr/bin/env python3
"""Images by the API and the docker client, part two: what lists and inspect show to which client, tags, the limits of system.yaml,
HEALTHCHECK in a commit, the space that a removal gives back, and a commit that the engine's death cuts off."""

import json
import os
import urllib.parse

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

box = vm.shared()
IMAGE = "test/imapi:1"
LIST = "test/imapi-list"


def local(name):
    return os.path.join(box.scratch, name)


def load(name, files, **options):
    box.docker("load", "-i", images.busybox_image(local("images.tar"), name, more=files, **options))
    return box.inspect(name, "image")["Id"]


def kill_engine():
    """kill -9; it is there again when this returns."""
    before = box.sh(f"p={vm.ENGINE}; kill -9 $p; echo $p")
    until(lambda: box.request("GET", "/_ping", seconds=5)[0] == 200 and box.sh(f"echo {vm.ENGINE}") not in ("", before), "the engine is back")


@case("list: a reference shows only the names that it matches")
def listed_names():
    image = load(f"{LIST}:1", {"list": b"1"}, write=images.oci_archive, config={"Labels": {"imapi-list": ""}})
    for name in (f"{LIST}:2", "other/imapi-list:1"):
        box.docker("tag", image, name)

    def names(*words):
        return sorted(box.docker("images", "--format", "{{.Repository}}:{{.Tag}}", *words).splitlines())
    equal(names(f"{LIST}:1"), [f"{LIST}:1"], "by name and tag")
    equal(names(LIST), [f"{LIST}:1", f"{LIST}:2"], "by name")
    equal(names("-f", "reference=*/imapi-list:1"), ["other/imapi-list:1", f"{LIST}:1"], "by pattern")
    equal(names("-f", "reference=test/imapi-*:2", "-f", "label=imapi-list"), [f"{LIST}:2"], "and a label")
    equal(names("-f", "reference=nobody/*", "-f", "label=imapi-list"), [], "by a pattern of nobody")
    equal(names("-f", f"before={LIST}:1", "-f", "label=imapi-list"), [], "before itself")
    equal(names("-f", f"since={LIST}:1", "-f", "label=imapi-list"), [], "since itself")


@case("list and inspect: each version of the API has its fields; manifests, their descriptors and users")
def listed_fields():
    top = box.inspect(f"{LIST}:1", "image")
    manifest = top["RepoDigests"][0].rsplit("@", 1)[1]
    contains(box.docker("images", "--digests", LIST), manifest, "digests")

    def asked(query, version="v1.51"):
        filters = urllib.parse.quote(json.dumps({"label": ["imapi-list"]}))
        status, have = box.request("GET", f"/{version}/images/json?filters={filters}&{query}")
        equal((status, len(have)), (200, 1), f"{have}")
        return have[0]
    one = asked("")
    equal((one["Id"], one["Containers"], one["SharedSize"], "Manifests" in one, "VirtualSize" in one), (top["Id"], 0, -1, False, False), "1.51")
    equal(one["Descriptor"]["digest"], manifest, "Descriptor")
    box.docker("create", "--name", "imapi-lister", top["Id"])
    one = asked("manifests=1&shared-size=1")
    (part,) = one["Manifests"]
    equal((part["ID"], part["Descriptor"], part["Kind"], part["Available"]), (manifest, one["Descriptor"], "image", True), "Manifests")
    equal((part["ImageData"]["Platform"], part["ImageData"]["Containers"], part["ImageData"]["Size"]["Unpacked"]),
          ({"architecture": "amd64", "os": "linux"}, [box.inspect("imapi-lister")["Id"]], one["Size"]), "ImageData")
    equal(part["Size"]["Total"], part["Size"]["Content"] + one["Size"], "Size")
    check(one["Containers"] == 1 and one["SharedSize"] >= 0, f"{one}")
    one = asked("", "v1.43")
    equal((one["Containers"], one["VirtualSize"], "Descriptor" in one), (-1, one["Size"], False), "1.43")
    status, whole = box.request("GET", f"/v1.51/images/{top['Id']}/json?manifests=true")
    equal((status, whole["Descriptor"], [item["ID"] for item in whole["Manifests"]]), (200, part["Descriptor"], [manifest]), "inspect")
    check("Descriptor" not in box.request("GET", f"/v1.47/images/{top['Id']}/json")[1], "inspect of 1.47")
    box.docker("rm", "imapi-lister")
    box.docker("rmi", f"{LIST}:1", f"{LIST}:2", "other/imapi-list:1")


@case("tag: what is wrong is said in Docker's words")
def tags():
    load(IMAGE, {"one": b"first\n"})
    for query, words in (("repo=UP", "invalid reference format: repository name (UP) must be lowercase"), ("", "invalid reference format"),
                         ("repo=a&tag=b%20c", "invalid reference format"), ("repo=a%40sha256:" + "0" * 64, "digest reference"),
                         ("repo=sha256&tag=1", "refusing to create an ambiguous tag using digest algorithm as name")):
        status, body = box.request("POST", f"/images/{IMAGE}/tag?{query}")
        equal(status, 400, query)
        contains(body["message"], words, query)
    equal(box.request("POST", "/images/test/imapi-none/tag?repo=a")[0], 404, "of nothing")
    equal(box.request("POST", f"/images/{IMAGE}/tag?repo=test/imapi-tag:x&tag=y")[0], 201, "a tag twice")
    equal(box.docker("images", "--format", "{{.Tag}}", "test/imapi-tag"), "y", "the second counts")
    box.docker("rmi", "test/imapi-tag:y")


@case("rmi: the space is free when the answer comes")
def space():
    def free():
        box.sh("sync")
        return int(box.sh("df -k /var/lib/skerry | tail -n 1 | awk '{ print $(NF-2) }'"))
    load("test/imapi-large:1", {"large": os.urandom(16 << 20)})
    full = free()
    box.docker("rmi", "test/imapi-large:1")
    now = int(box.sh("df -k /var/lib/skerry | tail -n 1 | awk '{ print $(NF-2) }'"))
    check(now - full >= 30 << 10, f"{now - full} KiB are free again, of twice 16 MiB")       # the file, and the layer's archive


@case("commit: HEALTHCHECK in changes")
def health():
    load(IMAGE, {"one": b"first\n"})
    box.docker("create", "--name", "imapi-health", IMAGE)
    box.docker("commit", "-c", "HEALTHCHECK --interval=1s --timeout=20s --retries=2 CMD cat /one", "imapi-health", "test/imapi-health:1")
    equal(box.inspect("test/imapi-health:1", "image")["Config"]["Healthcheck"],
          {"Test": ["CMD-SHELL", "cat /one"], "Interval": 10 ** 9, "Timeout": 20 * 10 ** 9, "Retries": 2}, "Healthcheck")
    box.docker("run", "-d", "--name", "imapi-healthy", "test/imapi-health:1", "sleep", "100000")
    until(lambda: box.inspect("imapi-healthy")["State"]["Health"]["Status"] == "healthy", "it is healthy")
    done = box.docker("commit", "-c", "HEALTHCHECK curl x", "imapi-health", check=False)
    contains(done.stderr, 'Unknown type "curl" in HEALTHCHECK (try CMD)', "docker commit")
    box.docker("rm", "-f", "imapi-health", "imapi-healthy")
    box.docker("rmi", "test/imapi-health:1")


@case("commit: when the engine dies while a container is paused for it, the container runs on afterwards")
def cut():
    load(IMAGE, {"one": b"first\n"})
    box.docker("run", "-d", "--name", "imapi-cut", IMAGE, "sleep", "100000")
    box.docker("run", "-d", "--name", "imapi-paused", IMAGE, "sleep", "100000")
    box.docker("pause", "imapi-paused")
    held = []
    for _ in range(2):          # as many loads as there may be at once: the commit waits behind them, its container paused
        conn = box.connection()
        held.append(conn)
        conn.putrequest("POST", "/images/load")
        conn.putheader("Content-Length", "1000000")
        conn.endheaders(b"\x1f\x8b\x08\x08" + bytes(6) + b"n")

    def paused():
        for conn in held:       # the name in a gzip's head, for ever: a body that does not come on is given up after a minute
            conn.send(b"n")
        return box.inspect("imapi-cut")["State"]["Status"] == "paused"
    until(lambda: box.sh("ps | grep -c '[w]orker unpack'; true") == "2", "both loads run")
    commit = box.connection(120)
    commit.request("POST", "/commit?container=imapi-cut&repo=test/imapi-cut")
    until(paused, "it is paused")
    kill_engine()
    for conn in (*held, commit):
        conn.close()
    until(lambda: box.inspect("imapi-cut")["State"]["Status"] == "running", "it runs on")
    equal(box.docker("exec", "imapi-cut", "cat", "/one"), "first", "in it")
    equal(box.inspect("imapi-paused")["State"]["Status"], "paused", "one that a user has paused")
    equal(box.docker("images", "-q", "test/imapi-cut"), "", "the image")
    box.docker("commit", "imapi-cut", "test/imapi-cut")
    equal(box.inspect("imapi-cut")["State"]["Status"], "running", "after a commit")
    box.docker("rm", "-f", "imapi-cut", "imapi-paused")
    box.docker("rmi", "test/imapi-cut")


@case("limits: engine.image-limits of system.yaml count from the engine's next start on")
def limits():
    file = "/etc/skerry/system.yaml"
    path = images.busybox_image(local("two.tar"), "test/imapi-limit:1", more={"one": b"1"})
    box.sh(f"cp -p {file} {file}.before")
    try:
        box.put(file, "engine: {image-limits: {layers: 1, layer-bytes: 64M}}\n")
        kill_engine()
        done = box.docker("load", "-i", path, check=False)
        contains(done.stdout + done.stderr, "more than 1 layers", "two layers")
        box.docker("load", "-i", images.busybox_image(local("one.tar"), "test/imapi-limit:1"))
        box.docker("rmi", "test/imapi-limit:1")
    finally:
        box.sh(f"mv {file}.before {file}")
        kill_engine()
    box.docker("load", "-i", path)
    box.docker("rmi", "test/imapi-limit:1", IMAGE)


@case("inspect: the member that docker-compose 1.29 looks for, in every version")
def old_inspect():
    name = box.docker("images", "-q", "--no-trunc").splitlines()[0]
    for version in ("1.24", "1.51"):
        image = box.request("GET", f"/v{version}/images/{name}/json")[1]
        equal(image["ContainerConfig"], image["Config"], version)


tap.main()
