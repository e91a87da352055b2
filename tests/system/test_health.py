#!/usr/bin/env python3
"""Health checks by the docker client: status, log, events, periods, time limits, what an image presets, pauses, a kill of
the engine, self-healing, and services of a manifest that wait for a healthy one."""

import json
import os
import urllib.parse

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

box = vm.shared()
IMAGE = "test/health:1"
CHECKED = "test/health:checked"
SLEEP = ("sleep", "100000")
ENGINE = vm.ENGINE
SECOND = 1000000000
box.docker("load", "-i", images.busybox_image(os.path.join(box.scratch, "health.tar"), IMAGE))
box.docker("load", "-i", images.busybox_image(os.path.join(box.scratch, "checked.tar"), CHECKED, config={"Healthcheck": {
    "Test": ["CMD", "test", "-e", "/ok"], "Interval": SECOND, "Retries": 1}}))


def run(name, *words, options=(), image=IMAGE):
    return box.docker("run", "-d", "--name", name, *options, image, *words)


def check_with(command, interval="1s", retries="2", **more):
    """Options of docker run."""
    options = ["--health-cmd", command, "--health-interval", interval, "--health-retries", retries]
    for key, value in more.items():
        options += [f"--health-{key.replace('_', '-')}", value]
    return options


def health(name):
    return box.inspect(name)["State"].get("Health")


def becomes(name, status, seconds=60):
    return until(lambda: [h for h in [health(name)] if h["Status"] == status], f"{name} is {status}", seconds)[0]


def touch(name, path="/ok", verb="touch"):
    """A file in the container, from outside."""
    box.sh(f"{verb} /proc/{box.inspect(name)['State']['Pid']}/root{path}")


def events(**filters):
    """A stream of events; the listener is in place."""
    conn = box.connection(90)
    conn.request("GET", "/events?filters=" + urllib.parse.quote(json.dumps(filters)))
    return conn, conn.getresponse()


@case("starting, healthy, unhealthy, healthy: status, streak, log, events, and what ps and its filter show")
def cycle():
    conn, stream = events(container=["hl-a"])
    run("hl-a", *SLEEP, options=check_with("test -e /ok && echo fine || { echo broken; exit 3; }", retries="3"))
    have = health("hl-a")
    equal((have["Status"], have["FailingStreak"]), ("starting", 0), "at first")
    contains(box.docker("ps", "--filter", "name=hl-a", "--format", "{{.Status}}"), "(health: starting)", "ps")
    have = becomes("hl-a", "unhealthy")
    check(have["FailingStreak"] >= 3 and 3 <= len(have["Log"]) <= 5, str(have))
    equal((have["Log"][-1]["ExitCode"], have["Log"][-1]["Output"]), (3, "broken\n"), "result")
    check(have["Log"][0]["Start"] < have["Log"][0]["End"] < have["Log"][1]["Start"], "times of the log")
    contains(box.docker("ps", "--filter", "health=unhealthy", "--format", "{{.Names}} {{.Status}}"), "hl-a Up", "filter")
    touch("hl-a")
    have = becomes("hl-a", "healthy")
    equal((have["FailingStreak"], have["Log"][-1]["Output"], have["Log"][-1]["ExitCode"]), (0, "fine\n", 0), "healthy")
    contains(box.docker("ps", "--filter", "name=hl-a", "--format", "{{.Status}}"), "(healthy)", "ps")
    until(lambda: len(health("hl-a")["Log"]) == 5, "five results")
    equal(box.docker("ps", "-q", "--filter", "health=starting", "--filter", "health=unhealthy"), "", "filter")
    equal(box.request("GET", "/containers/json?filters=" + urllib.parse.quote('{"health":["ill"]}'))[0], 400, "filter")
    box.docker("kill", "hl-a")
    seen = []
    while "die" not in seen:
        seen.append(json.loads(stream.readline())["Action"])
    conn.close()
    equal([word for word in seen if word.startswith("health_status")], ["health_status: unhealthy", "health_status: healthy"],
          "events")
    probe = [word for word in seen if word.startswith("exec_")][:3]
    equal([word.split(":")[0] for word in probe], ["exec_create", "exec_start", "exec_die"], "events of a probe")
    contains(probe[0], ": /bin/sh -c test -e /ok", "exec_create")
    equal(health("hl-a")["Status"], "healthy", "after its end")
    box.docker("start", "hl-a")
    equal(health("hl-a")["Status"], "starting", "after a start")
    box.docker("rm", "-f", "hl-a")


@case("the image's HEALTHCHECK is inherited, changed in parts, and switched off; CMD runs without a shell")
def inherited():
    conn, stream = events(event=["health_status"])
    run("hl-i", *SLEEP, image=CHECKED)
    equal(box.inspect("hl-i")["Config"]["Healthcheck"],
          {"Test": ["CMD", "test", "-e", "/ok"], "Interval": SECOND, "Timeout": 0, "StartPeriod": 0, "StartInterval": 0,
           "Retries": 1}, "config")
    becomes("hl-i", "unhealthy")
    equal(json.loads(stream.readline())["Action"], "health_status: unhealthy", "event")
    conn.close()
    touch("hl-i")
    becomes("hl-i", "healthy")
    box.docker("rm", "-f", "hl-i")
    run("hl-i", *SLEEP, options=("--health-retries", "9"), image=CHECKED)
    have = box.inspect("hl-i")["Config"]["Healthcheck"]
    equal((have["Test"], have["Interval"], have["Retries"]), (["CMD", "test", "-e", "/ok"], SECOND, 9), "in parts")
    box.docker("rm", "-f", "hl-i")
    run("hl-i", *SLEEP, options=("--no-healthcheck",), image=CHECKED)
    equal((health("hl-i"), box.inspect("hl-i")["Config"]["Healthcheck"]["Test"]), (None, ["NONE"]), "switched off")
    check("health" not in box.docker("ps", "--filter", "name=hl-i", "--format", "{{.Status}}"), "ps shows a health")
    contains(box.docker("ps", "--filter", "health=none", "--format", "{{.Names}}"), "hl-i", "filter")
    box.docker("rm", "-f", "hl-i")


@case("a check that hangs is ended after its time, one that cannot run says why, long output is cut")
def bad_checks():
    run("hl-t", *SLEEP, options=check_with("echo slow; exec sleep 1000", retries="1", timeout="1s"))
    run("hl-n", *SLEEP, options=["--health-interval", "1s", "--health-retries", "1", "--health-cmd", "x"])
    box.docker("rm", "-f", "hl-n")
    status, made = box.request("POST", "/containers/create?name=hl-n", {
        "Image": IMAGE, "Cmd": list(SLEEP), "Healthcheck": {"Test": ["CMD", "/no/such"], "Interval": SECOND, "Retries": 1}})
    equal(status, 201, str(made))
    box.docker("start", "hl-n")
    run("hl-o", *SLEEP, options=check_with("yes | head -n 5000; exit 1", retries="1"))
    equal({key: becomes("hl-t", "unhealthy")["Log"][-1][key] for key in ("ExitCode", "Output")},
          {"ExitCode": -1, "Output": "Health check exceeded timeout (1s): slow\n"}, "a check that hangs")
    until(lambda: len(health("hl-t")["Log"]) >= 3, "more of them")
    check(box.sh("ps | grep -c '[s]leep 1000$'", check=False)[1] in ("0", "1"), "what was ended is still there")
    have = becomes("hl-n", "unhealthy")["Log"][-1]
    check(have["ExitCode"] == -1 and "/no/such" in have["Output"], str(have))
    have = becomes("hl-o", "unhealthy")["Log"][-1]
    equal((have["ExitCode"], have["Output"]), (1, "y\n" * 2048 + "..."), "long output")
    box.docker("rm", "-f", "hl-t", "hl-n", "hl-o")
    for test, text in ((["SHELL", "x"], "expected NONE, CMD or CMD-SHELL"),):
        status, answer = box.request("POST", "/containers/create", {"Image": IMAGE, "Healthcheck": {"Test": test}})
        check(status == 400 and text in answer["message"], f"{status} {answer}")
    status, answer = box.request("POST", "/containers/create", {"Image": IMAGE, "Healthcheck": {"Test": ["NONE"], "Interval": 10}})
    equal((status, answer["message"]), (400, "Interval in Healthcheck cannot be less than 1ms"), "interval")


@case("start period: failures do not count, probes come at the start interval; the first success ends it")
def start_period():
    run("hl-s", *SLEEP, options=check_with("test -e /ok", interval="60s", retries="1", start_period="300s", start_interval="1s"))
    until(lambda: len(health("hl-s")["Log"]) >= 3, "probes at the start interval")
    equal((health("hl-s")["Status"], health("hl-s")["FailingStreak"]), ("starting", 0), "during the start period")
    touch("hl-s")
    becomes("hl-s", "healthy")
    box.docker("rm", "-f", "hl-s")


@case("what is paused is not probed")
def paused():
    run("hl-p", *SLEEP, options=check_with("true", interval="1s"))
    run("hl-q", *SLEEP, options=check_with("true", interval="1s"))
    becomes("hl-p", "healthy")
    box.docker("pause", "hl-p")
    before = health("hl-p")["Log"]
    last = becomes("hl-q", "healthy")["Log"][-1]
    until(lambda: last not in health("hl-q")["Log"], "another one was probed several times")
    equal(health("hl-p")["Log"], before, "results of the paused one")
    check("health" not in box.docker("ps", "--filter", "name=hl-p", "--format", "{{.Status}}"), "ps")
    box.docker("unpause", "hl-p")
    until(lambda: health("hl-p")["Log"] != before, "it is probed again")
    box.docker("rm", "-f", "hl-p", "hl-q")


@case("a kill of the engine: the status stays, no event is told twice, probes go on")
def engine():
    start = box.now()
    run("hl-k", *SLEEP, options=check_with("test -e /ok", retries="1"))
    becomes("hl-k", "unhealthy")
    before = box.sh(f"p={ENGINE}; kill -9 $p; echo $p")
    until(lambda: box.request("GET", "/_ping", seconds=2)[0] == 200, "the API is back", 30)
    have = until(lambda: health("hl-k"), "it is found again")
    check(have["Status"] == "unhealthy" and have["FailingStreak"] >= 1 and have["Log"], f"{before}: {have}")
    touch("hl-k")
    becomes("hl-k", "healthy")
    told = box.docker("events", "--since", f"{start:.6f}", "--until", f"{box.now():.6f}", "--filter", "container=hl-k", "--filter",
                      "event=health_status", "--format", "{{.Action}}")
    equal(told, "health_status: healthy", "events of this engine")
    box.docker("rm", "-f", "hl-k")


@case("skerry.autoheal: what becomes unhealthy is restarted, again after a wait; without the label it is not")
def heal():
    script = "n=$(cat /n 2>/dev/null); n=$((n+1)); echo $n > /n; [ $n -gt 2 ] && touch /ok; exec sleep 100000"
    conn, stream = events(container=["hl-h"], event=["restart", "health_status"])
    run("hl-h", "sh", "-c", script, options=["-l", "skerry.autoheal=true", "--stop-timeout", "0",
                                            *check_with("test -e /ok", retries="1")])
    run("hl-x", *SLEEP, options=check_with("false", retries="1"))
    becomes("hl-h", "healthy", 90)
    equal(box.inspect("hl-h")["RestartCount"], 2, "restarts")
    seen = [json.loads(stream.readline()) for _number in range(5)]
    conn.close()
    equal([item["Action"].split(": ")[-1] for item in seen], ["unhealthy", "restart", "unhealthy", "restart", "healthy"], "events")
    waits = [(seen[at + 1]["timeNano"] - seen[at]["timeNano"]) / 1e9 for at in (0, 2)]
    check(waits[0] < 8 <= waits[1] < 40, f"waits {waits}")
    equal((health("hl-x")["Status"], box.inspect("hl-x")["RestartCount"]), ("unhealthy", 0), "without the label")
    box.docker("rm", "-f", "hl-h", "hl-x")


@case("12 containers with a check every second: all become healthy, the engine stays quick and holds no more descriptors")
def many():
    before = box.sh(f"ls /proc/{ENGINE}/fd | wc -l")
    names = [f"hl-m{number}" for number in range(12)]
    for name in names:
        run(name, *SLEEP, options=check_with("true", interval="1s"))
    until(lambda: all(health(name)["Status"] == "healthy" for name in names), "all are healthy", 120)
    check(box.request("GET", "/_ping", seconds=3)[0] == 200, "ping")
    box.docker("rm", "-f", *names)
    until(lambda: int(box.sh(f"ls /proc/{ENGINE}/fd | wc -l")) <= int(before) + 1, "descriptors are given back")


@case("manifest: service_healthy and service_completed_successfully wait for the real thing; healing by x-skerry-autoheal")
def manifest():
    box.sh("mkdir /run/hlthy")
    box.put("/etc/skerry/compose/hlthy.yaml", f"""\
services:
  db:
    image: {IMAGE}
    command: [sleep, "100000"]
    stop_grace_period: 0s
    x-skerry-autoheal: false
    healthcheck: {{test: "test -e /ok", interval: 1s, retries: 1000}}
  job:
    image: {IMAGE}
    command: [sh, -c, "while [ ! -s /v/code ]; do sleep 0.1; done; exit $$(cat /v/code)"]
    volumes: [/run/hlthy:/v]
  app:
    image: {IMAGE}
    command: [sleep, "100000"]
    stop_grace_period: 0s
    x-skerry-autoheal: true
    depends_on: {{db: {{condition: service_healthy}}, job: {{condition: service_completed_successfully}}}}
  lost:
    image: {IMAGE}
    depends_on: {{app: {{condition: service_healthy}}}}
""")

    def service(name):
        status, answer = box.request("GET", "/skerry/manifests")
        equal(status, 200, "manifests")
        return [item for project in answer if project["name"] == "hlthy" for item in project["services"] if item["name"] == name][0]

    until(lambda: (health("hlthy-db-1") or {}).get("Log"), "the database is probed")
    until(lambda: box.inspect("hlthy-job-1")["State"]["Running"], "the job runs")
    equal(service("app")["state"], "waiting", "app")
    touch("hlthy-db-1")
    becomes("hlthy-db-1", "healthy")
    equal(service("app")["state"], "waiting", "app, while the job runs")
    box.sh("echo 7 > /run/hlthy/code")
    until(lambda: "job ended with exit code 7" in (service("app")["error"] or ""), "what failed is said")
    equal(service("app")["state"], "waiting", "app, after the job failed")
    box.sh("echo 0 > /run/hlthy/code")
    box.docker("start", "hlthy-job-1")
    until(lambda: service("app")["state"] == "running", "the app runs")
    equal(service("app")["error"], None, "app's error")
    labels = box.inspect("hlthy-app-1")["Config"]["Labels"]
    equal(labels.get("skerry.autoheal"), "true", "label")
    until(lambda: "app has no healthcheck" in (service("lost")["error"] or ""), "what can never be is said")
    box.sh("rm -r /etc/skerry/compose/hlthy.yaml /run/hlthy")
    until(lambda: box.docker("ps", "-aq", "--filter", "name=hlthy") == "", "the project is gone")


tap.main()
