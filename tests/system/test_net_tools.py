#!/usr/bin/env python3
"""Networks with Debian's own tools inside containers: iperf3, dig, curl, socat, nft; and what hostile containers try.

The image is made of Debian packages. A server is socat, which says who its client is.
"""

import json
import os
import re
import socket

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

IMAGE = "test/tools:1"
PACKAGES = ["iperf3", "bind9-dnsutils", "curl", "socat", "nftables", "iproute2"]
box = vm.prepared("tools")
HTTP = rb"""#!/bin/sh
printf 'HTTP/1.0 200 OK\r\n\r\nclient %s\n' "$SOCAT_PEERADDR"
"""


def execute(name, *words, **more):
    return box.docker("exec", name, *words, **more)


def start(name, *options, command=("sleep", "100000")):
    box.docker("run", "-d", "--name", name, "--stop-timeout", "0", *options, IMAGE, *command)


def web(name, *options, listen="TCP-LISTEN:80,fork,reuseaddr"):
    start(name, *options, command=("socat", listen, "EXEC:/usr/bin/answer"))


def curl(name, url, seconds=10):
    done = execute(name, "curl", "-s", "-m", str(seconds), url, check=False)
    return done.stdout.strip() if done.returncode == 0 else f"curl ends with {done.returncode}"


def dig(name, *words):
    return execute(name, "dig", "+time=5", "+tries=2", *words)


def address(name, of):
    return box.inspect(name)["NetworkSettings"]["Networks"][of]["IPAddress"]


def machine():
    """The machine's own address."""
    return re.search(r"inet (10\.0\.2\.\d+)/", box.sh("ip -4 addr show eth0")).group(1)


def from_outside(port):
    """What the server behind a published port of the machine says to the host."""
    try:
        with socket.create_connection(("127.0.0.1", box.host_port(port)), 10) as conn:
            return conn.makefile().read().strip()
    except OSError as why:
        return str(why)


def remove(*names):
    box.docker("rm", "-f", *names)


@case("the machine, an image of Debian packages, networks and containers", seconds=1200)
def prepare():
    root = images.debian_tar("tools", PACKAGES)
    path = os.path.join(box.scratch, "tools.tar")
    more = {"usr/bin/answer": HTTP}
    for source in ("advertise.c", "manyqueries.c"):
        with open(images.program(source), "rb") as program:
            more[f"usr/bin/{source[:-2]}"] = program.read()
    with open(root, "rb") as data:
        images.docker_archive(path, IMAGE, [data.read(), images.layer(more)], {"Cmd": ["sh"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]})
    box.up(memory="1G", disk=os.path.join(box.scratch, "data.img"), disk_size="4G", publish=["auto:8090", "auto:8091"])
    box.docker("load", "-i", path)
    os.unlink(path)
    box.docker("network", "create", "--ipv6", "--subnet", "10.71.0.0/24", "--subnet", "fd71::/64", "tools-one")
    box.docker("network", "create", "--subnet", "10.72.0.0/24", "tools-two")
    web("tools-web", "--network", "tools-one", "--network-alias", "site", "-p", "8090:80", "-p", "127.0.0.1:8092:80")
    start("tools-one", "--network", "tools-one", "--cap-add", "NET_ADMIN")
    start("tools-two", "--network", "tools-two")
    start("tools-host", "--network", "host", "--cap-add", "NET_ADMIN")


@case("curl: by name, by address, by IPv6, through the published port from the machine, another network and its own (hairpin)")
def published():
    web_ip, one = address("tools-web", "tools-one"), address("tools-one", "tools-one")
    until(lambda: curl("tools-one", "tools-web/") == f"client {one}", "by name")
    equal(curl("tools-one", "site/"), f"client {one}", "by alias")
    equal(curl("tools-one", f"{web_ip}/"), f"client {one}", "by address")
    equal(curl("tools-two", f"{machine()}:8090/"), "client 10.71.0.1", "another network: by the machine, as Docker does")
    equal(curl("tools-web", f"{machine()}:8090/"), "client 10.71.0.1", "hairpin")
    equal(curl("tools-host", f"{machine()}:8090/"), f"client {machine()}", "the machine itself")
    equal(curl("tools-host", "127.0.0.1:8090/"), "client 10.71.0.1", "the machine's loopback")
    equal(curl("tools-host", "127.0.0.1:8092/"), "client 10.71.0.1", "published on loopback")
    equal(curl("tools-two", f"{machine()}:8092/", 3)[:4], "curl", "and only there")
    check(curl("tools-two", f"{web_ip}/", 3).startswith("curl"), "not by its own address")


@case("threats row 79: the container sees its real client, never 127.0.0.1")
def real_client():
    contains(from_outside(8090), "client 10.0.2.2", "from outside of the machine")


@case("IPv6: the same port on [::], reached from another network; [::1], and IPv6 to a container of IPv4")
def ipv6():
    ports = box.inspect("tools-web")["NetworkSettings"]["Ports"]["80/tcp"]
    equal(ports, [{"HostIp": "0.0.0.0", "HostPort": "8090"}, {"HostIp": "::", "HostPort": "8090"},
                  {"HostIp": "127.0.0.1", "HostPort": "8092"}], "ports")
    web("tools-six", "--network", "tools-one", "-p", "[::]:8083:80", listen="TCP6-LISTEN:80,fork,reuseaddr")
    box.docker("network", "create", "--ipv6", "--subnet", "fd73::/64", "tools-three")
    start("tools-three", "--network", "tools-three")
    until(lambda: curl("tools-one", "[fd71::4]/").startswith("client"), "by IPv6 address")
    contains(curl("tools-three", "[fd73::1]:8083/"), "client [fd71:", "by the machine's port")
    contains(curl("tools-host", "[::1]:8083/"), "client [fd71:", "[::1]")
    web("tools-four", "--network", "tools-two", "-p", "8084:80")
    until(lambda: curl("tools-host", "[::1]:8084/") == "client 10.72.0.1", "[::1] to IPv4")
    equal(curl("tools-three", "[fd73::1]:8084/"), "client 10.72.0.1", "from elsewhere to IPv4")
    box.sh("kill -9 $(ps | grep '[w]orker proxy' | awk '{print $1}')")
    until(lambda: curl("tools-host", "[::1]:8084/") == "client 10.72.0.1", "its process is killed")
    remove("tools-six", "tools-three", "tools-four")
    box.docker("network", "rm", "tools-three")


@case("udp and sctp published; a range; random ports")
def kinds():
    start("tools-kinds", "--network", "tools-one", "-p", "8190:90/udp", "-p", "8191:91/sctp", "-p", "8192-8194:92-94", "-p", "95", command=(
        "sh", "-c", "socat UDP-LISTEN:90,fork EXEC:cat & socat SCTP-LISTEN:91,fork SYSTEM:'echo sctp' & "
        "for p in 92 93 94 95; do socat TCP-LISTEN:$p,fork SYSTEM:\"echo port $p\" & done; wait"))
    until(lambda: "udp" in execute("tools-two", "sh", "-c", f"echo udp | socat -t 2 - UDP:{machine()}:8190", check=False).stdout, "udp")
    until(lambda: "sctp" in execute("tools-two", "sh", "-c", f"socat -t 2 - SCTP:{machine()}:8191 < /dev/null", check=False).stdout, "sctp")
    for port in (92, 93, 94):
        contains(execute("tools-two", "socat", "-u", f"TCP:{machine()}:81{port}", "-").strip(), f"port {port}", "range")
    bound = box.inspect("tools-kinds")["NetworkSettings"]["Ports"]["95/tcp"]
    equal(len({item["HostPort"] for item in bound}), 1, f"random, the same for both families: {bound}")
    contains(execute("tools-two", "socat", "-u", f"TCP:{machine()}:{bound[0]['HostPort']}", "-"), "port 95", "random")
    remove("tools-kinds")


@case("iperf3: tcp, udp and both directions, between containers and through a published port", seconds=300)
def iperf():
    start("tools-iperf", "--network", "tools-one", "-p", "5201:5201", "-p", "5201:5201/udp", command=("iperf3", "-s"))

    def run(client, target, *words):
        done = execute(client, "iperf3", "-c", target, "-t", "2", "-J", *words, check=False)
        return json.loads(done.stdout).get("end", {}) if done.stdout else {}

    until(lambda: run("tools-one", "tools-iperf").get("sum_received", {}).get("bytes", 0) > 1 << 20, "tcp")
    for client, target, words in (("tools-one", "tools-iperf", ["-R"]), ("tools-two", machine(), []), ("tools-two", machine(), ["-R"]),
                                  ("tools-host", "127.0.0.1", [])):
        until(lambda c=client, t=target, w=words: run(c, t, *w).get("sum_received", {}).get("bytes", 0) > 1 << 20, f"{client} {target} {words}")
    until(lambda: run("tools-two", machine(), "-u", "-b", "1M").get("sum", {}).get("packets", 0) > 0, "udp")
    remove("tools-iperf")


@case("dig: A, AAAA, PTR, no data, unknown types, EDNS, TCP, names of every length")
def digging():
    web_ip = address("tools-web", "tools-one")
    equal(dig("tools-one", "+short", "tools-web").strip(), web_ip, "A")
    equal(dig("tools-one", "+short", "TOOLS-WEB").strip(), web_ip, "in any case")
    check(dig("tools-one", "+short", "tools-web", "AAAA").strip().startswith("fd71::"), "AAAA")
    equal(dig("tools-one", "+short", "-x", web_ip).strip(), "tools-web.tools-one.", "PTR")
    contains(dig("tools-one", "tools-two.", "+norecurse", "+tcp"), ";; ", "tcp")
    equal(dig("tools-one", "+short", "+tcp", "tools-web").strip(), web_ip, "A over tcp")
    contains(dig("tools-one", "+bufsize=1232", "tools-web"), "EDNS: version: 0", "EDNS")
    contains(dig("tools-one", "tools-web", "MX"), "status: NOERROR", "no data")
    contains(dig("tools-one", "tools-web", "MX"), "ANSWER: 0", "no data")
    label = "l" * 63
    start("tools-long", "--network", "tools-one", "--network-alias", label, "--network-alias", "m" * 64)
    equal(dig("tools-one", "+short", label).strip(), address("tools-long", "tools-one"), "a name of 63 characters")
    equal(execute("tools-one", "getent", "hosts", "m" * 64, check=False).returncode != 0, True, "one of 64 is no name")
    equal(dig("tools-one", "+short", "tools-web").strip(), web_ip, "and the others stay")
    done = box.docker("run", "--rm", "--network", "tools-one", "--network-alias", "n" * 256, IMAGE, "true", check=False)
    contains(done.stderr, "should have 1 to 255 characters", "256")
    remove("tools-long")


@case("1,000 queries at once from one container: all answered, also while another does the same")
def flood():
    execute("tools-two", "sh", "-c", "manyqueries tools-two 1000 > /tmp/other &")
    equal(execute("tools-one", "manyqueries", "tools-web", "1000").strip(), "1000", "answers")
    until(lambda: execute("tools-two", "cat", "/tmp/other").strip() == "1000", "the other's")


@case("threats row 76: router advertisements from a container are for nobody", seconds=300)
def advertisements():
    start("tools-liar", "--network", "tools-one")
    before = box.sh("ip -6 route; ip -6 addr show scope global | grep inet6")
    mine = execute("tools-one", "sh", "-c", "ip -6 route; ip -6 addr show scope global | grep inet6")
    equal(execute("tools-liar", "advertise", "eth0", "2001:db8:bad::", "20").strip(), "sent 20", "sent")
    # the last one has arrived when an answer to what was sent after it has
    execute("tools-liar", "curl", "-s", "-g", "-m", "10", "tools-web/", check=False)
    equal(execute("tools-one", "sh", "-c", "ip -6 route; ip -6 addr show scope global | grep inet6"), mine, "its neighbour")
    equal(box.sh("ip -6 route; ip -6 addr show scope global | grep inet6"), before, "the machine")
    remove("tools-liar")


@case("threats row 78: the packet filter is flushed: set again at once; people's own chain comes first, and is there again")
def flushed():
    listing = execute("tools-host", "nft", "list", "table", "ip", "skerry")
    execute("tools-host", "nft", "flush", "ruleset")
    until(lambda: "chain publish" in execute("tools-host", "nft", "list", "table", "ip", "skerry", check=False).stdout, "healed", 5)

    def plain(text):    # without counters, and sets in one order
        text = re.sub(r"counter packets \d+ bytes \d+", "counter", text)
        return sorted(word for word in re.split(r"[\s,]+", text) if word)

    equal(plain(execute("tools-host", "nft", "list", "table", "ip", "skerry")), plain(listing), "exactly as before")
    web_ip = address("tools-web", "tools-one")
    check(curl("tools-two", f"{web_ip}/", 3).startswith("curl"), "bridges are apart")
    contains(from_outside(8090), "client", "published")
    execute("tools-host", "nft", "add", "rule", "inet", "skerry-user", "forward", "meta", "l4proto", "tcp", "ct",
            "original", "proto-dst", "8090", "drop")
    box.docker("run", "-d", "--name", "tools-more", "--network", "tools-two", "-p", "8091:80", IMAGE, "sleep", "1000")
    check("client" not in curl("tools-two", f"{machine()}:8090/", 3), "dropped by it")
    contains(execute("tools-host", "nft", "list", "chain", "inet", "skerry-user", "forward"), "8090", "it stays after our changes")
    execute("tools-host", "nft", "flush", "chain", "inet", "skerry-user", "forward")
    until(lambda: "client" in from_outside(8090), "and is people's own")
    remove("tools-more")


@case("gateway modes: routed and nat-unprotected containers are reached at their own addresses")
def gateways():
    option = "com.docker.network.bridge.gateway_mode_ipv4="
    box.docker("network", "create", "--subnet", "10.74.0.0/24", "-o", option + "routed", "tools-routed")
    box.docker("network", "create", "--subnet", "10.75.0.0/24", "-o", option + "nat-unprotected", "tools-open")
    web("tools-r", "--network", "tools-routed", "-p", "80")
    web("tools-o", "--network", "tools-open")
    until(lambda: curl("tools-two", "10.74.0.2/") == "client 10.74.0.1", "routed, published")
    until(lambda: curl("tools-two", "10.75.0.2/") == "client 10.75.0.1", "unprotected")
    equal(box.inspect("tools-r")["NetworkSettings"]["Ports"]["80/tcp"], [{"HostIp": "0.0.0.0", "HostPort": ""}], "no port of the machine")
    remove("tools-r", "tools-o")
    box.docker("network", "rm", "tools-routed", "tools-open")


@case("docker run with several networks: addresses, aliases, the way out")
def several():
    box.docker("network", "create", "--subnet", "10.76.0.0/24", "tools-extra")
    done = box.docker("run", "-d", "--name", "tools-many", "--network", "name=tools-one,ip=10.71.0.77,alias=first",
                      "--network", "name=tools-extra,ip=10.76.0.77,alias=second", IMAGE, "sleep", "1000", check=False)
    if done.returncode:     # Debian 12's client takes one network
        contains(done.stderr, "network", "an old client")
        box.docker("run", "-d", "--name", "tools-many", "--network", "tools-one", "--ip", "10.71.0.77", "--network-alias", "first", IMAGE,
                   "sleep", "1000")
        box.docker("network", "connect", "--ip", "10.76.0.77", "--alias", "second", "tools-extra", "tools-many")
    equal((address("tools-many", "tools-one"), address("tools-many", "tools-extra")), ("10.71.0.77", "10.76.0.77"), "addresses")
    equal(dig("tools-one", "+short", "first").strip(), "10.71.0.77", "alias")
    equal(dig("tools-many", "+short", "second").strip(), "10.76.0.77", "its own of the other")
    remove("tools-many")
    box.docker("network", "rm", "tools-extra")


tap.main()
