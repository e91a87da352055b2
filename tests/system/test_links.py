#!/usr/bin/env python3
"""Networks that are no bridges: macvlan and ipvlan, on the machine's own link, on a VLAN of it, and on none.

The world outside is the host as QEMU's network shows it, at 10.0.2.2: a server of the test's own says who it is.
"""

import os
import socketserver
import threading

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

IMAGE = "test/links:1"
HOST = "10.0.2.2"           # the host, seen from the machine
box = vm.prepared("links")
DISK = os.path.join(box.scratch, "data.img")


class Hello(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"outside\n")


outside = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Hello)
outside.daemon_threads = True
threading.Thread(target=outside.serve_forever, daemon=True).start()


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
    done = execute(name, "nc", "-w", str(seconds), address, str(port), check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def reach(name, address, want, what, port=80):
    until(lambda: ask(name, address, port) == want, what)


def links(pattern):
    return box.sh(f"ls -d /sys/class/net/{pattern} 2>/dev/null | sed 's,.*/,,'", check=False)[1].split()


def remove(*names):
    box.docker("rm", "-f", *names)


@case("the machine and the test image", seconds=600)
def prepare():
    path = images.busybox_image(os.path.join(box.scratch, "links.tar"), name=IMAGE)
    box.up(disk=DISK)
    box.docker("load", "-i", path)


@case("macvlan on the machine's link: the world outside, each other; names; fixed addresses; the machine itself is not reached")
def macvlan():
    network("create", "-d", "macvlan", "--subnet", "10.0.2.0/24", "--ip-range", "10.0.2.64/28", "--gateway", HOST,
            "-o", "parent=eth0", "links-mac")
    server("links-a", "--network", "links-mac", "-p", "8099:80")
    server("links-b", "--network", "links-mac", "--ip", "10.0.2.70", "--mac-address", "02:00:00:00:00:70")
    a = box.inspect("links-a")["NetworkSettings"]["Networks"]["links-mac"]
    equal((a["IPAddress"], a["Gateway"], a["IPPrefixLen"]), ("10.0.2.64", HOST, 24), "its endpoint")
    contains(execute("links-b", "ip", "link", "show", "eth0"), "02:00:00:00:00:70", "--mac-address")
    reach("links-a", "10.0.2.70", "links-b", "by address")
    reach("links-b", "links-a", "links-a", "by name")
    reach("links-a", HOST, "outside", "the world outside", outside.server_address[1])
    equal(box.inspect("links-a")["NetworkSettings"]["Ports"].get("80/tcp") or None, None, "nothing is published")
    stats = box.docker("stats", "--no-stream", "--format", "{{.NetIO}}", "links-a").strip()
    check(not stats.startswith("0B / 0B"), f"counters: {stats}")
    have = box.inspect("links-mac", "network")
    equal((have["Driver"], have["Options"]), ("macvlan", {"parent": "eth0"}), "inspect")
    equal(network("ls", "--filter", "driver=macvlan", "--format", "{{.Name}}"), "links-mac", "ls")
    contains(refused("network", "rm", "links-mac"), "has active endpoints", "in use")
    contains(refused("network", "create", "-d", "ipvlan", "-o", "parent=eth0", "links-no"), "already using parent interface eth0", "ipvlan too")


@case("macvlan: connect and disconnect live; two networks, the way out by priority; engine killed, then both again", seconds=300)
def live():
    network("create", "links-bridge")
    server("links-c", "--network", "links-bridge")
    network("connect", "--ip", "10.0.2.72", "links-mac", "links-c")
    reach("links-a", "10.0.2.72", "links-c", "connected live")
    equal(sorted(box.inspect("links-c")["NetworkSettings"]["Networks"]), ["links-bridge", "links-mac"], "two networks")
    box.sh(f"kill -9 {vm.ENGINE}")
    box.wait_api()
    until(lambda: box.inspect("links-c")["State"]["Running"], "the container is found again")
    reach("links-a", "10.0.2.72", "links-c", "connections stay")
    network("disconnect", "links-mac", "links-c")
    equal(ask("links-a", "10.0.2.72", seconds=2), "", "disconnected")
    check("eth1" not in execute("links-c", "ip", "link"), "its link is gone")
    network("connect", "--ip", "10.0.2.72", "links-mac", "links-c")
    reach("links-a", "10.0.2.72", "links-c", "and again")
    remove("links-a", "links-b", "links-c")
    network("rm", "links-mac", "links-bridge")
    equal(links("eth0"), ["eth0"], "the machine's link stays")


@case("without a parent, and internal: a dummy link of its own, no way out; it goes with the network")
def dummy():
    for driver, prefix in (("macvlan", "dm-"), ("ipvlan", "di-")):
        for options in ((), ("--internal", "-o", "parent=eth0")):
            network("create", "-d", driver, *options, "--subnet", "10.91.0.0/24", "links-none")
            equal(len(links(prefix + "*")), 1, f"{driver}: a dummy link")
            server("links-a", "--network", "links-none", "--ip", "10.91.0.10")
            server("links-b", "--network", "links-none")
            reach("links-b", "10.91.0.10", "links-a", driver)
            if options:
                check("default" not in execute("links-b", "ip", "route"), "internal: no default route")
            equal(box.sh("nc -w 2 10.91.0.10 80", check=False)[1].strip(), "", "the machine does not reach it")
            remove("links-a", "links-b")
            network("rm", "links-none")
            equal(links(prefix + "*"), [], "gone")


@case("VLANs: eth0.10 is made, shared, kept for the other network, removed with the last; one of the machine's own stays", seconds=300)
def vlans():
    for name, subnet in (("links-v1", "10.92.1.0/24"), ("links-v2", "10.92.2.0/24")):
        network("create", "-d", "macvlan", "--subnet", subnet, "-o", "parent=eth0.10", name)
    equal(links("eth0.*"), ["eth0.10"], "made")
    network("rm", "links-v1")
    equal(links("eth0.*"), ["eth0.10"], "the other one needs it")
    server("links-a", "--network", "links-v2", "--ip", "10.92.2.10")
    server("links-b", "--network", "links-v2")
    reach("links-b", "10.92.2.10", "links-a", "on a VLAN")
    remove("links-a", "links-b")
    network("rm", "links-v2")
    equal(links("eth0.*"), [], "gone with the last")
    box.sh("ip link add link eth0 name eth0.11 type vlan id 11 && ip link set eth0.11 up")
    network("create", "-d", "ipvlan", "--subnet", "10.92.3.0/24", "-o", "parent=eth0.11", "links-v3")
    network("rm", "links-v3")
    equal(links("eth0.*"), ["eth0.11"], "the machine's own")
    box.sh("ip link del eth0.11")


@case("modes: macvlan private keeps containers apart, passthru takes one; ipvlan l2, l3 and l3s, private", seconds=300)
def modes():
    def try_out(driver, options, talk):
        network("create", "-d", driver, "--subnet", "10.93.0.0/24", *(word for item in options for word in ("-o", item)), "links-m")
        server("links-a", "--network", "links-m", "--ip", "10.93.0.10")
        server("links-b", "--network", "links-m", "--ip", "10.93.0.11")
        if talk:
            reach("links-b", "10.93.0.10", "links-a", f"{driver} {options}")
        else:
            equal(ask("links-b", "10.93.0.10", seconds=2), "", f"{driver} {options}")
        routes = execute("links-b", "ip", "route")
        remove("links-a", "links-b")
        network("rm", "links-m")
        return routes

    try_out("macvlan", ["macvlan_mode=bridge"], True)
    try_out("macvlan", ["macvlan_mode=private"], False)
    try_out("macvlan", ["macvlan_mode=vepa"], False)
    contains(try_out("ipvlan", ["ipvlan_mode=l2"], True), "default via 10.93.0.1", "l2 has a gateway")
    contains(try_out("ipvlan", ["ipvlan_mode=l3"], True), "default dev eth0", "l3 has none")
    try_out("ipvlan", ["ipvlan_mode=l3s"], True)
    try_out("ipvlan", ["ipvlan_mode=l2", "ipvlan_flag=private"], False)
    network("create", "-d", "macvlan", "--subnet", "10.93.0.0/24", "-o", "macvlan_mode=passthru", "links-m")
    server("links-a", "--network", "links-m")
    contains(refused("run", "--rm", "--network", "links-m", IMAGE, "true"), "cannot make the macvlan link", "passthru takes one")
    for _ in range(2):      # its place is free at once
        box.docker("restart", "-t", "0", "links-a")
    remove("links-a")
    network("rm", "links-m")


@case("IPv6 on macvlan; an advertisement is for nobody there either")
def ipv6():
    network("create", "-d", "macvlan", "--ipv6", "--subnet", "10.94.0.0/24", "--subnet", "fd94::/64", "links-six")
    server("links-a", "--network", "links-six", "--ip6", "fd94::10")
    server("links-b", "--network", "links-six")
    reach("links-b", "fd94::10", "links-a", "IPv6")
    equal(execute("links-b", "cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra").strip(), "0", "accept_ra")
    remove("links-a", "links-b")
    network("rm", "links-six")


@case("what is refused")
def refusals():
    for options, text in ((("-d", "macvlan", "-o", "parent=nowhere"), "parent interface nowhere was not found"),
                          (("-d", "macvlan", "-o", "parent=nowhere.5"), "there is no nowhere"),
                          (("-d", "macvlan", "-o", "parent=eth0.5000"), "invalid subinterface vlan name eth0.5000"),
                          (("-d", "macvlan", "-o", "parent=eth0.x"), "invalid subinterface vlan name eth0.x"),
                          (("-d", "macvlan", "-o", "parent=lo"), "loopback interface is not a valid"),
                          (("-d", "macvlan", "-o", "parent=a/b"), "invalid parent interface"),
                          (("-d", "macvlan", "-o", "macvlan_mode=hub"), "'bridge' is the macvlan driver default"),
                          (("-d", "ipvlan", "-o", "ipvlan_mode=l4"), "'l2' is the ipvlan driver default"),
                          (("-d", "ipvlan", "-o", "ipvlan_flag=none"), "'bridge' is the ipvlan driver default")):
        contains(refused("network", "create", *options, "links-bad"), text, " ".join(options))
    network("create", "-d", "ipvlan", "links-ip")
    contains(refused("run", "--rm", "--network", "links-ip", "--mac-address", "02:00:00:00:00:01", IMAGE, "true"),
             "ipvlan interfaces do not support custom mac address", "a mac")
    network("rm", "links-ip")
    equal(links("d[im]-*") + links("eth0.*"), [], "nothing is left")


@case("the machine is switched off: its networks and what they are made on are there again", seconds=600)
def rebooted():
    network("create", "-d", "macvlan", "--subnet", "10.95.0.0/24", "-o", "parent=eth0.20", "links-kept")
    network("create", "-d", "ipvlan", "--subnet", "10.96.0.0/24", "-o", "ipvlan_mode=l3", "links-alone")
    server("links-a", "--network", "links-kept", "--ip", "10.95.0.10", "--restart", "always")
    box.down()
    box.up(disk=DISK)
    until(lambda: box.inspect("links-a")["State"]["Running"], "its container is started")
    equal(links("eth0.*"), ["eth0.20"], "the VLAN")
    server("links-b", "--network", "links-kept")
    reach("links-b", "10.95.0.10", "links-a", "and talks")
    remove("links-a", "links-b")
    network("rm", "links-kept", "links-alone")
    equal(links("d[im]-*") + links("eth0.*"), [], "nothing is left")


tap.main()
