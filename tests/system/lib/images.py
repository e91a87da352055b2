"""Makes image archives at test time: docker-archive or OCI layout, from files, directories or layer tars.

The archives are plain data here; what is in a test image is written in the test. Nothing is fetched but Debian
packages (debian_tar).
"""

import hashlib
import io
import json
import os
import subprocess
import tarfile

from .vm import TOP

KEPT = os.path.join(TOP, "build/tests")     # what takes long to make; named by what it is made of


def digest(data):
    return hashlib.sha256(data).hexdigest()


def layer(files):
    """A layer as bytes. files: path -> bytes (a program when it starts with ELF or #!), or None: a directory,
    or ("link", target), or a tarfile.TarInfo with its own ideas."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, what in files.items():
            info = what if isinstance(what, tarfile.TarInfo) else tarfile.TarInfo(path)
            data = None
            if what is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(what, tuple):
                info.type, info.linkname = tarfile.SYMTYPE, what[1]
            elif isinstance(what, bytes):
                info.size, data = len(what), io.BytesIO(what)
                info.mode = 0o755 if what[:4] == b"\x7fELF" or what[:2] == b"#!" else 0o644
            tar.addfile(info, data)
    return raw.getvalue()


def _add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


def config_of(layers, config):
    return json.dumps({
        "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z", "config": config,
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest(item) for item in layers]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "tests"} for _item in layers],
    }).encode()


def docker_archive(path, name, layers, config):
    """Writes what `docker save` writes."""
    image = config_of(layers, config)
    with tarfile.open(path, "w") as tar:
        names = []
        for item in layers:
            names.append(f"{digest(item)}/layer.tar")
            _add(tar, names[-1], item)
        _add(tar, f"{digest(image)}.json", image)
        _add(tar, "manifest.json", json.dumps(
            [{"Config": f"{digest(image)}.json", "RepoTags": [name] if name else [], "Layers": names}]).encode())
    return path


def oci_archive(path, name, layers, config):
    """Writes an OCI image layout as one tar."""
    blobs = {}

    def blob(data, kind):
        blobs[digest(data)] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": "sha256:" + digest(data), "size": len(data)}

    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(config_of(layers, config), "config.v1+json"),
        "layers": [blob(item, "layer.v1.tar") for item in layers]}).encode()
    top = blob(manifest, "manifest.v1+json")
    top["annotations"] = {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": name}
    with tarfile.open(path, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": [top]}).encode())
        for name_, data in blobs.items():
            _add(tar, f"blobs/sha256/{name_}", data)
    return path


def busybox_files():
    """The build's own BusyBox with all its names, and what programs expect of a root: a small image for tests."""
    folder = subprocess.run([os.path.join(TOP, "image-tools/package"), "busybox", "target"], check=True,
                            stdout=subprocess.PIPE, text=True).stdout.strip()
    with open(os.path.join(folder, "bin/busybox"), "rb") as data:
        program_ = data.read()
    with open(os.path.join(folder, "bin/busybox.links"), encoding="ascii") as text:
        names = [os.path.basename(line.strip()) for line in text if line.strip()]
    files = {"bin": None, "etc": None, "tmp": None, "var": None, "root": None, "home": None, "bin/busybox": program_,
             "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n",
             "etc/group": b"root:x:0:\nusers:x:1000:user\nmore:x:2000:user\n"}
    files.update({f"bin/{name}": ("link", "busybox") for name in names if name != "busybox"})
    return files


def busybox_image(path, name="test/busybox:latest", more=None, config=None, write=docker_archive):
    """Writes an image of BusyBox, with more files in a second layer where there are any."""
    layers = [layer(busybox_files())] + ([layer(more)] if more else [])
    return write(path, name, layers, {"Cmd": ["sh"], "Env": ["PATH=/bin:/usr/bin"], **(config or {})})


def program(source, *words):
    """Compiles a C program of tests/system/programs, static; returns its path."""
    source = os.path.join(TOP, "tests/system/programs", source)
    with open(source, "rb") as text:
        path = os.path.join(KEPT, f"{os.path.basename(source)[:-2]}-{digest(text.read())[:12]}")
    if not os.path.exists(path):
        os.makedirs(KEPT, exist_ok=True)
        subprocess.run(["gcc", "-static", "-Os", "-Wall", "-Wextra", "-Werror", "-o", f"{path}.{os.getpid()}", source,
                        *words], check=True)
        os.rename(f"{path}.{os.getpid()}", path)
    return path


def _as_root(*words):
    return [*([] if os.getuid() == 0 else ["sudo"]), *words]


def debian_tar(name, packages, script=""):
    """A root file system of Debian packages as a tar, by debootstrap; kept by what it was made of. script runs in it
    at the end. Returns the path of the tar."""
    suite = subprocess.run(["sh", "-c", ". /etc/os-release; echo $VERSION_CODENAME"], check=True,
                           stdout=subprocess.PIPE, text=True).stdout.strip()
    key = digest(json.dumps([suite, packages, script, 1]).encode())[:12]
    path = os.path.join(KEPT, f"{name}-{key}.tar")
    if os.path.exists(path):
        return path
    os.makedirs(KEPT, exist_ok=True)
    root = f"{path}.root"
    subprocess.run(_as_root("rm", "-rf", root), check=True)
    subprocess.run(_as_root("debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite, root,
                            mirror()), check=True, stdout=subprocess.DEVNULL)
    clean = "rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/* /usr/share/doc/* /usr/share/locale/*"
    subprocess.run(_as_root("chroot", root, "sh", "-ec", f"{script or ':'}\n{clean}"), check=True)
    subprocess.run(_as_root("tar", "-C", root, "--one-file-system", "--exclude=./dev/*", "--numeric-owner", "-cf",
                            f"{path}.new", "."), check=True)
    subprocess.run(_as_root("rm", "-rf", root), check=True)
    os.rename(f"{path}.new", path)
    return path


def mirror():
    """The Debian archive that this machine's apt uses."""
    shown = subprocess.run(["apt-get", "indextargets", "--format", "$(CREATED_BY)|$(LABEL)|$(REPO_URI)"], check=True,
                           stdout=subprocess.PIPE, text=True).stdout
    for line in shown.splitlines():
        kind, label, uri = line.split("|")
        if (kind, label) == ("Packages", "Debian"):
            return uri
    raise RuntimeError("this machine's apt has no Debian archive; run 'apt-get update'")
