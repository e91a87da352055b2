#!/usr/bin/env python3
"""Hostile archives through the API of a machine: a sample of the rows that tests/host/test_hostile gives to the worker alone, and what
only the whole shows: the store as before, the space given back, the memory of workers while bombs go off, many layers."""

import hashlib
import json
import re
import threading

from lib import hostile_archives, hostile_layers, images, rawtar, tap, vm
from lib.tap import case, check, equal

box = vm.shared()
USED = "du -sk /var/lib/skerry/images | cut -f1"
GROWTH = 16 << 20
EVERY = 37      # every so many of the rows, and these
ALWAYS = ("zstd: a window of 2 GB", "GNU: a long name of 1 GB", "sparse: 8 EB", "links: chain out", "xattrs: trusted.overlay.opaque",
          "docker: manifest.json twice", "oci: the layer's bytes are others")
BOMBS = ("bomb: 10 GB of zeros in 10 MB, a file of a layer", "bomb: 10 GB of zeros, a document", "zstd: a window of 8 MB", "oci: config: 4 MiB of numbers")
STORE = "cd /var/lib/skerry/images && ls -lnAR blobs refs layers /etc | grep -v '^[dt]' | sha256sum"
END = "hostile-end"


def sample():
    layers = [("layer: " + name, lambda make=make: rawtar.docker(make()), want) for name, make, want in hostile_layers.ROWS]
    rows = layers + [("archive: " + name, make, want) for name, make, want, limits in hostile_archives.ROWS if not limits]
    return [row for number, row in enumerate(rows)
            if "bomb:" not in row[0] and (number % EVERY == 0 or any(word in row[0] for word in ALWAYS))]


def load(archive, keep=False):
    """What POST /images/load answers: (loaded, its text). What was loaded is removed again."""
    conn = box.connection(120)
    try:
        conn.request("POST", "/images/load?quiet=1", archive, {"Content-Type": "application/x-tar"})
        answer = conn.getresponse()
        text = answer.read().decode()
    finally:
        conn.close()
    names = re.findall(r"Loaded image(?: ID)?: (\S+?)\\n", text)
    for name in [] if keep else names:
        equal(box.request("DELETE", f"/images/{name}?force=1")[0], 200, f"removal of {name}")
    return answer.status == 200 and bool(names), text


def said(text):
    """The message of an answer, whether it is a status or a line of the stream."""
    last = json.loads(text.strip().splitlines()[-1])
    return last.get("message") or last["errorDetail"]["message"]


@case("a sample of hostile archives: each is loaded or refused as it must be, and the store is as before", seconds=600)
def hostile():
    before, wrong = box.sh(STORE), []
    rows = sample()
    check(len(rows) >= 20, f"{len(rows)} rows")
    for name, make, want in rows:
        loaded, text = load(make())
        if isinstance(want, str):
            if loaded or not any(words in said(text) for words in want.split("|")):
                wrong.append(f"{name}: {text[-300:]}")
        elif not loaded:
            wrong.append(f"{name}: {text[-300:]}")
    equal(wrong, [], "rows")
    equal(box.sh(STORE), before, "the store")


@case("bombs: the worker's memory grows by 16 MiB at most, and the disk has its space back", seconds=600)
def bombs():
    # the volume says that it is over
    peaks = (f"n=0; while [ ! -e /var/lib/skerry/volumes/{END} ] && [ $n -lt 5000 ]; do n=$((n+1)); for p in $(pidof skerryd); do "
             "tr '\\0' ' ' < /proc/$p/cmdline | grep -q 'worker unpack' && awk '/VmHWM/ { print $2 }' /proc/$p/status; done 2>/dev/null; done "
             "| sort -n | tail -n 1")

    def peak_of(archives):
        """The largest resident size of a worker that was seen while these were loaded."""
        found = []
        looking = threading.Thread(target=lambda: found.append(box.sh(peaks, seconds=200)))
        looking.start()
        try:
            for archive in archives:
                load(archive)
        finally:
            box.request("POST", "/volumes/create", {"Name": END})
            looking.join()
            box.request("DELETE", f"/volumes/{END}")
        check(found and found[0], "no worker was seen")
        return int(found[0]) << 10

    start = int(box.sh(USED))
    rows = {name: make for name, make, _want, _limits in hostile_archives.ROWS}
    plain = peak_of([rawtar.docker(rawtar.member(b"f", bytes(4 << 20)) + rawtar.END)] * 4)
    worst = peak_of([rows[name]() for name in BOMBS])
    check(worst - plain <= GROWTH, f"{worst} bytes, {plain} for an ordinary image")
    used = int(box.sh(USED))
    check(used <= start + 64, f"{used} KiB, {start} before: the space is not given back")


@case("an image of 120 layers: loads, runs, is committed and removed; 126 are too many", seconds=600)
def layers():
    base = images.layer(images.busybox_files())
    tops = [images.layer({f"l{n}": b"%d" % n, "top": b"%d" % n}) for n in range(125)]
    config = {"Cmd": ["sh", "-c", "cat /top; ls -d /l* | wc -l"], "Env": ["PATH=/bin"]}
    box.docker("load", "-i", images.docker_archive(f"{box.scratch}/layers.tar", "t/layers:120", [base, *tops[:119]], config))
    equal(len(box.inspect("t/layers:120", "image")["RootFS"]["Layers"]), 120, "layers")
    want = "118" + "119"
    equal(box.docker("run", "--rm", "t/layers:120").replace("\n", ""), want, "in a container")
    equal(box.docker("run", "--rm", "--read-only", "t/layers:120").replace("\n", ""), want, "read-only")
    box.docker("run", "--name", "layers", "t/layers:120", "sh", "-c", "echo more > /more; rm /l5")
    equal(sorted(box.docker("diff", "layers").splitlines()), ["A /more", "D /l5"], "changes")
    box.docker("commit", "layers", "t/layers:121")
    box.docker("rm", "layers")
    equal(box.docker("run", "--rm", "t/layers:121", "sh", "-c", "cat /more; ls -d /l* | wc -l").split(), ["more", "118"], "committed")
    done = load(archive_of("t/layers:126", [base, *tops], config))
    check(not done[0] and "more than 125 layers" in done[1], f"126 layers: {done}")
    box.docker("rmi", "t/layers:121", "t/layers:120")


def archive_of(name, parts, config):
    with open(images.docker_archive(f"{box.scratch}/archive.tar", name, parts, config), "rb") as data:
        return data.read()


@case("row 56: labels of an image that would be ours decide nothing; those of its user do")
def labels():
    mine = {"skerry.autoheal": "true", "com.docker.compose.project": "demo", "com.docker.compose.service": "web",
            "com.docker.compose.project.config_files": "/etc/skerry/compose/demo.yaml"}
    box.docker("load", "-i", images.busybox_image(f"{box.scratch}/labels.tar", "t/labels:1", config={"Labels": {**mine, "of": "the image"}}))
    box.docker("create", "--name", "labels-a", "t/labels:1")
    box.docker("create", "--name", "labels-b", "--label", "skerry.autoheal=true", "t/labels:1")
    equal(box.inspect("t/labels:1", "image")["Config"]["Labels"], {**mine, "of": "the image"}, "the image's")
    equal(box.inspect("labels-a")["Config"]["Labels"], {"of": "the image"}, "the container's")
    equal(box.inspect("labels-b")["Config"]["Labels"], {"of": "the image", "skerry.autoheal": "true"}, "with one of its user's")
    box.docker("rm", "labels-a", "labels-b")
    box.docker("rmi", "t/labels:1")


@case("two images at once that swap folders for links (CVE-2025-47290): each has its own tree")
def two():
    def swapping(number):
        parts = []
        for turn in range(150):
            parts += [rawtar.folder(b"d"), rawtar.member(b"d/f", b"%d %d" % (number, turn)), rawtar.symlink(b"d", b"../../../../victim"),
                      rawtar.folder(b"d")]
        return images.layer(images.busybox_files()), b"".join(parts) + rawtar.member(b"d/f", b"mine %d" % number) + rawtar.END

    ends = []
    running = [threading.Thread(target=lambda n=n: ends.append(load(archive_of_two(n, swapping(n)), keep=True))) for n in (1, 2)]
    for item in running:
        item.start()
    for item in running:
        item.join()
    equal([loaded for loaded, _text in ends], [True, True], str(ends))
    for number in (1, 2):
        equal(box.docker("run", "--rm", f"t/swap:{number}", "cat", "/d/f"), f"mine {number}", "content")
    box.docker("rmi", "t/swap:1", "t/swap:2")


def archive_of_two(number, parts):
    config = rawtar.config(["sha256:" + hashlib.sha256(part).hexdigest() for part in parts], config={"Cmd": ["sh"], "Env": ["PATH=/bin"]})
    listing = [{"Config": "c.json", "RepoTags": [f"t/swap:{number}"], "Layers": ["0.tar", "1.tar"]}]
    return b"".join([rawtar.member(b"c.json", rawtar.text(config)), rawtar.member(b"manifest.json", rawtar.text(listing)),
                     rawtar.member(b"0.tar", parts[0]), rawtar.member(b"1.tar", parts[1]), rawtar.END])


@case("import: what is damaged under its packing is refused, though nothing says what it should be")
def imported():
    tar = rawtar.member(b"f", b"x" * 3000) + rawtar.END
    packed = hostile_archives.PACKERS["gzip"](tar)
    for name, data, words in (("a bit", hostile_archives.flipped(packed), "bad gzip data"), ("the sum", packed[:-8] + bytes(8), "incorrect data check"),
                              ("the method", packed[:2] + b"\x09" + packed[3:], "unknown compression method"),
                              ("the end", packed[:-2], "it ends in the middle"), ("only the magic", b"\x1f\x8b", "it ends in the middle")):
        done = box.docker("import", "-", "t/hostile-import", stdin=data, check=False)
        check(done.returncode != 0 and words in done.stderr.decode(), f"{name}: {done}")
    equal(box.docker("images", "-q", "t/hostile-import"), "", "images")


tap.main()
