#!/usr/bin/env python3
"""Volumes by the docker client: the local driver's options, copy-up, sizes by quota, prune, df, events; and volume plugins, good and bad ones,
that run as containers (programs/volplugin.c) or are named by a spec file.
"""

import json
import os
import subprocess

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

IMAGE = "test/volumes:1"
SHARED = "/var/test-plugin"     # the plugin's folder, at the same place in its container and the machine
STATE = "/var/lib/skerry/volumes"
box = vm.prepared("volumes")
DISK = os.path.join(box.scratch, "data.img")


def volume(*words, **more):
    return box.docker("volume", *words, **more)


def run(*words, **more):
    return box.docker("run", "--rm", "--network", "none", *words, **more)


def refused(*words, seconds=60):
    done = box.docker(*words, check=False, seconds=seconds)
    check(done.returncode != 0, f"docker {' '.join(words)}: was taken")
    return done.stderr


def names(*filters):
    words = [word for item in filters for word in ("--filter", item)]
    return sorted(volume("ls", "-q", *words).split())


def options(*opts):
    return [word for item in opts for word in ("--opt", item)]


def mounted(name):
    return f" {STATE}/{name}/_data " in box.sh("cat /proc/mounts")


def calls():
    return box.sh(f"cat {SHARED}/calls").splitlines()


def events(start, *filters):
    words = [word for item in filters for word in ("--filter", item)]
    return box.docker("events", "--since", str(start), "--until", str(box.now() + 1), *words, "--format",
                      "{{.Action}} {{.Actor.ID}} {{.Actor.Attributes.driver}}").splitlines()


@case("the machine and the test image", seconds=600)
def prepare():
    program = open(images.program("volplugin.c"), "rb").read()
    path = images.busybox_image(os.path.join(box.scratch, "volumes.tar"), name=IMAGE,
                                more={"bin/volplugin": program, "data/from-image": b"image\n", "data/sub/deep": b"deep\n"})
    box.up(disk=DISK)
    box.docker("load", "-i", path)


@case("create, inspect, ls with filters, rm; events carry the driver")
def plain():
    start = box.now()
    equal(volume("create", "--label", "of=shop", "--label", "empty", "vol-a"), "vol-a", "create")
    equal(volume("create", "vol-a"), "vol-a", "create again")
    have = box.inspect("vol-a", "volume")
    equal((have["Driver"], have["Scope"], have["Mountpoint"], have["Labels"], have["Options"]),
          ("local", "local", f"{STATE}/vol-a/_data", {"of": "shop", "empty": ""}, {}), "vol-a")
    anonymous = volume("create")
    check(len(anonymous) == 64, f"an anonymous name: {anonymous}")
    equal(names("name=vol-"), ["vol-a"], "by name")
    equal(names("label=of=shop"), ["vol-a"], "by label")
    equal(names("label=of=other"), [], "by another label")
    equal(names("driver=local", "name=vol-"), ["vol-a"], "by driver")
    equal(names("driver=other"), [], "by another driver")
    equal(names("dangling=true"), sorted(["vol-a", anonymous]), "dangling")
    box.docker("create", "--name", "vol-user", "-v", "vol-a:/x", IMAGE)
    equal(names("dangling=false"), ["vol-a"], "used")
    contains(refused("volume", "rm", "vol-a"), "remove vol-a: volume is in use - [", "rm of what is used")
    contains(refused("volume", "rm", "-f", "vol-a"), "volume is in use", "rm -f of what is used")
    box.docker("rm", "vol-user")
    volume("rm", "vol-a", anonymous)
    contains(refused("volume", "rm", "vol-a"), "no such volume", "rm of what is not there")
    volume("rm", "-f", "vol-a")
    until(lambda: events(start, "type=volume", "volume=vol-a") == ["create vol-a local", "destroy vol-a local"], "events of vol-a")


@case("names and options that are wrong: the error names them")
def wrong():
    for name, text in (("v", "too short"), ("-v", "includes invalid characters"), ("a/b", "includes invalid characters"),
                       ("..", "includes invalid characters"), ("n" * 256, "too long"), ("ä" * 5, "includes invalid characters")):
        status, answer = box.request("POST", "/volumes/create", {"Name": name})
        equal(status, 400, f"{name}: {answer}")
        contains(answer["message"], text, name)
    for name in ("n" * 64, "n" * 255):
        equal(volume("create", name), name, "a long name")
        equal(run("-v", f"{name}:/x", IMAGE, "sh", "-c", "echo ok > /x/f; cat /x/f"), "ok", "a long name in use")
        volume("rm", name)
    for opts, text in ((["foo=bar"], 'invalid option: "foo"'), (["type=tmpfs"], 'missing required option: "device"'),
                       (["device=/x"], 'missing required option: "type"'), (["size=huge"], '"size": "huge", should be a number'),
                       (["size=1"], "at least 65536 bytes"), (["type=none", "device=x", "o=bind"], "absolute path"),
                       (["type=tmpfs", "device=tmpfs", "size=1m"], "it is o=size="),
                       (["type=nfs", "device=:/x", "o=addr=192.0.2.1"], "kernel has no NFS client"),
                       (["type=cifs", "device=//h/x", "o=username=u"], "kernel has no CIFS client"),
                       (["type=zfs", "device=x"], 'kernel has no file system "zfs"')):
        error = refused("volume", "create", *options(*opts), "vol-wrong")
        contains(error, text, str(opts))
        contains(error, "create vol-wrong", str(opts))
    contains(refused("volume", "create", "-d", "nobody", "vol-wrong"), 'plugin "nobody" not found', "a driver that is not there")
    contains(refused("run", "--volume-driver", "nobody", "-v", "vol-wrong:/x", IMAGE), 'plugin "nobody" not found', "run")
    contains(refused("run", "--mount", "type=volume,src=vol-wrong,dst=/x,volume-opt=foo=1", IMAGE), 'invalid option: "foo"', "run")
    equal(box.request("POST", "/volumes/create", {"Name": "vol-wrong", "DriverOpts": {"size": 5}})[0], 400, "an option that is no text")
    equal(names("name=vol-wrong"), [], "nothing was made")


@case("tmpfs: there while a container has it, shared by two, with its options, gone with the last one")
def tmpfs():
    volume("create", *options("type=tmpfs", "device=tmpfs", "o=size=2m,uid=1000,mode=0750,noexec"), "vol-mem")
    check(not mounted("vol-mem"), "mounted before it is used")
    box.docker("run", "-d", "--name", "mem-1", "--stop-timeout", "0", "-v", "vol-mem:/m", IMAGE, "sleep", "9999")
    box.docker("run", "-d", "--name", "mem-2", "--stop-timeout", "0", "-v", "vol-mem:/m:nocopy", IMAGE, "sleep", "9999")
    contains(box.docker("exec", "mem-1", "grep", " /m ", "/proc/mounts"), "size=2048k,mode=750,uid=1000", "its options")
    box.docker("exec", "mem-1", "sh", "-c", "echo hello > /m/f")
    equal(box.docker("exec", "mem-2", "cat", "/m/f"), "hello", "the other one sees it")
    done = box.docker("exec", "mem-2", "dd", "if=/dev/zero", "of=/m/big", "bs=64k", "count=100", check=False)
    contains(done.stderr, "No space left", "its size")
    box.docker("rm", "-f", "mem-1")
    check(mounted("vol-mem"), "gone though one has it")
    box.sh(f"kill -9 {vm.ENGINE}")
    box.wait_api()
    equal(box.docker("exec", "mem-2", "cat", "/m/f"), "hello", "after the engine died")
    box.docker("restart", "-t", "0", "mem-2")
    equal(box.docker("exec", "mem-2", "ls", "/m"), "", "what was in memory, after the last one stopped")
    box.docker("rm", "-f", "mem-2")
    check(not mounted("vol-mem"), "still mounted")
    volume("rm", "vol-mem")


@case("bind: a directory of the machine; what is in it stays when the volume goes; one that is missing is an error of the start")
def bind():
    box.sh("mkdir -p /var/test-bind/sub && echo there > /var/test-bind/f")
    volume("create", *options("type=none", "device=/var/test-bind", "o=bind"), "vol-bind")
    equal(run("-v", "vol-bind:/b", IMAGE, "sh", "-c", "cat /b/f; echo new > /b/new"), "there", "read")
    equal(box.sh("cat /var/test-bind/new"), "new", "written")
    check(not mounted("vol-bind"), "mounted with nobody in it")
    equal(box.inspect("vol-bind", "volume")["Options"], {"type": "none", "device": "/var/test-bind", "o": "bind"}, "Options")
    box.docker("create", "--name", "bind-cp", "-v", "vol-bind:/b", IMAGE)
    contains(box.docker("cp", "bind-cp:/b/f", os.path.join(box.scratch, "f"), both=True), "", "cp")
    equal(open(os.path.join(box.scratch, "f")).read(), "there\n", "cp of a stopped one sees it")
    check(not mounted("vol-bind"), "mounted after cp")
    box.docker("rm", "bind-cp")
    volume("create", *options("type=none", "device=/var/test-bind", "o=bind,ro"), "vol-bind-ro")
    contains(refused("run", "--rm", "-v", "vol-bind-ro:/b", IMAGE, "touch", "/b/x"), "Read-only", "ro")
    volume("rm", "vol-bind", "vol-bind-ro")
    equal(box.sh("ls /var/test-bind"), "f\nnew\nsub", "what is in it")
    volume("create", *options("type=none", "device=/var/test-none", "o=bind"), "vol-none")
    contains(refused("run", "--rm", "-v", "vol-none:/b", IMAGE, "true"), "/var/test-none: No such file or directory", "missing")
    volume("rm", "vol-none")
    volume("create", *options("type=ext4", "device=/dev/none"), "vol-dev")
    contains(refused("run", "--rm", "-v", "vol-dev:/b", IMAGE, "true"), "error while mounting volume", "no such device")
    volume("rm", "vol-dev")


@case("size: no more than that, seen by df in the container; others have their own; given back by rm; kept over a reboot", seconds=400)
def size():
    volume("create", *options("size=8m"), "vol-sized")
    volume("create", *options("size=16m"), "vol-other")
    write = "dd if=/dev/zero of=/q/big bs=256k count=200"
    done = box.docker("run", "--name", "q-1", "-v", "vol-sized:/q", IMAGE, "sh", "-c", write, check=False)
    contains(done.stderr, "Quota exceeded", "what is written beyond its size")
    used = int(box.sh(f"du -sk {STATE}/vol-sized/_data | cut -f1"))
    check(7000 <= used <= 8192, f"KiB used: {used}")
    # of one folder, BusyBox's df shows the first mount of its device
    equal(run("-v", "vol-sized:/q", IMAGE, "sh", "-c", "df -k | grep ' /q$' | awk '{print $2}'"), "8192", "df inside")
    done = box.docker("run", "--rm", "-v", "vol-other:/q", IMAGE, "sh", "-c", "dd if=/dev/zero of=/q/big bs=256k count=40", check=False)
    equal(done.returncode, 0, f"10 of 16 MiB: {done.stderr}")
    equal(run("-v", "vol-sized:/data:nocopy", IMAGE, "sh", "-c", "rm /data/big; echo fits > /data/f; cat /data/f"), "fits", "room again")
    box.down()
    box.up(disk=DISK)
    done = box.docker("run", "--rm", "-v", "vol-sized:/q", IMAGE, "sh", "-c", write, check=False)
    check(done.returncode != 0, "no limit after a reboot")
    box.docker("rm", "q-1")
    volume("rm", "vol-sized", "vol-other")


@case("copy-up on first use, not with nocopy, and not twice; subpath")
def copy_up():
    equal(run("-v", "vol-copy:/data", IMAGE, "cat", "/data/from-image", "/data/sub/deep"), "image\ndeep", "first use")
    run("-v", "vol-copy:/data", IMAGE, "rm", "-r", "/data/from-image")
    equal(run("-v", "vol-copy:/data", IMAGE, "ls", "/data"), "sub", "second use")
    equal(run("-v", "vol-nocopy:/data:nocopy", IMAGE, "ls", "/data"), "", "nocopy")
    equal(run("--mount", "type=volume,src=vol-nocopy2,dst=/data,volume-nocopy", IMAGE, "ls", "/data"), "", "volume-nocopy")
    equal(run("--mount", "type=volume,src=vol-copy,dst=/x,volume-subpath=sub", IMAGE, "ls", "/x"), "deep", "subpath")
    contains(refused("run", "--rm", "--mount", "type=volume,src=vol-copy,dst=/x,volume-subpath=none", IMAGE, "true"), "none", "no such subpath")
    for bad in ("../etc", "sub/../../x"):
        contains(refused("run", "--rm", "--mount", f"type=volume,src=vol-copy,dst=/x,volume-subpath={bad}", IMAGE, "true"), "subpath", bad)
    volume("create", *options("type=tmpfs", "device=tmpfs"), "vol-copymem")
    equal(run("-v", "vol-copymem:/data", IMAGE, "cat", "/data/from-image"), "image", "into a tmpfs")
    volume("rm", "vol-copy", "vol-nocopy", "vol-nocopy2", "vol-copymem")


@case("anonymous volumes go with --rm and rm -v, and stay with rm; named ones stay")
def anonymous():
    before = names()
    run("-v", "/anon", "-v", "vol-named:/x", IMAGE, "true")
    until(lambda: names() == sorted(before + ["vol-named"]), "--rm takes the anonymous one")
    box.docker("run", "--name", "anon-1", "-v", "/anon", IMAGE, "true")
    found = [m["Name"] for m in box.inspect("anon-1")["Mounts"]]
    equal(len(found), 1, "mounts")
    equal(box.inspect(found[0], "volume")["Labels"], {"com.docker.volume.anonymous": ""}, "its label")
    box.docker("rm", "anon-1")
    check(found[0] in names(), "rm without -v took the volume")
    box.docker("run", "--name", "anon-2", "-v", "/anon", IMAGE, "true")
    box.docker("rm", "-v", "anon-2")
    equal(names(), sorted(before + ["vol-named", found[0]]), "rm -v")
    volume("rm", "vol-named", found[0])


@case("prune: anonymous ones, all=, by label; what is used stays; bytes told; df; events")
def prune():
    start = box.now()
    for name, words in (("vol-p1", ["--label", "keep=no"]), ("vol-p2", ["--label", "keep=yes"]), ("vol-used", [])):
        volume("create", *words, name)
    anon = volume("create")
    run("-v", f"{anon}:/x", IMAGE, "dd", "if=/dev/zero", "of=/x/f", "bs=1000", "count=500")
    box.docker("create", "--name", "pruner", "-v", "vol-used:/x", IMAGE)
    usage = {v["Name"]: v["UsageData"] for v in box.request("GET", "/system/df?type=volume")[1]["Volumes"]}
    equal((usage[anon], usage["vol-used"]), ({"RefCount": 0, "Size": 500000}, {"RefCount": 1, "Size": 0}), "df")
    contains(box.docker("system", "df", "-v"), "vol-used", "docker system df -v")
    equal(box.request("POST", "/volumes/prune"), (200, {"VolumesDeleted": [anon], "SpaceReclaimed": 500000}), "anonymous ones")
    equal(box.request("POST", "/volumes/prune"), (200, {"VolumesDeleted": None, "SpaceReclaimed": 0}), "nothing left")
    contains(volume("prune", "-f", "--filter", "all=1", "--filter", "label!=keep=yes"), "vol-p1", "by label")
    equal(names("name=vol-"), ["vol-p2", "vol-used"], "what the filters keep")
    contains(volume("prune", "-f", "-a"), "vol-p2", "all")
    equal(names("name=vol-"), ["vol-used"], "what is used stays")
    equal(box.request("POST", "/volumes/prune?filters=" + '{"bad":["x"]}')[0], 400, "an unknown filter")
    volume("create", "vol-old")
    equal(box.request("POST", "/v1.41/volumes/prune")[1]["VolumesDeleted"], ["vol-old"], "before 1.42 all of them")
    until(lambda: "prune" in " ".join(events(start, "type=volume", "event=prune")), "the event")
    box.docker("rm", "pruner")
    volume("rm", "vol-used")


# --- plugins ---


def plugin(name, *words):
    box.docker("run", "-d", "--name", f"plugin-{name}", "--stop-timeout", "0", "--network", "none", "-v", "/run/docker/plugins:/run/docker/plugins",
               "-v", f"{SHARED}:{SHARED}", IMAGE, "volplugin", f"/run/docker/plugins/{name}.sock", SHARED, *words)
    until(lambda: "ready" in box.docker("logs", f"plugin-{name}"), f"the plugin {name}")


@case("a plugin in a container: create, list, inspect, use, remove; who is told what, in order; events; info")
def good_plugin():
    plugin("good")
    start = box.now()
    contains(box.docker("info", "--format", "{{.Plugins.Volume}}"), "good", "info")
    equal(volume("create", "-d", "good", "--label", "a=b", *options("speed=fast"), "remote"), "remote", "create")
    have = box.inspect("remote", "volume")
    equal((have["Driver"], have["Scope"], have["Mountpoint"], have["Status"], have["Labels"], have["Options"]),
          ("good", "global", f"{SHARED}/remote", {"mood": "good"}, {"a": "b"}, {"speed": "fast"}), "inspect")
    equal(names("driver=good"), ["remote"], "ls by driver")
    box.sh(f"rm {SHARED}/calls")
    equal(run("-v", "remote:/data", IMAGE, "sh", "-c", "cat /data/from-image; echo mine > /data/mine"), "image", "copy-up into it")
    equal(box.sh(f"cat {SHARED}/remote/mine"), "mine", "where the plugin keeps it")
    until(lambda: len([c for c in calls() if c.startswith("Unmount remote")]) == 1, "Unmount")
    told = [c for c in calls() if c.split()[0] in ("Create", "Mount", "Unmount", "Remove")]
    equal([c.split()[0] for c in told], ["Mount", "Unmount"], "calls of one run")
    equal(len({c.split()[2] for c in told}), 1, "the same id")
    box.docker("run", "-d", "--name", "remote-user", "--stop-timeout", "0", "-v", "remote:/r", IMAGE, "sleep", "9999")
    mount = [m for m in box.inspect("remote-user")["Mounts"]][0]
    equal((mount["Driver"], mount["Source"]), ("good", f"{SHARED}/remote"), "Mounts")
    contains(refused("volume", "rm", "remote"), "volume is in use", "rm of what is used")
    told = [event for event in events(start, "type=volume", "volume=remote")]
    equal(told, ["create remote good", "mount remote good", "unmount remote good", "mount remote good"], "events")
    box.sh(f"kill -9 {vm.ENGINE}")
    box.wait_api()
    equal(box.docker("exec", "remote-user", "cat", "/r/mine"), "mine", "after the engine died")
    box.docker("rm", "-f", "remote-user")
    until(lambda: len([c for c in calls() if c.startswith("Unmount remote")]) == 2, "Unmount after the engine died")
    box.docker("create", "--name", "remote-cp", "-v", "remote:/r", IMAGE)
    box.docker("cp", "remote-cp:/r/mine", os.path.join(box.scratch, "mine"))
    equal(open(os.path.join(box.scratch, "mine")).read(), "mine\n", "cp of a stopped one")
    box.docker("rm", "remote-cp")
    volume("rm", "remote")
    equal(box.sh(f"ls {SHARED}"), "calls", "the plugin removed it")
    contains(events(start, "type=volume", "volume=remote"), "destroy remote good", "events")


@case("volumes of a plugin: made by run, anonymous ones go with --rm, one that we do not know is listed, inspected and removed")
def more_plugin():
    equal(run("--volume-driver", "good", "-v", "byrun:/x", IMAGE, "sh", "-c", "echo 1 > /x/f; cat /x/f"), "1", "run --volume-driver")
    equal(run("--mount", "type=volume,src=bymount,dst=/x,volume-driver=good", IMAGE, "sh", "-c", "echo 2 > /x/f; cat /x/f"), "2", "--mount")
    equal(names("driver=good"), ["bymount", "byrun"], "made")
    run("--volume-driver", "good", "-v", "/x", IMAGE, "touch", "/x/f")
    until(lambda: box.sh(f"ls {SHARED}") == "bymount\nbyrun\ncalls", "the anonymous one goes")
    box.sh(f"mkdir {SHARED}/foreign")
    equal(names("driver=good"), ["bymount", "byrun", "foreign"], "ls")
    equal(box.inspect("foreign", "volume")["Mountpoint"], f"{SHARED}/foreign", "inspect of one that we did not make")
    volume("rm", "foreign")
    contains(refused("volume", "create", "-d", "local", "byrun"), "byrun already exists with the good driver", "another driver")
    contains(volume("prune", "-f", "-a"), "bymount", "prune")
    equal(box.sh(f"ls {SHARED}"), "calls", "all gone")


@case("a plugin that lies or refuses: its words or what is wrong, and no mount of the machine's own", seconds=400)
def lying_plugin():
    contains(refused("volume", "create", "-d", "good", "refuse-1"), "create refuse-1: VolumeDriver.Create: no more volumes today", "refuse")
    equal(names("name=refuse"), [], "a refused one is not there")
    for name, text in (("rootfs-1", "mount point / is the machine's own"), ("state-1", "is the machine's own"),
                       ("nowhere-1", "mount point /no/such/place: "), ("relative-1", 'mount point "here" should be an absolute path'),
                       ("nomp-1", 'mount point "" should be an absolute path'), ("garbage-1", "the answer is no JSON object")):
        error = refused("run", "--rm", "--network", "none", "--volume-driver", "good", "-v", f"{name}:/x", IMAGE, "true")
        contains(error, text, name)
        contains(error, f"error while mounting volume '{name}'", name)
        volume("rm", name)
    volume("create", "-d", "good", "keep-1")
    contains(refused("volume", "rm", "keep-1"), "remove keep-1: VolumeDriver.Remove: it is dear to me", "a refused removal")
    equal(names("name=keep"), ["keep-1"], "it stays")
    volume("rm", "-f", "keep-1")
    box.sh(f"rm -r {SHARED}/keep-1 2>/dev/null", check=False)


@case("a plugin that hangs: a time-out with a clear error, while the engine answers others at once", seconds=500)
def hanging_plugin():
    plugin("deaf", "deaf")
    volume("create", "-d", "good", "stuck-1")
    waiting = [subprocess.Popen(["docker", "volume", *words], env=box.env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
               for words in (["create", "-d", "deaf", "never"], ["inspect", "stuck-1"], ["ls"])]
    for _look in range(5):
        before = box.now()
        equal(box.request("GET", "/_ping", seconds=5)[0], 200, "ping")
        equal(run(IMAGE, "echo", "alive"), "alive", "another container")
        check(box.now() - before < 9, "the engine waited for a plugin")
    told = [process.communicate(timeout=60)[0] for process in waiting]
    contains(told[0], 'plugin "deaf": Plugin.Activate: it does not answer within 10 s', "create")
    contains(told[1], "get stuck-1: ", "inspect")
    contains(told[1], "VolumeDriver.Get: it does not answer within 10 s", "inspect")
    contains(told[2], "stuck-1", "ls shows the others")
    warnings = box.request("GET", "/volumes", seconds=60)[1]["Warnings"]
    check(any("list deaf: " in text for text in warnings), f"warnings of ls: {warnings}")
    equal(names("name=never"), [], "what could not be made is not there")
    contains(refused("run", "--rm", "--volume-driver", "deaf", "-v", "never:/x", IMAGE, "true"), "it does not answer within 10 s", "run")
    volume("rm", "-f", "never")
    box.docker("rm", "-f", "plugin-deaf")
    contains(refused("volume", "create", "-d", "deaf", "never"), 'plugin "deaf"', "one that is gone")
    volume("rm", "stuck-1")
    box.sh("rm /run/docker/plugins/deaf.sock")


@case("a plugin that is named by a file: at an address; files that say nothing usable are named in the error")
def specs():
    box.sh("mkdir -p /etc/docker/plugins")
    box.sh("echo unix:///run/docker/plugins/good.sock > /etc/docker/plugins/alias.spec")
    box.sh("echo tcp://127.0.0.1:1 > /etc/docker/plugins/closed.spec; echo what > /etc/docker/plugins/bad.spec")
    box.put("/etc/docker/plugins/js.json", json.dumps({"Name": "js", "Addr": "unix:///run/docker/plugins/good.sock"}))
    for name in ("alias", "js"):
        volume("create", "-d", name, f"by-{name}")
        equal(run("-v", f"by-{name}:/x", IMAGE, "sh", "-c", "echo 1 > /x/f; cat /x/f"), "1", name)
        volume("rm", f"by-{name}")
    contains(refused("volume", "create", "-d", "closed", "never"), "connection refused", "nobody listens")
    contains(refused("volume", "create", "-d", "bad", "never"), 'bad.spec: the address of the plugin is "what"', "nonsense")
    contains(refused("volume", "create", "-d", "../../run/docker/plugins/good", "never"), "not found", "a path")
    box.sh("rm -r /etc/docker/plugins")


@case("a plugin that comes late, after a reboot: a container with a restart policy starts once it is there", seconds=400)
def late_plugin():
    volume("create", "-d", "good", "late")
    box.docker("run", "-d", "--name", "late-user", "--restart", "always", "--stop-timeout", "0", "-v", "late:/x", IMAGE, "sleep", "9999")
    box.docker("update", "--restart", "no", "plugin-good")
    box.down()
    box.up(disk=DISK)
    until(lambda: 'plugin "good" not found' in box.inspect("late-user")["State"]["Error"], "the reason why it does not run")
    check(box.inspect("late-user")["State"]["Status"] != "running", "it runs without its plugin")
    box.docker("start", "plugin-good")
    until(lambda: box.inspect("late-user")["State"]["Status"] == "running", "the container with its volume", 120)
    box.docker("rm", "-f", "late-user")
    until(lambda: calls()[-1].startswith("Unmount late"), "Unmount")
    volume("rm", "late")
    box.docker("rm", "-f", "plugin-good")


@case("nothing is left: mounts, folders, workers")
def rest():
    equal(names(), [], "volumes")
    check(STATE + "/" not in box.sh("cat /proc/mounts"), "mounts of volumes")
    until(lambda: box.sh(f"ls -A {STATE} {STATE}/.trash 2>/dev/null | grep -v -e : -e '^$' -e trash", check=False)[1].strip() == "", "folders")
    equal(box.sh("ps | grep 'worker plugin' | grep -v grep", check=False)[1].strip(), "", "workers")


tap.main()
