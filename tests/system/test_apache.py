#!/usr/bin/env python3
"""The real one: Apache httpd from Debian packages, packed as an archive at test time, declared with ports: ["80:80"],
answers on the forwarded port, and after a reboot again."""

import os
import subprocess

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

NAME = "debian/apache2:test"
MANIFEST = """\
services:
  httpd:
    image: debian/apache2:test
    ports: ["80:80"]
    restart: always
    volumes: ["logs:/var/log/apache2"]
volumes:
  logs: {}
"""
SCRIPT = "echo 'Skerry runs Apache' > /var/www/html/index.html; echo ServerName apache > /etc/apache2/conf-enabled/name.conf"
COMMAND = ["apachectl", "-D", "FOREGROUND"]
box = vm.prepared("apache")
OVERLAY = os.path.join(box.scratch, "overlay")
OPTIONS = {"publish": ["auto:80"], "disk": os.path.join(box.scratch, "data.img"), "memory": "512M"}


@case("Debian's Apache is packed as an image archive and baked with its manifest into a machine", seconds=1200)
def made():
    root = images.debian_tar("apache2", ["apache2"], SCRIPT)
    folder = os.path.join(OVERLAY, "etc/skerry/compose")
    os.makedirs(folder)
    with open(os.path.join(folder, "web.yaml"), "w", encoding="ascii") as text:
        text.write(MANIFEST)
    # The archive goes in by the API: baked into the root it would lie in memory.
    with open(root, "rb") as data:
        images.docker_archive(os.path.join(box.scratch, "apache.tar"), NAME, [data.read()], {"Cmd": COMMAND})
    box.up(overlay=OVERLAY, **OPTIONS)


@case("the archive loads, and the declared service starts with it", seconds=600)
def loads():
    box.docker("load", "-i", os.path.join(box.scratch, "apache.tar"), seconds=500)
    until(lambda: "Skerry runs Apache" in box.curl(80, check=False).stdout, "Apache's page", 180)


@case("it is Apache from Debian that answers, and its log is written to the volume")
def answers():
    head = box.curl(80, "/", "-i")
    contains(head, "Server: Apache/2.4", "head")
    contains(head, "Debian", "head")
    equal(box.curl(80, "/nothing", "-o", "/dev/null", "-w", "%{http_code}"), "404", "a missing page")
    contains(box.sh("cat /var/lib/skerry/volumes/web_logs/_data/access.log"), "GET /nothing", "access log")


@case("100 requests at once are all answered")
def many():
    port = box.host_port(80)
    done = subprocess.run(["curl", "-sS", "--parallel", "--parallel-max", "20", "-o", "/dev/null", "-w", "%{http_code}\\n",
                           f"http://127.0.0.1:{port}/?[1-100]"], stdout=subprocess.PIPE, text=True, check=False)
    equal(done.stdout.split(), ["200"] * 100, "answers")


@case("after an orderly reboot it answers again", seconds=600)
def rebooted():
    box.down()
    box.up(overlay=OVERLAY, **OPTIONS)
    until(lambda: "Skerry runs Apache" in box.curl(80, check=False).stdout, "Apache's page", 180)
    check(box.docker("images", "-q", NAME), "the image is gone")


@case("after a power cut it answers again", seconds=600)
def cut():
    box.kill()
    box.up(overlay=OVERLAY, **OPTIONS)
    until(lambda: "Skerry runs Apache" in box.curl(80, check=False).stdout, "Apache's page", 180)


tap.main()
