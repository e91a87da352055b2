#!/usr/bin/env python3
"""Networks by the docker client: made, listed, inspected, connected live, isolated, removed; found again after the engine and the machine.

Containers talk with BusyBox's nc and ping. What must not arrive is tried beside something that does.
"""

import os
import re
import socket

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

IMAGE = "test/networks:1"
box = vm.prepared("networks")
DISK = os.path.join(box.scratch, "data.img")


def network(*words, **more):
    return box.docker("network", *words, **more)


def refused(*words):
    done = box.docker(*words, check=False)
    check(done.returncode != 0, f"docker {' '.join(words)}: was taken")
    return done.stderr


def server(name, *options):
    """A container that answers each connection to port 80 with its name."""
    box.docker("run", "-d", "--name", name, "--stop-timeout", "0", *options, IMAGE, "nc", "-ll", "-p", "80", "-e", "echo", name)


def execute(name, *words, **more):
    return box.docker("exec", name, *words, **more)


def ask(name, address, port=80, seconds=5):
    """What the server at that address says to the container; "" when it cannot be reached."""
    done = execute(name, "nc", "-w", str(seconds), address, str(port), check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def reach(name, address, want, what):
    until(lambda: ask(name, address) == want, what)


def way_out(name):
    """The gateway of the container's default route, "" when there is none."""
    found = re.search(r"^default via (\S+)", execute(name, "ip", "route"), re.MULTILINE)
    return found.group(1) if found else ""


def published(port):
    """What the server behind a published port says to one who comes from outside of the machine."""
    try:
        with socket.create_connection(("127.0.0.1", box.host_port(port)), 10) as conn:
            return conn.makefile().read().strip()
    except OSError:
        return ""


def endpoint(name, of):
    return box.inspect(name)["NetworkSettings"]["Networks"][of]


def remove(*names):
    box.docker("rm", "-f", *names)


def listed(*filters):
    words = [word for item in filters for word in ("--filter", item)]
    return sorted(network("ls", "--format", "{{.Name}}", *words).split())


@case("the machine and the test image", seconds=600)
def prepare():
    path = images.busybox_image(os.path.join(box.scratch, "networks.tar"), name=IMAGE)
    box.up(disk=DISK, publish=["auto:8085"])
    box.docker("load", "-i", path)


@case("create, ls with filters, inspect, rm, prune; events")
def objects():
    network("create", "--label", "of=shop", "--internal", "--attachable", "--subnet", "10.77.0.0/16", "--ip-range", "10.77.5.0/24",
            "--gateway", "10.77.0.9", "--aux-address", "router=10.77.5.2", "-o", "com.docker.network.driver.mtu=1400",
            "-o", "com.docker.network.bridge.name=shop0", "networks-shop")
    network("create", "networks-plain")
    shop = box.inspect("networks-shop", "network")
    equal(shop["IPAM"]["Config"], [{"Subnet": "10.77.0.0/16", "IPRange": "10.77.5.0/24", "Gateway": "10.77.0.9",
                                    "AuxiliaryAddresses": {"router": "10.77.5.2"}}], "IPAM")
    equal((shop["Driver"], shop["Scope"], shop["Internal"], shop["Attachable"], shop["EnableIPv6"], shop["Labels"]),
          ("bridge", "local", True, True, False, {"of": "shop"}), "shop")
    equal(shop["Options"]["com.docker.network.driver.mtu"], "1400", "options")
    contains(box.sh("ip addr show shop0"), "10.77.0.9/16", "the bridge")
    plain = box.inspect("networks-plain", "network")
    subnet = plain["IPAM"]["Config"][0]["Subnet"]
    check(subnet not in ("172.17.0.0/16", "10.77.0.0/16") and not subnet.startswith("10.0.2."), f"a subnet of its own: {subnet}")
    equal(listed("name=networks-"), ["networks-plain", "networks-shop"], "by name")
    equal(listed("label=of=shop"), ["networks-shop"], "by label")
    equal(listed("type=builtin"), ["bridge", "host", "none"], "builtin")
    equal([name for name in listed("type=custom") if name.startswith("networks-")], ["networks-plain", "networks-shop"], "custom")
    equal(listed("driver=null"), ["none"], "by driver")
    equal(listed("dangling=true", "name=networks"), ["networks-plain", "networks-shop"], "dangling")
    equal(listed(f"id={plain['Id'][:10]}"), ["networks-plain"], "by id")
    equal(network("inspect", plain["Id"][:12], "--format", "{{.Name}}"), "networks-plain", "by the start of its id")
    contains(network("prune", "-f", "--filter", "label=of=shop"), "networks-shop", "prune")
    equal(network("rm", "networks-plain"), "networks-plain", "rm")
    equal(listed("name=networks-"), [], "all gone")
    stays = box.sh(f"ls -d /sys/class/net/shop0 /sys/class/net/br-{plain['Id'][:12]} 2>/dev/null", check=False)[1].strip()
    equal(stays, "", "no bridge stays")
    told = box.docker("events", "--since", "0", "--until", str(box.now()), "--filter", "type=network", "--format",
                      "{{.Action}} {{.Actor.Attributes.name}}").splitlines()
    for line in ("create networks-shop", "destroy networks-shop", "create networks-plain", "destroy networks-plain"):
        contains(told, line, "events")


@case("what is refused, in Docker's words")
def refusals():
    network("create", "--subnet", "10.78.0.0/16", "networks-a")
    contains(refused("network", "create", "networks-a"), "network with name networks-a already exists", "a name twice")
    contains(refused("network", "create", "--subnet", "10.78.3.0/24", "networks-b"), "Pool overlaps with other one on this address space",
             "overlap")
    contains(refused("network", "create", "--subnet", "10.0.2.0/25", "networks-b"), "Pool overlaps", "the machine's own subnet")
    contains(refused("network", "create", "-d", "nonsense", "networks-b"), 'plugin "nonsense" not found', "driver")
    contains(refused("network", "rm", "bridge"), "bridge is a pre-defined network and cannot be removed", "rm bridge")
    contains(refused("network", "rm", "networks-none"), "network networks-none not found", "rm what is not there")
    for name, status, text in (("bridge", 403, "operation is not permitted on predefined bridge network"), ("", 400, "name is empty"),
                               ("n" * 256, 400, "at most 255 characters")):
        code, answer = box.request("POST", "/networks/create", {"Name": name})
        equal(code, status, f"create {name[:20]!r}")
        contains(answer["message"], text, f"create {name[:20]!r}")
    for length in (64, 255):
        network("create", "n" * length)
        network("rm", "n" * length)
    server("networks-holder", "--network", "networks-a", "--ip", "10.78.0.50")
    contains(refused("network", "rm", "networks-a"), 'has active endpoints (name:"networks-holder"', "rm in use")
    contains(refused("run", "--rm", "--network", "networks-a", "--ip", "10.78.0.50", IMAGE, "true"), "Address already in use", "an address twice")
    contains(refused("run", "--rm", "--network", "networks-a", "--ip", "10.99.0.1", IMAGE, "true"), "no configured subnet contains IP address",
             "a foreign address")
    contains(refused("run", "--rm", "--network", "nowhere", IMAGE, "true"), "network nowhere not found", "no such network")
    contains(refused("network", "connect", "networks-a", "networks-holder"), "already exists in network networks-a", "connected twice")
    contains(refused("network", "connect", "host", "networks-holder"), "connected to host network", "connect to host")
    contains(refused("network", "disconnect", "bridge", "networks-holder"), "is not connected to network bridge", "not connected")
    remove("networks-holder")
    network("rm", "networks-a")


@case("bridges are isolated from each other; internal ones have no way out, but containers in them talk")
def isolation():
    network("create", "--subnet", "10.81.0.0/24", "networks-one")
    network("create", "--subnet", "10.82.0.0/24", "networks-two")
    network("create", "--internal", "--subnet", "10.83.0.0/24", "networks-in")
    server("networks-s1", "--network", "networks-one", "--ip", "10.81.0.10")
    server("networks-s2", "--network", "networks-two", "--ip", "10.82.0.10")
    server("networks-s3", "--network", "networks-in", "--ip", "10.83.0.10", "-p", "8085:80")
    server("networks-s4", "--network", "networks-in", "--ip", "10.83.0.11")
    server("networks-s5", "--network", "networks-one", "--ip", "10.81.0.11")
    reach("networks-s5", "10.81.0.10", "networks-s1", "one network")
    reach("networks-s4", "10.83.0.10", "networks-s3", "an internal network")
    equal(ask("networks-s2", "10.81.0.10", seconds=2), "", "another network")
    equal(ask("networks-s4", "10.81.0.10", seconds=2), "", "out of an internal network")
    equal(way_out("networks-s4"), "", "no default route")
    equal(box.inspect("networks-s3")["NetworkSettings"]["Ports"].get("80/tcp") or None, None, "nothing of it is published")
    have = box.inspect("networks-in", "network")["Containers"]
    equal(sorted(item["Name"] for item in have.values()), ["networks-s3", "networks-s4"], "its endpoints")
    equal(sorted(item["IPv4Address"] for item in have.values()), ["10.83.0.10/24", "10.83.0.11/24"], "their addresses")
    remove("networks-s3", "networks-s4")
    network("rm", "networks-in")


@case("connect and disconnect: live and while stopped, aliases, addresses, the way out by GwPriority")
def connecting():
    network("connect", "--ip", "10.82.0.77", "--alias", "other", "networks-two", "networks-s1")
    equal(endpoint("networks-s1", "networks-two")["IPAddress"], "10.82.0.77", "address")
    contains(endpoint("networks-s1", "networks-two")["DNSNames"], "other", "names")
    reach("networks-s2", "10.82.0.77", "networks-s1", "live")
    contains(execute("networks-s1", "cat", "/etc/hosts"), "10.82.0.77", "hosts file")
    equal(way_out("networks-s1"), "10.81.0.1", "the first by name")
    network("disconnect", "networks-two", "networks-s1")
    check("networks-two" not in box.inspect("networks-s1")["NetworkSettings"]["Networks"], "gone from inspect")
    equal(ask("networks-s2", "10.82.0.77", seconds=2), "", "gone")
    check("10.82.0.77" not in execute("networks-s1", "cat", "/etc/hosts"), "gone from the hosts file")
    status, answer = box.request("POST", "/networks/networks-two/connect",
                                 {"Container": "networks-s1", "EndpointConfig": {"GwPriority": 5}})
    equal(status, 200, f"connect: {answer}")
    equal(way_out("networks-s1"), "10.82.0.1", "the higher priority")
    box.docker("stop", "-t", "0", "networks-s1")
    network("disconnect", "networks-one", "networks-s1")
    equal(list(box.inspect("networks-s1")["NetworkSettings"]["Networks"]), ["networks-two"], "while stopped")
    network("connect", "bridge", "networks-s1")
    box.docker("start", "networks-s1")
    equal(sorted(box.inspect("networks-s1")["NetworkSettings"]["Networks"]), ["bridge", "networks-two"], "after the start")
    network("disconnect", "bridge", "networks-s1")
    network("connect", "--ip", "10.81.0.10", "networks-one", "networks-s1")
    reach("networks-s5", "10.81.0.10", "networks-s1", "back again")


@case("several networks at create; a published port is reached from outside")
def several():
    status, made = box.request("POST", "/containers/create?name=networks-many", {
        "Image": IMAGE, "Cmd": ["nc", "-ll", "-p", "80", "-e", "echo", "networks-many"], "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"NetworkMode": "networks-two", "PortBindings": {"80/tcp": [{"HostPort": "8085"}]}},
        "NetworkingConfig": {"EndpointsConfig": {"networks-one": {"Aliases": ["many"]}, "networks-two": {}}}})
    equal(status, 201, f"create: {made}")
    box.docker("start", "networks-many")
    equal(sorted(box.inspect("networks-many")["NetworkSettings"]["Networks"]), ["networks-one", "networks-two"], "networks")
    contains(execute("networks-many", "ip", "-o", "addr", "show", "eth0"), "10.82.0.", "eth0 is that of the mode")
    until(lambda: published(8085) == "networks-many", "published")
    remove("networks-many")


@case("the engine is killed: networks and connections stay, and both change afterwards", seconds=300)
def engine_killed():
    before = box.inspect("networks-s1")["NetworkSettings"]["Networks"]
    box.sh(f"kill -9 {vm.ENGINE}")
    box.wait_api()
    until(lambda: box.inspect("networks-s1")["State"]["Running"], "the container is found again")
    equal(box.inspect("networks-s1")["NetworkSettings"]["Networks"], before, "endpoints")
    reach("networks-s5", "10.81.0.10", "networks-s1", "connections")
    network("disconnect", "networks-two", "networks-s1")
    equal(ask("networks-s2", "10.82.0.77", seconds=2), "", "disconnected after it")
    contains(refused("network", "rm", "networks-one"), "has active endpoints", "still in use")


@case("the machine is switched off: networks are there again with their subnets", seconds=600)
def rebooted():
    box.docker("update", "--restart", "always", "networks-s5")
    before = box.inspect("networks-one", "network")
    box.down()
    box.up(disk=DISK)
    after = box.inspect("networks-one", "network")
    for key in ("Id", "Name", "IPAM", "Options", "Labels", "Internal", "Created"):
        equal(after[key], before[key], key)
    until(lambda: box.inspect("networks-s5")["State"]["Running"], "a container of it is started")
    box.docker("start", "networks-s1")
    reach("networks-s5", "10.81.0.10", "networks-s1", "and talks")
    remove("networks-s1", "networks-s2", "networks-s5")
    network("rm", "networks-one", "networks-two")


tap.main()
