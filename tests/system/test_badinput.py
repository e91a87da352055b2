#!/usr/bin/env python3
"""Bad input over the whole container API: wrong names, states, bodies, ports, mounts; clients that break off, dawdle,
never read, or come by the thousand. Afterwards the engine holds no more than before."""

import json
import os
import re
import select
import socket
import ssl
import time
import urllib.parse

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

box = vm.shared()
IMAGE = "test/badinput:1"
PORT = box.machine.known()["api_port"]
PKI = box.machine.known()["pki"]
JSON = {"Content-Type": "application/json"}
KEPT = []       # the one connection of ask()
SLOW = []       # connections of the slow clients
BEFORE = {}     # what the engine held at the start


def ask(method, path, body=None, headers=None):
    """(status, decoded body) over a kept connection."""
    conn = KEPT.pop() if KEPT else box.connection(120)
    data = json.dumps(body) if isinstance(body, (dict, list)) else body
    conn.request(method, path, data, {**(JSON if body is not None else {}), **(headers or {})})
    answer = conn.getresponse()
    raw = answer.read()
    if answer.headers.get("Connection") == "close":
        conn.close()
    else:
        KEPT.append(conn)
    return answer.status, json.loads(raw) if "json" in answer.headers.get("Content-Type", "") else raw.decode()


def refused(method, path, want, text, body=None, headers=None):
    """The answer is that status, with a message that has the text."""
    status, answer = ask(method, path, body, headers)
    shown = f"{method} {path[:100]} {str(body)[:200]}: {status} {str(answer)[:300]}"
    equal(status, want, shown)
    check(isinstance(answer, dict) and list(answer) == ["message"], shown)
    check(text in answer["message"], f"no {text!r} in {shown}")


def tls():
    made = ssl.create_default_context(cafile=os.path.join(PKI, "ca.pem"))
    made.load_cert_chain(os.path.join(PKI, "cert.pem"), os.path.join(PKI, "key.pem"))
    raw = socket.create_connection(("127.0.0.1", PORT), timeout=60)
    return made.wrap_socket(raw, server_hostname="127.0.0.1")


def request(method, path, *headers, body=b""):
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def many(mode, count, path):
    """What programs/clients.c says about so many clients of the unix socket."""
    return box.docker("run", "--rm", "--network", "none", "-v", "/run/docker.sock:/s", IMAGE, "clients", mode, "/s", str(count), path)


def read_to_end(sock):
    answer = b""
    while block := sock.recv(65536):
        answer += block
    return answer


def holdings():
    """Descriptors and memory (KiB) of the engine, processes of the machine's programs, containers' folders."""
    text = box.sh(f"p={vm.ENGINE}; ls /proc/$p/fd | wc -l; awk '/VmRSS/{{print $2}}' /proc/$p/status;"
                  "pidof skerryd | wc -w; ls /run/skerry/shims | wc -l; ls /run/skerry/netns | wc -l; ls /sys/fs/cgroup/containers | grep -c -v '\\.';"
                  "grep -c . /proc/mounts")
    return dict(zip(("descriptors", "memory", "processes", "shims", "networks", "cgroups", "mounts"), map(int, text.split())))


@case("two containers, one that runs and one that ended; slow clients begin to dawdle")
def setup():
    with open(images.program("clients.c"), "rb") as program:
        path = images.busybox_image(os.path.join(box.scratch, "bad.tar"), IMAGE, more={"bin/clients": program.read()})
    box.docker("load", "-i", path)
    box.docker("run", "--rm", IMAGE, "true")
    equal(ask("GET", "/_ping")[0], 200, "ping")
    KEPT.pop().close()
    until(lambda: BEFORE.update(holdings()) or BEFORE["processes"] < 50, "the engine at rest")
    box.docker("run", "-d", "--name", "badinput-up", IMAGE, "sh", "-c", "while :; do echo line; sleep 1; done")
    box.docker("run", "--name", "badinput-down", IMAGE, "true")
    for data in (b"G", b"GET /info HTTP/1.1\r\n", b"GET /info HTTP/1.1\r\nHost: x\r\nA: b", b""):
        for _turn in range(5):
            SLOW.append((tls(), time.monotonic(), data))
            SLOW[-1][0].sendall(data)


@case("unknown names: 404 with Docker's words on every route of a container")
def unknown():
    name = "badinput-nobody"
    for method, path, body in (
            ("GET", "json", None), ("GET", "logs?stdout=1", None), ("GET", "top", None), ("GET", "stats", None),
            ("GET", "stats?stream=0", None), ("POST", "start", None), ("POST", "stop", None), ("POST", "restart", None),
            ("POST", "kill", None), ("POST", "wait", None), ("POST", "attach?stream=1&stdout=1", None), ("POST", "rename?name=x1", None),
            ("GET", "changes", None), ("GET", "export", None), ("GET", "archive?path=/", None), ("POST", "resize?h=1&w=1", None),
            ("POST", "pause", None), ("POST", "unpause", None), ("POST", "update", {"Memory": 0}), ("POST", "exec", {"Cmd": ["true"]})):
        refused(method, f"/containers/{name}/{path}", 404, f"No such container: {name}", body)
    refused("DELETE", f"/containers/{name}", 404, f"No such container: {name}")
    refused("PUT", f"/containers/{name}/archive?path=/", 404, f"No such container: {name}", b"")
    for method, path, body in (("POST", "start", {}), ("GET", "json", None), ("POST", "resize?h=1&w=1", None)):
        refused(method, f"/exec/{name}/{path}", 404, f"No such exec instance: {name}", body)
    for word in ("..", "%2e%2e", "a%2fb", "%00", "a%00b", "%ff%fe", "a" * 4096, "%20", "*", "'", "%0d%0aX:%20y", "f" * 63, "f" * 65):
        status, answer = ask("GET", f"/containers/{word}/json")
        check(status in (400, 404) and answer.get("message"), f"{word[:20]}: {status} {answer}")
    refused("GET", "/nothing", 404, "page not found")
    refused("PUT", "/containers/json", 404, "page not found")
    refused("GET", "/containers/create", 404, "page not found")


@case("ambiguous ids: 400 names the prefix; unique ones and full ones are found")
def ambiguous():
    made, seen, twin = [], {}, None
    while not twin:
        status, answer = ask("POST", f"/containers/create?name=badinput-twin{len(made)}", {"Image": IMAGE})
        equal(status, 201, str(answer))
        made.append(answer["Id"])
        twin = answer["Id"][0] if answer["Id"][0] in seen else None
        seen[answer["Id"][0]] = answer["Id"]
    refused("GET", f"/containers/{twin}/json", 400, f"multiple IDs found with provided prefix: {twin}")
    refused("POST", f"/containers/{twin}/start", 400, f"multiple IDs found with provided prefix: {twin}")
    equal(ask("GET", f"/containers/{made[-1][:20]}/json")[1]["Id"], made[-1], "a longer prefix")
    for id_ in made:
        equal(ask("DELETE", f"/containers/{id_}")[0], 204, "remove")


@case("conflicts and wrong states: 409 and 304 as Docker")
def states():
    up = box.inspect("badinput-up")["Id"]
    refused("POST", "/containers/create?name=badinput-up", 409, 'Conflict. The container name "/badinput-up" is already in use by '
            f'container "{up}". You have to remove (or rename) that container to be able to reuse that name.', {"Image": IMAGE})
    refused("POST", "/containers/badinput-down/rename?name=badinput-up", 409, "Conflict")
    refused("POST", "/containers/badinput-down/rename?name=", 400, "may be empty")
    refused("POST", "/containers/badinput-down/rename", 400, "may be empty")
    for word in ("-a", "a%20b", "..%2fx", "a/b", "%c3%a9", "a", "a" * 300):
        status, answer = ask("POST", f"/containers/badinput-down/rename?name={word}")
        check(status in (400, 404), f"rename to {word}: {status} {answer}")
    equal(ask("POST", "/containers/badinput-up/start"), (304, ""), "start of a running one")
    equal(ask("POST", "/containers/badinput-down/stop"), (304, ""), "stop of a stopped one")
    refused("POST", "/containers/badinput-down/kill", 409, "is not running")
    refused("GET", "/containers/badinput-down/top", 409, "is not running")
    refused("DELETE", "/containers/badinput-up", 409, "container is running: stop the container before removing or force remove")
    refused("POST", "/containers/badinput-down/pause", 409, "is not running")
    refused("POST", "/containers/badinput-up/unpause", 409, "is not paused")
    refused("POST", "/containers/badinput-down/exec", 409, "is not running", {"Cmd": ["true"]})
    refused("POST", "/containers/badinput-up/exec", 400, "", {"Cmd": []})
    refused("POST", "/containers/badinput-up/exec", 400, "", {"Cmd": 5})
    refused("POST", "/containers/badinput-up/exec", 400, "", b"{")
    refused("POST", "/containers/badinput-up/update", 400, "", {"Memory": "x"})
    refused("POST", "/containers/badinput-up/update", 400, "", b"")
    refused("POST", "/containers/badinput-up/resize?h=x&w=1", 400, "")
    refused("GET", "/containers/badinput-up/archive", 400, "")
    refused("GET", "/containers/badinput-up/archive?path=/no/such", 404, "/no/such")
    refused("PUT", "/containers/badinput-up/archive?path=/tmp", 400, "", b"this is no archive", {"Content-Type": "application/x-tar"})
    refused("POST", "/containers/prune?filters=%7B%22odd%22:%5B%22x%22%5D%7D", 400, "invalid filter 'odd'")
    refused("POST", "/containers/badinput-up/kill?signal=ODD", 400, "ODD")
    refused("POST", "/containers/badinput-up/kill?signal=99", 400, "99")
    refused("POST", "/containers/badinput-up/stop?t=soon", 400, "t")
    refused("POST", "/containers/badinput-up/wait?condition=odd", 400, "invalid condition")
    refused("POST", "/containers/badinput-down/start", 400, "non-empty request body", {"a": 1})
    refused("GET", "/containers/badinput-up/logs", 400, "Bad parameters: you must choose at least one stream")
    refused("GET", "/containers/badinput-up/logs?stdout=1&since=x", 400, "since")
    refused("GET", "/containers/json?limit=many", 400, "limit")


@case("malformed JSON and wrong content types: 400, nothing is made")
def malformed():
    path = "/containers/create?name=badinput-made"
    for body in ("{", "}", "nul", '{"Image":}', '{"Image":"a",}', "{'Image':'a'}", '{"Image":"a"}x', '{"Image":"a"}{}', '{"Image":"\x01"}',
                 "[" * 10000, '{"a":' * 5000 + "1" + "}" * 5000, '{"Image":"\\ud800"}', "\ufeff{}", "5", '"a"', "[]", "null"):
        refused("POST", path, 400, "", body.encode())
    refused("POST", path, 400, "", b'{"Image":"\xff\xfe"}')
    refused("POST", path, 400, "", b'{"Image":"a\x00"}')
    refused("POST", path, 400, "config cannot be empty in order to create a container", {})
    refused("POST", path, 400, "", {"Image": ""})
    refused("POST", path, 400, "invalid JSON: got EOF while reading request body", "")
    for kind in ("text/plain", "application/xml", "application/jsonx", "multipart/form-data; boundary=x", ""):
        refused("POST", path, 400, f"unsupported Content-Type header ({kind.split(';', maxsplit=1)[0]}", "{}", {"Content-Type": kind})
    equal(ask("GET", "/containers/badinput-made/json")[0], 404, "nothing was made")


WRONG = {
    "Hostname": [5, [], {}], "Tty": ["true", 1, []], "Env": ["A=b", {"A": "b"}, [1]], "Cmd": [5, {}, [1]], "ExposedPorts": [[], "80", {"80/tcp": 1}],
    "Labels": [[], "a=b", {"a": 1}], "StopTimeout": ["5", 1.5, []], "Healthcheck": ["true", [], {"Test": "x"}, {"Interval": "1s"}],
    "HostConfig": [[], "x", 5], "NetworkingConfig": [[], 5, {"EndpointsConfig": []}, {"EndpointsConfig": {"bridge": []}}],
    "HostConfig.Memory": ["64m", 1.5, True, 1e30, [], -1], "HostConfig.Binds": ["a:b", {}, [1]], "HostConfig.Privileged": ["yes", 1],
    "HostConfig.PortBindings": [[], {"80/tcp": {}}, {"80/tcp": [{"HostPort": 80}]}], "HostConfig.RestartPolicy": ["always", [], {"Name": 1}],
    "HostConfig.Mounts": [{}, ["a"], [{"Type": 1}], [{"BindOptions": 1}]], "HostConfig.Ulimits": [{}, [{"Name": 1}], [{"Soft": "1"}]],
    "HostConfig.LogConfig": [[], "json-file", {"Config": []}], "HostConfig.Devices": ["/dev/null", [1]], "HostConfig.Sysctls": [[], {"a": 1}],
}


@case("wrong JSON types of every class of field: 400 that names the field")
def types():
    for key, values in WRONG.items():
        for value in values:
            body = {"Image": IMAGE}
            where = body
            *outer, last = key.split(".")
            for part in outer:
                where = where.setdefault(part, {})
            where[last] = value
            refused("POST", "/containers/create?name=badinput-typed", 400, "", body)


@case("bad ports, mounts, limits and names in a create: 400, nothing is made")
def values():
    made = []

    def create(text, **body):
        status, answer = ask("POST", "/containers/create?name=badinput-made", {"Image": IMAGE, **body})
        if status != 400 or text not in answer["message"]:
            made.append(f"{body}: {status} {answer}")
        if status == 201:
            ask("DELETE", "/containers/badinput-made")
    for port in ("80/xyz", "99999/tcp", "-1", "x", "80-70", "80/tcp/udp", "", "/tcp", "0/tcp"):
        create("", HostConfig={"PortBindings": {port: [{"HostPort": "1"}]}})
    for host in ("x", "70000", "-5", "90-80", "80/tcp", "1-70000", "1.5"):
        create("", HostConfig={"PortBindings": {"80/tcp": [{"HostPort": host}]}})
    for ip in ("1.2.3", "x", "1.2.3.4.5", "::zz", "1.2.3.4/8"):
        create("", HostConfig={"PortBindings": {"80/tcp": [{"HostIp": ip, "HostPort": "80"}]}})
    for port in ("80/xyz", "x", "99999"):
        create("", ExposedPorts={port: {}})
    for bind in ("", ":", "/x:", ":/x", "/x:rel", "/x:/y:odd", "/x:/y:ro,rw", "/x:/y:z:z", "a b:/y", "../x:/y", "/x:/", "/x:/..", "x" * 300 + ":/y"):
        create("", HostConfig={"Binds": [bind]})
    create("Duplicate mount point", HostConfig={"Binds": ["/a:/x", "/b:/x"]})
    for mount in ({"Type": "odd", "Target": "/x"}, {"Type": "bind", "Target": "/x"}, {"Type": "bind", "Source": "/tmp"}, {"Target": "/x"},
                  {"Type": "bind", "Source": "rel", "Target": "/x"}, {"Type": "bind", "Source": "/not/there", "Target": "/x"},
                  {"Type": "bind", "Source": "/tmp", "Target": "rel"}, {"Type": "tmpfs", "Target": "/x", "TmpfsOptions": {"SizeBytes": -1}},
                  {"Type": "volume", "Source": "../x", "Target": "/x"}, {"Type": "volume", "Source": "v", "Target": ""},
                  {"Type": "bind", "Source": "/tmp", "Target": "/x", "BindOptions": {"Propagation": "odd"}}):
        create("", HostConfig={"Mounts": [mount]})
    create("", HostConfig={"Tmpfs": {"rel": ""}})
    for host in ({"Memory": 1000}, {"Memory": 100 << 20, "MemorySwap": 1}, {"NanoCpus": -1}, {"CpuPeriod": 5}, {"CpuQuota": 5},
                 {"CpusetCpus": "x"}, {"BlkioWeight": 5000}, {"OomScoreAdj": 5000}, {"ShmSize": -1}, {"CapAdd": ["ODD"]},
                 {"RestartPolicy": {"Name": "odd"}}, {"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}, {"Ulimits": [{"Name": "odd"}]},
                 {"Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 1}]}, {"LogConfig": {"Type": "json-file", "Config": {"odd": "1"}}},
                 {"LogConfig": {"Type": "json-file", "Config": {"max-size": "x"}}}, {"ExtraHosts": ["x"]}, {"Dns": ["x"]}, {"Sysctls": {"kernel.odd/..": "1"}}):
        create("", HostConfig=host)
    for config in ({"WorkingDir": "rel"}, {"StopSignal": "ODD"}, {"Env": ["=x"]}, {"Hostname": "a" * 64}, {"StopTimeout": 1 << 40},
                   {"Healthcheck": {"Interval": 5}}):
        create("", **config)
    check(not made, "\n".join(made))
    for name in ("a", "-ab", "a b", "../x", "/", "a" * 5000, "\u00e9x", "ab%00"):
        status, answer = ask("POST", f"/containers/create?name={urllib.parse.quote(name, safe='%')}", {"Image": IMAGE})
        check(status == 400, f"name {name[:20]!r}: {status} {str(answer)[:200]}")
    refused("POST", "/containers/create", 404, "No such image: no/such:latest", {"Image": "no/such"})
    for image in ("UPPER", "a b", ":", "a:b:c", "sha256:x", "../x", "a" * 500):
        status, answer = ask("POST", "/containers/create", {"Image": image})
        check(status in (400, 404), f"image {image[:20]!r}: {status} {answer}")
    equal([item["Names"] for item in ask("GET", "/containers/json?all=1&filters=%7B%22name%22:%5B%22badinput-made%22%5D%7D")[1]], [], "made")


@case("oversize: a body of 5 MB, heads of 100 kB, 200 headers, a query of 100 kB, 10000 labels are refused or done, not more")
def oversize():
    body = json.dumps({"Image": IMAGE, "Labels": {"a": "x" * 5_000_000}}).encode()
    with tls() as sock:
        sock.sendall(request("POST", "/containers/create", "Content-Type: application/json", f"Content-Length: {len(body)}"))
        try:
            sock.sendall(body)
        except OSError:
            pass        # it says no before it has heard all
        contains(sock.recv(4096).decode(), " 413 ", "a large body")
    for data, want in ((request("GET", "/_ping", "A: " + "a" * 100_000), " 431 "), (request("GET", "/_ping", *["A: b"] * 200), " 431 "),
                       (request("GET", "/_ping?" + "a" * 100_000), " 414 "), (request("GET" * 20, "/_ping"), " 400 ")):
        with tls() as sock:
            try:
                sock.sendall(data)
            except OSError:
                pass
            contains(sock.recv(4096).decode()[:20], want, f"{data[:30]}")
    status, answer = ask("POST", "/containers/create?name=badinput-many", {"Image": IMAGE, "Labels": {f"l{i}": "v" for i in range(5000)}})
    equal(status, 201, str(answer)[:200])
    equal(ask("DELETE", "/containers/badinput-many")[0], 204, "remove")
    refused("POST", "/containers/create", 400, "", {"Image": IMAGE, "Env": ["A=b"] * 100_000})


@case("pipelining: requests sent at once are answered in order")
def pipelining():
    body = json.dumps({"Image": ""}).encode()
    with tls() as sock:
        sock.sendall(request("GET", "/_ping") + request("GET", "/containers/badinput-up/json") +
                     request("POST", "/containers/create", "Content-Type: application/json", f"Content-Length: {len(body)}", body=body) +
                     request("GET", "/containers/badinput-nobody/json") + request("GET", "/_ping", "Connection: close"))
        answer = read_to_end(sock).decode()
    equal(re.findall(r"HTTP/1\.1 (\d+)", answer), ["200", "200", "400", "404", "200"], answer[:500])


@case("half-closed clients get their answers; the end of an attached standard input is only that")
def half_closed():
    box.docker("run", "-d", "--name", "badinput-half", IMAGE, "sleep", "1000")
    for path in ("/containers/badinput-half/json", "/info", "/containers/json?all=1", "/containers/badinput-half/logs?stdout=1",
                 "POST /containers/badinput-half/stop?t=0", "DELETE /containers/badinput-half"):
        equal(many("half", 1, path), "1 ok", path)
    equal(ask("GET", "/containers/badinput-half/json")[0], 404, "removed")
    box.docker("create", "-i", "--name", "badinput-cat", IMAGE, "cat")
    equal(box.docker("start", "-ai", "badinput-cat", stdin="to the end"), "to the end", "attach")
    box.docker("rm", "badinput-cat")


@case("clients that vanish: in a body, in streams of every kind, while they wait")
def vanish():
    begun = [("POST", "/containers/create", "Content-Type: application/json", "Content-Length: 1000"),
             ("POST", "/images/load", "Content-Type: application/x-tar", "Content-Length: 1000"),
             ("POST", "/images/load", "Content-Type: application/x-tar", "Transfer-Encoding: chunked"),
             ("GET", "/events"), ("GET", "/events?since=1"), ("GET", "/containers/badinput-up/logs?stdout=1&follow=1"),
             ("GET", "/containers/badinput-up/stats"), ("GET", "/containers/badinput-up/stats?stream=0"), ("GET", "/containers/badinput-up/top"),
             ("POST", "/containers/badinput-up/wait"), ("POST", "/containers/badinput-up/wait?condition=removed"),
             ("POST", "/containers/badinput-up/attach?stream=1&stdout=1&stderr=1&stdin=1", "Connection: Upgrade", "Upgrade: tcp"),
             ("POST", "/containers/badinput-up/attach?stream=1&stdout=1"), ("GET", "/containers/json?all=1"), ("GET", "/info"),
             ("GET", "/containers/badinput-up/attach/ws?stream=1&stdout=1", "Connection: Upgrade", "Upgrade: websocket",
              "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
             ("GET", "/containers/badinput-up/export"), ("GET", "/containers/badinput-up/archive?path=/bin"), ("GET", "/containers/badinput-up/changes"),
             ("PUT", "/containers/badinput-up/archive?path=/tmp", "Content-Type: application/x-tar", "Content-Length: 1000"),
             ("GET", "/containers/json?all=1&size=1"), ("GET", "/system/df")]
    for _turn in range(2):      # a process that goes on without its client
        exec_ = ask("POST", "/containers/badinput-up/exec", {"Cmd": ["sh", "-c", "sleep 2; echo x"], "AttachStdout": True, "AttachStdin": True})[1]["Id"]
        begun.append(("POST", f"/exec/{exec_}/start", "Connection: Upgrade", "Upgrade: tcp", "Content-Type: application/json", "Content-Length: 2\r\n\r\n{}"))
    for words in begun:
        for wait in (False, True):
            sock = tls()
            sock.sendall(request(*words) + (b"{" if "Content-Length: 1000" in words else b""))
            if wait:
                select.select([sock], [], [], 1)
            sock.close()
    # a stop that its client does not wait for is done all the same
    box.docker("run", "-d", "--name", "badinput-left", IMAGE, "sleep", "1000")
    with tls() as sock:
        sock.sendall(request("POST", "/containers/badinput-left/stop?t=0"))
    until(lambda: box.inspect("badinput-left")["State"]["Status"] == "exited", "it is stopped")
    box.docker("rm", "badinput-left")


@case("1000 quick connections, and 1000 that leave at once; 100 over TLS")
def quick():
    for mode, want in (("quick", "1000 ok"), ("leave", "0 ok")):
        equal(many(mode, 1000, "/_ping"), want, mode)
    for _turn in range(100):
        with tls() as sock:
            sock.sendall(request("GET", "/_ping", "Connection: close"))
            contains(read_to_end(sock).decode(), "OK", "over TLS")


@case("clients that are too slow with their head are sent away")
def slow():
    for sock, since, data in SLOW:
        sock.settimeout(max(since + 45 - time.monotonic(), 1))      # 30 s are given (engine/http/server.h)
        try:
            answer = sock.recv(65536)
        except socket.timeout:
            answer = b"still open"
        except OSError:
            answer = b""
        check(answer == b"" or b" 408 " in answer[:20], f"{data[:30]}: {answer[:100]}")
        sock.close()
    SLOW.clear()


@case("afterwards the engine holds what it held before")
def afterwards():
    box.docker("rm", "-f", "badinput-up", "badinput-down")
    if KEPT:
        KEPT.pop().close()

    def like_before():
        now = holdings()
        off = {key: (BEFORE[key], now[key]) for key in now if now[key] > BEFORE[key] + (6 << 10 if key == "memory" else 1)}
        check(not off, f"more than before: {off}")
        return True
    until(like_before, "everything is given back", 60)
    box.docker("rmi", IMAGE)


tap.main()
