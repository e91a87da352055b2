#!/usr/bin/env python3
"""Images by the docker client: save, prune, rmi, import, commit. What is saved is whole by every digest in it, and loads
again as the same image; what is committed is, as a container, what the container was."""

import gzip
import hashlib
import io
import json
import os
import tarfile
import urllib.parse

from lib import images, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

box = vm.shared()
IMAGE = "test/images:1"
OTHER = "test/images-other:1"
WORKERS = "ps | grep -c '[w]orker save'; true"
FILES = f"ls /proc/$(echo {vm.ENGINE})/fd | wc -l"


THERE = set(box.docker("images", "-aq", "--no-trunc").split())    # images of the others


def local(name):
    return os.path.join(box.scratch, name)


def load(name, files, **options):
    box.docker("load", "-i", images.busybox_image(local("images.tar"), name, more=files, **options))
    return box.inspect(name, "image")["Id"]


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {item.name: tar.extractfile(item).read() for item in tar.getmembers() if item.isfile()}


def blob(files, descriptor):
    """The content of a descriptor, checked against it."""
    data = files["blobs/sha256/" + descriptor["digest"].removeprefix("sha256:")]
    equal("sha256:" + hashlib.sha256(data).hexdigest(), descriptor["digest"], "the digest of a blob")
    equal(len(data), descriptor["size"], "the size of a blob")
    return data


def check_layout(files):
    """An OCI layout, all of it; gives name -> (id, manifest)."""
    equal(json.loads(files["oci-layout"]), {"imageLayoutVersion": "1.0.0"}, "oci-layout")
    found, used = {}, {"index.json", "oci-layout", "manifest.json"}
    for top in json.loads(files["index.json"])["manifests"]:
        manifest = json.loads(blob(files, top))
        config = json.loads(blob(files, manifest["config"]))
        for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
            check(layer["mediaType"].endswith(".tar"), f"layers were loaded plain, not {layer['mediaType']}")
            equal("sha256:" + hashlib.sha256(blob(files, layer)).hexdigest(), diff_id, "a diff id")
        for part in (top, manifest["config"], *manifest["layers"]):
            used.add("blobs/sha256/" + part["digest"].removeprefix("sha256:"))
        found[top.get("annotations", {}).get("io.containerd.image.name")] = (manifest["config"]["digest"], manifest)
    equal(sorted(files), sorted(used), "files of the archive")
    return found


def save(*names):
    done = box.docker("save", *names, stdin=b"", check=False)
    equal((done.returncode, done.stderr), (0, b""), f"docker save {names}")
    return done.stdout


@case("save: the archive is an OCI layout and a docker-archive, whole by every digest")
def save_one():
    want = load(IMAGE, {"one": b"first\n"}, config={"Labels": {"of": "images"}})
    data = save(IMAGE)
    files = members(data)
    found = check_layout(files)
    equal({name: found[name][0] for name in found}, {"docker.io/" + IMAGE: want}, "images of the layout")
    top, = json.loads(files["manifest.json"])
    equal(top["RepoTags"], [IMAGE], "RepoTags")
    equal(top["Config"], "blobs/sha256/" + want.removeprefix("sha256:"), "Config")
    equal(["sha256:" + name.rsplit("/", 1)[1] for name in top["Layers"]],
          [layer["digest"] for layer in found["docker.io/" + IMAGE][1]["layers"]], "Layers")
    equal(save(IMAGE), data, "saved once more")


@case("save, rmi, load: the same id, the same digests, and it runs")
def round_trip():
    want = load(IMAGE, {"one": b"first\n"})
    before = box.inspect(IMAGE, "image")
    box.docker("save", "-o", local("saved.tar"), IMAGE)
    box.docker("rmi", IMAGE)
    equal(box.docker("images", "-q", IMAGE), "", "after rmi")
    contains(box.docker("load", "-i", local("saved.tar")), f"Loaded image: {IMAGE}", "docker load")
    after = box.inspect(IMAGE, "image")
    equal((after["Id"], after["RootFS"]), (want, before["RootFS"]), "the image")
    equal(box.docker("run", "--rm", IMAGE, "cat", "/one"), "first", "in a container")
    equal(check_layout(members(save(IMAGE)))["docker.io/" + IMAGE][0], want, "saved again")


@case("save, rmi, load of an OCI image: its manifest stays, and with it its digest")
def round_trip_oci():
    load("test/images-oci:1", {"oci": b"only here\n"}, write=images.oci_archive)
    before = box.inspect("test/images-oci:1", "image")
    check(before["RepoDigests"][0].startswith("test/images-oci@sha256:"), f"RepoDigests {before['RepoDigests']}")
    box.docker("save", "-o", local("saved.tar"), "test/images-oci:1")
    said = box.docker("rmi", "test/images-oci:1")
    contains(said, f"Untagged: {before['RepoDigests'][0]}", "docker rmi")
    box.docker("load", "-i", local("saved.tar"))
    after = box.inspect("test/images-oci:1", "image")
    equal((after["Id"], after["RepoDigests"]), (before["Id"], before["RepoDigests"]), "the image")
    box.docker("rmi", before["RepoDigests"][0])
    equal(box.inspect("test/images-oci:1", "image")["RepoDigests"], [], "after the digest was removed")
    box.docker("rmi", "test/images-oci:1")


@case("save: several images share their layers; ids, tags and repositories")
def save_many():
    first = load(IMAGE, {"one": b"first\n"})
    second = load(OTHER, {"two": b"second\n"})
    box.docker("tag", IMAGE, "test/images:2")
    files = members(save(IMAGE, OTHER))
    found = check_layout(files)
    equal({name: found[name][0] for name in found}, {"docker.io/" + IMAGE: first, "docker.io/" + OTHER: second}, "two")
    layers = [found[name][1]["layers"] for name in found]
    equal(layers[0][0], layers[1][0], "the layer that both have")
    tags = json.loads(members(save("test/images"))["manifest.json"])[0]["RepoTags"]
    equal(sorted(tags), [IMAGE, "test/images:2"], "tags of a repository")
    short = first.removeprefix("sha256:")[:12]
    equal(json.loads(members(save(short))["manifest.json"])[0]["RepoTags"], None, "tags by id")
    equal(list(check_layout(members(save(first)))), [None], "names by id")
    box.docker("rmi", "test/images:2")


@case("save: what is not there is said in Docker's words, and nothing is sent")
def save_unknown():
    done = box.docker("save", IMAGE, "test/images-none", stdin=b"", check=False)
    equal(done.stdout, b"", "output")
    contains(done.stderr.decode(), "No such image: test/images-none:latest", "docker save")
    equal(box.request("GET", "/images/test/images-none:7/get"),
          (404, {"message": "No such image: test/images-none:7"}), "by the API")
    equal(box.request("GET", "/images/get")[0], 400, "without a name")
    equal(box.request("GET", f"/images/{IMAGE}/get?platform=%7B%22architecture%22%3A%22s390x%22%7D")[0], 404, "s390x")


@case("save: a client that leaves in the middle leaves nothing behind, and an event tells of one that did not")
def save_left():
    load(IMAGE, {"large": b"0123456789abcdef" * (4 << 16)})
    start = box.now()
    files = box.sh(FILES)
    conn = box.connection()
    conn.request("GET", f"/images/{IMAGE}/get")
    answer = conn.getresponse()
    equal((answer.status, answer.headers["Content-Type"]), (200, "application/x-tar"), "the answer")
    check(len(answer.read(1 << 16)) == 1 << 16, "the first bytes")
    equal(box.sh(WORKERS), "1", "workers while it is read")
    conn.close()
    until(lambda: box.sh(WORKERS) == "0", "the end of the worker")
    until(lambda: box.sh(FILES) == files, "descriptors of the engine as before")
    equal(events(start), [], "events of a save that was left")
    save(IMAGE)
    equal(events(start), ["save"], "events of a save")


def prune(**filters):
    """ImagesDeleted as (untagged names, deleted ids) and SpaceReclaimed. Only images of this program are in its reach."""
    asked = {"label": ["images-prune"], **{key.rstrip("_") + ("!" if key.endswith("_") else ""): [value]
                                           for key, value in filters.items()}}
    status, have = box.request("POST", "/images/prune?filters=" + urllib.parse.quote(json.dumps(asked)))
    equal(status, 200, f"prune {have}")
    done = have["ImagesDeleted"] or []
    return ([item["Untagged"] for item in done if "Untagged" in item], [item["Deleted"] for item in done if "Deleted" in item],
            have["SpaceReclaimed"])


@case("prune: dangling ones by default, all that nobody uses with -a; filters; what is freed is told, and an event")
def prune_images():
    marked = {"Labels": {"images-prune": "", "role": "old"}}
    first = load("test/images-prune:1", {"size": b"1" * 5000}, config=marked)
    second = load("test/images-prune:2", {"size": b"2" * 6000}, config=marked)
    equal(prune(), ([], [], 0), "nothing dangles")
    box.docker("tag", second, "test/images-prune:1")
    equal(box.docker("images", "-qf", "dangling=true", "--no-trunc", "-f", "label=images-prune"), first, "dangling")
    equal(prune(label_="role=old"), ([], [], 0), "label!")
    equal(prune(until="2001-01-01"), ([], [], 0), "until")
    start = box.now()
    untagged, deleted, freed = prune(until="1s")
    equal((untagged, deleted[0], len(deleted)), ([], first, 2), "what was pruned")
    equal(freed, 5000, "bytes")
    contains(" ".join(events(start)), "prune", "events")
    box.docker("create", "--name", "images-user", second)
    equal(prune(dangling="false"), ([], [], 0), "what a container has")
    box.docker("rm", "images-user")
    said = box.docker("image", "prune", "-af", "--filter", "label=images-prune")
    contains(said, "untagged: test/images-prune:2", "docker image prune -a")
    contains(said, f"deleted: {second}", "docker image prune -a")
    contains(said, "Total reclaimed space: 6kB", "docker image prune -a")


@case("rmi: names, ids, force; what a container stands on stays, and the container starts")
def rmi():
    name, more = "test/images-rmi:1", "test/images-rmi:2"
    image = load(name, {"rmi": b"here\n"})
    box.docker("tag", name, more)
    equal(box.docker("rmi", more), f"Untagged: {more}", "one of two names")
    box.docker("tag", name, more)
    done = box.docker("rmi", image, check=False)
    contains(done.stderr, "(must be forced) - image is referenced in multiple repositories", "by id")
    box.docker("create", "--name", "images-user", name, "cat", "/rmi")
    box.docker("rmi", more)
    done = box.docker("rmi", name, check=False)
    contains(done.stderr, f'unable to remove repository reference "{name}" (must force) - container', "in use")
    equal(box.docker("rmi", "-f", name), f"Untagged: {name}", "by force")
    equal(box.docker("start", "-a", "images-user"), "here", "the container")
    done = box.docker("rmi", "-f", image, check=False)
    contains(done.stderr, "(cannot be forced) - image is being used by stopped container", "by id and force")
    box.docker("rm", "images-user")
    contains(box.docker("rmi", image), f"Deleted: {image}", "at last")


def tar_of(*members):
    """A tar of (name, content or TarInfo type, fields)."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = len(data), 1700000000, 0o644
            tar.addfile(info, io.BytesIO(data))
    return raw.getvalue()


@case("import: what was exported runs again, with changes; gzip too; layers and config are Docker's")
def import_image():
    load(IMAGE, {"one": b"first\n"})
    box.docker("create", "--name", "images-exported", IMAGE)
    exported = box.docker("export", "images-exported", stdin=b"", check=False).stdout
    box.docker("rm", "images-exported")
    changes = ["-c", 'CMD ["cat", "/one"]', "-c", "ENV A=1 B=$A-x PATH=/bin", "-c", "WORKDIR /tmp", "-c", "EXPOSE 80", "-c", "LABEL a=b"]
    start = box.now()
    done = box.docker("import", *changes, "-m", "by the test", "-", "test/images-imported:1", stdin=exported, check=False)
    equal((done.returncode, done.stderr), (0, b""), "docker import")
    have = box.inspect("test/images-imported:1", "image")
    equal(done.stdout.decode().strip(), have["Id"], "the id that was told")
    contains(" ".join(events(start)), "import", "events")
    equal((have["Comment"], have["Os"], have["Architecture"], len(have["RootFS"]["Layers"])), ("by the test", "linux", "amd64", 1), "image")
    equal(have["RootFS"]["Layers"], ["sha256:" + hashlib.sha256(exported).hexdigest()], "the layer")
    config = have["Config"]
    equal((config["Cmd"], config["Env"], config["WorkingDir"], config["ExposedPorts"], config["Labels"]),
          (["cat", "/one"], ["A=1", "B=-x", "PATH=/bin"], "/tmp", {"80/tcp": {}}, {"a": "b"}), "config")
    equal(box.docker("run", "--rm", "test/images-imported:1"), "first", "its command")
    with open(local("packed.tar.gz"), "wb") as out:
        out.write(gzip.compress(exported))
    told = box.docker("import", "--platform", "linux/arm64", local("packed.tar.gz"))
    other = box.inspect(told, "image")
    equal((other["RepoTags"], other["Architecture"], other["Comment"]), ([], "arm64", "Imported from -"), "without a name")
    equal(other["RootFS"]["Layers"], have["RootFS"]["Layers"], "the layer of the packed one")
    box.docker("rmi", told, "test/images-imported:1")


@case("import: what is wrong is told, and leaves nothing")
def import_wrong():
    before = box.sh("ls /var/lib/skerry/images/layers /var/lib/skerry/images/blobs/sha256 | wc -l")
    for data, words in ((b"no archive at all " * 100, "tar"), (tar_of(("../../etc/evil", b"x")), ".."),
                        (tar_of(("a", b"x" * 9000))[:5000], "")):
        done = box.docker("import", "-", "test/images-wrong", stdin=data, check=False)
        check(done.returncode != 0, f"imported: {done.stdout}")
        contains(done.stderr.decode(), words, "docker import")
    status, body = box.request("POST", "/images/create?fromSrc=ftp%3A%2F%2Fa.example%2Fx.tar&repo=a")
    equal(status, 400, "by address")
    contains(body["message"], "does not begin with http:// or https://", "by address")
    for query, words in (("changes=RUN+x", "RUN is not a valid change command"), ("repo=UP", "invalid reference format"),
                         ("platform=windows/amd64", "only linux images run here")):
        status, body = box.request("POST", f"/images/create?fromSrc=-&{query}", b"x")
        equal(status, 400, query)
        contains(body["message"], words, query)
    equal(box.sh("ls /var/lib/skerry/images/layers /var/lib/skerry/images/blobs/sha256 | wc -l"), before, "the store")
    equal(box.docker("images", "-q", "test/images-wrong"), "", "images")


TREE = ("for top in /*; do case $top in /proc|/sys|/dev) ;; /bin) echo /bin; echo /bin/busybox;; *) find $top;; esac; done | sort | grep -vE '^/etc/(hosts|hostname|resolv.conf)$' "
        "| while read f; do stat -c '%n %f %u:%g %s %t,%T' \"$f\" | sed 's/ \\(4[0-9a-f]*\\) \\([0-9:]*\\) [0-9]* / \\1 \\2 /'; "
        "if [ -f \"$f\" ] && [ ! -L \"$f\" ]; then sha256sum < \"$f\"; fi; done")
EDIT = """
    set -e; rm /gone; rm -r /tree/sub; mkdir /tree/sub; echo new > /tree/sub/only; rm -r /whole
    echo changed > /kept; chmod 700 /tree; chown 7:8 /kept; echo x > /tree/added; ln /tree/added /tree/again
    ln -s /etc/passwd /link; mkdir -p /deep/er/est; mknod /fifo p; chmod 4755 /bin/busybox
    rm -r /becomes; echo f > /becomes; rm /file; mkdir /file; dd if=/dev/zero of=/holes bs=1 count=1 seek=1000000 2>/dev/null
    mknod /node c 1 3; touch "/a name with  blanks"; echo secret > /tree/sub/.hidden
"""
BEFORE = {"gone": b"g", "tree": None, "tree/sub": None, "tree/sub/a": b"a", "tree/sub/b": b"b", "whole": None, "whole/x": b"x",
          "kept": b"k", "becomes": None, "becomes/y": b"y", "file": b"f"}


@case("commit: a new container of the image is what the container was, file by file")
def commit_tree():
    load(IMAGE, BEFORE)
    box.docker("run", "-d", "--name", "images-edit", IMAGE, "sleep", "1000")
    box.docker("exec", "images-edit", "sh", "-c", EDIT)
    want = box.docker("exec", "images-edit", "sh", "-c", TREE)
    contains(want, "/deep/er/est", "the container")
    for name, how in (("running", ()), ("unpaused", ("--pause=false",)), ("stopped", ())):
        if name == "stopped":
            box.docker("kill", "images-edit")
        made = box.docker("commit", *how, "images-edit", f"test/images-commit:{name}")
        have = box.docker("run", "--rm", f"test/images-commit:{name}", "sh", "-c", TREE)
        equal(have.splitlines(), want.splitlines(), f"the tree of the {name} one")
        equal(box.inspect(f"test/images-commit:{name}", "image")["Id"], made, "the id")
    diff_ids = [box.inspect(f"test/images-commit:{name}", "image")["RootFS"]["Layers"] for name in ("running", "stopped")]
    equal(diff_ids[0], diff_ids[1], "layers of the same files")
    equal(len(diff_ids[0]), 3, "layers")
    files = members(save("test/images-commit:stopped"))
    layer = check_layout(files)["docker.io/test/images-commit:stopped"][1]["layers"][2]
    with tarfile.open(fileobj=io.BytesIO(blob(files, layer))) as tar:
        inside = [item.name for item in tar.getmembers()]
    for mark in (".wh.gone", ".wh.whole", "tree/sub/.wh.a", "tree/sub/.wh.b"):
        check(mark in inside, f"{mark} is not in the layer: {inside}")
    for made in (".dockerenv", "etc/hosts", "etc/resolv.conf", "proc", "dev"):
        check(made not in inside, f"{made} of the runtime is in the layer")
    box.docker("rmi", *[f"test/images-commit:{name}" for name in ("running", "unpaused")])


@case("commit: message, author, changes, history; saved and loaded it is the same; the container runs on")
def commit_config():
    box.docker("rm", "-f", "images-edit")
    box.docker("run", "-d", "--name", "images-edit", "-e", "A=1", "-l", "own=label", IMAGE, "sleep", "1000")
    box.docker("exec", "images-edit", "sh", "-c", "echo text > /text")
    start = box.now()
    made = box.docker("commit", "-a", "Somebody", "-m", "a message", "-c", 'CMD ["cat", "/text"]', "-c", "ENV B=$A",
                      "-c", "USER 1000", "-c", "VOLUME /v", "-c", "ONBUILD RUN x", "images-edit", "test/images-commit:config")
    have = box.inspect("test/images-commit:config", "image")
    equal((have["Id"], have["Author"], have["Comment"]), (made, "Somebody", "a message"), "image")
    config = have["Config"]
    equal((config["Cmd"], config["User"], config["Volumes"], config["OnBuild"], config["Labels"]),
          (["cat", "/text"], "1000", {"/v": {}}, ["RUN x"], {"own": "label"}), "config")
    check({"A=1", "B=1"} <= set(config["Env"]), f"Env {config['Env']}")
    top = json.loads(box.docker("history", "--no-trunc", "--format", "json", "test/images-commit:config").splitlines()[0])
    equal((top["Comment"], top["CreatedBy"]), ("a message", "sleep 1000"), "history")
    equal(box.docker("run", "--rm", "test/images-commit:config"), "text", "its command")
    state = box.inspect("images-edit")["State"]
    equal((state["Status"], state["Paused"]), ("running", False), "the container")
    said = box.docker("events", "--since", str(start), "--until", str(box.now()), "--format", "{{.Type}} {{.Action}}",
                      "--filter", "container=images-edit")
    told = [word for word in said.splitlines() if "pause" in word or "commit" in word]
    equal((told[0], sorted(told)), ("container pause", ["container commit", "container pause", "container unpause"]), "events")
    box.docker("save", "-o", local("commit.tar"), "test/images-commit:config")
    box.docker("rmi", "test/images-commit:config")
    box.docker("load", "-i", local("commit.tar"))
    equal(box.inspect("test/images-commit:config", "image")["Id"], made, "loaded again")
    same = box.docker("commit", "images-edit")
    equal(box.inspect(same, "image")["RepoTags"], [], "without a name")
    box.docker("rmi", same)


@case("commit: what is wrong is told, and leaves nothing")
def commit_wrong():
    equal(box.request("POST", "/commit?container=images-none"), (404, {"message": "No such container: images-none"}), "no container")
    for query, words in (("changes=FROM+x", "FROM is not a valid change command"), ("repo=UP", "invalid reference format")):
        status, body = box.request("POST", f"/commit?container=images-edit&{query}")
        equal(status, 400, query)
        contains(body["message"], words, query)
    box.docker("exec", "images-edit", "touch", "/tmp/.wh.passwd")
    done = box.docker("commit", "images-edit", "test/images-wrong", check=False)
    contains(done.stderr, '"/tmp/.wh.passwd" cannot be in a layer', "a name that means something else")
    equal(box.inspect("images-edit")["State"]["Status"], "running", "the container")
    equal(box.docker("images", "-q", "test/images-wrong"), "", "images")
    box.docker("rm", "-f", "images-edit")


def events(since):
    end = str(box.now())
    return [json.loads(line)["Action"] for line in box.docker(
        "events", "--since", str(since), "--until", end, "--filter", "type=image", "--format", "json").splitlines()]


@case("everything is given back")
def clean():
    box.docker("rm", "-f", *box.docker("ps", "-aq", "-f", "name=images-").split(), check=False)
    listed = box.docker("images", "-a", "--no-trunc", "--format", "{{.ID}} {{.Repository}}").splitlines()
    ours = {line.split()[0] for line in listed if line.split()[1].startswith(("test/images", "<none>"))}
    for image in ours - THERE:
        box.docker("rmi", "-f", image)
    equal(box.docker("images", "-q", "--filter", "reference=test/images*"), "", "images")
    equal(box.sh("ls /var/lib/skerry/images/tmp | wc -l"), "0", "folders of jobs")


if __name__ == "__main__":
    tap.main()
