#!/usr/bin/env python3
"""Compose files over the API, and what they may say: plans, trials, variables, extends, profiles, numbers of containers,
configs and secrets, networks, dependencies; hostile files hurt nothing."""

import json
import os

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

box = vm.shared()
FOLDER = "/etc/skerry/compose"
STATE = "/var/lib/skerry"
IMAGE = "test/compose:1"
SECRET = "tiger-in-the-attic"
box.docker("load", "-i", images.busybox_image(os.path.join(box.scratch, "compose.tar"), IMAGE))
APP = """\
x-common: &common
  image: test/compose:${COMPOSE_TEST_TAG}
  command: [sleep, "100000"]
  init: true
services:
  web:
    <<: *common
    extends: {file: parts/base.yaml, service: base}
    scale: ${COMPOSE_TEST_WEBS:-2}
    depends_on: {db: {condition: service_started, restart: true}}
    environment: {FROM: "${COMPOSE_TEST_NONE-default}", MONEY: "$$5"}
    networks: [front, back]
    secrets: [pass, {source: pass, target: narrow, uid: "33", gid: "34", mode: "0440"}]
    configs: [{source: site, target: /etc/site}]
  db:
    <<: *common
    networks: {back: {aliases: [store], ipv4_address: 10.213.7.5}}
    volumes: ["data:/data"]
    hostname: HOSTNAME
  tool:
    <<: *common
    profiles: [compose-tools]
networks:
  front: {}
  back: {internal: true, ipam: {config: [{subnet: 10.213.7.0/24}]}}
volumes:
  data: {}
secrets:
  pass: {environment: COMPOSE_TEST_PASS}
configs:
  site: {content: "tag=${COMPOSE_TEST_TAG}"}
"""
ENV = f"COMPOSE_TEST_TAG=1\nCOMPOSE_TEST_PASS={SECRET}\n"
BASE = "services:\n  base:\n    environment: {FROM: base, BASE: 'yes'}\n    labels: {part: base}\n"


def put(text, query="", name="app"):
    return box.request("PUT", f"/skerry/manifests/{name}{query}", text)


def app(hostname="one"):
    return APP.replace("HOSTNAME", hostname)


def actions(plan):
    return {row["container"]: row["action"] for row in plan["services"]}


def running():
    return {name for name in box.docker("ps", "--format", "{{.Names}}").split() if name.startswith("app-")}


def manifest(name="app"):
    return next((item for item in box.request("GET", "/skerry/manifests")[1] if item["name"] == name), None)


def settled():
    item = manifest()
    return item and item["state"] == "ok"


def started(name):
    return box.inspect(name)["State"]["StartedAt"]


@case("a dry run tells the plan and stores nothing")
def dry():
    box.sh(f"mkdir -p {FOLDER}/parts")
    box.put(f"{FOLDER}/.env", ENV)
    box.put(f"{FOLDER}/parts/base.yaml", BASE)
    status, plan = put(app(), "?dry-run=1")
    equal(status, 200, str(plan))
    equal(actions(plan), {"app-db-1": "create", "app-web-1": "create", "app-web-2": "create"}, "plan")
    equal(plan["removed"], [], "removed")
    equal(box.request("GET", "/skerry/manifests/app")[0], 404, "it is stored")


@case("a file that is put is stored and its services run, with compose's labels")
def apply():
    status, plan = put(app())
    equal(status, 201, str(plan))
    until(lambda: settled() and running() == {"app-db-1", "app-web-1", "app-web-2"}, "the services run", 180)
    contains(box.sh(f"cat {FOLDER}/app.yaml"), "x-common: &common", "the stored file")
    web = box.inspect("app-web-2")["Config"]
    for variable in ("FROM=default", "MONEY=$5", "BASE=yes"):
        check(variable in web["Env"], f"{variable} is not in {web['Env']}")
    labels = web["Labels"]
    equal([labels[f"com.docker.compose.{key}"] for key in ("project", "service", "container-number", "oneoff", "depends_on")],
          ["app", "web", "2", "False", "db:service_started:true"], "labels")
    equal(labels["com.docker.compose.image"], box.inspect("app-web-2")["Image"], "the image's label")
    equal(labels["part"], "base", "the label of the extended service")
    equal([row["state"] for row in manifest()["services"] if row["name"] == "tool"], ["off"], "the service with a profile")


@case("networks have the names, subnets and aliases that the file says")
def networks():
    back = box.inspect("app_back", "network")
    equal((back["Internal"], back["IPAM"]["Config"][0]["Subnet"], back["Labels"]["com.docker.compose.network"]),
          (True, "10.213.7.0/24", "back"), "the network")
    joined = box.inspect("app-db-1")["NetworkSettings"]["Networks"]
    equal(list(joined), ["app_back"], "networks of db")
    equal(joined["app_back"]["IPAddress"], "10.213.7.5", "its fixed address")
    for alias in ("app-db-1", "store", "db"):
        check(alias in joined["app_back"]["Aliases"], f"{alias} is not in {joined['app_back']['Aliases']}")
    equal(sorted(box.inspect("app-web-1")["NetworkSettings"]["Networks"]), ["app_back", "app_front"], "networks of web")


@case("secrets and configs are files in the container, with owner and mode")
def contents():
    def inside(command):
        return box.docker("exec", "app-web-1", "sh", "-c", command).strip()

    equal(inside("cat /run/secrets/pass"), SECRET, "the secret")
    equal(inside("cat /etc/site"), "tag=1", "the config")
    equal(inside("stat -c '%a %u %g' /run/secrets/narrow"), "440 33 34", "mode and owner")
    equal(inside("stat -c %a /run/secrets/pass"), "444", "mode")
    equal(inside("echo x > /run/secrets/pass || echo refused"), "refused", "writing")


@case("a secret is in no document of the container and in no answer")
def hidden():
    check(SECRET not in json.dumps(box.inspect("app-web-1")), "inspect shows it")
    check(SECRET not in json.dumps(box.request("GET", "/skerry/manifests")[1]), "the report shows it")
    equal(box.sh(f"grep -rl {SECRET} {STATE}/containers || true").strip(), "", "documents that hold it")
    told = [line for line in box.log().splitlines() if "manifest:" in line and SECRET in line]
    equal(told, [], "what the engine says on the console")


@case("an engine that dies and a container that is started again keep the secret")
def outlives():
    before = box.inspect("app-web-1")["State"]["Pid"]
    box.sh(f"kill -9 {vm.ENGINE}")
    box.wait_api()
    until(settled, "the engine finds its project again", 120)
    equal(box.inspect("app-web-1")["State"]["Pid"], before, "the container's process")
    box.docker("restart", "-t", "1", "app-web-1")
    equal(box.docker("exec", "app-web-1", "cat", "/run/secrets/pass").strip(), SECRET, "the secret")


@case("only what changed is made anew, and what depends on it with restart follows")
def changed():
    ids = {name: box.inspect(name)["Id"] for name in running()}
    times = {name: started(name) for name in ids}
    plan = put(app("two"))[1]
    equal(actions(plan), {"app-db-1": "recreate", "app-web-1": "restart", "app-web-2": "restart"}, "plan")
    until(lambda: settled() and box.inspect("app-db-1")["Id"] != ids["app-db-1"], "db is made anew", 120)
    for name in ("app-web-1", "app-web-2"):
        until(lambda name=name: started(name) != times[name], f"{name} is started again", 120)
        equal(box.inspect(name)["Id"], ids[name], name)


@case("a restart of a dependency by hand is followed")
def by_hand():
    before = started("app-web-1")
    box.docker("restart", "-t", "1", "app-db-1")
    until(lambda: started("app-web-1") != before, "web is started again", 120)
    until(settled, "the project rests", 120)


@case("a change of .env is a change: fewer containers, a profile")
def beside():
    box.put(f"{FOLDER}/.env", ENV + "COMPOSE_TEST_WEBS=1\nCOMPOSE_PROFILES=compose-tools\n")
    until(lambda: running() == {"app-db-1", "app-web-1", "app-tool-1"}, "one web, and the tool", 180)
    check("app-web-2" not in box.docker("ps", "-a", "--format", "{{.Names}}").split(), "app-web-2 is still there")


@case("a trial that nobody confirms goes back by itself, a confirmed one stays")
def trial():
    until(settled, "the project rests", 120)
    equal(put(app("three"), "?try=5")[0], 200, "status")
    check(manifest()["trial_until"], "the report does not tell of the trial")
    until(lambda: "hostname: two" in box.sh(f"cat {FOLDER}/app.yaml"), "the version before is back", 120)
    until(lambda: settled() and box.inspect("app-db-1")["Config"]["Hostname"] == "two", "and runs", 180)
    equal(put(app("four"), "?try=86400")[0], 200, "status")
    equal(box.request("POST", "/skerry/manifests/app/confirm")[0], 204, "confirm")
    equal(box.request("POST", "/skerry/manifests/app/confirm")[0], 404, "confirm again")
    equal(manifest()["trial_until"], None, "trial")
    until(lambda: settled() and box.inspect("app-db-1")["Config"]["Hostname"] == "four", "the new version runs", 180)


_BOMB = "x-0: &l0 [a, a, a, a, a, a, a, a, a, a]\n" + "".join(
    f"x-{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 10))
BAD = {
    "bomb": (_BOMB + app(), "app.yaml:6: the aliases of this file stand for more than"),
    "tab": ("services:\n\tweb: {}\n", "app.yaml:2: not YAML"),
    "duplicate": ("services:\n  a:\n    image: x\n    image: y\n", "app.yaml:4: image: this key stands twice"),
    "unset": ("services:\n  a:\n    image: ${COMPOSE_TEST_NONE:?say which}\n",
              "app.yaml:3: services.a.image: required variable COMPOSE_TEST_NONE is missing a value: say which"),
    "cycle": ("services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n", "services wait for each other"),
    "build": ("services:\n  a:\n    build: .\n", "app.yaml:3: services.a.build: images are not built on this machine"),
}

for _name, (_text, _want) in BAD.items():
    @case(f"a file that is refused ({_name}) is told with its place and changes nothing")
    def refused(text=_text, want=_want):
        before = {name: box.inspect(name)["Id"] for name in running()}
        status, answer = put(text)
        equal(status, 400, str(answer))
        contains(answer["message"], want, "the error")
        equal({name: box.inspect(name)["Id"] for name in running()}, before, "containers")
        contains(box.sh(f"cat {FOLDER}/app.yaml"), "hostname: four", "the stored file")


@case("a file of 10 MB in the folder is an error, the version before runs on, and is taken again")
def large():
    box.sh(f"cp {FOLDER}/app.yaml /tmp/app.yaml && dd if=/dev/zero of=/tmp/big bs=1048576 count=10 2>/dev/null && "
           f"cp /tmp/big {FOLDER}/app.yaml")
    until(lambda: (manifest() or {}).get("error"), "the error is told", 120)
    contains(manifest()["error"], "app.yaml:1: ", "the error")
    check("app-db-1" in running(), "db was stopped")
    box.sh(f"cp /tmp/app.yaml {FOLDER}/app.yaml && rm /tmp/big /tmp/app.yaml")
    until(settled, "the file is taken again", 120)


@case("a file that is deleted takes containers, networks and secrets with it, volumes stay")
def gone():
    equal(box.request("DELETE", "/skerry/manifests/app")[0], 204, "status")
    equal(box.request("DELETE", "/skerry/manifests/app")[0], 404, "again")
    until(lambda: not [n for n in box.docker("ps", "-a", "--format", "{{.Names}}").split() if n.startswith("app-")],
          "the containers are gone", 180)
    until(lambda: not [n for n in box.docker("network", "ls", "--format", "{{.Name}}").split() if n.startswith("app_")],
          "the networks are gone", 120)
    until(lambda: box.sh(f"ls {STATE}/manifests | grep -c app || true").strip() == "0", "the files are gone", 120)
    contains(box.docker("volume", "ls", "--format", "{{.Name}}"), "app_data", "volumes")
    box.docker("volume", "rm", "app_data")
    box.sh(f"rm -r {FOLDER}/.env {FOLDER}/parts")


tap.main()
