"""Tar archives byte by byte, with every field as the test wants it, wrong ones too; and image archives around them.

Nothing here uses tarfile: it writes only what is right.
"""

import gzip
import hashlib
import json
import subprocess
import zlib

END = bytes(1024)
MEDIA = "application/vnd.oci.image."


def octal(value, size):
    """A number as headers have it: octal where it fits, else base 256."""
    if 0 <= value < 8 ** (size - 1):
        return b"%0*o\0" % (size - 1, value)
    data = bytearray((value % 256 ** (size - 1)).to_bytes(size, "big") if value >= 0 else (256 ** size + value).to_bytes(size, "big"))
    data[0] = 0x80 | data[0] if value >= 0 else 0xff
    return bytes(data)


def head(name, kind=b"0", size=0, link=b"", mode=0o644, uid=0, gid=0, mtime=0, device=(0, 0), magic=b"ustar\x0000", raw=None, off=0):
    """One header block. raw: position -> bytes, put over what would be there; off: how far the checksum is wrong."""
    data = bytearray(512)

    def put(at, what):
        data[at:at + len(what)] = what
    put(0, name[:100])
    for at, value in ((100, mode), (108, uid), (116, gid)):
        put(at, octal(value, 8))
    for at, value in ((124, size), (136, mtime)):
        put(at, octal(value, 12))
    put(148, b" " * 8)
    put(156, kind)
    put(157, link[:100])
    put(257, magic)
    for at, value in ((329, device[0]), (337, device[1])):
        put(at, octal(value, 8))
    for at, what in (raw or {}).items():
        put(at, what)
    put(148, b"%06o\0 " % (sum(data) + off))
    return bytes(data)


def pad(data):
    return data + bytes(-len(data) % 512)


def pax(records, kind=b"x"):
    """An extended header: (key, value) pairs, or bytes as they are."""
    text = records if isinstance(records, bytes) else b"".join(record(*item) for item in records)
    return head(b"PaxHeaders/x", kind, len(text)) + pad(text)


def record(key, value):
    rest = len(key) + len(value) + 3
    size = rest + 1
    while rest + len(str(size)) != size:
        size = rest + len(str(size))
    return b"%d %s=%s\n" % (size, key, value)


def member(name, data=b"", kind=b"0", more=None, **fields):
    """A member; more: pax records in front of it."""
    if len(name) > 100:
        more = [*(more or []), (b"path", name)]
    return (pax(more) if more else b"") + head(name, kind, fields.pop("size", len(data)), **fields) + pad(data)


def folder(name, **fields):
    return member(name, kind=b"5", mode=fields.pop("mode", 0o755), **fields)


def symlink(name, target, **fields):
    return member(name, kind=b"2", link=target, **fields)


def hardlink(name, target, **fields):
    return member(name, kind=b"1", link=target, **fields)


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def zstd(data, *words):
    """By Debian's zstd, which writes any window."""
    return subprocess.run(["zstd", "-q", "-c", *words], input=data, stdout=subprocess.PIPE, check=True).stdout


def xz(data, *words):
    return subprocess.run(["xz", "-c", "-T1", *words], input=data, stdout=subprocess.PIPE, check=True).stdout


def zeros(head_, count, tail=b""):
    """gzip of head_, `count` MiB of zeros, tail, at a thousandth of the work: one block's code is repeated."""
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = pack.compress(head_) + pack.flush(zlib.Z_FULL_FLUSH)
    block = pack.compress(bytes(1 << 20)) + pack.flush(zlib.Z_FULL_FLUSH)
    last = pack.compress(tail) + pack.flush()
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + first + block * count + last + bytes(8)


def config(diff_ids, **more):
    return {"architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z", "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}, **more}


def text(value):
    """A document: what is no bytes yet becomes JSON."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def docker(blob, plain=None, name="t/hostile:1", **changes):
    """A docker-archive of one layer. changes: config, manifest, config_name replace what would be there; more: members."""
    plain = blob if plain is None else plain
    conf = text(changes.get("config", config([changes.get("diff_id", digest(plain))])))
    conf_name = changes.get("config_name", b"c.json")
    listing = text(changes.get("manifest", [{"Config": conf_name.decode(), "RepoTags": [name] if name else None, "Layers": ["l.tar"]}]))
    return (member(conf_name, conf) + member(b"manifest.json", listing) + changes.get("more", b"") + member(b"l.tar", blob) + END)


def oci(blob, plain=None, kind="layer.v1.tar+gzip", **changes):
    """An OCI layout of one layer. Each document can be changed by a function of the name config, manifest, index, layer
    (which gets it decoded and returns it, or bytes); blob_config and so on change the bytes behind a digest."""
    plain = gzip.decompress(blob) if plain is None else plain
    out = member(b"oci-layout", b'{"imageLayoutVersion": "1.0.0"}')

    def store(key, data, media):
        nonlocal out
        about = {"mediaType": MEDIA + media, "digest": digest(data), "size": len(data)}
        swapped = changes.get("blob_" + key, data)
        if swapped is not None:
            out += member(b"blobs/sha256/" + about["digest"][7:].encode(), swapped)
        return changes.get("about_" + key, lambda it: it)(about)

    def made(key, value):
        return text(changes.get(key, lambda it: it)(value))
    layer = store("layer", blob, kind)
    conf = store("config", made("config", config([digest(plain)])), "config.v1+json")
    manifest = store("manifest", made("manifest", {
        "schemaVersion": 2, "mediaType": MEDIA + "manifest.v1+json", "config": conf, "layers": [layer]}), "manifest.v1+json")
    manifest["annotations"] = {"io.containerd.image.name": "t/hostile:1"}
    return out + member(b"index.json", made("index", {"schemaVersion": 2, "manifests": [manifest]})) + changes.get("more", b"") + END
