#!/usr/bin/python3
"""docker-py, Debian's python3-docker, over mutual TLS: every container verb that it has, as programs use it."""

import io
import os
import tarfile
import threading

import docker
from docker import errors, types

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

box = vm.shared()
IMAGE = "test/python:1"
STILL = ["sh", "-c", "trap 'exit 9' TERM; echo started; while :; do sleep 1; done"]
# Variables of the build machine's own network, which python3-requests would prefer to what the client says.
for _name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
    os.environ.pop(_name, None)
client = docker.from_env(environment=box.env(), version="1.51", timeout=120)     # asks nothing yet


def fails(kind, text, function, *words, **more):
    """The call raises that kind of error, and its text has `text`."""
    try:
        function(*words, **more)
    except kind as error:
        contains(str(error), text, "the error")
        return error
    raise tap.Failed(f"no {kind.__name__}: {text}")


def start(name, command=None, **more):
    """A container of this program that runs."""
    made = client.containers.run(IMAGE, command or STILL, name=f"python-{name}", detach=True, **more)
    if not command:
        until(lambda: made.logs() == b"started\n", "it runs")
    return made


def exchange(stream, data, want):
    """Sends over a socket of docker-py, and expects one frame of output with that text."""
    raw = getattr(stream, "_sock", stream)
    raw.sendall(data)
    have = b""
    while len(have) < 8 + len(want):
        block = raw.recv(8 + len(want) - len(have))
        check(block, f"the socket ended after {have!r}")
        have += block
    equal(have[8:], want, "over the socket")


@case("ping, version, info; load of an image, which is listed, found, tagged and has a history")
def engine():
    check(client.ping() is True, "ping")
    equal(client.version()["ApiVersion"], "1.51", "version")
    auto = docker.from_env(environment=box.env())
    equal(auto.api.api_version, "1.51", "what it speaks when it asks")
    equal(auto.info()["Swarm"]["LocalNodeState"], "inactive", "info")
    auto.close()
    path = images.busybox_image(os.path.join(box.scratch, "python.tar"), IMAGE, config={"Cmd": ["sh"], "Env": ["PATH=/bin", "A=image"]})
    with open(path, "rb") as data:
        loaded = client.images.load(data)
    equal([item.tags for item in loaded], [[IMAGE]], "load")
    image = client.images.get(IMAGE)
    check(image.id in [item.id for item in client.images.list()] and len(image.history()) == 1, "the image")
    check(image.tag("test/python", "2"), "tag")
    client.images.remove("test/python:2")
    fails(errors.ImageNotFound, "No such image", client.images.get, "test/python:2")


@case("run: output as bytes, errors, exit codes, removal; run in the background")
def run():
    equal(client.containers.run(IMAGE, ["echo", "hello"], remove=True), b"hello\n", "run")
    equal(client.containers.run(IMAGE, "sh -c 'echo out; echo err >&2'", stdout=True, stderr=True, remove=True), b"out\nerr\n", "both")
    error = fails(errors.ContainerError, "returned non-zero exit status 7", client.containers.run, IMAGE, ["sh", "-c", "echo why >&2; exit 7"],
                  remove=True, name="python-seven")
    equal((error.exit_status, error.stderr), (7, b"why\n"), "the error")
    fails(errors.NotFound, "No such container", client.containers.get, "python-seven")
    equal(b"".join(client.containers.run(IMAGE, ["sh", "-c", "echo 1; sleep 1; echo 2"], stream=True, remove=True)), b"1\n2\n", "stream")
    fails(errors.APIError, "no such file or directory", client.containers.run, IMAGE, "/nothing", name="python-nothing")
    client.containers.get("python-nothing").remove()
    made = start("bg")
    equal((made.status, made.name, made.short_id), ("created", "python-bg", made.id[:len(made.short_id)]), "before reload")
    made.reload()
    equal((made.status, made.attrs["Config"]["Image"], made.image.id), ("running", IMAGE, client.images.get(IMAGE).id), "after")
    made.remove(force=True)


@case("create with many options, which are seen in inspect and inside")
def create():
    made = client.containers.create(
        IMAGE, ["sh", "-c", "echo $A $B; pwd; id -u; id -G; hostname; cat /data/in 2>&1; ulimit -n; cat /proc/sys/net/ipv4/ip_unprivileged_port_start"],
        name="python-options", environment={"B": "mine"}, working_dir="/tmp", user="1000:1000", group_add=["2000"], hostname="pyhost",
        labels={"x": "y"}, volumes={"python-data": {"bind": "/data", "mode": "rw"}}, mem_limit="64m", nano_cpus=500000000, pids_limit=50,
        cap_drop=["ALL"], read_only=True, tmpfs={"/scratch": "size=1m"}, ulimits=[types.Ulimit(name="nofile", soft=99, hard=199)],
        sysctls={"net.ipv4.ip_unprivileged_port_start": "7"}, restart_policy={"Name": "on-failure", "MaximumRetryCount": 2},
        ports={"80/tcp": None, "81/udp": ("127.0.0.1", 8181)}, extra_hosts={"other": "10.1.2.3"}, dns=["10.0.2.3"], shm_size="1m",
        security_opt=["no-new-privileges"], stop_signal="SIGINT", init=False, log_config=types.LogConfig(type="json-file", config={"max-size": "1m"}),
        mounts=[types.Mount("/etc/two", "/etc", type="bind", read_only=True)], healthcheck={"test": ["NONE"]})
    made.start()
    equal(made.wait()["StatusCode"], 0, "wait")
    lines = made.logs().decode().splitlines()
    equal(lines, ["image mine", "/tmp", "1000", "1000 2000", "pyhost", "cat: can't open '/data/in': No such file or directory", "99", "7"], "inside")
    made.reload()
    host = made.attrs["HostConfig"]
    equal((host["Memory"], host["NanoCpus"], host["PidsLimit"], host["CapDrop"], host["ReadonlyRootfs"], host["ShmSize"], host["RestartPolicy"]),
          (64 << 20, 500000000, 50, ["ALL"], True, 1 << 20, {"Name": "on-failure", "MaximumRetryCount": 2}), "inspect")
    equal((made.labels, made.attrs["Config"]["StopSignal"]), ({"x": "y"}, "SIGINT"), "labels")
    made.remove(v=True)
    client.volumes.get("python-data").remove()


@case("list with filters, limit, before and since, all or what runs")
def list_():
    made = [client.containers.create(IMAGE, ["true"], name=f"python-list{number}", labels={"list": str(number)}) for number in range(3)]
    made.append(start("list3", labels={"list": "3"}))

    def found(**more):
        return sorted(item.name.removeprefix("python-list") for item in client.containers.list(**more))
    equal(found(all=True, filters={"label": "list"}), ["0", "1", "2", "3"], "by label")
    equal(found(filters={"label": "list"}), ["3"], "what runs")
    equal(found(all=True, filters={"label": ["list=1"], "status": "created"}), ["1"], "two filters")
    equal(found(all=True, filters={"name": "python-list"}, since="python-list1"), ["2", "3"], "since")
    equal(found(all=True, filters={"name": "python-list", "before": "python-list1"}), ["0"], "before")
    equal(found(limit=1), ["3"], "limit")
    equal([item.attrs["Names"] for item in client.containers.list(filters={"label": "list"}, sparse=True)], [["/python-list3"]], "sparse")
    fails(errors.APIError, "invalid filter 'odd'", client.containers.list, filters={"odd": "x"})
    for item in made:
        item.remove(force=True)


@case("start, stop, restart, kill, pause, unpause, rename, wait, remove, and their errors")
def verbs():
    made = start("verbs")
    made.pause()
    made.reload()
    equal(made.status, "paused", "pause")
    fails(errors.APIError, "is already paused", made.pause)
    made.unpause()
    made.restart(timeout=1)
    until(lambda: made.logs().count(b"started") == 2, "it was restarted")
    made.kill(signal="SIGTERM")
    equal(made.wait()["StatusCode"], 9, "kill with a signal")
    fails(errors.APIError, "is not running", made.kill)
    made.start()
    until(lambda: made.logs().count(b"started") == 3, "it was started again")
    made.kill()
    equal(made.wait()["StatusCode"], 137, "kill")
    made.start()
    until(lambda: made.logs().count(b"started") == 4, "and again")
    made.stop(timeout=20)
    equal(made.wait(condition="not-running")["StatusCode"], 9, "stop")
    made.stop()     # nothing to do is no error
    made.rename("python-renamed")
    made.reload()
    equal(made.name, "python-renamed", "rename")
    other = client.containers.create(IMAGE, ["true"], name="python-other")
    equal(fails(errors.APIError, "Conflict", other.rename, "python-renamed").status_code, 409, "rename to a taken name")
    equal(fails(errors.APIError, "Conflict", client.containers.create, IMAGE, name="python-other").response.status_code, 409, "a taken name")
    other.remove()
    made.start()
    equal(fails(errors.APIError, "container is running", made.remove).response.status_code, 409, "remove of a running one")
    made.remove(force=True)
    fails(errors.NotFound, "No such container", made.reload)


@case("wait for the next exit and for removal, while others act")
def wait():
    made = client.containers.create(IMAGE, ["sh", "-c", "sleep 1; exit 5"], name="python-wait", auto_remove=True)
    other = docker.from_env(environment=box.env(), version="1.51", timeout=120)
    codes = {}
    waiting = threading.Thread(target=lambda: codes.update(other.containers.get(made.id).wait(condition="removed")), daemon=True)
    waiting.start()
    made.start()
    equal(made.wait(condition="next-exit")["StatusCode"], 5, "next exit")
    waiting.join(60)
    equal(codes["StatusCode"], 5, "removed")
    other.close()


@case("logs: whole, tail, since and until, time stamps, one stream, followed to the end")
def logs():
    made = client.containers.run(IMAGE, ["sh", "-c", "echo one; echo two >&2; sleep 2; echo three"], name="python-logs", detach=True)
    equal(b"".join(made.logs(stream=True, follow=True)), b"one\ntwo\nthree\n", "followed")
    equal((made.logs(tail=1), made.logs(stderr=False), made.logs(stdout=False)), (b"three\n", b"one\nthree\n", b"two\n"), "parts")
    stamp = made.logs(tail=1, timestamps=True).split()[0].decode()
    check(stamp.startswith("20") and stamp.endswith("Z"), stamp)
    made.reload()
    equal(made.logs(since=4000000000), b"", "since")
    equal(made.logs(until=1000000000), b"", "until")
    made.remove()


@case("exec: exit code and output, streams apart, user, environment, directory, terminal, stream, socket, in the background")
def exec_():
    made = start("exec")
    equal(tuple(made.exec_run(["sh", "-c", "echo out; exit 3"])), (3, b"out\n"), "exec")
    equal(made.exec_run(["sh", "-c", "echo out; echo err >&2"], demux=True).output, (b"out\n", b"err\n"), "apart")
    equal(made.exec_run(["sh", "-c", "id -u; pwd; echo $X"], user="1000", workdir="/tmp", environment={"X": "1"}).output, b"1000\n/tmp\n1\n", "options")
    equal(made.exec_run(["tty"], tty=True).output, b"/dev/pts/0\r\n", "terminal")
    equal(made.exec_run(["grep", "CapEff", "/proc/self/status"], privileged=True).output.split()[1][-8:], b"ffffffff", "privileged")
    equal(b"".join(made.exec_run(["sh", "-c", "echo 1; sleep 1; echo 2"], stream=True).output), b"1\n2\n", "stream")
    made.exec_run(["touch", "/tmp/background"], detach=True)
    until(lambda: made.exec_run(["test", "-e", "/tmp/background"]).exit_code == 0, "it ran in the background")
    stream = made.exec_run(["cat"], stdin=True, socket=True).output
    exchange(stream, b"typed\n", b"typed\n")
    stream.close()
    api = client.api
    id_ = api.exec_create(made.id, ["sh", "-c", "stty size"], tty=True)["Id"]
    equal(api.exec_inspect(id_)["Running"], False, "before the start")
    api.exec_start(id_)
    equal((api.exec_inspect(id_)["ExitCode"], api.exec_inspect(id_)["ContainerID"]), (0, made.id), "afterwards")
    equal(made.exec_run(["/nothing"]).exit_code, 127, "a missing program")
    made.stop(timeout=0)
    equal(fails(errors.APIError, "is not running", made.exec_run, ["true"]).response.status_code, 409, "of a stopped one")
    fails(errors.NotFound, "No such exec instance", api.exec_inspect, "nothing")
    made.remove()


@case("attach: output from now on, with the log before it, and a socket for standard input")
def attach():
    made = client.containers.create(IMAGE, ["sh", "-c", "echo before; read line; echo got $line"], name="python-attach", stdin_open=True)
    stream = made.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    made.start()
    exchange(stream, b"", b"before\n")
    exchange(stream, b"a line\n", b"got a line\n")
    stream.close()
    equal(made.wait()["StatusCode"], 0, "wait")
    equal(made.attach(logs=True, stream=False), b"before\ngot a line\n", "the log")
    made.remove()
    # It says more from time to time, since docker-py looks for what its TLS library holds already only then.
    made = start("attach", ["sh", "-c", "while :; do echo tick; sleep 1; done"])
    output = made.attach(stream=True, logs=True)
    equal([next(output), next(output)], [b"tick\n", b"tick\n"], "stream")
    made.remove(force=True)
    equal(set(output), {b"tick\n"}, "the rest, to its end")


@case("terminal: run with tty, resize")
def terminal():
    made = start("tty", ["sh", "-c", "echo a; while [ ! -e /go ]; do sleep 1; done; stty size"], tty=True)
    until(lambda: made.logs() == b"a\r\n", "it runs")
    made.resize(33, 77)
    made.exec_run(["touch", "/go"])
    equal(made.wait()["StatusCode"], 0, "wait")
    equal(made.logs(), b"a\r\n33 77\r\n", "its size")
    made.remove()


@case("archives: put, get, diff, export")
def archives():
    made = start("files")
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        info = tarfile.TarInfo("new/file")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    check(made.put_archive("/tmp", raw.getvalue()), "put")
    equal(made.exec_run(["cat", "/tmp/new/file"]).output, b"hello", "what was put")
    chunks, stat = made.get_archive("/tmp/new/file")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        equal((tar.getnames(), tar.extractfile("file").read()), (["file"], b"hello"), "get")
    equal((stat["name"], stat["size"]), ("file", 5), "stat")
    changes = {item["Path"]: item["Kind"] for item in made.diff()}
    equal((changes["/tmp"], changes["/tmp/new/file"]), (0, 1), "diff")
    with tarfile.open(fileobj=io.BytesIO(b"".join(made.export()))) as tar:
        check({"tmp/new/file", "bin/busybox"} <= {name.lstrip("./") for name in tar.getnames()}, "export")
    fails(errors.NotFound, "/no/such", made.get_archive, "/no/such")
    made.remove(force=True)


@case("top, stats as one and as a stream, update")
def numbers():
    made = start("numbers")
    have = made.top()
    equal(have["Titles"][:3], ["UID", "PID", "PPID"], "top")
    check(len(have["Processes"]) in (1, 2), f"processes {have}")
    equal(made.top(ps_args="aux")["Titles"][0], "USER", "ps_args")
    one = made.stats(stream=False)
    check(one["cpu_stats"]["online_cpus"] >= 1 and one["precpu_stats"]["system_cpu_usage"] < one["cpu_stats"]["system_cpu_usage"], str(one))
    many = made.stats(decode=True)
    first, second = next(many), next(many)
    check(first["read"] < second["read"] == second["read"] and second["preread"] == first["read"], f"{first['read']} {second['preread']}")
    many.close()
    equal(made.update(mem_limit="32m", memswap_limit="64m", cpu_shares=512, restart_policy={"Name": "always"})["Warnings"], None, "update")
    made.reload()
    equal((made.attrs["HostConfig"]["Memory"], made.attrs["HostConfig"]["RestartPolicy"]["Name"]), (32 << 20, "always"), "inspect")
    equal(made.stats(stream=False)["memory_stats"]["limit"], 32 << 20, "the limit holds")
    made.remove(force=True)


@case("published ports are in ports; networks and volumes are found")
def ports():
    made = start("ports", ports={"80/tcp": 8081})
    made.reload()
    equal(made.ports, {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8081"}, {"HostIp": "::", "HostPort": "8081"}]}, "ports")
    bridge = client.networks.get("bridge")
    check(made.id in client.api.inspect_network(bridge.id)["Containers"], "its network")
    equal([item.name for item in client.networks.list(names=["bridge"])], ["bridge"], "networks")
    made.remove(force=True)
    volume = client.volumes.create("python-vol", labels={"a": "b"})
    equal([item.name for item in client.volumes.list(filters={"label": "a=b"})], ["python-vol"], "volumes")
    volume.remove()
    fails(errors.NotFound, "no such volume", client.volumes.get, "python-vol")


@case("events: replayed and live, decoded, with filters")
def events():
    made = start("events")
    made.remove(force=True)
    since = made.attrs["Created"]
    have = client.events(since=1, until=4000000000, filters={"container": "python-events"}, decode=True)
    told = [next(have)["status"] for _turn in range(4)]
    equal((told[0], told[1], "die" in told or "kill" in told), ("create", "start", True), f"since {since}")
    have.close()


@case("prune and disk usage")
def prune():
    made = client.containers.create(IMAGE, ["true"], name="python-prune", labels={"prune": "me"})
    usage = client.df()
    check(made.id in [item["Id"] for item in usage["Containers"]] and usage["Images"], "df")
    have = client.containers.prune(filters={"label": "prune=me"})
    equal(have["ContainersDeleted"], [made.id], "prune")


@case("afterwards nothing of this program is left")
def left():
    equal(client.containers.list(all=True, filters={"name": "python-"}), [], "containers")
    client.images.remove(IMAGE)
    client.close()


tap.main()
