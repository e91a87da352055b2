#!/usr/bin/env python3
"""The life of a container by the docker client: pause, update, restart policies, want of memory, wait, kill, rename,
removal, prune; each also over a kill -9 of the engine where that may matter."""

import json
import os
import threading
import urllib.parse

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

box = vm.shared()
IMAGE = "test/life:1"
SLEEP = ("sleep", "100000")
ENGINE = vm.ENGINE
box.docker("load", "-i", images.busybox_image(os.path.join(box.scratch, "life.tar"), IMAGE))


def run(name, *words, options=()):
    """docker run -d; the full id."""
    return box.docker("run", "-d", "--name", name, *options, IMAGE, *words)


def state(name):
    return box.inspect(name)["State"]


def group(name, knob):
    return box.sh(f"cat /sys/fs/cgroup/containers/{box.inspect(name)['Id']}/{knob}")


def refused(text, *words):
    done = box.docker(*words, check=False)
    check(done.returncode != 0 and text in done.stderr, f"{words}: exit {done.returncode}: {done.stderr}")


def kill_engine():
    """kill -9, and the next one answers."""
    before = box.sh(f"p={ENGINE}; kill -9 $p; echo $p")
    until(lambda: box.request("GET", "/_ping", seconds=2)[0] == 200, "the API is back", 30)
    check(box.sh(f"echo {ENGINE}") != before, "the engine was not killed")


class Told:
    """The events of one container while the block runs."""

    def __init__(self, name):
        self.name = name
        self.conn = box.connection(90)
        self.conn.request("GET", "/events?filters=" + urllib.parse.quote(json.dumps({"container": [name]})))
        self.stream = self.conn.getresponse()           # the head comes when the listener is in place

    def until(self, last):
        """The actions in order up to `last`."""
        seen = []
        while last not in seen:
            line = self.stream.readline()
            check(line, f"events of {self.name} ended after {seen}")
            seen.append(json.loads(line)["Action"])
        return seen

    def __enter__(self):
        return self

    def __exit__(self, *_what):
        self.conn.close()


# --- pause -------------------------------------------------------------------------------------------------------------

@case("pause freezes, unpause lets it run on; wrong states are conflicts in Docker's words")
def pause():
    full = run("life-p", *SLEEP)
    with Told("life-p") as told:
        box.docker("pause", "life-p")
        equal((state("life-p")["Status"], state("life-p")["Paused"], state("life-p")["Running"]), ("paused", True, True), "state")
        contains(group("life-p", "cgroup.events"), "frozen 1", "cgroup")
        contains(box.docker("ps", "--filter", "name=life-p", "--format", "{{.Status}}"), "(Paused)", "ps")
        equal(box.docker("ps", "-q", "--no-trunc", "--filter", "status=paused"), full, "filter")
        refused(f"container {full} is already paused", "pause", "life-p")
        refused("cannot start a paused container, try unpause instead", "start", "life-p")
        refused('cannot remove container "/life-p": container is paused and must be unpaused first', "rm", "life-p")
        box.docker("unpause", "life-p")
        contains(group("life-p", "cgroup.events"), "frozen 0", "cgroup")
        refused(f"container {full} is not paused", "unpause", "life-p")
        equal(told.until("unpause")[-2:], ["pause", "unpause"], "events")
    box.docker("rm", "-f", "life-p")
    full = box.docker("create", "--name", "life-p", IMAGE)
    refused(f"container {full} is not running", "pause", "life-p")
    box.docker("rm", "life-p")


@case("what is paused can be stopped, killed, restarted and removed by force; the program hears its signal")
def ends_of_paused():
    trap = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    for verb, code in ((("stop", "-t", "20"), 7), (("kill",), 137), (("restart", "-t", "20"), None)):
        run("life-pe", "sh", "-c", trap)
        until(lambda: "ready" in box.docker("logs", "life-pe"), "the trap is set")
        box.docker("pause", "life-pe")
        box.docker(*verb, "life-pe")
        if code is None:
            equal(state("life-pe")["Status"], "running", "after restart")
        else:
            equal((state("life-pe")["Status"], state("life-pe")["ExitCode"]), ("exited", code), str(verb))
            check(not state("life-pe")["Paused"], "still paused")
        if code is None:
            box.docker("pause", "life-pe")
        box.docker("rm", "-f", "life-pe")


@case("a paused container stays paused over a kill of the engine")
def paused_kept():
    run("life-pk", *SLEEP)
    box.docker("pause", "life-pk")
    kill_engine()
    until(lambda: state("life-pk")["Status"] == "paused", "it is found again")
    contains(group("life-pk", "cgroup.events"), "frozen 1", "cgroup")
    box.docker("unpause", "life-pk")
    equal(state("life-pk")["Status"], "running", "state")
    box.docker("rm", "-f", "life-pk")


# --- update ------------------------------------------------------------------------------------------------------------

@case("update: limits are in the cgroup at once, in inspect, and in the next start, also when the engine is killed")
def update():
    run("life-u", *SLEEP, options=("-m", "64m"))
    box.docker("update", "-m", "48m", "--memory-swap", "96m", "--memory-reservation", "16m", "--pids-limit", "33",
               "--cpus", "0.5", "--cpu-shares", "512", "--cpuset-cpus", "0", "life-u")
    kill_engine()
    host = box.inspect("life-u")["HostConfig"]
    equal((host["Memory"], host["MemorySwap"], host["MemoryReservation"], host["PidsLimit"], host["NanoCpus"],
           host["CpuShares"], host["CpusetCpus"]),
          (48 << 20, 96 << 20, 16 << 20, 33, 500000000, 512, "0"), "inspect")
    want = {"memory.max": str(48 << 20), "memory.swap.max": str(48 << 20), "memory.low": str(16 << 20), "pids.max": "33",
            "cpu.max": "50000 100000", "cpuset.cpus": "0"}
    for round_ in ("after the update", "after a start"):
        equal({knob: group("life-u", knob) for knob in want}, want, round_)
        box.docker("restart", "-t", "0", "life-u")
    box.docker("update", "--pids-limit", "-1", "life-u")
    equal(group("life-u", "pids.max"), "max", "pids.max")
    box.docker("rm", "-f", "life-u")


@case("update: what does not go together, is wrong, or cannot be changed is refused in Docker's words and changes nothing")
def update_refused():
    full = run("life-ur", *SLEEP, options=("--cpus", "0.5"))
    for words, text in (
            (("-m", "100m"), f"Cannot update container {full}: Memory limit should be smaller than already set memoryswap limit"),
            (("-m", "1m"), "Minimum memory limit allowed is 6MB"),
            (("-m", "64m", "--memory-swap", "32m"), "Minimum memoryswap limit should be larger than memory limit, see usage"),
            (("--cpu-period", "100000"), "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set"),
            (("--restart", "sometimes"), "invalid restart policy"),
            (("--cpuset-cpus", "77"), "Requested CPUs are not available - requested 77, available: 0")):
        refused(text, "update", *words, "life-ur")
    for body, status, text in (({"Devices": [{"PathOnHost": "/dev/null"}]}, 501, "Devices"), ({"Ulimits": [{"Name": "core"}]}, 501, "Ulimits"),
                               ({"CpuRealtimePeriod": 1000}, 400, "CpuRealtimePeriod"),
                               # the kernel's own no: the disk's scheduler knows no weights
                               ({"BlkioWeightDevice": [{"Path": "/dev/vda", "Weight": 300}]}, 501, f"Cannot update container {full}: "), ({"Memory": "x"}, 400, "Memory"),
                               ({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 2}}, 400, "maximum retry count can only be used with")):
        have, answer = box.request("POST", "/containers/life-ur/update", body)
        check(have == status and text in answer["message"], f"{body}: {have} {answer}")
    host = box.inspect("life-ur")["HostConfig"]
    equal((host["Memory"], host["CpuPeriod"], host["CpusetCpus"], host["BlkioWeightDevice"], host["RestartPolicy"]["Name"]),
          (0, 0, "", [], "no"), "unchanged")
    equal(group("life-ur", "memory.max"), "max", "memory.max")
    box.docker("rm", "-f", "life-ur")
    done = box.docker("create", "--rm", "--name", "life-ur", IMAGE)
    refused(f"Cannot update container {done}: Restart policy cannot be updated because AutoRemove is enabled for the container",
            "update", "--restart", "always", "life-ur")
    box.docker("rm", "life-ur")
    equal(box.request("POST", "/containers/life-none/update", {})[0], 404, "of none")


@case("update --restart: a policy given later acts at the next end; without one it rests")
def update_policy():
    run("life-up", "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; exit 3")
    box.docker("update", "--restart", "on-failure:2", "life-up")
    equal(box.inspect("life-up")["HostConfig"]["RestartPolicy"], {"Name": "on-failure", "MaximumRetryCount": 2}, "inspect")
    box.sh(f"touch /proc/{state('life-up')['Pid']}/root/go")
    until(lambda: state("life-up")["Status"] == "exited", "both tries are over")
    equal(box.inspect("life-up")["RestartCount"], 2, "RestartCount")
    box.docker("rm", "life-up")


# --- restart policies ---------------------------------------------------------------------------------------------------

@case("on-failure:N ends after N; the count and the state survive a kill of the engine in between")
def on_failure():
    run("life-of", "sh", "-c", "exit 4", options=("--restart", "on-failure:5"))
    until(lambda: box.inspect("life-of")["RestartCount"] >= 2, "two restarts")
    kill_engine()
    check(box.inspect("life-of")["RestartCount"] >= 2, "the count began anew")
    until(lambda: state("life-of")["Status"] == "exited", "it has ended", 90)
    equal((box.inspect("life-of")["RestartCount"], state("life-of")["ExitCode"]), (5, 4), "count, exit code")
    check(box.docker("logs", "life-of") == "", "logs")
    box.docker("rm", "life-of")
    run("life-of", "true", options=("--restart", "on-failure"))
    equal(box.docker("wait", "life-of"), "0", "exit code")
    equal(box.inspect("life-of")["RestartCount"], 0, "a success is no failure")
    box.docker("rm", "life-of")


@case("a container that waits for its next start can be stopped, killed, removed by force, and is not started again")
def restarting():
    for verb in ("stop", "kill", "rm"):
        run("life-rs", "sh", "-c", "exit 1", options=("--restart", "always"))
        until(lambda: box.inspect("life-rs")["RestartCount"] >= 4, "it waits for a while now")
        if verb == "rm":
            box.docker("rm", "-f", "life-rs")
            continue
        have = until(lambda: [s for s in [state("life-rs")] if s["Restarting"]], "it waits")[0]
        equal((have["Status"], have["Running"]), ("restarting", True), "state")
        contains(box.docker("ps", "--filter", "name=life-rs", "--format", "{{.Status}}"), "Restarting (1)", "ps")
        box.docker(verb, "life-rs")
        equal((state("life-rs")["Status"], state("life-rs")["Restarting"]), ("exited", False), verb)
        kill_engine()
        equal(state("life-rs")["Status"], "exited", "after the engine was killed")
        box.docker("rm", "life-rs")


@case("a stop by hand holds over a kill of the engine, whatever the policy; --rm and a policy do not go together")
def stopped():
    run("life-st", *SLEEP, options=("--restart", "always"))
    box.docker("stop", "-t", "0", "life-st")
    kill_engine()
    equal(state("life-st")["Status"], "exited", "state")
    box.docker("start", "life-st")
    box.docker("kill", "life-st")
    equal(state("life-st")["Status"], "exited", "after docker kill")
    box.docker("rm", "life-st")
    status, answer = box.request("POST", "/containers/create", {
        "Image": IMAGE, "HostConfig": {"AutoRemove": True, "RestartPolicy": {"Name": "always"}}})
    equal((status, answer["message"]), (400, "can't create 'AutoRemove' container with restart policy"), "--rm --restart")


@case("restart: events in Docker's order")
def restart_events():
    with Told("life-re") as told:
        run("life-re", *SLEEP)
        box.docker("restart", "-t", "0", "life-re")
        equal(told.until("restart"), ["create", "start", "kill", "kill", "die", "stop", "start", "restart"], "events")
    box.docker("rm", "-f", "life-re")


# --- want of memory -----------------------------------------------------------------------------------------------------

@case("want of memory is seen: of the program, of a child of it, and when the engine was away")
def oom():
    box.allow(r"invoked oom-killer|Call Trace|Memory cgroup out of memory")
    limits = ("-m", "16m", "--memory-swap", "16m")
    with Told("life-o") as told:
        run("life-o", "sh", "-c", "exec tail /dev/zero", options=limits)
        equal(box.docker("wait", "life-o"), "137", "exit code")
        check("oom" in told.until("die"), "no oom event")
    check(state("life-o")["OOMKilled"], "OOMKilled")
    box.docker("rm", "life-o")
    with Told("life-o") as told:
        run("life-o", "sh", "-c", "tail /dev/zero; echo survived; exec sleep 100000", options=limits)
        told.until("oom")
    until(lambda: "survived" in box.docker("logs", "life-o"), "the first process goes on")
    equal((state("life-o")["Status"], state("life-o")["OOMKilled"]), ("running", True), "a child was killed")
    box.docker("rm", "-f", "life-o")
    run("life-o", "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; tail /dev/zero; exec sleep 100000", options=limits)
    pid = state("life-o")["Pid"]
    # the engine is held while it happens, so that it cannot hear of it
    events = f"/sys/fs/cgroup/containers/{box.inspect('life-o')['Id']}/memory.events"
    box.sh(f"kill -STOP {ENGINE}; touch /proc/{pid}/root/go; while ! grep -q 'oom_kill [1-9]' {events}; do :; done; "
           f"kill -9 {ENGINE}")
    until(lambda: box.request("GET", "/_ping", seconds=2)[0] == 200, "the API is back", 30)
    until(lambda: state("life-o")["OOMKilled"], "it is told after the engine came back")
    equal(state("life-o")["Status"], "running", "state")
    box.docker("rm", "-f", "life-o")


# --- wait, kill, rename, rm, prune ----------------------------------------------------------------------------------------

@case("wait: not-running, next-exit and removed; a client that comes back after a kill of the engine gets the code")
def wait():
    answers = {}

    def ask(condition):
        answers[condition] = box.request("POST", f"/containers/life-w/wait?condition={condition}", seconds=100)

    box.docker("create", "--name", "life-w", IMAGE, "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; exit 9")
    equal(box.request("POST", "/containers/life-w/wait"), (200, {"StatusCode": 0}), "of what never ran")
    threads = [threading.Thread(target=ask, args=(word,)) for word in ("next-exit", "removed")]
    for thread in threads:
        thread.start()
    box.docker("start", "life-w")
    threads.append(threading.Thread(target=ask, args=("not-running",)))
    threads[-1].start()
    box.sh(f"touch /proc/{state('life-w')['Pid']}/root/go")
    threads[0].join()
    threads[2].join()
    box.docker("rm", "life-w")
    threads[1].join()
    for condition, answer in answers.items():
        equal(answer, (200, {"StatusCode": 9}), condition)
    equal(box.request("POST", "/containers/life-w/wait")[0], 404, "of what is gone")
    run("life-w", "sh", "-c", "while [ ! -e /go ]; do sleep 0.1; done; exit 9")
    equal(box.request("POST", "/containers/life-w/wait?condition=never")[0], 400, "unknown condition")
    client = box.follow("wait", "life-w")
    pid = state("life-w")["Pid"]
    box.sh(f"kill -STOP {ENGINE}; touch /proc/{pid}/root/go; while [ -e /proc/{pid} ]; do :; done; kill -9 {ENGINE}")
    client.communicate(timeout=60)          # it is cut off
    until(lambda: box.request("GET", "/_ping", seconds=2)[0] == 200, "the API is back", 30)
    equal(box.docker("wait", "life-w"), "9", "asked again")
    box.docker("rm", "life-w")


@case("kill: every form of a signal's name and number arrives; wrong ones are refused")
def kill():
    run("life-k", "sh", "-c", "for s in USR1 HUP WINCH; do trap \"echo got $s\" $s; done; echo ready; while :; do sleep 0.1; done")
    until(lambda: "ready" in box.docker("logs", "life-k"), "the traps are set")
    for form, name in (("USR1", "USR1"), ("SIGUSR1", "USR1"), ("10", "USR1"), ("usr1", "USR1"), ("sighup", "HUP"), ("1", "HUP"),
                       ("SIGWINCH", "WINCH")):
        before = box.docker("logs", "life-k").count(f"got {name}")
        box.docker("kill", "-s", form, "life-k")
        until(lambda n=name, b=before: box.docker("logs", "life-k").count(f"got {n}") > b, f"{form} arrives")
    for form in ("NOPE", "0", "65", "SIGRTMIN+99"):
        refused(f"cannot kill container: life-k: invalid signal: {form}", "kill", "-s", form, "life-k")
    box.docker("kill", "-s", "SIGRTMIN+3", "life-k")     # has no handler, and does not end the first process of a namespace
    equal(state("life-k")["Status"], "running", "state")
    full = box.inspect("life-k")["Id"]
    box.docker("kill", "life-k")
    equal((state("life-k")["Status"], state("life-k")["ExitCode"]), ("exited", 137), "state")
    refused(f"cannot kill container: life-k: container {full} is not running", "kill", "life-k")
    box.docker("rm", "life-k")


@case("rename: while it runs, durable; taken, own, malformed and empty names are refused")
def rename():
    run("life-n1", *SLEEP)
    other = box.docker("create", "--name", "life-n2", IMAGE)
    with Told("life-n3") as told:
        box.docker("rename", "life-n1", "life-n3")
        contains(told.until("rename"), "rename", "events")
    kill_engine()
    equal(box.inspect("life-n3")["Name"], "/life-n3", "name")
    refused("No such container: life-n1", "rename", "life-n1", "life-x")
    refused(f'Error when allocating new name: Conflict. The container name "/life-n2" is already in use by container "{other}". '
            "You have to remove (or rename) that container to be able to reuse that name.", "rename", "life-n3", "life-n2")
    refused("Renaming a container with the same name as its current name", "rename", "life-n3", "life-n3")
    refused("Invalid container name (a/b)", "rename", "life-n3", "a/b")
    equal(box.request("POST", "/containers/life-n3/rename")[1], {"message": "Neither old nor new names may be empty"}, "empty")
    box.docker("rm", "-f", "life-n2", "life-n3")


@case("rm: of what runs is refused, link names what is not there, -v takes anonymous volumes only")
def remove():
    run("life-r", *SLEEP, options=("-v", "/data", "-v", "life-named:/named"))
    refused('cannot remove container "/life-r": container is running: stop the container before removing or force remove', "rm", "life-r")
    status, answer = box.request("DELETE", "/containers/life-r?link=1")
    check(status == 501 and "link" in answer["message"], f"{status} {answer}")
    volume = [item["Name"] for item in box.inspect("life-r")["Mounts"] if item["Name"] != "life-named"][0]
    box.docker("rm", "-f", "-v", "life-r")
    left = box.docker("volume", "ls", "-q").split()
    check(volume not in left and "life-named" in left, f"volumes {left}")
    refused("No such container: life-r", "rm", "life-r")
    box.docker("volume", "rm", "life-named")


@case("container prune: by label, label! and until; what runs stays; says what it freed and tells an event")
def prune():
    conn = box.connection(90)
    conn.request("GET", "/events?filters=" + urllib.parse.quote(json.dumps({"event": ["prune"]})))
    stream = conn.getresponse()
    for number, label in ((1, "a=1"), (2, "a=2"), (3, "b")):
        box.docker("run", "--name", f"life-d{number}", "-l", "life", "-l", label, IMAGE, "dd", "if=/dev/zero", "of=/f", "bs=1024",
                   "count=100", both=True)
    run("life-d4", *SLEEP, options=("-l", "life"))
    box.docker("pause", "life-d4")
    for filters, gone in ((("label=life", "until=1h"), []), (("label=a=1",), [1]), (("label=life", "label!=b"), [2]),
                          (("label=life", "until=0.001s"), [3])):
        ids = [box.inspect(f"life-d{number}")["Id"] for number in gone]
        options = [word for item in filters for word in ("--filter", item)]
        said = box.docker("container", "prune", "-f", *options)
        equal(sorted(word for word in said.split() if len(word) == 64), sorted(ids), f"prune {filters}")
        contains(said, "102.4kB" if gone else "0B", "space")
    event = json.loads(stream.readline())
    conn.close()
    equal((event["Type"], event["Action"], event["Actor"]["Attributes"]["reclaimed"]), ("container", "prune", "0"), "event")
    for filters in ({"colour": ["x"]}, {"until": ["1h", "2h"]}, {"until": ["yesterday"]}):
        equal(box.request("POST", "/containers/prune?filters=" + json.dumps(filters).replace(" ", ""))[0], 400, str(filters))
    equal(state("life-d4")["Status"], "paused", "what is paused stays")
    box.docker("rm", "-f", "life-d4")


tap.main()
