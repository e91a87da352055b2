#!/usr/bin/env python3
"""A container's files by the docker client: cp in both directions, export, diff, sizes; and threats.md part B, where a
tree on the machine's side (the canary) must stay as it is whatever containers do."""

import base64
import bz2
import gzip
import http.client
import io
import json
import lzma
import os
import subprocess
import tarfile
import threading
import time
import urllib.parse

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

box = vm.shared()
IMAGE = "test/archive:latest"
CANARY = "/var/archive-canary"
RACE_SECONDS = float(os.environ.get("SKERRY_RACE_SECONDS", "20"))
DECOMPRESSORS = ("xz", "unxz", "gzip", "gunzip", "unpigz", "pigz", "zstd", "unzstd", "bzip2")


def local(name, text=None, mode=0o644):
    """A file in the scratch folder; returns its path."""
    path = os.path.join(box.scratch, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if text is not None:
        with open(path, "wb") as out:
            out.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
    return path


def tree(name):
    """A small local tree with a file of two names, a link and a folder below."""
    top = local(name)
    os.makedirs(os.path.join(top, "sub"), exist_ok=True)
    local(f"{name}/a", "first\n")
    local(f"{name}/sub/b", "second\n", 0o600)
    if not os.path.lexists(os.path.join(top, "link")):
        os.symlink("sub/b", os.path.join(top, "link"))
        os.link(os.path.join(top, "a"), os.path.join(top, "again"))
    return top


def inside(name, script):
    """Output of a shell line in a running container, by its root on the machine."""
    pid = box.inspect(name)["State"]["Pid"]
    return box.sh(f"cd /proc/{pid}/root && {script}")


def listing(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {item.name: item for item in tar.getmembers()}


def names(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [item.name for item in tar.getmembers()]


def get(container, path):
    """The archive that `docker cp C:PATH -` gives."""
    done = box.docker("cp", f"{container}:{path}", "-", stdin=b"", check=False)
    check(done.returncode == 0, f"docker cp {container}:{path} -: {done.stderr}")
    return done.stdout


def archive(container, path, **query):
    return f"/containers/{container}/archive?" + urllib.parse.urlencode({"path": path, **query})


def put(container, path, data, conn=None, **query):
    """(status, message) of a PUT."""
    own = conn or box.connection(60)
    try:
        own.request("PUT", archive(container, path, **query), data, {"Content-Type": "application/x-tar"})
        answer = own.getresponse()
        text = answer.read().decode("utf-8", "replace")
        return answer.status, json.loads(text)["message"] if text.startswith("{") else text
    finally:
        if not conn:
            own.close()


def tar_of(files):
    """A tar from name -> bytes, or a TarInfo."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, what in files.items():
            info = what if isinstance(what, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.mtime = info.mtime or 1700000000
            if isinstance(what, bytes):
                info.size = len(what)
            tar.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
    return raw.getvalue()


def member(name, kind, **fields):
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def canary():
    """Everything of the canary tree: names, modes, owners, times, contents."""
    have = box.sh(f"cd {CANARY} && find . | sort | while read f; do stat -c '%n %a %u:%g %h %Y %s' \"$f\"; "
                  "if test -f \"$f\"; then cat \"$f\"; fi; done")
    check("\nsecret\n" in have and "\ninner\n" in have, f"the canary is not as it should be: {have}")
    return have


def state():
    """What must not grow: workers, the engine's descriptors and mounts."""
    return box.sh(f"p={vm.ENGINE}; ps | grep -c '[w]orker files'; "
                  "ls /proc/$p/fd | wc -l; wc -l < /proc/$p/mountinfo").split()


def settled(before):
    """Waits until the workers are gone, then compares."""
    until(lambda: state() == before, f"workers, descriptors and mounts are as before ({before})", 20)


@case("the image of the tests, the canary, and two containers")
def prepare():
    swap = images.program("swap.c")
    with open(swap, "rb") as data:
        program = data.read()
    trap = b"#!/bin/sh\ntouch /executed\nexec cat\n"
    more = {
        "bin/swap": program, "opt": None, "opt/conf": None, "opt/conf/app.conf": b"from the image\n",
        "proc": None, "run": None, "usr": None, "usr/bin": None, "www": None, "www/index.html": b"hello\n",
        "var/run": ("link", "/run"), "to-canary": ("link", CANARY),
        **{f"usr/bin/{name}": trap for name in DECOMPRESSORS},
    }
    images.busybox_image(local("archive.tar"), IMAGE, more=more)
    box.docker("load", "-i", local("archive.tar"))
    box.sh(f"rm -rf {CANARY}; mkdir -p {CANARY}/dir {CANARY}/a/b; echo secret > {CANARY}/secret; "
           f"echo inner > {CANARY}/dir/file; echo secret > {CANARY}/a/b/f; chmod 600 {CANARY}/secret")
    local("one", "one\n", 0o755)
    box.docker("run", "-d", "--name", "archive-up", "-v", "archive-vol:/data", "-v", "/var/archive-bind:/bind:ro",
               "--tmpfs", "/mem:size=1m", IMAGE, "sleep", "100000")
    box.docker("create", "--name", "archive-down", "-v", "archive-www:/www", "-v", "archive-vol:/data:ro", IMAGE, "true")


@case("cp in: a file, a folder, its content, a stream; to a running container, its volume and tmpfs")
def cp_in():
    top = tree("tree")
    box.docker("cp", local("one"), "archive-up:/tmp/")
    box.docker("cp", local("one"), "archive-up:/tmp/other")
    box.docker("cp", local("one"), "archive-up:/data/one")
    box.docker("cp", top, "archive-up:/mem")
    box.docker("cp", top + "/.", "archive-up:/root")
    box.docker("cp", top, "archive-up:/home/new")
    box.docker("cp", "-", "archive-up:/opt", stdin=tar_of({"stream/x": b"streamed\n"}))
    equal(inside("archive-up", "cat tmp/one tmp/other data/one mem/tree/sub/b root/link home/new/again opt/stream/x"),
          "one\none\none\nsecond\nsecond\nfirst\nstreamed", "contents")
    equal(inside("archive-up", "stat -c %a:%u tmp/one root/sub/b; stat -c %h root/a; readlink home/new/link"),
          f"755:{os.getuid()}\n600:{os.getuid()}\n2\nsub/b", "modes, owners, names of a file, links")
    equal(box.sh("cat /var/lib/skerry/volumes/archive-vol/_data/one"), "one", "the volume on the machine")


@case("cp out: what docker's archiver would name it, links as links, -L follows them, modes and times come along")
def cp_out():
    f = member("w/d/f", tarfile.REGTYPE, mode=0o4750, uid=7, gid=8, mtime=1580601600, size=2)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        tar.addfile(member("w/d/sub", tarfile.DIRTYPE, mode=0o755))
        tar.addfile(f, io.BytesIO(b"x\n"))
        tar.addfile(member("w/d/l", tarfile.SYMTYPE, linkname="f"))
        tar.addfile(member("w/d/h", tarfile.LNKTYPE, linkname="w/d/f"))
        tar.addfile(member("w/d/p", tarfile.FIFOTYPE))
        tar.addfile(member("w/to", tarfile.SYMTYPE, linkname="/w/d"))
    equal(put("archive-up", "/", made.getvalue()), (200, ""), "the tree")
    inner = ["", "/f", "/h", "/l", "/p", "/sub"]
    equal(names(get("archive-up", "/w/d")), ["d" + x for x in inner], "a folder")
    equal(names(get("archive-up", "/w/d/.")), ["."] + ["./" + x[1:] for x in inner[1:]], "a folder's content")
    equal(names(get("archive-up", "/w/to/")), ["to" + x for x in inner], "through a link")
    equal(names(get("archive-up", "/w/d/f")), ["f"], "a file")
    have = listing(get("archive-up", "/w/d"))
    f = have["d/f"]
    equal((f.mode, f.uid, f.gid, f.size, time.gmtime(f.mtime)[:3]), (0o4750, 7, 8, 2, (2020, 2, 2)), "metadata")
    equal((have["d/h"].linkname, have["d/l"].linkname, have["d/p"].isfifo()), ("d/f", "f", True), "links and a fifo")
    check(listing(get("archive-up", "/w/to"))["to"].issym(), "a link is an entry of its own")
    box.docker("cp", "-L", "archive-up:/w/d/l", local("followed"))
    with open(local("followed"), encoding="ascii") as text:
        equal(text.read(), "x\n", "cp -L")
    box.docker("cp", "archive-up:/w/d", local("out"))
    equal(sorted(os.listdir(local("out"))), ["f", "h", "l", "p", "sub"], "a folder on this side")
    done = box.docker("cp", "archive-up:/nothing", local("x"), check=False)
    contains(done.stderr, "Could not find the file /nothing in container archive-up", "a path that is not there")


@case("cp out of a running container: its mounts are seen as in it, the kernel's file systems are empty")
def cp_out_mounts():
    box.sh("mkdir -p /var/archive-bind/sub; echo bound > /var/archive-bind/sub/f")
    have = names(get("archive-up", "/"))
    for path in ("/data/one", "/mem/tree/a", "/bind/sub/f", "/etc/hosts", "/bin/busybox"):
        check(path in have, f"{path} is not in the archive of /")
    wrong = [x for x in have if x.startswith(("/proc/", "/sys/", "/dev/pts/")) or x in ("/dev/null", "/dev/console")]
    equal(wrong, [], "kernel file systems and devices in the archive")


@case("stopped containers: volumes are mounted, filled from the image first; what is only read stays untouched")
def stopped():
    equal(names(get("archive-down", "/www")), ["www", "www/index.html"], "a volume before the first start")
    equal(names(get("archive-down", "/data/one")), ["one"], "a volume that another container has")
    equal(box.docker("diff", "archive-down"), "", "nothing was made in the container itself")
    box.docker("cp", local("one"), "archive-down:/www/new")
    box.docker("cp", local("one"), "archive-down:/opt/conf/app.conf")
    equal(box.sh("cat /var/lib/skerry/volumes/archive-www/_data/new"), "one", "in the volume")
    contains(box.docker("diff", "archive-down"), "C /opt/conf/app.conf", "diff")
    with tarfile.open(fileobj=io.BytesIO(get("archive-down", "/opt/conf/app.conf"))) as tar:
        equal(tar.extractfile("app.conf").read(), b"one\n", "what was copied in")
    have = box.docker("events", "--since", "1", "--until", f"{box.now():.6f}", "-f", "container=archive-down", "--format", "{{.Action}}")
    check({"archive-path", "extract-to-dir"} <= set(have.split("\n")), f"events: {have}")
    box.docker("run", "--name", "archive-ended", IMAGE, "sh", "-c", "echo result > /tmp/result")
    with tarfile.open(fileobj=io.BytesIO(get("archive-ended", "/tmp/result"))) as tar:
        equal(tar.extractfile("result").read(), b"result\n", "the result of a container that ended")
    box.docker("rm", "archive-ended")


@case("HEAD and GET carry X-Docker-Container-Path-Stat; errors have Docker's status codes and texts")
def path_stat():
    def head(method, path, container="archive-up"):
        conn = box.connection()
        try:
            conn.request(method, archive(container, path))
            answer = conn.getresponse()
            answer.read()
            text = answer.headers.get("X-Docker-Container-Path-Stat")
            return answer.status, json.loads(base64.b64decode(text)) if text else None
        finally:
            conn.close()

    status, have = head("HEAD", "/w/d/l")
    equal((status, have["name"], have["size"], have["mode"], have["linkTarget"]),
          (200, "l", 1, (1 << 27) | 0o777, "/w/d/f"), "a link")
    have = head("GET", "/w/d/f")[1]
    equal((have["name"], have["size"], have["mode"], have["mtime"][:4], have["linkTarget"]),
          ("f", 2, (1 << 23) | 0o750, "2020", ""), "a file with set-id")
    equal(head("HEAD", "/w/d")[1]["mode"], (1 << 31) | 0o755, "a folder")
    equal(head("HEAD", "/w/d/.")[1]["name"], ".", "the name of /.")
    equal(head("HEAD", "/")[1]["name"], "/", "the name of /")
    equal(head("HEAD", "/nothing"), (404, None), "HEAD of what is not there")
    equal(box.request("GET", archive("archive-up", "/nothing"))[1]["message"],
          "Could not find the file /nothing in container archive-up", "GET of what is not there")
    equal(box.request("GET", "/containers/archive-up/archive")[0], 400, "without a path")
    status, answer = box.request("GET", archive("nope", "/"))
    equal((status, answer["message"]), (404, "No such container: nope"), "an unknown container")
    equal(put("archive-up", "/nothing", tar_of({})), (404, "Could not find the file /nothing in container archive-up"),
          "PUT to what is not there")
    equal(put("archive-up", "/w/d/f", tar_of({})), (400, "extraction point is not a directory"), "PUT to a file")
    equal(put("archive-up", "/tmp", tar_of({})), (200, ""), "an empty archive")
    equal(put("archive-up", "/tmp", b""), (200, ""), "no archive at all")
    status, text = put("archive-up", "/tmp", b"this is no archive" * 100)
    check(status == 400 and "tar" in text, f"garbage: {status} {text}")


@case("PUT: gzip, xz, zstd, and a clear error for what is not supported; owners and kinds as asked for")
def put_options():
    plain = tar_of({"packed/f": b"packed\n"})
    zstd = subprocess.run(["zstd", "-q", "-c"], input=plain, stdout=subprocess.PIPE, check=True).stdout
    for data in (gzip.compress(plain), lzma.compress(plain), zstd):
        equal(put("archive-up", "/mem", data), (200, ""), "packed")
        equal(inside("archive-up", "cat mem/packed/f; rm -r mem/packed"), "packed", "packed")
    status, text = put("archive-up", "/mem", bz2.compress(plain))
    check(status == 400 and "use gzip, zstd, xz or none" in text, f"bzip2: {status} {text}")
    box.docker("create", "--name", "archive-user", "-u", "user", IMAGE, "true")
    owned = tar_of({"o": member("o", tarfile.DIRTYPE, uid=77, gid=88, mode=0o700)})
    for query, want in (({"copyUIDGID": "1"}, (1000, 1000)), ({}, (77, 88))):
        equal(put("archive-user", "/tmp", owned, **query), (200, ""), "owner")
        have = listing(get("archive-user", "/tmp/o"))["o"]
        equal((have.uid, have.gid), want, f"owner with {query}")
    status, text = put("archive-up", "/", tar_of({"w": b"x"}), noOverwriteDirNonDir="true")
    check(status == 400 and 'cannot overwrite directory "w" with non-directory "/"' in text, f"{status} {text}")
    done = box.docker("cp", local("tree"), "archive-up:/w/d/f", check=False)
    check(done.returncode != 0 and "cannot copy directory" in done.stderr, done.stderr)
    status, text = put("archive-up", "/tmp", tar_of({"../x": b"x"}))
    check(status == 400 and '"../x" is outside of "/tmp"' in text, f"{status} {text}")
    box.docker("rm", "archive-user")


@case("read-only targets are refused with 403")
def read_only():
    box.docker("create", "--name", "archive-ro", "--read-only", "-v", "archive-vol:/data", IMAGE, "true")
    data = tar_of({"x": b"x"})
    equal(put("archive-ro", "/tmp", data), (403, "container rootfs is marked read-only"), "a read-only root")
    equal(put("archive-ro", "/data", data), (200, ""), "its volume")
    equal(put("archive-down", "/data", data), (403, "mounted volume is marked read-only"), "a read-only volume")
    equal(put("archive-up", "/bind", data), (403, "mounted volume is marked read-only"), "a read-only bind")
    contains(box.docker("cp", local("one"), "archive-ro:/etc/", check=False).stderr, "marked read-only", "docker cp")
    box.docker("rm", "archive-ro")


@case("export: the whole root without what is mounted in it, of running and stopped containers")
def export():
    for name in ("archive-up", "archive-down"):
        done = box.docker("export", name, stdin=b"", check=False)
        check(done.returncode == 0, done.stderr)
        have = names(done.stdout)
        for path in ("bin/busybox", "www/index.html", "etc/passwd", "data"):
            check(path in have, f"{path} is not in the export of {name}")
        check(not [x for x in have if x.startswith(("data/", "mem/", "/", "./", "proc/1"))], f"mounts in {name}")
    run = subprocess.run("docker export archive-up | tar -tv", shell=True, env=box.env(), stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, check=False)
    check(run.returncode == 0 and " home/new/" in run.stdout, f"docker export | tar -t: {run.stderr}")


@case("diff: added, changed, deleted; what the runtime makes is no change")
def diff():
    box.docker("run", "-d", "--name", "archive-diff", IMAGE, "sleep", "100000")
    equal(box.docker("diff", "archive-diff"), "", "a new container")
    inside("archive-diff", "rm opt/conf/app.conf; echo x > opt/new; echo x >> etc/passwd; rm -r www; mkdir www; "
           "echo x > www/other")
    want = ["C /etc/passwd", "C /opt", "C /opt/conf", "D /opt/conf/app.conf", "A /opt/new", "C /www", "A /www/other",
            "D /www/index.html"]
    equal(box.docker("diff", "archive-diff").split("\n"), want, "diff of a running container")
    status, have = box.request("GET", "/containers/archive-diff/changes")
    equal((status, have[3]), (200, {"Path": "/opt/conf/app.conf", "Kind": 2}), "the API's list")
    box.docker("stop", "-t", "0", "archive-diff")
    equal(box.docker("diff", "archive-diff").split("\n"), want, "diff of a stopped container")
    box.docker("rm", "archive-diff")


@case("sizes: ps -s, inspect -s, system df with its types")
def sizes():
    box.docker("run", "-d", "--name", "archive-size", "-v", "archive-sized:/big", IMAGE, "sh", "-c",
               "dd if=/dev/zero of=/one bs=1000 count=300; dd if=/dev/zero of=/big/two bs=1000 count=500; sleep 100000")
    until(lambda: box.inspect("archive-size") and inside("archive-size", "stat -c %s big/two") == "500000", "written")
    check("300kB (virtual" in box.docker("ps", "-s", "-f", "name=archive-size", "--format", "{{.Size}}"), "ps -s")
    have = json.loads(box.docker("inspect", "-s", "archive-size"))[0]
    size = box.inspect(IMAGE, "image")["Size"]
    equal((have["SizeRw"], have["SizeRootFs"]), (300000, 300000 + size), "inspect -s")
    check("SizeRw" not in box.inspect("archive-size"), "inspect without -s")
    contains(box.docker("system", "df", "-v"), "archive-sized", "system df -v")
    have = box.request("GET", "/system/df")[1]
    volume = [v for v in have["Volumes"] if v["Name"] == "archive-sized"][0]
    equal(volume["UsageData"], {"RefCount": 1, "Size": 500000}, "UsageData")
    mine = [i for i in have["Images"] if IMAGE in i["RepoTags"]][0]
    check(0 < mine["SharedSize"] <= mine["Size"] or mine["SharedSize"] == 0, f"SharedSize of {mine}")
    check(mine["Containers"] >= 3 and have["LayersSize"] >= mine["Size"] and have["BuildCache"] == [], f"{mine}")
    have = box.request("GET", "/system/df?type=volume&type=build-cache")[1]
    check(have["Images"] is None and have["Containers"] is None and have["Volumes"], "types")
    equal(box.request("GET", "/system/df?type=zzz")[0], 400, "an unknown type")
    box.docker("rm", "-f", "archive-size")


@case("a start waits while files are copied into the stopped container")
def start_waits():
    box.docker("create", "--name", "archive-wait", IMAGE, "sh", "-c", "cat /tmp/slow && sleep 100000")
    data = tar_of({"slow": b"slow\n"})
    conn = box.connection(60)
    conn.putrequest("PUT", archive("archive-wait", "/tmp"))
    conn.putheader("Content-Length", str(len(data)))
    conn.endheaders()
    conn.send(data[:600])
    until(lambda: state()[0] != "0", "the worker runs")
    starting = box.follow("start", "archive-wait")
    until(lambda: "archive-wait" in box.docker("ps", "-a", "--filter", "name=archive-wait", "--format", "{{.Names}}"), "ps")
    check(starting.poll() is None, "the start did not wait")
    equal(box.inspect("archive-wait")["State"]["Running"], False, "it runs already")
    conn.send(data[600:])
    equal(conn.getresponse().status, 200, "PUT")
    conn.close()
    equal(starting.wait(60), 0, "docker start")
    until(lambda: box.docker("logs", "archive-wait") == "slow", "what was copied is there at the start")
    box.docker("rm", "-f", "archive-wait")


@case("a client that vanishes in the middle of GET or PUT leaves no worker, descriptor or mount")
def vanish():
    inside("archive-up", "dd if=/dev/zero of=tmp/large bs=1M count=8")
    data = tar_of({"half": b"h" * 300000})
    box.request("HEAD", archive("archive-up", "/"))
    before = state()
    for name in ("archive-up", "archive-down"):
        reader, writer = box.connection(), box.connection()
        reader.request("GET", archive(name, "/tmp/large" if name == "archive-up" else "/"))
        reader.getresponse().read(1000)
        writer.putrequest("PUT", archive(name, "/root"))
        writer.putheader("Content-Length", str(len(data)))
        writer.endheaders()
        writer.send(data[:100000])
        until(lambda: state()[0] == "2" or name == "archive-down", "both workers run")
        reader.sock.close()
        writer.sock.close()
        reader.close()
        writer.close()
        settled(before)
        check("half" not in names(get(name, "/root")), "half a file has a name")
    inside("archive-up", "rm tmp/large")


@case("a full disk during PUT is a clear error, and nothing half-written is there")
def full():
    inside("archive-up", "rm -rf mem/*; echo old > mem/keep")
    before = state()
    status, text = put("archive-up", "/mem", tar_of({"small": b"s\n", "keep": b"k" * 4000000}))
    check(status in (500, 507) and "keep" in text and "No space left" in text, f"{status} {text}")
    equal(inside("archive-up", "cat mem/keep; ls mem; dd if=/dev/zero of=mem/rest bs=1k count=900 2>/dev/null && rm mem/rest"),
          "old\nkeep\nsmall", "what is there, and the space given back")
    done = box.docker("cp", local("big", b"b" * 4000000), "archive-up:/mem/", check=False)
    check(done.returncode != 0, "docker cp to a full disk")
    settled(before)


# --- threats.md, part B -------------------------------------------------------------------------------

HOST = f"{CANARY}/a"        # has b/f, as the folder that is exchanged with the link has


class Race:
    """Victim operations in a thread of their own until the time is over."""

    def __init__(self, name, turn):
        self.name, self.turn, self.seen, self.error = name, turn, {}, None
        self.end = time.monotonic() + RACE_SECONDS
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        conn = box.connection(60)
        try:
            # on a busy host the time alone may give too few operations to say anything
            while time.monotonic() < self.end or self.good() < 5 and time.monotonic() < self.end + 100:
                for what, status, body in self.turn(conn):
                    self.seen[(what, status)] = self.seen.get((what, status), 0) + 1
                    if b"secret" in body or b"inner" in body:
                        raise tap.Failed(f"{what} gave a file of the machine")
        except (tap.Failed, OSError, http.client.HTTPException) as error:
            self.error = error
        finally:
            conn.close()

    def good(self):
        return sum(n for key, n in self.seen.items() if key[1] == 200)

    def finish(self):
        self.thread.join()
        check(self.error is None, f"{self.name}: {self.error!r} after {self.seen}")
        wrong = {key: n for key, n in self.seen.items() if key[1] not in (200, 400, 404, 409)}
        check(not wrong, f"{self.name}: unexpected answers {wrong} of {self.seen}")
        print(f"# {self.name}: {sum(self.seen.values())} operations")
        check(self.good() >= 5, f"{self.name}: hardly any success: {self.seen}")


def ask(conn, what, method, path, body=None):
    conn.request(method, path, body)
    answer = conn.getresponse()
    data = answer.read()
    if answer.headers.get("Connection") == "close":
        conn.close()
    return what, answer.status, data


RACES = {}


def race(name):
    """The result of one of the races. They are run together, when the first one is asked for."""
    if not RACES:
        run_races()
    for key in RACES:
        if key.startswith(name):
            RACES[key].finish()


def run_races():
    before = canary()
    box.docker("run", "-d", "--name", "archive-evil", IMAGE, "sh", "-c",
               f"mkdir -p /w2/a/b && echo mine > /w2/a/b/f && ln -s {HOST} /w2/link && exec swap /w2/a /w2/link")
    # a stopped container whose second mount lies in a volume that another one exchanges a folder of
    box.docker("run", "-d", "--name", "archive-evil2", "-v", "archive-shared:/s", IMAGE, "sh", "-c",
               f"mkdir -p /s/a/b && ln -s {HOST} /s/link && ln -s ../../../../../../../..{HOST} /s/up && "
               "exec swap /s/a /s/link /s/a /s/up")
    for name in ("archive-evil", "archive-evil2"):
        until(lambda n=name: box.docker("logs", n) == "ready", f"{name} attacks")
    box.docker("create", "--name", "archive-prey", "-v", "archive-shared:/s", "-v", "archive-inner:/s/a/b", IMAGE, "true")
    box.docker("create", "--name", "archive-prey2", "-v", "archive-inner2:/to-canary/sub/x", IMAGE, "true")
    mine = tar_of({"pwned": b"p", "f": member("f", tarfile.SYMTYPE, linkname="/"), "b/f": b"pwned",
                   "x": member("x", tarfile.DIRTYPE, mode=0o777)})
    RACES["row 29"] = Race("row 29", lambda conn: [
        ask(conn, "PUT a", "PUT", archive("archive-evil", "/w2/a"), mine),
        ask(conn, "PUT a/b", "PUT", archive("archive-evil", "/w2/a/b"), mine),
        ask(conn, "PUT w2", "PUT", archive("archive-evil", "/w2"), tar_of({"a/b/pwned": b"p"}))])
    # what reads does not wait for the disk, so it gets round much more often
    RACES["row 29 out"] = Race("row 29, out", lambda conn: [
        ask(conn, "GET a/b/f", "GET", archive("archive-evil", "/w2/a/b/f")),
        ask(conn, "GET a/", "GET", archive("archive-evil", "/w2/a/")),
        ask(conn, "HEAD", "HEAD", archive("archive-evil", "/w2/a/b/f"))])
    RACES["row 32"] = Race("row 32", lambda conn: [
        ask(conn, "PUT", "PUT", archive("archive-prey", "/s/a/b"), mine),
        ask(conn, "PUT tmp", "PUT", archive("archive-prey", "/tmp"), mine)])
    RACES["row 32 out"] = Race("row 32, out", lambda conn: [
        ask(conn, "HEAD", "HEAD", archive("archive-prey", "/s/a/b/f")),
        ask(conn, "GET", "GET", archive("archive-prey", "/s/a/b"))])
    RACES["row 33"] = Race("row 33", lambda conn: [
        ask(conn, "PUT", "PUT", archive("archive-prey2", "/to-canary/sub/x"), mine),
        ask(conn, "GET", "GET", archive("archive-prey2", "/to-canary/sub"))])
    for race in RACES.values():
        race.thread.join()
    for name in ("archive-evil", "archive-evil2", "archive-prey", "archive-prey2"):
        box.docker("rm", "-f", name)
    equal(canary(), before, "the canary")


@case("threats row 29: cp in both directions while the container exchanges a folder and a link",
      seconds=int(240 + 2 * RACE_SECONDS))
def row29():
    race("row 29")


@case("threats row 32: the destination of a mount is exchanged during PUT, HEAD and GET", seconds=int(240 + 2 * RACE_SECONDS))
def row32():
    race("row 32")
    equal(box.sh(f"ls {HOST}/b"), "f", "the folder that the link leads to on the machine")


@case("threats row 33: a mount's destination through an absolute link stays in the container; /var/run works",
      seconds=int(240 + 2 * RACE_SECONDS))
def row33():
    race("row 33")
    box.docker("create", "--name", "archive-run", "-v", "archive-runvol:/var/run/app", IMAGE, "sleep", "100000")
    box.docker("cp", local("one"), "archive-run:/var/run/app/one")
    equal(box.sh("cat /var/lib/skerry/volumes/archive-runvol/_data/one"), "one", "stopped")
    box.docker("start", "archive-run")
    box.docker("cp", local("one"), "archive-run:/var/run/app/two")
    equal(inside("archive-run", "cat run/app/one run/app/two"), "one\none", "running")
    equal(names(get("archive-run", "/var/run/app")), ["app", "app/one", "app/two"], "cp out")
    box.docker("rm", "-f", "archive-run")


@case("threats row 30: cp loads nothing of the container: the engine is static, a poisoned library stays unread")
def row30():
    source = local("poison.c", '#include <fcntl.h>\n#include <unistd.h>\n__attribute__((constructor)) static void x(void)\n'
                   f'{{ close(open("/poisoned", O_CREAT | O_WRONLY, 0666)); close(open("{CANARY}/poisoned", O_CREAT | O_WRONLY, '
                   '0666)); }\n')
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", local("poison.so"), source], check=True)
    with open(local("poison.so"), "rb") as data:
        poison = data.read()
    before = canary()
    for lib in ("lib", "lib64", "usr/lib", "lib/x86_64-linux-gnu"):
        libs = {f"{lib}/{name}": poison for name in ("libnss_files.so.2", "libnss_compat.so.2", "libc.so.6",
                                                     "libiconv.so")}
        equal(put("archive-up", "/", tar_of(libs)), (200, ""), "the libraries")
    box.docker("cp", "-a", local("one"), "archive-up:/tmp/")
    get("archive-up", "/etc")
    check("poisoned" not in inside("archive-up", "ls"), "the library was loaded")
    equal(canary(), before, "the canary")
    elf = subprocess.run(["readelf", "-lW", os.path.join(vm.TOP, "build/target/skerryd")], stdout=subprocess.PIPE,
                         text=True, check=True).stdout
    check("LOAD" in elf and "INTERP" not in elf, "the engine loads a dynamic linker")


@case("threats row 31: decompressors of the image are never run for PUT")
def row31():
    plain = tar_of({"unpacked": b"u\n"})
    zstd = subprocess.run(["zstd", "-q", "-c"], input=plain, stdout=subprocess.PIPE, check=True).stdout
    for name in ("archive-up", "archive-down"):
        for data, want in ((gzip.compress(plain), 200), (lzma.compress(plain), 200), (zstd, 200),
                           (bz2.compress(plain), 400)):
            equal(put(name, "/tmp", data)[0], want, "PUT")
        have = names(get(name, "/"))
        check("/tmp/unpacked" in have and "/executed" not in have, "a decompressor of the image was run")


@case("threats row 34: a link in a volume is archived as a link, never as what it leads to on the machine")
def row34():
    inside("archive-up", f"ln -sf {CANARY}/secret data/link; ln -sfn {CANARY} data/dirlink")
    for name in ("archive-up", "archive-down"):
        have = listing(get(name, "/data"))
        equal((have["data/link"].issym(), have["data/link"].linkname), (True, f"{CANARY}/secret"), "the entry")
        check(have["data/dirlink"].issym() and not [x for x in have if x.startswith("data/dirlink/")], "a link to a folder")
        for path in ("/data/link/", "/data/dirlink/secret", "/data/dirlink/.", "/to-canary/secret", "/data/link/../secret"):
            status = box.request("GET", archive(name, path))[0]
            check(status in (400, 404), f"GET {path} of {name}: {status}")
        done = box.docker("cp", "-L", f"{name}:/data/link", local("leak"), check=False)
        check(done.returncode != 0 and not os.path.exists(local("leak")), f"cp -L: {done.stderr}")


@case("threats row 35: PUT changes no mode, owner or content of the machine's files")
def row35():
    before = canary()
    attack = tar_of({
        "evil": member("evil", tarfile.SYMTYPE, linkname=f"{CANARY}/secret"),
        "evil2": member("evil", tarfile.REGTYPE, mode=0o777),
        "dir": member("dir", tarfile.SYMTYPE, linkname=CANARY),
        "dir/": member("dir", tarfile.DIRTYPE, mode=0o777, uid=1000),
        "hard": member("hard", tarfile.LNKTYPE, linkname="to-canary/secret"),
    })
    for name in ("archive-up", "archive-down"):
        put(name, "/", attack)
        put(name, "/", tar_of({"to-canary/secret": b"overwritten", "to-canary/dir": member(
            "to-canary/dir", tarfile.DIRTYPE, mode=0o777)}))
        put(name, "/", tar_of({"up": member("up", tarfile.SYMTYPE, linkname="../../../../../.." + CANARY),
                               "up/secret": b"x"}))
    equal(canary(), before, "the canary")


@case("threats row 36: the content of a volume survives its first use, by cp and by start")
def row36():
    box.docker("volume", "create", "archive-full")
    box.docker("run", "--rm", "-v", "archive-full:/v", IMAGE, "sh", "-c", "echo precious > /v/index.html")
    box.docker("create", "--name", "archive-keep", "-v", "archive-full:/www", IMAGE, "cat", "/www/index.html")
    get("archive-keep", "/www")
    box.docker("cp", local("one"), "archive-keep:/www/more")
    equal(box.docker("start", "-a", "archive-keep"), "precious", "after the start")
    equal(box.sh("ls /var/lib/skerry/volumes/archive-full/_data"), "index.html\nmore", "the volume")
    box.docker("rm", "archive-keep")
    box.docker("volume", "rm", "archive-full")


@case("threats row 37: volumes of an image are filled from its own files only, whatever their paths are")
def row37():
    volumes = {"/../../etc": {}, "/to-canary/a": {}, "/../../../../../../.." + CANARY: {}}
    images.busybox_image(local("paths.tar"), "test/archive-paths:latest", config={"Volumes": volumes},
                         more={"to-canary": ("link", CANARY)})
    box.docker("load", "-i", local("paths.tar"))
    before = canary()
    box.docker("run", "-d", "--name", "archive-paths", "test/archive-paths:latest", "sleep", "100000")
    have = names(get("archive-paths", "/etc"))
    check("etc/passwd" in have and not [x for x in have if x.startswith("etc/skerry")], f"/etc: {have}")
    mounts = {m["Destination"]: m["Source"] for m in box.inspect("archive-paths")["Mounts"]}
    for destination, source in mounts.items():
        found = box.sh(f"ls {source}")
        check("secret" not in found and "skerry" not in found, f"{destination} was filled with {found}")
    equal(canary(), before, "the canary")
    box.docker("rm", "-fv", "archive-paths")
    box.docker("rmi", "test/archive-paths:latest")


@case("threats row 38: the store is closed to other users of the machine; set-id programs in it are out of reach")
def row38():
    modes = box.sh("cd /var/lib/skerry && stat -c '%a %n' . * containers/* volumes/* | grep -v '\\.json$'")
    wide = [line for line in modes.splitlines() if line.split()[0] not in ("700", "701", "711", "600")]
    equal(wide, [], "folders of the store that anybody may list")
    put("archive-up", "/", tar_of({"suid": member("suid", tarfile.REGTYPE, mode=0o4755)}))
    found = box.sh("find /var/lib/skerry/containers -name suid").splitlines()[0]
    equal(box.sh(f"stat -c %a {found}"), "4755", "the set-id file in the store")
    paths = [found, "/var/lib/skerry/containers", "/var/lib/skerry/images/layers", "/var/lib/skerry/volumes"]
    script = "".join(f"ls {path.replace('/var/lib/skerry', '/store', 1)} && echo reached; " for path in paths)
    done = box.docker("run", "--rm", "-u", "1000:1000", "-v", "/var/lib/skerry:/store:ro", IMAGE, "sh", "-c", script,
                      check=False, both=True)
    check("reached" not in done.stdout and done.stdout.count("ermission denied") == len(paths), f"as uid 1000: {done.stdout}")


@case("everything is given back")
def clean():
    box.docker("rm", "-f", *box.docker("ps", "-aq", "-f", "name=archive-").split())
    made = box.docker("volume", "ls", "-q", "-f", "name=archive-").split()
    box.docker("volume", "rm", *made)
    box.docker("rmi", IMAGE)
    box.sh(f"rm -rf {CANARY} /var/archive-bind")
    equal(state()[0], "0", "workers")


if __name__ == "__main__":
    tap.main()
