#!/usr/bin/env python3
"""The embedded resolver, asked by BusyBox's nslookup and ping in containers on networks of one's own.

A server of the test's own (programs/nameserver.c) stands for the rest of the world: it answers 198.51.100.7 to everything and says what it
was asked. It is reached by --dns, and as the machine's own resolver.
"""

import os
import re

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

IMAGE = "test/dns:1"
WORLD = "198.51.100.7"
box = vm.shared()


def execute(name, *words, **more):
    return box.docker("exec", name, *words, **more)


def start(name, *options, command=("sleep", "100000")):
    box.docker("run", "-d", "--name", name, "--stop-timeout", "0", *options, IMAGE, *command)


def lookup(asker, name, kind="a"):
    """The addresses of a name, in the answer's order; the text of the failure when there is none."""
    done = execute(asker, "nslookup", f"-type={kind}", name, check=False)
    text = done.stdout + done.stderr
    found = re.findall(r"^Address(?: \d+)?: (\S+)$", text, re.MULTILINE)
    return found or text


def address(name, network="dns-shop"):
    return box.inspect(name)["NetworkSettings"]["Networks"][network]["IPAddress"]


def asked():
    """What the world's server was asked so far."""
    return box.docker("logs", "dns-world").split()


@case("the test image, a server for the rest of the world, networks and containers", seconds=600)
def prepare():
    with open(images.program("nameserver.c"), "rb") as program:
        path = images.busybox_image(os.path.join(box.scratch, "dns.tar"), name=IMAGE, more={"bin/nameserver": program.read()})
    box.docker("load", "-i", path)
    box.docker("network", "create", "dns-shop")
    box.docker("network", "create", "dns-other")
    box.docker("network", "create", "--internal", "dns-inside")
    start("dns-world", "--network", "bridge", command=("nameserver", WORLD))
    world = box.inspect("dns-world")["NetworkSettings"]["IPAddress"]
    start("dns-web", "--network", "dns-shop", "--network-alias", "Service", "--dns", world, "--hostname", "front")
    start("dns-db", "--network", "dns-shop", "--network-alias", "service", "--dns", world, "--dns-search", "shop.example",
          "--dns-option", "timeout:3")
    start("dns-else", "--network", "dns-other", "--dns", world)
    start("dns-in", "--network", "dns-inside", "--dns", world)


@case("resolv.conf as Docker writes it; the default bridge has the machine's servers")
def files():
    contains(execute("dns-web", "cat", "/etc/resolv.conf"), "nameserver 127.0.0.11", "server")
    contains(execute("dns-web", "cat", "/etc/resolv.conf"), "options ndots:0", "options")
    text = execute("dns-db", "cat", "/etc/resolv.conf")
    contains(text, "search shop.example", "--dns-search")
    contains(text, "options timeout:3 ndots:0", "--dns-option")
    check("127.0.0.11" not in execute("dns-world", "cat", "/etc/resolv.conf"), "the default bridge has no resolver")


@case("names: containers, aliases, short ids, hostnames, with the network behind them, in any case; no data; reverse")
def names():
    web, db = address("dns-web"), address("dns-db")
    for name in ("dns-db", "DNS-DB", "dns-db.dns-shop", box.inspect("dns-db")["Id"][:12]):
        equal(lookup("dns-web", name), [db], name)
    equal(lookup("dns-web", "front"), [web], "hostname")
    contains(execute("dns-web", "ping", "-c", "1", "dns-db"), f"PING dns-db ({db})", "by libc")
    contains(lookup("dns-web", "dns-db", "aaaa"), "", "no data")
    check("NXDOMAIN" not in str(lookup("dns-web", "dns-db", "aaaa")), "AAAA of a known name is no error")
    contains(execute("dns-web", "nslookup", db), "name = dns-db.dns-shop", "reverse")
    equal(lookup("dns-else", "dns-db"), [WORLD], "another network: the rest of the world is asked")


@case("a name of several containers: all of them, another one first each time; the list follows starts, stops, names")
def round_robin():
    both = sorted([address("dns-web"), address("dns-db")])
    answers = [lookup("dns-web", "service") for _ in range(4)]
    check(all(sorted(item) == both for item in answers), f"all addresses: {answers}")
    equal({item[0] for item in answers}, set(both), f"the first of {answers}")
    box.docker("stop", "dns-db")
    equal(lookup("dns-web", "service"), [both[0] if address("dns-web") == both[0] else both[1]], "one is stopped")
    box.docker("start", "dns-db")
    until(lambda: len(lookup("dns-web", "service")) == 2, "started again")
    box.docker("rename", "dns-db", "dns-base")
    equal(lookup("dns-web", "dns-base"), [address("dns-base")], "renamed")
    equal(lookup("dns-web", "dns-db"), [WORLD], "its old name is nobody's")
    box.docker("rename", "dns-base", "dns-db")
    box.docker("network", "connect", "--alias", "guest", "dns-shop", "dns-else")
    equal(lookup("dns-web", "guest"), [address("dns-else")], "connected live")
    equal(lookup("dns-else", "dns-web"), [address("dns-web")], "and it knows the others")
    box.docker("network", "disconnect", "dns-shop", "dns-else")
    equal(lookup("dns-web", "guest"), [WORLD], "disconnected")


@case("threats row 77: nothing leaves a container that has only internal networks")
def internal():
    check(WORLD not in lookup("dns-in", "secret.example"), "an answer from outside")
    equal(lookup("dns-web", "public.example"), [WORLD], "a control")
    have = asked()
    contains(have, "public.example", "asked")
    check("secret.example" not in have, f"a question left the machine: {have}")
    equal(lookup("dns-in", "dns-in"), [address("dns-in", "dns-inside")], "its own network it knows")


@case("a container's own server at port 53, and nobody else's resolver")
def own_port():
    start("dns-own", "--network", "dns-shop", command=("nameserver", "192.0.2.53"))
    equal(lookup("dns-own", "dns-web"), [address("dns-web")], "127.0.0.11 is not its own")
    done = execute("dns-web", "nslookup", "-type=a", "x.example", address("dns-own"), check=False)
    contains(done.stdout, "192.0.2.53", "its own is reached at its address")
    done = execute("dns-own", "nslookup", "-type=a", "dns-web", address("dns-web"), check=False)
    check(done.returncode != 0 and address("dns-web") + "\n" not in done.stdout.partition("\n\n")[2], f"an open resolver: {done.stdout}")
    box.docker("rm", "-f", "dns-own")


@case("the machine's resolvers are followed live")
def followed():
    world = box.inspect("dns-world")["NetworkSettings"]["IPAddress"]
    start("dns-plain", "--network", "dns-shop")
    box.sh("cp /etc/resolv.conf /tmp/resolv.kept")
    box.sh(f"echo nameserver {world} > /etc/resolv.conf")
    try:
        until(lambda: lookup("dns-plain", "followed.example") == [WORLD], "the new server is asked")
    finally:
        box.sh("cat /tmp/resolv.kept > /etc/resolv.conf; rm /tmp/resolv.kept")
    box.docker("rm", "-f", "dns-plain")


@case("the resolver's process and the engine are killed: names are known again")
def killed():
    box.sh("kill -9 $(ps | grep '[w]orker dns' | awk '{print $1}')")
    until(lambda: lookup("dns-web", "dns-db") == [address("dns-db")], "after its process")
    box.sh(f"kill -9 {vm.ENGINE}")
    box.wait_api()
    until(lambda: lookup("dns-web", "dns-db") == [address("dns-db")], "after the engine")
    equal(lookup("dns-db", "service.dns-shop")[1:] != [], True, "all of them")


@case("the end")
def end():
    box.docker("rm", "-f", "dns-world", "dns-web", "dns-db", "dns-else", "dns-in")
    box.docker("network", "rm", "dns-shop", "dns-other", "dns-inside")
    box.docker("rmi", IMAGE)


tap.main()
