#!/usr/bin/env python3
"""What the API tells: ps with every filter, inspect, top, stats, events, info, version; readers that never read."""

import json
import os
import re
import urllib.parse

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

box = vm.shared()
IMAGE = "test/reading:1"
BUSY = "while :; do :; done"


def load():
    with open(images.program("clients.c"), "rb") as program:
        path = images.busybox_image(os.path.join(box.scratch, "reading.tar"), IMAGE, more={"bin/clients": program.read()},
                                    config={"Cmd": ["sh"], "Env": ["PATH=/bin"], "ExposedPorts": {"7000/tcp": {}},
                                            "Labels": {"of": "image"}})
    box.docker("load", "-i", path)


KEPT = []       # the one connection of get()


def get(path, filters=None):
    """(status, decoded body), over a kept connection."""
    if filters is not None:
        path += ("&" if "?" in path else "?") + "filters=" + urllib.parse.quote(json.dumps(filters))
    if not KEPT:
        KEPT.append(box.connection(60))
    KEPT[0].request("GET", path)
    answer = KEPT[0].getresponse()
    raw = answer.read()
    if answer.headers.get("Connection") == "close":
        KEPT.pop().close()
    return answer.status, json.loads(raw) if "json" in answer.headers["Content-Type"] else raw.decode()


def names(**filters):
    """Names of all containers of this program that pass the filters."""
    asked = {"name": ["^/reading-"]}
    asked.update({key.replace("_", "-"): value if isinstance(value, list) else [value] for key, value in filters.items()})
    return sorted(item["Names"][0].removeprefix("/reading-") for item in get("/containers/json?all=1", asked)[1])


def names_by_docker(*words):
    shown = box.docker("ps", "-a", "--format", "{{.Names}}", *[part for word in words for part in ("--filter", word)])
    return sorted(name.removeprefix("reading-") for name in shown.split())


def engine():
    """Process id of the engine itself."""
    return box.sh(f"echo {vm.ENGINE}").strip()


@case("containers in several states, for the cases below")
def setup():
    load()
    run = ("run", "-d")
    box.docker(*run, "--name", "reading-web", "-p", "8081:80", "-v", "reading-data:/data", "-v", "/etc:/host:ro", "--tmpfs", "/t",
               "-m", "64m", "-l", "role=front", "-l", "only", "-h", "webhost", IMAGE, "sh", "-c", BUSY)
    box.docker(*run, "--name", "reading-idle", "-l", "role=back", "--network", "none", IMAGE, "sleep", "1000")
    box.docker("run", "--name", "reading-gone", "-l", "role=back", IMAGE, "sh", "-c", "exit 3", check=False)
    box.docker("create", "--name", "reading-new", "--annotation", "k=v", IMAGE, "echo", "a b", "c")


@case("ps: every filter finds what it says")
def filters():
    everything = ["gone", "idle", "new", "web"]
    ids = {name: box.inspect(f"reading-{name}")["Id"] for name in everything}
    equal(names(), everything, "all")
    for want, query in (
            (["web"], {"ancestor": IMAGE, "status": "running", "label": "role=front"}), (everything, {"ancestor": IMAGE}),
            ([], {"ancestor": "test/none"}), (["gone", "idle", "web"], {"before": "reading-new"}),
            (["new"], {"since": "reading-gone"}), (["gone"], {"exited": "3"}), ([], {"exited": "4"}),
            (["idle", "web"], {"expose": "7000"}), (["web"], {"expose": "80/tcp"}), ([], {"expose": "7000/udp"}),
            (["web"], {"publish": "8081"}), (["web"], {"publish": "8000-8100/tcp"}), ([], {"publish": "80"}),
            (everything, {"health": "none"}), ([], {"health": "healthy"}), (["idle"], {"id": ids["idle"][:12]}),
            ([], {"is_task": "true"}), (everything, {"is_task": "false"}), (everything, {"isolation": "default"}),
            (["gone", "idle"], {"label": "role=back"}), (["web"], {"label": ["only", "role=front"]}), ([], {"label": "none"}),
            (everything, {"label": "of=image"}), (["web"], {"name": "ing-w"}), (["idle"], {"network": "none"}),
            (["gone", "new", "web"], {"network": "bridge"}), (["new"], {"status": "created"}),
            (["idle", "web"], {"status": "running"}), (["gone", "new"], {"status": ["created", "exited"]}),
            (["web"], {"volume": "reading-data"}), (["web"], {"volume": "/data"}), (["web"], {"volume": "/etc"}),
            ([], {"volume": "/t-no"})):
        equal(names(**query), want, str(query))
    for want, words in ((["gone", "idle"], ["label=role=back"]), (["web"], ["volume=reading-data", "publish=8081", "status=running"]),
                        (["gone"], ["exited=3", f"ancestor={IMAGE}"]), (["gone", "new"], ["name=reading-n", "name=reading-g"])):
        equal(names_by_docker(*words), want, f"docker ps {words}")


@case("ps: both forms of filters, limit, and wrong filters with Docker's words")
def forms():
    for form in ({"label": {"role=back": True}}, {"label": ["role=back"]}, {"label": {"role=back": True, "no": False}}):
        have = sorted(item["Names"][0] for item in get("/containers/json?all=true", form)[1])
        equal(have, ["/reading-gone", "/reading-idle"], str(form))
    equal([item["Names"][0] for item in get("/containers/json?limit=1", {"label": ["of=image"]})[1]], ["/reading-new"], "limit")
    equal(len(get("/containers/json?limit=-1", {"label": ["of=image"]})[1]), 2, "limit -1: what runs")
    for filters_, text in (({"zzz": ["a"]}, "invalid filter 'zzz'"), ({"status": ["odd"]}, "invalid filter 'status=odd'"),
                           ({"health": ["odd"]}, "unrecognised filter value for health: odd"), ({"publish": ["x"]}, "invalid filter 'publish=x'"),
                           ({"exited": ["x"]}, "invalid filter 'exited=x'"), ({"is-task": ["x"]}, "invalid filter 'is-task=[x]'"),
                           ({"label": "x"}, "invalid filter"), ({"label": [1]}, "invalid filter"), ([1], "invalid filter")):
        status, answer = get("/containers/json", filters_)
        check(status == 400 and answer["message"] == text, f"{filters_}: {status} {answer}")
    status, answer = get("/containers/json", {"before": ["reading-nobody"]})
    equal((status, answer["message"]), (404, "No such container: reading-nobody"), "before nobody")


@case("ps: every field of the summary")
def summary():
    have = {item["Names"][0]: item for item in get("/containers/json?all=1", {"label": ["of=image"]})[1]}
    web, new, idle = have["/reading-web"], have["/reading-new"], have["/reading-idle"]
    equal((web["Image"], web["State"], web["Labels"]["role"]), (IMAGE, "running", "front"), "web")
    equal(web["ImageID"], box.inspect(IMAGE, "image")["Id"], "ImageID")
    check(re.match(r"Up (\d+ seconds|1 second|Less than a second|About a minute|\d+ minutes)$", web["Status"]), web["Status"])
    check(abs(web["Created"] - box.now()) < 600, f"created {web['Created']}")
    equal([(p["PrivatePort"], p.get("PublicPort"), p["Type"], p.get("IP")) for p in web["Ports"]],
          [(80, 8081, "tcp", "0.0.0.0"), (80, 8081, "tcp", "::"), (7000, None, "tcp", None)], "ports")
    equal({(m["Type"], m.get("Name"), m["Destination"], m["RW"]) for m in web["Mounts"]},
          {("volume", "reading-data", "/data", True), ("bind", None, "/host", False)}, "mounts")
    equal(web["HostConfig"], {"NetworkMode": "bridge"}, "host config")
    check(web["NetworkSettings"]["Networks"]["bridge"]["IPAddress"], "no address")
    equal((new["Status"], new["Command"], new["HostConfig"]["Annotations"], new["Ports"]),
          ("Created", "echo 'a b' c", {"k": "v"}, []), "new")
    check("ImageManifestDescriptor" not in web and "SizeRw" not in web, f"not asked for: {web}")
    equal(list(idle["NetworkSettings"]["Networks"]), ["none"], "networks")
    check(re.match(r"Exited \(3\) .* ago$", have["/reading-gone"]["Status"]), have["/reading-gone"]["Status"])


@case("inspect: every member, and what docker inspect -f picks")
def inspect():
    status, have = get("/containers/reading-web/json")
    equal(status, 200, "inspect")
    for key in ("Id", "Created", "Path", "Args", "State", "Image", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "Name",
                "RestartCount", "Driver", "Platform", "MountLabel", "ProcessLabel", "AppArmorProfile", "ExecIDs", "HostConfig",
                "GraphDriver", "Mounts", "Config", "NetworkSettings"):
        check(key in have, f"no {key}")
    picked = box.docker("inspect", "-f", "{{.State.Status}} {{.Config.Hostname}} {{.HostConfig.Memory}} {{.Path}} {{len .Mounts}} "
                        "{{(index .NetworkSettings.Networks \"bridge\").IPPrefixLen}} {{.Name}}", "reading-web")
    equal(picked, f"running webhost {64 << 20} sh 2 16 /reading-web", "docker inspect -f")
    net = have["NetworkSettings"]
    equal(net["Ports"], {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8081"}, {"HostIp": "::", "HostPort": "8081"}], "7000/tcp": None}, "ports")
    equal((net["IPAddress"], net["Gateway"]), (net["Networks"]["bridge"]["IPAddress"], net["Networks"]["bridge"]["Gateway"]), "address")
    lower = have["GraphDriver"]["Data"]["LowerDir"].split(":")
    equal(len(lower), 2, "lower directories")
    for path in [*lower, have["GraphDriver"]["Data"]["UpperDir"], have["ResolvConfPath"], have["HostsPath"], have["LogPath"]]:
        box.sh(f"test -e {path}")
    for word in ("reading-web", have["Id"], have["Id"][:12], "/reading-web"):
        equal(box.inspect(word)["Id"], have["Id"], word)


@case("top: the container's processes alone, in ps's forms")
def top():
    lines = box.docker("top", "reading-web").splitlines()
    equal(lines[0].split(), ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"], "titles")
    equal(len(lines), 2, "processes")
    pid = str(box.inspect("reading-web")["State"]["Pid"])
    check(lines[1].split()[:2] == ["root", pid] and lines[1].endswith(f"sh -c {BUSY}"), lines[1])
    equal(box.docker("top", "reading-web", "aux").split()[:11],
          ["USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME", "COMMAND"], "aux")
    equal(box.docker("top", "reading-web", "-o", "pid,comm,uid").splitlines()[1].split(), [pid, "sh", "0"], "-o")
    box.docker("run", "-d", "--name", "reading-two", "-u", "1000:1000", IMAGE, "sh", "-c", "sleep 1000 & exec sleep 1001")
    until(lambda: len(box.docker("top", "reading-two").splitlines()) == 3, "two processes")
    rows = [line.split() for line in box.docker("top", "reading-two", "-eo", "pid,ppid,user,args").splitlines()[1:]]
    equal([row[2:] for row in rows], [["1000", "sleep", "1001"], ["1000", "sleep", "1000"]], "rows")
    equal(rows[1][1], rows[0][0], "parent")
    box.docker("rm", "-f", "reading-two")
    for words, text in ((["-q"], "option -q is not supported"), (["-o", "comm"], "Couldn't find PID field in ps output"),
                        (["-o", "pid,odd"], 'no column "odd"')):
        contains(box.docker("top", "reading-web", *words, check=False).stderr, text, str(words))
    status, answer = get("/containers/reading-gone/top")
    check(status == 409 and answer["message"].endswith("is not running"), f"{status} {answer}")
    equal(get("/containers/reading-nobody/top")[0], 404, "nobody")


@case("stats: what docker stats prints is true")
def stats_cli():
    line = box.docker("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}", "reading-web").split()
    equal((line[0], line[4], line[5]), ("reading-web", "64MiB", "1"), str(line))
    check(float(line[1].rstrip("%")) > 20, f"a busy loop uses {line[1]}")
    line = box.docker("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.NetIO}}", "reading-idle").split()
    check(float(line[1].rstrip("%")) < 10 and line[2:] == ["0B", "/", "0B"], str(line))
    everything = box.docker("stats", "--no-stream", "--format", "{{.Name}}").split()
    check({"reading-web", "reading-idle"} <= set(everything), str(everything))


@case("stats: one shot, two samples, and the stream have every field, and the counters move")
def stats_fields():
    status, once = get("/containers/reading-web/stats?stream=0&one-shot=1")
    equal(status, 200, "one shot")
    equal((once["name"], once["precpu_stats"]["cpu_usage"]["total_usage"]), ("/reading-web", 0), "one shot")
    for key in ("id", "read", "preread", "pids_stats", "blkio_stats", "num_procs", "storage_stats", "cpu_stats", "precpu_stats",
                "memory_stats", "networks"):
        check(key in once, f"no {key}")
    two = get("/containers/reading-web/stats?stream=false")[1]
    for sample in (two["cpu_stats"], two["precpu_stats"]):
        for key in ("cpu_usage", "system_cpu_usage", "online_cpus", "throttling_data"):
            check(key in sample, f"no {key} in {sample}")
    used = two["cpu_stats"]["cpu_usage"]["total_usage"] - two["precpu_stats"]["cpu_usage"]["total_usage"]
    all_ = two["cpu_stats"]["system_cpu_usage"] - two["precpu_stats"]["system_cpu_usage"]
    check(0 < used and 0.5e9 < all_ < 20e9, f"used {used} of {all_}")
    memory = two["memory_stats"]
    check(0 < memory["usage"] < memory["limit"] == 64 << 20, f"memory {memory['usage']} of {memory['limit']}")
    equal(len(memory["stats"]), 31, "keys of memory.stat")
    check(memory["stats"]["anon"] > 0 and memory["stats"]["pgfault"] > 0, str(memory["stats"]))
    equal(two["pids_stats"]["current"], 1, "processes")
    equal(sorted(two["networks"]["eth0"]), sorted(f"{way}_{what}" for way in ("rx", "tx")
                                                  for what in ("bytes", "packets", "errors", "dropped")), "network")
    check("networks" not in get("/containers/reading-idle/stats?stream=0&one-shot=1")[1], "networks of none")


@case("stats: the network's and the disk's bytes are counted")
def stats_counts():
    box.docker("run", "-d", "--name", "reading-io", IMAGE, "sh", "-c",
               "dd if=/dev/zero of=/f bs=64k count=64 2>/dev/null; sync; ping -c 3 -s 1000 10.0.2.2 >/dev/null; echo done; sleep 1000")
    until(lambda: "done" in box.docker("logs", "reading-io"), "it has written and pinged")
    have = get("/containers/reading-io/stats?stream=0&one-shot=1")[1]
    sent = have["networks"]["eth0"]
    check(sent["tx_bytes"] > 3000 and sent["rx_bytes"] > 3000 and sent["tx_packets"] >= 3, str(sent))
    written = sum(item["value"] for item in have["blkio_stats"]["io_service_bytes_recursive"] or [] if item["op"] == "write")
    check(written >= 64 * 65536, f"written {have['blkio_stats']['io_service_bytes_recursive']}")
    box.docker("rm", "-f", "reading-io")


@case("stats: a stream goes on over a stop and ends with the container")
def stats_stream():
    box.docker("run", "-d", "--name", "reading-life", IMAGE, "sleep", "1000")
    conn = box.connection(60)
    conn.request("GET", "/containers/reading-life/stats")
    stream = conn.getresponse()
    equal(json.loads(stream.readline())["pids_stats"]["current"], 1, "the first")
    box.docker("kill", "reading-life")
    last = {"pids_stats": {"current": 1}}
    while last["pids_stats"]:
        last = json.loads(stream.readline())
    equal((last["name"], last["read"], last["memory_stats"]), ("/reading-life", "0001-01-01T00:00:00Z", {}), "when stopped")
    equal(get("/containers/reading-life/stats?stream=0")[1]["pids_stats"], {}, "one of a stopped one")
    box.docker("rm", "reading-life")
    while stream.readline():
        pass
    conn.close()
    equal(get("/containers/reading-life/stats")[0], 404, "removed")
    equal(get("/containers/reading-web/stats?one-shot=1")[0], 400, "one-shot with stream")


@case("events: a container's life with its network and volume, in Docker's order, by docker events")
def events():
    start = box.now()
    box.docker("run", "--name", "reading-told", "-v", "reading-told:/data", IMAGE, "true")
    box.docker("rename", "reading-told", "reading-told2")
    box.docker("rm", "reading-told2")
    box.docker("volume", "rm", "reading-told")
    end = box.now() + 1
    shown = box.docker("events", "--since", f"{start:.6f}", "--until", f"{end:.6f}", "--format", "{{json .}}")
    have = [json.loads(line) for line in shown.splitlines()]
    mine = [item for item in have if "reading-told" in str(item) or item["Type"] == "network"]
    told = [f"{item['Type']} {item['Action']}" for item in mine]
    for word in ("volume create", "container create", "network connect", "volume mount", "container start", "network disconnect",
                 "volume unmount", "container die", "container rename", "container destroy", "volume destroy"):
        check(word in told, f"no {word} in {told}")
        told = told[told.index(word) + 1:]
    by_action = {f"{item['Type']} {item['Action']}": item for item in mine}
    die = by_action["container die"]
    equal((die["Actor"]["Attributes"]["exitCode"], die["Actor"]["Attributes"]["of"], die["scope"], die["from"]),
          ("0", "image", "local", IMAGE), "die")
    equal(die["time"], die["timeNano"] // 10**9, "time")
    equal(by_action["container rename"]["Actor"]["Attributes"]["oldName"], "/reading-told", "rename")
    mount = by_action["volume mount"]
    equal((mount["Actor"]["ID"], mount["Actor"]["Attributes"]["destination"], mount["Actor"]["Attributes"]["container"]),
          ("reading-told", "/data", die["Actor"]["ID"]), "mount")
    equal(by_action["network connect"]["Actor"]["Attributes"]["name"], "bridge", "connect")


@case("events: attach, exec, resize, copies and the rest of what is done to a container")
def events_of_deeds():
    start = box.now()
    box.docker("run", "-d", "-t", "--name", "reading-deeds", IMAGE, "sh")
    equal(box.request("POST", "/containers/reading-deeds/resize?h=5&w=9")[0], 200, "resize")
    box.docker("exec", "reading-deeds", "true")
    box.docker("cp", "reading-deeds:/etc/passwd", os.path.join(box.scratch, "passwd"))
    box.docker("cp", os.path.join(box.scratch, "passwd"), "reading-deeds:/tmp/")
    box.docker("export", "-o", os.path.join(box.scratch, "export.tar"), "reading-deeds")
    for word in ("pause", "unpause"):
        box.docker(word, "reading-deeds")
    box.docker("update", "-m", "64m", "--memory-swap", "64m", "reading-deeds")
    box.docker("top", "reading-deeds")
    box.docker("restart", "-t", "0", "reading-deeds")
    box.docker("rm", "-f", "reading-deeds")
    shown = box.docker("events", "--since", f"{start:.6f}", "--until", f"{box.now():.6f}", "--filter", "container=reading-deeds", "--format", "{{json .}}")
    have = [json.loads(line) for line in shown.splitlines()]
    told = [item["Action"].split(":")[0] for item in have]
    for word in ("create", "start", "resize", "exec_create", "exec_start", "exec_die", "archive-path", "extract-to-dir", "export", "pause",
                 "unpause", "update", "top", "kill", "die", "stop", "start", "restart", "kill", "die", "destroy"):
        check(word in told, f"no {word} in the rest {told} of {[item['Action'] for item in have]}")
        told = told[told.index(word) + 1:]
    size = [item["Actor"]["Attributes"] for item in have if item["Action"] == "resize"][0]
    equal((size["height"], size["width"]), ("5", "9"), "resize")


@case("events: filters, replay then live without a gap, until ends the stream")
def events_live():
    start = box.now()
    box.docker("run", "-d", "--name", "reading-ev", "-l", "ev=1", IMAGE, "sleep", "1000")
    client = box.follow("events", "--since", f"{start:.6f}", "--filter", "container=reading-ev", "--filter", "event=start",
                        "--filter", "event=destroy", "--filter", "event=top", "--format", "{{.Action}}")
    equal(client.stdout.readline(), "start\n", "the past")
    box.docker("top", "reading-ev")
    equal(client.stdout.readline(), "top\n", "now")
    box.docker("rm", "-f", "reading-ev")
    equal(client.stdout.readline(), "destroy\n", "then")
    client.terminate()
    client.wait()
    end = box.now() + 1
    for want, words in ((["create", "start"], ["event=create", "event=start", "label=ev=1"]), ([], ["type=image"]),
                        (["connect", "disconnect"], ["type=network"]), ([], ["scope=swarm"]), (["create"], ["event=create", f"image={IMAGE}"]),
                        ([], ["daemon=x"]), ([], ["plugin=x"]), ([], ["volume=reading-ev"]), (["connect"], ["network=bridge", "event=connect"])):
        shown = box.docker("events", "--since", f"{start:.6f}", "--until", f"{end:.6f}", "--format", "{{.Action}}",
                           *[part for word in words for part in ("--filter", word)])
        equal(shown.split(), want, str(words))
    for path, text in ((f"/events?since={end:.6f}&until={start:.6f}", "cannot be after"), ("/events?since=x", "invalid value for"),
                       ("/events?filters=%7B%22odd%22:%5B%22x%22%5D%7D", "invalid filter 'odd'")):
        status, answer = get(path)
        check(status == 400 and text in answer["message"], f"{path}: {status} {answer}")


def descriptors_agree():
    """Read one right after the other: connections of the calls before this one close meanwhile."""
    told, there = get("/info")[1]["NFd"], int(box.sh(f"ls /proc/{engine()}/fd | wc -l"))
    check(abs(told - there) < 8, f"descriptors {told}, there are {there}")
    return True


@case("info and version: every field, with the machine's own data")
def info():
    have = get("/info")[1]
    counts = [int(word) for word in box.docker("info", "--format", "{{.Containers}} {{.ContainersRunning}} {{.Images}}").split()]
    equal(counts, [len(box.docker("ps", "-aq").split()), len(box.docker("ps", "-q").split()), len(set(box.docker("images", "-q").split()))],
          "counts")
    equal(have["KernelVersion"], box.sh("uname -r"), "kernel")
    equal(have["NCPU"], int(box.sh("grep -c ^processor /proc/cpuinfo")), "processors")
    equal(have["MemTotal"] // 1024, int(box.sh("awk '/MemTotal/{print $2}' /proc/meminfo")), "memory")
    equal(have["Name"], box.sh("hostname"), "name")
    equal((have["Swarm"]["LocalNodeState"], have["Containerd"], have["CgroupVersion"], have["CgroupDriver"], have["Warnings"]),
          ("inactive", None, "2", "cgroupfs", []), "info")
    for key in ("MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit", "IPv4Forwarding",
                "LiveRestoreEnabled"):
        equal(have[key], True, key)
    equal(dict(have["DriverStatus"])["Backing Filesystem"], "extfs", "file system")
    box.sh(f"test -x {have['InitBinary']}")
    until(descriptors_agree, "the number of descriptors")
    box.docker("info")
    have = get("/version")[1]
    equal((have["ApiVersion"], have["MinAPIVersion"], have["Arch"], have["Os"]), ("1.51", "1.24", "amd64", "linux"), "version")
    equal(have["Components"][0]["Details"]["BuildTime"], have["BuildTime"], "build time")
    check(have["BuildTime"].startswith("20"), have["BuildTime"])
    contains(box.docker("version"), "API version:      1.51 (minimum version 1.24)", "docker version")


@case("versions: the oldest and the newest are served, older is plain text, newer is JSON")
def versions():
    for version in ("1.24", "1.41", "1.51"):
        equal(get(f"/v{version}/info")[0], 200, version)
    equal(get("/v1.23/info"), (400, "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your "
                                    "client to a newer version\n"), "too old")
    equal(get("/v1.52/info"), (400, {"message": "client version 1.52 is too new. Maximum supported API version is 1.51"}), "too new")


def rss():
    return int(box.sh(f"awk '/VmRSS/{{print $2}}' /proc/{engine()}/status"))


def stalled(path, count):
    """RSS of the engine in KiB, before and with so many clients that ask for path and never read."""
    before, listeners = rss(), get("/info")[1]["NEventsListener"]
    box.docker("run", "-d", "--name", "reading-stall", "--network", "none", "--ulimit", "nofile=4096", "-v", "/run/docker.sock:/s",
               IMAGE, "clients", "stall", "/s", str(count), path)
    until(lambda: "ready" in box.docker("logs", "reading-stall"), "they are connected")
    for _turn in range(10 if "events" in path else 0):      # what they do not read
        equal(box.request("POST", "/containers/create?name=reading-noise", {"Image": IMAGE, "Labels": {"n": "n" * 2000}})[0], 201, "create")
        equal(box.request("DELETE", "/containers/reading-noise")[0], 204, "remove")
    with_ = rss()
    if "events" in path:
        equal(get("/info")[1]["NEventsListener"], listeners + count, "listeners")
    box.docker("rm", "-f", "reading-stall")
    return before, with_


@case("1000 listeners of events that never read: the engine's memory stays bounded")
def stalled_events():
    # what is kept of other programs' events may be long, and each listener holds one that its socket does not take whole
    before, with_ = stalled(f"/events?since={box.now():.6f}", 1000)
    print(f"# RSS of the engine: {before} KiB, with 1000 listeners {with_} KiB")
    check(with_ - before < 24 << 10, f"the engine grew from {before} to {with_} KiB")


@case("1000 followers of a log that never read: the engine's memory stays bounded")
def stalled_logs():
    box.docker("run", "-d", "--name", "reading-loud", IMAGE, "sh", "-c", "yes 0123456789abcdef | head -c 4000000; sleep 1000")
    before, with_ = stalled("/containers/reading-loud/logs?stdout=1&follow=1", 1000)
    print(f"# RSS of the engine: {before} KiB, with 1000 followers {with_} KiB")
    check(with_ - before < 32 << 10, f"the engine grew from {before} to {with_} KiB")
    box.docker("rm", "-f", "reading-loud")


@case("afterwards the engine has no more descriptors than before, and nothing is left")
def left():
    box.docker("rm", "-f", "reading-web", "reading-idle", "reading-gone", "reading-new")
    box.docker("volume", "rm", "reading-data")
    fds = f"ls /proc/{engine()}/fd | wc -l"
    until(lambda: int(box.sh(fds)) < 60, "descriptors are closed")
    equal(names(), [], "containers")
    box.docker("rmi", IMAGE)


tap.main()
