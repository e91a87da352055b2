#!/usr/bin/env python3
"""What releases 2.26 and 2.40 of `docker compose` send, call by call, with the bodies that they send: up, ps, logs, exec, run,
top, images, port, cp, restart, pause, stats, kill, stop, start, scale, events, wait, export, commit, rm, down."""

import io
import json
import os
import tarfile
import threading
import time
import urllib.parse

from lib import images, stream, tap, vm
from lib.poll import until
from lib.tap import check, contains, equal

box = vm.shared()
IMAGE = "test/replay:1"
box.docker("load", "-i", images.busybox_image(os.path.join(box.scratch, "replay.tar"), IMAGE, more={"etc/of": b"replay\n"}))
P = "com.docker.compose."
PROJECT = f"{P}project=tproj"
HASHED, ONE_OFF = f"{P}config-hash", f"{P}oneoff=False"


class Client:
    """One release of compose: the version it speaks, and one connection for what it asks."""

    def __init__(self, version):
        self.version = version
        self.conn = box.connection(120)

    def call(self, method, url, want, body=None, headers=None, **query):
        """The answer, decoded where it is one JSON text, whose status must be `want`."""
        if query:
            url += "?" + urllib.parse.urlencode({key: json.dumps(value) if isinstance(value, dict) else value
                                                  for key, value in query.items()})
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        kind = "application/json" if isinstance(body, dict) else "application/x-tar"
        self.conn.request(method, f"/v{self.version}{url}", data, {**({"Content-Type": kind} if data else {}), **(headers or {})})
        answer = self.conn.getresponse()
        raw = answer.read()
        equal((answer.status, answer.status == want or raw[:500]), (want, True), f"{method} {url}")
        return json.loads(raw) if raw and not url.startswith("/events") and "json" in answer.headers.get("Content-Type", "") else raw

    def upgraded(self, path, body=None):
        return stream.Stream(box, "POST", f"/v{self.version}{path}", body)

    def ping(self):
        self.conn.request("HEAD", "/_ping")
        answer = self.conn.getresponse()
        equal((answer.status, answer.read(), answer.headers["Api-Version"]), (200, b"", "1.51"), "HEAD /_ping")

    def containers(self, *labels, everything=True):
        more = {"all": 1} if everything else {}
        return self.call("GET", "/containers/json", 200, **more, filters={"label": {label: True for label in labels}})

    def names(self, *labels, **more):
        return sorted(item["Names"][0] for item in self.containers(*labels, **more))


def labels(service, number, oneoff="False"):
    return {f"{P}config-hash": "0" * 64, f"{P}container-number": str(number), f"{P}depends_on": "", f"{P}image": "sha256:" + "1" * 64,
            f"{P}oneoff": oneoff, f"{P}project": "tproj", f"{P}project.config_files": "/srv/tproj/compose.yaml",
            f"{P}project.working_dir": "/srv/tproj", f"{P}service": service, f"{P}version": "2.40.3"}


def create_body(service, number, network, command, **host):
    """As compose fills it: every member, also those that say nothing."""
    return {
        "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": True, "AttachStderr": True,
        "ExposedPorts": {"80/tcp": {}} if "PortBindings" in host else None, "Tty": False, "OpenStdin": False, "StdinOnce": False,
        "Env": ["WHO=" + service], "Cmd": command, "Image": IMAGE, "Volumes": None, "WorkingDir": "", "Entrypoint": None,
        "OnBuild": None, "Labels": labels(service, number, host.pop("oneoff", "False")),
        "HostConfig": {
            "Binds": None, "ContainerIDFile": "", "LogConfig": {"Type": "", "Config": None}, "NetworkMode": network,
            "PortBindings": host.pop("PortBindings", {}), "RestartPolicy": {"Name": "", "MaximumRetryCount": 0}, "AutoRemove": host.pop("AutoRemove", False),
            "VolumeDriver": "", "VolumesFrom": None, "ConsoleSize": [0, 0], "CapAdd": None, "CapDrop": None, "CgroupnsMode": "",
            "Dns": None, "DnsOptions": None, "DnsSearch": None, "ExtraHosts": [], "GroupAdd": None, "IpcMode": "", "Cgroup": "",
            "Links": None, "OomScoreAdj": 0, "PidMode": "", "Privileged": False, "PublishAllPorts": False, "ReadonlyRootfs": False,
            "SecurityOpt": None, "UTSMode": "", "UsernsMode": "", "ShmSize": 0, "Isolation": "", "CpuShares": 0, "Memory": 0,
            "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0, "BlkioWeightDevice": None, "BlkioDeviceReadBps": None,
            "BlkioDeviceWriteBps": None, "BlkioDeviceReadIOps": None, "BlkioDeviceWriteIOps": None, "CpuPeriod": 0, "CpuQuota": 0,
            "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "", "Devices": None,
            "DeviceCgroupRules": None, "DeviceRequests": None, "MemoryReservation": 0, "MemorySwap": 0, "MemorySwappiness": None,
            "OomKillDisable": None, "PidsLimit": None, "Ulimits": None, "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0,
            "IOMaximumBandwidth": 0, "Mounts": host.pop("Mounts", None), "MaskedPaths": None, "ReadonlyPaths": None, "Init": True},
        "NetworkingConfig": {"EndpointsConfig": {network: {
            "IPAMConfig": None, "Links": None, "Aliases": [f"tproj-{service}-{number}", service], "MacAddress": "", "DriverOpts": None,
            "NetworkID": "", "EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "",
            "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": None}}}}


WEB = ["sh", "-c", "cat /etc/greeting; echo web is up; exec sleep 100000"]
APP = ["sh", "-c", "echo app is up; trap 'exit 3' TERM HUP; while :; do sleep 1; done"]


def tar_of(files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), 0o444
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def networks_and_volume(c):
    for name, key in (("tproj_front", "front"), ("tproj_default", "default")):
        c.call("GET", f"/networks/{name}", 404)
        equal(c.call("GET", "/networks", 200, filters={"name": {name: True}}), [], "networks of that name")
        made = c.call("POST", "/networks/create", 201, {
            "Name": name, "Driver": "", "Scope": "", "EnableIPv6": False if c.version == "1.45" else None, "IPAM": None, "Internal": False,
            "Attachable": False, "Ingress": False, "ConfigOnly": False, "ConfigFrom": None, "Options": None,
            "Labels": {f"{P}network": key, f"{P}project": "tproj", f"{P}version": "2.40.3"}})
        check(made["Id"], f"{name}: {made}")
    c.call("GET", "/volumes/tproj_data", 404)
    c.call("POST", "/volumes/create", 201, {"Driver": "", "DriverOpts": None, "Name": "tproj_data",
                                            "Labels": {f"{P}project": "tproj", f"{P}volume": "data", f"{P}version": "2.40.3"}})


def up(c):
    c.ping()
    c.call("GET", "/info", 200)
    equal(c.call("GET", f"/images/{IMAGE}/json", 200)["RepoTags"], [IMAGE], "the image")
    c.call("GET", "/images/tproj-app/json", 404)
    networks_and_volume(c)
    equal(c.containers(HASHED, PROJECT), [], "containers before")
    check("Version" in c.call("GET", "/version", 200), "version")
    data = [{"Type": "volume", "Source": "tproj_data", "Target": "/data", "VolumeOptions": {}}]
    web = c.call("POST", "/containers/create", 201, create_body("web", 1, "tproj_front", WEB, Mounts=data, PortBindings={
        "80/tcp": [{"HostIp": "", "HostPort": "0"}]}), name="tproj-web-1")["Id"]
    equal(c.call("GET", f"/containers/{web}/json", 200)["Name"], "/tproj-web-1", "inspect")
    c.call("PUT", f"/containers/{web}/archive", 200, tar_of({"etc/greeting": b"hello from a config\n"}), noOverwriteDirNonDir="true", path="/")
    app = c.call("POST", "/containers/create", 201, create_body("app", 1, "tproj_default", APP), name="tproj-app-1")["Id"]
    equal(c.names(ONE_OFF, PROJECT), ["/tproj-app-1", "/tproj-web-1"], "what is to be started")
    c.call("POST", f"/containers/{web}/start", 204)
    c.call("POST", f"/containers/{app}/start", 204)
    until(lambda: b"web is up" in c.call("GET", f"/containers/{web}/logs", 200, stderr=1, stdout=1, tail="all"), "it runs")
    return web, app


def looks(c, web, app):
    """ps, ls, logs, top, images, port, stats, events."""
    c.ping()
    equal(c.names(HASHED, ONE_OFF, PROJECT, everything=False), ["/tproj-app-1", "/tproj-web-1"], "ps")
    equal(c.call("GET", f"/containers/{web}/json", 200)["State"]["Status"], "running", "ps")
    check("/tproj-web-1" in c.names(HASHED, f"{P}project", everything=False), "ls")
    for container, words in ((web, b"hello from a config\nweb is up\n"), (app, b"app is up\n")):
        raw = c.call("GET", f"/containers/{container}/logs", 200, stderr=1, stdout=1, tail="all")
        equal(stream.frames_of(raw)[1], words, "logs")
    contains(json.dumps(c.call("GET", f"/containers/{web}/top", 200)["Processes"]), "sleep 100000", "top")
    found = c.containers(HASHED, PROJECT, f"{P}service=web", everything=False)
    ports = {(item["PrivatePort"], item["Type"]): item["PublicPort"] for item in found[0]["Ports"] if item["IP"] == "0.0.0.0"}
    check(ports[(80, "tcp")] > 0, f"port: {found[0]['Ports']}")
    check(c.call("GET", f"/containers/{web}/stats", 200, stream=0)["memory_stats"]["usage"] > 0, "stats")
    now = int(time.time()) + 1
    raw = c.call("GET", "/events", 200, filters={"label": {PROJECT: True}}, since=now - 3600, until=now)
    seen = [json.loads(line) for line in raw.splitlines()]
    acts = {(item["Type"], item["Action"], item["Actor"]["Attributes"].get("name")) for item in seen}
    check({("container", "create", "tproj-web-1"), ("container", "start", "tproj-app-1")} <= acts, f"events: {acts}")
    equal({item["Actor"]["Attributes"].get(f"{P}project") for item in seen if item["Type"] == "container"}, {"tproj"}, "labels in events")


def executes(c, web):
    made = c.call("POST", f"/containers/{web}/exec", 201, {
        "User": "", "Privileged": False, "Tty": False, "ConsoleSize": None, "AttachStdin": False, "AttachStderr": True, "AttachStdout": True,
        "DetachKeys": "", "Env": None, "WorkingDir": "", "Cmd": ["echo", "hi"]})["Id"]
    with c.upgraded(f"/exec/{made}/start", {"Detach": False, "Tty": False, "ConsoleSize": None}) as there:
        equal((there.status, there.frames()), (101, {1: b"hi\n", 2: b""}), "exec")
    equal(c.call("GET", f"/exec/{made}/json", 200)["ExitCode"], 0, "exec")


def runs(c):
    """run --rm: attached before the start, waited for until it is removed."""
    body = create_body("app", 1, "tproj_default", ["sh", "-c", "read x; echo ran $x"], AutoRemove=True, oneoff="True")
    body.update(OpenStdin=True, StdinOnce=True, AttachStdin=True)
    made = c.call("POST", "/containers/create", 201, body, name="tproj-app-run-0123456789ab")["Id"]
    with c.upgraded(f"/containers/{made}/attach?stderr=1&stdin=1&stdout=1&stream=1") as there:
        equal(there.status, 101, "attach")
        ended = []
        other = Client(c.version)
        waiting = threading.Thread(target=lambda: ended.append(
            other.call("POST", f"/containers/{made}/wait", 200, condition="removed")))
        waiting.start()
        c.call("POST", f"/containers/{made}/start", 204)
        there.sock.sendall(b"well\n")
        equal(there.frames(), {1: b"ran well\n", 2: b""}, "run")
    waiting.join(60)
    equal([item["StatusCode"] for item in ended], [0], "wait")
    c.call("GET", f"/containers/{made}/json", 404)


def copies(c, web):
    """cp, export, commit."""
    raw = c.call("GET", f"/containers/{web}/archive", 200, path="/etc/greeting")
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        equal(tar.extractfile("greeting").read(), b"hello from a config\n", "cp")
    with tarfile.open(fileobj=io.BytesIO(c.call("GET", f"/containers/{web}/export", 200))) as tar:
        check("etc/greeting" in tar.getnames(), "export")
    made = c.call("POST", f"/commit?author=&comment=&container={web}&repo=docker.io/library/cc&tag=1", 201)["Id"]
    equal(c.call("GET", "/images/cc:1/json", 200)["Id"], made, "commit")


def verbs(c, web, app):
    """restart, pause, kill, stop, start, scale."""
    c.call("POST", f"/containers/{web}/restart", 204, t=0)
    for verb, status in (("pause", "paused"), ("unpause", "running")):
        for item in c.containers(HASHED, ONE_OFF, PROJECT, everything=False):
            c.call("POST", f"/containers/{item['Id']}/{verb}", 204)
            equal(c.call("GET", f"/containers/{item['Id']}/json", 200)["State"]["Status"], status, verb)
    c.call("POST", f"/containers/{app}/kill", 204, signal="HUP")
    equal(c.call("POST", f"/containers/{app}/wait", 200)["StatusCode"], 3, "wait")
    c.call("POST", f"/containers/{web}/stop", 204, t=0)
    c.call("PUT", f"/containers/{web}/archive", 200, tar_of({"etc/greeting": b"changed\n"}), noOverwriteDirNonDir="true", path="/")
    for container in (web, app):
        c.call("POST", f"/containers/{container}/start", 204)
    second = c.call("POST", "/containers/create", 201, create_body("app", 2, "tproj_default", APP), name="tproj-app-2")["Id"]
    c.call("POST", f"/containers/{second}/start", 204)
    equal(c.names(HASHED, PROJECT, f"{P}service=app"), ["/tproj-app-1", "/tproj-app-2"], "scale")
    equal([item["Name"] for item in c.call("GET", "/volumes", 200, filters={"label": {PROJECT: True}})["Volumes"]], ["tproj_data"], "volumes")


def recreate(c, web):
    """A changed service: a new container takes the name of the old one."""
    c.call("POST", f"/containers/{web}/stop", 204)
    c.call("POST", f"/containers/{web}/rename", 204, name=f"{web[:12]}_tproj-web-1")
    made = c.call("POST", "/containers/create", 201, create_body("web", 1, "tproj_front", WEB), name="tproj-web-1")["Id"]
    c.call("DELETE", f"/containers/{web}", 204, force=1)
    c.call("PUT", f"/containers/{made}/archive", 200, tar_of({"etc/greeting": b"again\n"}), noOverwriteDirNonDir="true", path="/")
    c.call("POST", f"/containers/{made}/start", 204)


def down(c):
    for item in c.containers(HASHED, ONE_OFF, PROJECT):
        c.call("POST", f"/containers/{item['Id']}/stop", 204 if item["State"] == "running" else 304, t=0)
        c.call("DELETE", f"/containers/{item['Id']}", 204, force=1, v=1)
    c.call("GET", "/images/json", 200, filters={"dangling": {"false": True}, "label": {PROJECT: True}})
    c.call("GET", "/volumes/tproj_data", 200)
    c.call("DELETE", "/volumes/tproj_data", 204, force=1)
    for key in ("default", "front"):
        found = c.call("GET", "/networks", 200, filters={"label": {f"{P}network={key}": True, PROJECT: True}})
        equal([item["Name"] for item in found], [f"tproj_{key}"], "networks")
        equal(c.call("GET", f"/networks/{found[0]['Id']}", 200)["Containers"], {}, "what is on it")
        c.call("DELETE", f"/networks/{found[0]['Id']}", 204)
    c.call("DELETE", "/images/cc:1", 200, noprune=1)
    equal(c.containers(PROJECT), [], "containers")


def release(version):
    """A case that replays everything as the release sends it that speaks this version."""
    def run():
        c = Client(version)
        web, app = up(c)
        looks(c, web, app)
        executes(c, web)
        runs(c)
        copies(c, web)
        verbs(c, web, app)
        recreate(c, web)
        down(c)
        c.conn.close()
    return run


for name, spoken in (("2.26", "1.45"), ("2.40", "1.51")):
    tap.case(f"compose {name}: from up to down, each call is answered as it must be")(release(spoken))

tap.main()
