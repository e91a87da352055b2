#!/usr/bin/env python3
"""Images of declared containers: pulled at boot, with patience while the registry is not there; what runs keeps running
when a new image cannot be had."""

import base64
import json
import os

from lib import images, misbehave, registry, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

FOLDER = "/etc/skerry/compose"
reg = registry.start()
locked = registry.start(auth="basic", users={"ann": "secret"})
box = vm.prepared("declared")


def image(word):
    """Says its word, and stays."""
    return registry.make([images.layer({**images.busybox_files(), "word": word.encode()})],
                         {"Cmd": ["sh", "-c", "cat /word; exec sleep 100000"]})


def project(repo, tag="1", more="", at=reg):
    return f"services:\n  a:\n    image: {at.name}/{repo}{tag if tag.startswith('@') else ':' + tag}\n    init: true\n{more}"


def boot():
    box.up(overlay=os.path.join(box.scratch, "overlay"), disk=os.path.join(box.scratch, "data.img"))


def service(name):
    """What GET /skerry/manifests says of the project's service; nothing while the file was not seen."""
    status, answer = box.request("GET", "/skerry/manifests")
    equal(status, 200, "GET /skerry/manifests")
    return {item["name"]: item["services"][0] for item in answer if item["services"]}.get(name, {"state": None, "error": None})


def word(name):
    """That of the running container of the project; None while there is none."""
    run = box.docker("exec", f"{name}-a-1", "cat", "/word", check=False)
    return run.stdout if run.returncode == 0 else None


def declare(name, text):
    box.put(f"{FOLDER}/{name}.yaml", text)


@case("at boot, while the registry does not answer: said with file, line and key, tried again, and pulled once it does")
def boots():
    overlay = os.path.join(box.scratch, "overlay")
    os.makedirs(os.path.join(overlay, FOLDER[1:]))
    with open(os.path.join(overlay, "etc/skerry/system.yaml"), "w", encoding="utf-8") as file:
        file.write(f"engine:\n  registry:\n    insecure-registries: [\"{reg.name}\", \"{locked.name}\"]\n")
    with open(os.path.join(overlay, FOLDER[1:], "late.yaml"), "w", encoding="utf-8") as file:
        file.write(project("team/late"))
    digest = reg.add("team/late", image("late"), "1")
    check(digest, "no digest")
    reg.fault("team/late", misbehave.status(503), kind="manifest")
    boot()
    until(lambda: "/late.yaml:3: services.a.image: " in (service("late")["error"] or ""), "the error is told", 120)
    contains(box.log(), "late.yaml:3: services.a.image: ", "the console")
    asked = len(reg.asked(kind="manifest"))
    until(lambda: len(reg.asked(kind="manifest")) > asked, "it is tried again", 120)
    reg.heal()
    until(lambda: service("late")["state"] == "running", "it is pulled and runs", 180)
    equal(word("late"), "late", "the image")


@case("a new image that cannot be had: the container of the one before runs on, and again after the machine started anew")
def keeps():
    before = box.inspect("late-a-1")["Id"]
    declare("late", project("team/late", "2"))
    until(lambda: "manifest unknown" in (service("late")["error"] or ""), "the error is told", 120)
    equal((box.inspect("late-a-1")["Id"], word("late")), (before, "late"), "the container")
    box.down()
    boot()
    until(lambda: word("late") == "late", "the one before runs again", 180)
    until(lambda: "manifest unknown" in (service("late")["error"] or ""), "the error is told again", 120)
    reg.add("team/late", image("new"), "2")
    until(lambda: word("late") == "new", "the new one runs once it can be had", 180)
    until(lambda: service("late") == {**service("late"), "state": "running", "error": None}, "all is well", 120)


@case("a pin by digest gives that image, whatever the tag means by now")
def pinned():
    digest = reg.add("team/pin", image("pinned"), "1")
    reg.add("team/pin", image("moved"), "1")
    declare("pin", project("team/pin", f"@{digest}"))
    until(lambda: word("pin") == "pinned", "the pinned image runs", 180)
    contains(json.dumps(box.inspect(f"{reg.name}/team/pin@{digest}", "image")["RepoDigests"]), digest, "RepoDigests")


@case("pull_policy never: no registry is asked")
def never():
    reg.add("team/never", image("never"), "1")
    declare("never", project("team/never", more="    pull_policy: never\n"))
    until(lambda: "No such image" in (service("never")["error"] or ""), "the error is told", 120)
    equal(len(reg.asked(repo="team/never")), 0, "requests")


@case("pull_policy always: what the tag means at the start; a registry that fails hurts nothing, and what comes later replaces")
def always():
    reg.add("team/always", image("one"), "1")
    text = project("team/always", more="    pull_policy: always\n")
    declare("always", text)
    until(lambda: word("always") == "one", "the image runs", 180)
    asked = len(reg.asked(repo="team/always"))
    reg.add("team/always", image("two"), "1")
    reg.fault("team/always", misbehave.status(503), kind="manifest")
    declare("always", text + "    environment: {A: b}\n")
    until(lambda: service("always")["error"] and box.inspect("always-a-1")["Config"]["Env"].count("A=b"),
          "the new version runs with the image of before", 180)
    equal(word("always"), "one", "the image")
    check(len(reg.asked(repo="team/always")) > asked, "the registry was not asked")
    reg.heal()
    until(lambda: word("always") == "two", "the image of now replaces it", 180)
    until(lambda: service("always")["error"] is None, "all is well", 120)


@case("pull_policy every_2s: asked again and again, replaced when it changes")
def every():
    reg.add("team/every", image("one"), "1")
    declare("every", project("team/every", more="    pull_policy: every_2s\n"))
    until(lambda: word("every") == "one", "the image runs", 180)
    container, asked = box.inspect("every-a-1")["Id"], len(reg.asked(repo="team/every", kind="manifest"))
    until(lambda: len(reg.asked(repo="team/every", kind="manifest")) > asked + 1, "it is asked for again, twice", 120)
    equal(box.inspect("every-a-1")["Id"], container, "an image that is the same replaces nothing: the container")
    reg.add("team/every", image("two"), "1")
    until(lambda: word("every") == "two", "the changed image runs", 180)


@case("a registry that asks who is there: the credentials of /etc/docker/config.json, and nobody else's")
def credentials():
    locked.add("team/locked", image("locked"), "1")
    declare("locked", project("team/locked", at=locked))
    until(lambda: service("locked")["error"], "the error is told", 120)
    contains(service("locked")["error"], "no basic auth credentials", "the error")
    coded = base64.b64encode(b"ann:secret").decode()
    box.sh("mkdir -p /etc/docker")
    box.put("/etc/docker/config.json", json.dumps({"auths": {locked.name: {"auth": coded}}}))
    until(lambda: word("locked") == "locked", "it is pulled once there are credentials", 180)
    refused = box.docker("pull", f"{locked.name}/team/locked:1", check=False)
    check(refused.returncode != 0, f"a client without credentials pulled: {refused.stdout}")
    check("secret" not in box.log() and coded not in box.log(), "the password is on the console")


tap.main()
