"""Images that are large in one way or another, as registry.Image: a Debian root, 120 layers, many platforms.

What takes long is kept in the build cache (SKERRY_CACHE), named by what it is made of: also for other checkouts.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tarfile

from . import images, registry
from .vm import TOP

sys.path.insert(0, os.path.join(TOP, "image-tools"))
from pins import cache  # noqa: E402  (where the build keeps things)

DEBIAN_PACKAGES = ["golang-src"]     # many small files, and nothing to configure
DEBIAN_FILES = 15000            # more than these
RECIPE = 2                      # counted up when the functions below make something else


def _debian_root(path):
    """A root file system by debootstrap as a tar, complete with documentation: that is many files."""
    root = f"{path}.root"
    as_root = [] if os.getuid() == 0 else ["sudo"]
    subprocess.run([*as_root, "rm", "-rf", "--one-file-system", root], check=True)
    try:
        subprocess.run([*as_root, "debootstrap", "--variant=minbase", f"--include={','.join(DEBIAN_PACKAGES)}",
                        _suite(), root, images.mirror()], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*as_root, "sh", "-c", f"rm -rf {root}/var/cache/apt/archives/*.deb {root}/var/lib/apt/lists/*"],
                       check=True)
        with open(f"{path}.new", "wb") as out:
            tar = subprocess.Popen([*as_root, "tar", "-C", root, "--one-file-system", "--exclude=./dev/*", "--xattrs",
                                    "--numeric-owner", "--sort=name", "-cf", "-", "."], stdout=subprocess.PIPE)
            subprocess.run(["gzip", "-n1"], stdin=tar.stdout, stdout=out, check=True)
            tar.stdout.close()
            if tar.wait() != 0:
                raise RuntimeError(f"tar of {root} ended with {tar.returncode}")
    finally:
        subprocess.run([*as_root, "rm", "-rf", "--one-file-system", root], check=True)
    os.rename(f"{path}.new", path)


def _suite():
    return subprocess.run(["sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME"], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


def debian_layer():
    """Path of the Debian root as a layer (tar, gzip). Made by one program at a time."""
    key = images.digest(json.dumps([_suite(), DEBIAN_PACKAGES, RECIPE]).encode())[:16]
    path = cache("tests", f"debian-{key}.tar.gz")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            _debian_root(path)
    return path


def debian(kind="oci"):
    """The Debian root as an image of one layer."""
    path = debian_layer()
    with open(path, "rb") as data:
        layer = data.read()
    note = f"{path}.diff-id"
    if not os.path.exists(note):
        plain = subprocess.run(["sh", "-c", 'gzip -dc "$1" | sha256sum', "sh", path], stdout=subprocess.PIPE, text=True,
                               check=True).stdout
        with open(f"{note}.{os.getpid()}", "w", encoding="ascii") as text:
            text.write(plain.split()[0])
        os.rename(f"{note}.{os.getpid()}", note)
    with open(note, encoding="ascii") as text:
        diff_id = "sha256:" + text.read().strip()
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
        "config": {"Cmd": ["sh"], "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "debootstrap"}]}).encode()
    types = registry.TYPES[kind]
    document = json.dumps(registry.manifest_of(config, [layer], types, types["gzip"])).encode()
    return registry.Image(document, types["manifest"], config, [layer],
                          {registry.digest(item): item for item in (config, layer)})


def many_layers(count=120, kind="docker"):
    """BusyBox below, and above it layers that add a file each, replace one of all and remove one of the layer below."""
    layers = [images.layer({**images.busybox_files(), "layers": b"%d\n" % count})]
    for number in range(1, count):
        files = {"n": None, f"n/{number}": b"%d\n" % number, "n/all": b"%d\n" % number}
        if number % 10 == 0:
            files[f"n/.wh.{number - 1}"] = b""
        layers.append(images.layer(files))
    return registry.make(layers, {"Cmd": ["cat", "/n/all"], "Env": ["PATH=/bin"]}, kind)


PLATFORMS = [("linux", "arm64", "v8"), ("linux", "arm", "v7"), ("linux", "amd64", None), ("linux", "s390x", None),
             ("windows", "amd64", None)]


def platforms(reg, repo, tag, kind="oci", without=()):
    """Puts an image for many platforms into a registry (lib/registry.py); gives platform -> Image and the index's digest.
    The one for amd64 is BusyBox. without: architectures that the index has not."""
    entries = []
    for system, architecture, variant in PLATFORMS:
        if architecture in without:
            continue
        mine = (system, architecture) == ("linux", "amd64")
        files = images.busybox_files() if mine else {"who": f"{system}/{architecture}\n".encode()}
        parts = {"os": system, "architecture": architecture, **({"variant": variant} if variant else {})}
        entries.append((registry.make([images.layer({**files, "platform": f"{system}/{architecture}\n".encode()})],
                                      {"Cmd": ["cat", "/platform"], "Env": ["PATH=/bin"]}, kind, platform=parts), parts))
    for image, _parts in entries:
        reg.add(repo, image)
    document, media_type = registry.index_of(entries, kind)
    return ({f"{parts['os']}/{parts['architecture']}": image for image, parts in entries},
            reg.put(repo, document, media_type, tag))


def files_of(layer_path):
    """How many members a layer's archive has."""
    with tarfile.open(layer_path) as tar:
        return sum(1 for _item in tar)


def layout(image, folder, tag):
    """Writes an image as an OCI layout folder; returns the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(f"{folder}/blobs/sha256")
    for data in [*image.blobs.values(), image.manifest]:
        with open(f"{folder}/blobs/sha256/{images.digest(data)}", "wb") as out:
            out.write(data)
    with open(f"{folder}/oci-layout", "w", encoding="ascii") as text:
        text.write('{"imageLayoutVersion": "1.0.0"}')
    with open(f"{folder}/index.json", "w", encoding="ascii") as text:
        json.dump({"schemaVersion": 2, "manifests": [image.descriptor(
            annotations={"org.opencontainers.image.ref.name": tag})]}, text)
    return folder


def directory(image, folder):
    """Writes an image as skopeo's "dir:" has it, which takes manifests of any kind; returns the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    files = {"version": b"Directory Transport Version: 1.1\n", "manifest.json": image.manifest,
             **{images.digest(data): data for data in image.blobs.values()}}
    for name, data in files.items():
        with open(os.path.join(folder, name), "wb") as out:
            out.write(data)
    return folder
