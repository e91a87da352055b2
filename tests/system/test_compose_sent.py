#!/usr/bin/env python3
"""An application sent from outside by docker-compose 1.29 (Debian's): up, ps, logs, exec, run, scale, restart, config, changes
and down, with networks, aliases, fixed addresses, volumes, health checks and dependencies."""

import os
import re
import subprocess

from lib import images, tap, vm
from lib.poll import until
from lib.tap import Failed, case, check, contains, equal

box = vm.shared()
IMAGE = "test/sent:1"
box.docker("load", "-i", images.busybox_image(os.path.join(box.scratch, "sent.tar"), IMAGE))
FOLDER = os.path.join(box.scratch, "sent")
os.mkdir(FOLDER)
APP = """\
services:
  db:
    image: test/sent:1
    command: sh -c "echo db is up; test -e /data/kept || echo first > /data/kept; touch /tmp/ready; exec sleep 100000"
    init: true
    volumes: ["data:/data"]
    networks: {back: {aliases: [store], ipv4_address: 10.213.9.5}}
    healthcheck: {test: [CMD, test, -e, /tmp/ready], interval: 1s, timeout: 10s, retries: 30}
  init:
    image: test/sent:1
    command: sh -c "echo prepared > /data/prepared"
    volumes: ["data:/data"]
    network_mode: none
  app:
    image: test/sent:1
    command: sh -c "hostname > /tmp/index.html; echo app is up; exec httpd -f -p 8000 -h /tmp"
    init: true
    environment: {WORD: "${SENT_WORD:-plain}"}
    networks: [front, back]
    labels: {tests.role: app}
    depends_on:
      db: {condition: service_healthy}
      init: {condition: service_completed_successfully}
  web:
    image: test/sent:1
    command: sh -c "echo web is up; exec sleep 100000"
    init: true
    read_only: true
    tmpfs: [/tmp]
    networks: [front]
    ports: ["8013"]
    depends_on: [app]
networks:
  front: {}
  back: {internal: true, ipam: {config: [{subnet: 10.213.9.0/24}]}}
volumes:
  data: {labels: {tests.kept: "yes"}}
"""


def write(text):
    with open(os.path.join(FOLDER, "docker-compose.yml"), "w", encoding="utf-8") as file:
        file.write(text)


def compose(*words, good=True, seconds=300, **variables):
    """What docker-compose printed, both streams."""
    environment = {**box.env(), **variables, "COMPOSE_HTTP_TIMEOUT": "120"}
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        environment.pop(name, None)
    run = subprocess.run(["docker-compose", "--ansi", "never", "-p", "sent", *words], cwd=FOLDER, env=environment, text=True,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False)
    if good and run.returncode != 0:
        raise Failed(f"docker-compose {' '.join(words)}: exit {run.returncode}: {run.stdout[-3000:]}")
    check(good or run.returncode != 0, f"docker-compose {' '.join(words)}: went well: {run.stdout[-2000:]}")
    return run.stdout


def started(service, number=1):
    return box.inspect(f"sent_{service}_{number}")["State"]["StartedAt"]


def ids():
    return {name: box.inspect(f"sent_{name}_1")["Id"] for name in ("db", "app", "web")}


@case("up: all is made; a service begins when those that it depends on are healthy, or have ended well", seconds=600)
def up():
    write(APP)
    contains(compose("config"), "10.213.9.0/24", "config")
    equal(compose("config", "--services").split(), ["db", "init", "app", "web"], "config --services")
    compose("up", "-d")
    ended = box.inspect("sent_init_1")["State"]
    equal((ended["Status"], ended["ExitCode"]), ("exited", 0), "the one that prepares")
    check(ended["FinishedAt"] <= started("app") and started("db") < started("app") < started("web"), "the order")
    equal(box.inspect("sent_db_1")["State"]["Health"]["Status"], "healthy", "health")
    equal(box.docker("exec", "sent_db_1", "cat", "/data/kept", "/data/prepared").split(), ["first", "prepared"], "the volume")


@case("ps, logs, top, port and images tell of it")
def tells():
    lines = {line.split()[0]: line for line in compose("ps", "-a").splitlines() if line.startswith("sent_")}
    contains(lines["sent_db_1"], "Up (healthy)", "ps")
    contains(lines["sent_init_1"], "Exit 0", "ps")
    equal(compose("ps", "--services", "--filter", "status=running").split(), ["db", "app", "web"], "ps --services")
    said = compose("logs", "--no-color")
    for text in ("db is up", "app is up", "web is up"):
        check(re.search(rf"^{text[:-6]}_1 +\\| {text}$", said, re.M), f"logs: {said}")
    contains(compose("top", "db"), "sleep 100000", "top")
    check(re.fullmatch(r"0\.0\.0\.0:[0-9]+\n", compose("port", "web", "8013")), "port")
    contains(compose("images"), "test/sent", "images")
    contains(box.docker("network", "ls", "--format", "{{.Name}}"), "sent_back", "networks")


@case("names and aliases of its networks are found, those of others are not; a network that is internal is left by nobody")
def names():
    fetch = ["exec", "-T", "web", "wget", "-q", "-O", "-", "http://app:8000/index.html"]
    equal(compose(*fetch).strip(), box.inspect("sent_app_1")["Id"][:12], "web asks app")
    equal(compose("exec", "-T", "app", "nslookup", "store").count("10.213.9.5"), 1, "the alias")
    compose("exec", "-T", "web", "nslookup", "db", good=False)
    compose("exec", "-T", "db", "wget", "-q", "-T", "3", "-O", "-", "http://10.0.2.2:9/", good=False)


@case("exec and run: exit status, user, folder, environment; what run made is gone with --rm")
def executes():
    equal(compose("exec", "-T", "-u", "12:34", "-w", "/bin", "-e", "A=b", "app", "sh", "-c", "id -u; id -g; pwd; echo $A").split(),
          ["12", "34", "/bin", "b"], "exec")
    contains(compose("exec", "-T", "app", "sh", "-c", "exit 7", good=False), "", "exec that fails")
    before = box.docker("ps", "-aq")
    contains(compose("run", "--rm", "-T", "--no-deps", "app", "sh", "-c", "echo ran $WORD"), "ran plain", "run")
    equal(box.docker("ps", "-aq"), before, "containers")


@case("scale: more and fewer; every one is found under the service's name")
def scales():
    compose("up", "-d", "--scale", "app=3")
    equal(len(box.docker("ps", "-q", "--filter", "label=tests.role=app").split()), 3, "containers")
    found = set(re.findall(r"10\.\S+|172\.\S+|192\.\S+", compose("exec", "-T", "web", "nslookup", "app").split("app", 1)[1]))
    equal(len(found), 3, f"addresses {found}")
    compose("up", "-d", "--scale", "app=1")
    equal(len(box.docker("ps", "-q", "--filter", "label=tests.role=app").split()), 1, "containers")


@case("restart, stop, start, pause, kill of one service leave the others as they are")
def verbs():
    others = (started("web"), started("db"))
    first = started("app")
    compose("restart", "-t", "1", "app")
    check(started("app") > first, "restart")
    compose("pause", "app")
    equal(box.inspect("sent_app_1")["State"]["Status"], "paused", "pause")
    compose("unpause", "app")
    compose("stop", "-t", "1", "app")
    equal(box.inspect("sent_app_1")["State"]["Status"], "exited", "stop")
    compose("start", "app")
    compose("kill", "-s", "KILL", "app")
    until(lambda: box.inspect("sent_app_1")["State"]["ExitCode"] == 137, "kill")
    compose("start", "app")
    equal((started("web"), started("db")), others, "when the others were started")


@case("up again: nothing changes; with a change, that service alone is made anew and keeps its volume; what is no more said goes")
def changes():
    before = ids()
    compose("up", "-d")
    equal(ids(), before, "with the same file")
    compose("up", "-d", "--no-deps", "app", SENT_WORD="other")
    after = ids()
    check(after["app"] != before["app"] and after["db"] == before["db"] and after["web"] == before["web"], f"{before} became {after}")
    contains(box.docker("exec", "sent_app_1", "env"), "WORD=other", "the environment")
    compose("up", "-d", "--force-recreate", "db")
    check(ids()["db"] != after["db"], "--force-recreate")
    equal(box.docker("exec", "sent_db_1", "cat", "/data/kept"), "first", "the volume")
    write(re.sub(r"  web:.*?(?=^networks)", "", APP, flags=re.S | re.M))
    compose("up", "-d", "--remove-orphans")
    equal(box.docker("ps", "-aq", "--filter", "name=sent_web"), "", "the orphan")


@case("what cannot be done is said: a port that is taken, an image that is not there")
def refused():
    write(APP.replace('["8013"]', '["127.0.0.1:8014:8013"]').replace("scale", "scale"))
    box.docker("run", "-d", "--name", "taken", "-p", "8014:1", "--init", IMAGE, "sleep", "100000")
    contains(compose("up", "-d", "web", good=False), "port is already allocated", "the error")
    box.docker("rm", "-f", "taken")
    compose("up", "-d", "web")


@case("down: containers and networks go, the volume stays; down -v takes it too")
def down():
    compose("down", "-t", "1")
    filters = ["--filter", "label=com.docker.compose.project=sent"]
    equal(box.docker("ps", "-aq", *filters) + box.docker("network", "ls", "-q", *filters), "", "what is left")
    equal(box.docker("volume", "ls", "-q", *filters), "sent_data", "the volume")
    compose("up", "-d")
    equal(box.docker("exec", "sent_db_1", "cat", "/data/kept"), "first", "what the volume keeps")
    compose("down", "-v", "-t", "1", "--remove-orphans")
    equal(box.docker("volume", "ls", "-q", *filters), "", "volumes")
    box.docker("rmi", IMAGE)


tap.main()
