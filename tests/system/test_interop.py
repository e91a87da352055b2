#!/usr/bin/env python3
"""Images to and from Debian's skopeo and umoci: what `docker save` writes they read, what they write `docker load` reads, and every
digest is the same on both sides."""

import hashlib
import json
import os
import subprocess
import tarfile

from lib import images, tap, vm
from lib.tap import case, check, equal

box = vm.shared()
IMAGE = "test/interop:1"
FILES = {"etc/interop": b"from here\n", "data": None, "data/large": bytes(range(256)) * 400, "data/link": ("link", "large")}


def local(name):
    return os.path.join(box.scratch, name)


def run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, env={**os.environ, "TMPDIR": box.scratch})
    check(done.returncode == 0, f"{' '.join(words)}: exit {done.returncode}: {done.stderr}")
    return done.stdout


def skopeo(*words):
    """No policy of this machine and no registries: only what the test names."""
    return run("skopeo", "--insecure-policy", *words)


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def read(path):
    with open(path, "rb") as data:
        return data.read()


def unpacked(archive, folder):
    os.makedirs(local(folder), exist_ok=True)
    with tarfile.open(archive) as tar:
        tar.extractall(local(folder))
    return local(folder)


def packed(folder, archive):
    with tarfile.open(archive, "w") as tar:
        for name in sorted(os.listdir(folder)):
            tar.add(os.path.join(folder, name), name)
    return archive


def manifest_of(layout):
    """(digest, manifest, config) of the first image of a layout; the blobs' digests are checked."""
    top = json.loads(read(f"{layout}/index.json"))["manifests"][0]
    raw = read(f"{layout}/blobs/sha256/{top['digest'][7:]}")
    equal(digest(raw), top["digest"], "the manifest's digest")
    manifest = json.loads(raw)
    for part in (manifest["config"], *manifest["layers"]):
        equal(digest(read(f"{layout}/blobs/sha256/{part['digest'][7:]}")), part["digest"], "a blob's digest")
    return top["digest"], manifest, json.loads(read(f"{layout}/blobs/sha256/{manifest['config']['digest'][7:]}"))


def saved():
    """Our image, as an archive and unpacked: (inspect, archive, layout)."""
    # a layer is kept once, as the archive that came first: no other image has these
    layers = [images.layer({**images.busybox_files(), "etc/base": b"of interop\n"}), images.layer(FILES)]
    box.docker("load", "-i", images.docker_archive(local("first.tar"), IMAGE, layers, {
        "Cmd": ["sh"], "Env": ["PATH=/bin:/usr/bin"], "Labels": {"of": "interop"}, "User": "1000"}))
    box.docker("save", "-o", local("ours.tar"), IMAGE)
    return box.inspect(IMAGE, "image"), local("ours.tar"), unpacked(local("ours.tar"), "ours")


@case("docker save to skopeo, as a docker-archive and as an OCI layout: names, configs and layers are ours")
def to_skopeo():
    have, archive, layout = saved()
    told = json.loads(skopeo("inspect", f"docker-archive:{archive}:{IMAGE}"))
    equal((told["Layers"], told["Labels"], told["Architecture"], told["Os"]),
          (have["RootFS"]["Layers"], {"of": "interop"}, "amd64", "linux"), "skopeo inspect docker-archive:")
    equal(json.loads(skopeo("list-tags", f"docker-archive:{archive}"))["Tags"], [IMAGE], "skopeo list-tags")
    config = json.loads(skopeo("inspect", "--config", f"oci:{layout}:1"))
    equal((config["config"]["User"], config["rootfs"]["diff_ids"]), ("1000", have["RootFS"]["Layers"]), "skopeo inspect --config oci:")
    skopeo("copy", f"docker-archive:{archive}:{IMAGE}", f"dir:{local('dir')}")
    equal(json.loads(read(local("dir/manifest.json")))["config"]["digest"], have["Id"], "skopeo copy docker-archive: dir:")
    ours = manifest_of(layout)
    skopeo("copy", f"oci:{layout}:1", f"dir:{local('dir2')}")
    equal(digest(read(local("dir2/manifest.json"))), ours[0], "the manifest that skopeo copied")
    equal(ours[1]["config"]["digest"], have["Id"], "the layout's config")


@case("docker save to umoci: it unpacks the tree, and changes it into an image that loads here")
def to_umoci():
    have, _archive, layout = saved()
    run("umoci", "unpack", "--rootless", "--image", f"{layout}:1", local("bundle"))
    for name, data in FILES.items():
        path = f"{local('bundle')}/rootfs/{name}"
        if isinstance(data, bytes):
            equal(read(path), data, name)
    equal(os.readlink(f"{local('bundle')}/rootfs/data/link"), "large", "the link")
    equal(read(f"{local('bundle')}/rootfs/bin/busybox"), images.busybox_files()["bin/busybox"], "busybox")
    with open(f"{local('bundle')}/rootfs/data/more", "w", encoding="ascii") as out:
        out.write("by umoci\n")
    os.unlink(f"{local('bundle')}/rootfs/data/link")
    run("umoci", "repack", "--image", f"{layout}:changed", local("bundle"))
    run("umoci", "config", "--image", f"{layout}:changed", "--config.cmd", "cat", "--config.cmd", "/data/more")
    skopeo("copy", f"oci:{layout}:changed", f"oci:{local('changed')}:test/interop:umoci")
    name, manifest, config = manifest_of(local("changed"))
    box.docker("rmi", IMAGE)
    box.docker("load", "-i", packed(local("changed"), local("changed.tar")))
    made = box.inspect("test/interop:umoci", "image")
    equal((made["Id"], made["RepoDigests"]), (manifest["config"]["digest"], [f"test/interop@{name}"]), "the image that umoci made")
    equal(made["RootFS"]["Layers"], config["rootfs"]["diff_ids"], "its layers")
    equal(made["RootFS"]["Layers"][:2], have["RootFS"]["Layers"], "ours below")
    check(all(layer["mediaType"].endswith("gzip") for layer in manifest["layers"][2:]), "umoci packs its layers")
    equal(box.docker("run", "--rm", "test/interop:umoci"), "by umoci", "in a container")
    equal(box.docker("run", "--rm", "test/interop:umoci", "ls", "/data"), "large\nmore", "what umoci removed")
    equal(manifest_again("test/interop:umoci"), name, "saved again")
    box.docker("rmi", "test/interop:umoci")


def manifest_again(name):
    """The digest of the manifest in what docker save writes."""
    box.docker("save", "-o", local("again.tar"), name)
    return manifest_of(unpacked(local("again.tar"), "again-" + name.rsplit(":", 1)[1]))[0]


@case("skopeo to docker load: docker-archive, OCI layout, packed by gzip and zstd; the digests are those that skopeo tells")
def from_skopeo():
    have, _archive, layout = saved()
    skopeo("copy", f"oci:{layout}:1", f"docker-archive:{local('theirs.tar')}:test/interop:archive")
    box.docker("load", "-i", local("theirs.tar"))
    equal(box.inspect("test/interop:archive", "image")["Id"], have["Id"], "by a docker-archive")
    box.docker("rmi", "test/interop:archive", IMAGE)
    for how in ("gzip", "zstd"):
        folder, name = local(how), f"test/interop:{how}"
        skopeo("copy", "--dest-compress-format", how, "--dest-compress", f"oci:{layout}:1", f"oci:{folder}:{name}")
        top, manifest, config = manifest_of(folder)
        box.docker("load", "-i", packed(folder, local("packed.tar")))
        image = box.inspect(name, "image")
        equal((image["Id"], image["RepoDigests"]), (manifest["config"]["digest"], [f"test/interop@{top}"]), how)
        equal(image["RootFS"]["Layers"], config["rootfs"]["diff_ids"], f"layers, {how}")
        equal(image["Descriptor"], {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": top,
                                    "size": os.path.getsize(f"{folder}/blobs/sha256/{top[7:]}")}, f"Descriptor, {how}")
        equal(box.docker("run", "--rm", name, "cat", "/etc/interop"), "from here", f"in a container, {how}")
        equal(manifest_again(name), top, f"saved again, {how}")
        box.docker("rmi", name)


tap.main()
