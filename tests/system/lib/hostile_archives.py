"""Hostile image archives (threats.md part C, rows 45 to 58), as rows like those of hostile_layers: streams that grow, end too
early or carry something else, and documents that lie, contradict themselves or mean two things. A want that is a tree is that
of the only layer. Some rows have limits of their own.
"""

import gzip
import json
import zlib

from . import rawtar
from .rawtar import END, MEDIA, config, digest, docker, folder, head, hardlink, member, oci, pad, symlink, xz, zeros, zstd

ROWS = []
FILE = member(b"f", b"x")
TAR = FILE + END
TREE = {"f": "fx"}
PACKED = gzip.compress(TAR, mtime=0)
MB = 1 << 20


def row(name, want, make, **limits):
    ROWS.append((name, make if callable(make) else lambda: make, want, limits))


# --- compressed streams ---------------------------------------------------------------------------------------
def noise(size, seed=1):
    """Bytes that do not compress, the same ones every time."""
    out = bytearray()
    while len(out) < size:
        seed = (seed * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        out += seed.to_bytes(8, "big")
    return bytes(out[:size])


PACKERS = {"gzip": lambda data: gzip.compress(data, mtime=0), "zstd": zstd, "xz": lambda data: xz(data, "-3")}
TEXT = member(b"f", noise(3000)) + END
for way, packer in PACKERS.items():
    row(f"{way}: right", TREE, lambda packer=packer: docker(packer(TAR), TAR))
    row(f"{way}: the whole archive", TREE, lambda packer=packer: packer(docker(TAR)))
    row(f"{way}: the archive and the layer", TREE, lambda packer=packer: packer(docker(packer(TAR), TAR)))
    row(f"{way}: twice", "bad tar data", lambda packer=packer: docker(packer(packer(TAR)), TAR))
    row(f"{way}: the archive twice", "bad tar data", lambda packer=packer: packer(packer(docker(TAR))))
    row(f"{way}: nothing in it", {}, lambda packer=packer: docker(packer(b""), b""))
    row(f"{way}: two streams", TREE, lambda packer=packer: docker(packer(TAR[:700]) + packer(TAR[700:]), TAR))
    for place, at in (("in the magic", 2), ("behind the magic", 6), ("in the head", 9), ("in the middle", -1600), ("in the trailer", -3)):
        row(f"{way}: cut {place}", f"bad {way} data" if at != 2 or way == "gzip" else "Unrecognized archive format", lambda packer=packer, at=at: docker(packer(TEXT)[:at], TEXT))
    row(f"{way}: the archive, cut", f"bad {way} data", lambda packer=packer: packer(docker(TEXT))[:-1500])
    row(f"{way}: a bit flipped", f"bad {way} data", lambda packer=packer: docker(flipped(packer(TEXT)), TEXT))
    row(f"{way}: another layer's", "the image's config says", lambda packer=packer: docker(packer(TAR), TEXT))


def flipped(data):
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def gz(flags, extra, body=None):
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = TAR if body is None else body
    return (b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + extra + pack.compress(data) + pack.flush() +
            zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little"))


row("gzip: with a name", TREE, docker(gz(8, b"../../etc/passwd\0"), TAR))
row("gzip: with a name of 2 MB", TREE, lambda: docker(gz(8, b"n" * (2 * MB) + b"\0"), TAR))
row("gzip: with an extra field", TREE, docker(gz(4, b"\4\0abcd"), TAR))
row("gzip: with all fields", TREE, lambda: docker(gz(0x1f, b"\4\0abcdname\0comment\0" + (
    zlib.crc32(b"\x1f\x8b\x08\x1f" + bytes(6) + b"\4\0abcdname\0comment\0") & 0xffff).to_bytes(2, "little")), TAR))
row("gzip: with all fields, and a wrong sum of them", "header crc mismatch", docker(gz(0x1f, b"\4\0abcdname\0comment\0xx"), TAR))
row("gzip: a wrong sum", "incorrect data check", docker(PACKED[:-8] + b"xxxx" + PACKED[-4:], TAR))
row("gzip: a wrong length", "incorrect length check", docker(PACKED[:-4] + b"xxxx", TAR))
row("gzip: with reserved flags", "unknown header flags set", docker(gz(0xe0, b""), TAR))
row("gzip: method 9", "unknown compression method", docker(PACKED[:2] + b"\x09" + PACKED[3:], TAR))
row("gzip: noise behind", "something else follows it", docker(PACKED + b"noise" * 100, TAR))
row("gzip: zeros behind", TREE, docker(PACKED + bytes(2048), TAR))
row("zstd: skippable frames", TREE, lambda: docker(b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstd(TAR), TAR))
row("zstd: a skippable frame of 4 GB", "Truncated zstd input", lambda: docker(b"\x50\x2a\x4d\x18\xff\xff\xff\xff" + zstd(TAR), TAR))
row("zstd: only a skippable frame", {}, docker(b"\x50\x2a\x4d\x18\x04\0\0\0abcd", b""))
row("zstd: a dictionary that nobody has", "Dictionary mismatch", docker(b"\x28\xb5\x2f\xfd\x03\x00\x01\x02\x03\x04" + bytes(64), TAR))
row("zstd: a window of 2 GB", "needs a window of", docker(b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(64), TAR))
row("zstd: a window of 2 GB in the second frame", "requires too much memory", lambda: docker(zstd(TAR[:512]) + b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(64), TAR))
row("zstd: a window of 3.75 TB", "needs a window of", docker(b"\x28\xb5\x2f\xfd\x00\xff" + bytes(64), TAR))
row("zstd: content of 16 EB in one segment", "needs a window of", docker(b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 8 + bytes(64), TAR))
row("zstd: a window of 128 MB", "needs a window of", lambda: docker(zstd(TAR + bytes(130 * MB), "--long=27", "-1"), TAR))
row("zstd: a window of 8 MB", TREE, lambda: docker(zstd(TAR + bytes(20 * MB), "-19"), TAR + bytes(20 * MB)))
row("xz: a dictionary of 64 MB", "memory", lambda: docker(xz(TAR, "-9"), TAR))
row("xz: a dictionary of 8 MB", TREE, lambda: docker(xz(TAR, "-6"), TAR))
for name, magic in (("bzip2", b"BZh91AY&SY"), ("lz4", b"\x04\x22\x4d\x18"), ("lzma", b"\x5d\0\0\x80\0"), ("lzop", b"\x89LZO\0\r\n\x1a\n"), ("lzip", b"LZIP\1")):
    row(f"{name}: a layer", "compression is not supported", docker(magic + bytes(600), TAR))
    row(f"{name}: the archive", "compression is not supported", magic + bytes(600))
for name, magic in (("zip", b"PK\3\4"), ("cpio", b"070701"), ("ar", b"!<arch>\n"), ("7z", b"7z\xbc\xaf\x27\x1c"), ("rpm", b"\xed\xab\xee\xdb"),
                    ("squashfs", b"hsqs"), ("ELF", b"\x7fELF"), ("compress", b"\x1f\x9d\x90"), ("uuencode", b"begin 644 x\n"), ("mtree", b"#mtree\n")):
    row(f"{name} is no tar", "bad tar data", magic + bytes(600))

# --- bombs ------------------------------------------------------------------------------------------------------
GROWS = "grows by more than 250 times"
row("bomb: 10 GB of zeros in 10 MB, a file of a layer", GROWS, lambda: docker(zeros(head(b"f", size=10240 * MB), 10240, END), TAR))
row("bomb: 10 GB of zeros behind a layer's end", GROWS, lambda: docker(zeros(TAR, 10240), TAR))
row("bomb: 10 GB of zeros, the archive", "not an image archive", lambda: zeros(b"", 10240))
row("bomb: 10 GB of zeros, a document", GROWS, lambda: zeros(head(b"manifest.json", size=10240 * MB), 10240, END))
row("bomb: 10 GB behind the archive's end", TREE, lambda: zeros(docker(TAR), 10240))
row("bomb: gzip of gzip", GROWS, lambda: gzip.compress(docker(zeros(head(b"f", size=1024 * MB), 1024, END), TAR), mtime=0))
row("bomb: zstd", GROWS, lambda: docker(zstd(head(b"f", size=200 * MB) + bytes(200 * MB) + END), TAR))
row("bomb: xz", GROWS, lambda: docker(xz(head(b"f", size=200 * MB) + bytes(200 * MB) + END, "-1"), TAR))

# --- documents: an OCI layout with one thing wrong ---------------------------------------------------------------


def changed(name, want, **changes):
    row(f"oci: {name}", want, lambda: oci(PACKED, TAR, **changes))


def put(**values):
    return lambda it: {**it, **values}


def top(**values):
    """Changes the only descriptor of index.json."""
    return lambda it: {**it, "manifests": [{**it["manifests"][0], **values}]}


def words(old, new):
    """Changes the document's text."""
    return lambda it: json.dumps(it).replace(old, new, 1).encode()


changed("right", TREE)
changed("the layer's bytes are others", "the blob has", blob_layer=gzip.compress(member(b"f", b"evil") + END, mtime=0))
changed("the layer is longer", "the blob has", blob_layer=PACKED + bytes(10))
changed("the layer is shorter", "it ends in the middle|the blob has", blob_layer=PACKED[:-4])
changed("the layer is not there", "the archive has no", blob_layer=None)
changed("the config's bytes are others", "its descriptor says", blob_config=json.dumps(config([digest(TAR)], os="linux ")).encode())
changed("the config is not there", "the archive has no", blob_config=None)
changed("the manifest's bytes are others", "its descriptor says", blob_manifest=b"{}")
changed("the manifest is not there", "the archive has no", blob_manifest=None)
changed("a layer of another digest", "the archive has no", about_layer=put(digest="sha256:" + "0" * 64))
changed("a layer of another size", "its descriptor says", about_layer=put(size=len(PACKED) + 1))
changed("a layer of no bytes", "its descriptor says 0", about_layer=put(size=0))
changed("a layer with foreign addresses", TREE, about_layer=put(urls=["http://127.0.0.1:1/x", "file:///etc/passwd"]))
changed("a layer with data inside", TREE, about_layer=put(data="ZXZpbA=="))
changed("a layer that is a manifest", "not a media type of a layer", about_layer=put(mediaType=MEDIA + "manifest.v1+json"))
changed("a layer said to be plain", TREE, about_layer=put(mediaType=MEDIA + "layer.v1.tar"))
changed("a layer of an encrypted kind", "not a media type of a layer", about_layer=put(mediaType=MEDIA + "layer.v1.tar+gzip+encrypted"))
changed("a media type of 5000 bytes", "is too long", about_layer=put(mediaType="a" * 5000))
changed("a media type that is a number", "mediaType", about_layer=put(mediaType=7))
changed("a config of another kind", "not a media type of an image's config", about_config=put(mediaType="application/vnd.cncf.helm.config.v1+json"))
changed("the empty config of artifacts", "not a media type of an image's config", about_config=put(mediaType="application/vnd.oci.empty.v1+json"))
changed("a config of another size", "its descriptor says", about_config=put(size=3))
for number, text in enumerate(("sha256:", "sha256:../../../../etc/passwd", "sha256:" + "0" * 63, "sha256:" + "0" * 65, "sha256:" + "A" * 64, "SHA256:" + "0" * 64,
                               "md5:" + "0" * 32, "sha512:" + "0" * 128, "sha256:" + "0" * 62 + "\0x", "0" * 64, "", "sha256:" + "0" * 60 + "/../", "a" * 5000)):
    changed(f"a bad digest {number}", "holds a NUL" if "\0" in text else "digest", index=top(digest=text))
for number, size in enumerate((-1, 1.5, "100", None, [], 1 << 63, 1 << 64, 10 ** 30, True)):
    changed(f"a bad size {number}", "size", index=top(size=size))
changed("no size", "size: missing", index=lambda it: {**it, "manifests": [{key: it["manifests"][0][key] for key in ("mediaType", "digest")}]})
changed("manifest and index at once", "a manifest and an index at once", manifest=put(manifests=[]))
changed("index and manifest at once", "a manifest and an index at once", index=put(layers=[]))
changed("a config beside manifests", "a manifest and an index at once", index=put(config={}))
changed("neither", "neither a manifest", manifest=lambda it: {"schemaVersion": 2})
changed("the index is a manifest", "it must be an index", index=lambda it: {"schemaVersion": 2, "layers": []})
changed("mediaType says index", "its mediaType is", manifest=put(mediaType=MEDIA + "index.v1+json"))
changed("the descriptor says index", "its mediaType is", index=top(mediaType=MEDIA + "index.v1+json"))
changed("both say index", "does not fit a manifest", manifest=put(mediaType=MEDIA + "index.v1+json"), index=top(mediaType=MEDIA + "index.v1+json"))
changed("Layers in capitals too", "must be written", manifest=put(Layers=[]))
changed("LAYERS instead", "must be written", manifest=words('"layers"', '"LAYERS"'))
changed("a Turkish K", TREE, manifest=put(**{"\u212aonfig": {}}))
changed("layers twice", "stands twice", manifest=words('"layers"', '"layers": [], "layers"'))
changed("config twice", "stands twice", manifest=words('"config"', '"config": {}, "config"'))
changed("the digest twice", "stands twice", index=words('"digest"', '"digest": "x", "digest"'))
changed("diff_ids twice", "stands twice", config=words('"diff_ids"', '"diff_ids": [], "diff_ids"'))
changed("a key twice, deep inside", "stands twice", config=words('"config": {}', '"config": {"Labels": {"a": "1", "a": "2"}}'))
changed("a key twice, once escaped", "stands twice", manifest=words('"layers"', '"l\\u0061yers": [], "layers"'))
changed("schema 1", "schemaVersion is 1", manifest=put(schemaVersion=1))
changed("schema 3", "schemaVersion is 3", manifest=put(schemaVersion=3))
changed("schema as text", "schemaVersion", manifest=put(schemaVersion="2"))
for key, value, want in (("config", None, "config: missing"), ("config", 7, "expected an object"), ("config", "x", "expected an object"),
                         ("config", [], "expected an object"), ("config", {}, "mediaType: missing"), ("layers", None, "layers: missing"),
                         ("layers", 7, "expected an array"), ("layers", "x", "expected an array"), ("layers", {}, "expected an array"),
                         ("layers", [[]], "a descriptor must be an object")):
    changed(f"{key} is {value}", want, manifest=put(**{key: value}))
changed("no manifests", "holds no image", index=put(manifests=[]))
changed("manifests null", "expected an array, found null", index=put(manifests=None))
changed("manifests of null", "must be an object", index=put(manifests=[None]))
changed("300 images", "more than 256 images", index=lambda it: {**it, "manifests": it["manifests"] * 300})
changed("130 layers", "more than 125 layers", manifest=lambda it: {**it, "layers": it["layers"] * 130})
changed("an artifact", TREE, manifest=put(artifactType="application/x"))
changed("a subject", TREE, manifest=put(subject={"mediaType": MEDIA + "manifest.v1+json", "digest": "sha256:" + "0" * 64, "size": 3}))
changed("another platform", "there is linux/s390x", index=top(platform={"os": "linux", "architecture": "s390x"}))
changed("an attestation only", "holds no image", index=top(platform={"os": "unknown", "architecture": "unknown"}, annotations={"vnd.docker.reference.type": "attestation-manifest"}))
for number, text in enumerate(("../../A", "a:b:c", "", "a@sha256:" + "0" * 64, "UPPER", "a/../b", "a" * 300, "a:" + "t" * 129, "a\0b", "a b", "-a", "a:.x", "\u00e4")):
    words_ = ("holds a NUL" if "\0" in text else "must not hold a digest" if "@" in text else
              "more than 255 characters" if len(text) == 300 else "invalid reference format")
    changed(f"a bad name {number}", words_, index=top(annotations={"io.containerd.image.name": text}))
    changed(f"a bad name by the reference {number}", words_ if "\0" in text else TREE, index=top(annotations={"org.opencontainers.image.ref.name": text + ":/"}))

# --- the config -----------------------------------------------------------------------------------------------------
ID = digest(TAR)
changed("config: windows", "only linux images run here", config=put(os="windows"))
changed("config: os of a wrong kind", "os", config=put(os=7))
changed("config: rootfs of squashfs", "rootfs must be", config=put(rootfs={"type": "squashfs", "diff_ids": [ID]}))
changed("config: no rootfs", "rootfs must be", config=lambda it: {"os": "linux"})
changed("config: rootfs null", "rootfs must be", config=put(rootfs=None))
changed("config: no diff ids", "rootfs.diff_ids has 0 entries", config=put(rootfs={"type": "layers", "diff_ids": []}))
changed("config: two diff ids", "rootfs.diff_ids has 2 entries", config=put(rootfs={"type": "layers", "diff_ids": [ID, ID]}))
changed("config: a diff id of another layer", "the image's config says", config=put(rootfs={"type": "layers", "diff_ids": [digest(b"")]}))
changed("config: a diff id that is a path", "diff_ids", config=put(rootfs={"type": "layers", "diff_ids": ["sha256:../../x"]}))
changed("config: a diff id of sha512", "only sha256", config=put(rootfs={"type": "layers", "diff_ids": ["sha512:" + "0" * 128]}))
changed("config: diff ids of numbers", "diff_ids", config=put(rootfs={"type": "layers", "diff_ids": [1]}))
changed("config: an array", "expected an object, found array", config=lambda it: [it])
changed("config: a text", "is not a JSON document", config=lambda it: "x")
changed("config: empty", "is not a JSON document", config=lambda it: b"")
changed("config: null", "is not a JSON document", config=lambda it: b"null")
changed("config: NUL in it", "unexpected content after document", config=lambda it: json.dumps(it).encode() + b"\0")
changed("config: not UTF-8", "invalid UTF-8", config=lambda it: json.dumps(it).encode().replace(b"amd64", b"\xff\xfe"))
changed("config: a byte order mark", "is not a JSON document", config=lambda it: b"\xef\xbb\xbf" + json.dumps(it).encode())
changed("config: comments", "is not a JSON document", config=lambda it: b"/* x */" + json.dumps(it).encode())
changed("config: a comma at the end", "trailing comma", config=lambda it: json.dumps(it).encode()[:-1] + b",}")
changed("config: NaN", "expected a valid JSON value", config=lambda it: json.dumps({**it, "x": float("nan")}).encode())
changed("config: 33 deep", "nested deeper than 32", config=lambda it: json.dumps(it).encode()[:-1] + b', "x": ' + b"[" * 33 + b"]" * 33 + b"}")
changed("config: 31 deep", TREE, config=lambda it: json.dumps(it).encode()[:-1] + b', "x": ' + b"[" * 31 + b"]" * 31 + b"}")
changed("config: a million deep", "nested more than 64 deep", config=lambda it: json.dumps(it).encode()[:-1] + b', "x": ' + b"[" * MB + b"]" * MB + b"}")
changed("config: 4 MiB of numbers", "out of memory for a JSON document", config=lambda it: json.dumps(it).encode()[:-1] + b', "x": [' + b"1," * (2 * MB - 300) + b"1]}")
changed("config: 4 MiB of objects", "out of memory for a JSON document", config=lambda it: json.dumps(it).encode()[:-1] + b', "x": [' + b"{}," * (MB + MB // 4) + b"1]}")
changed("config: 300000 keys", "out of memory for a JSON document", config=lambda it: json.dumps({**it, "x": {f"{n}": 1 for n in range(300000)}}).encode())
changed("config: 5 MB", "longer than the 4194304 bytes", config=put(x="y" * (5 * MB)))
for key in ("Labels", "Env", "Cmd", "Entrypoint", "User", "WorkingDir", "ExposedPorts", "Volumes", "Healthcheck", "StopSignal"):
    changed(f"config: {key} of a wrong kind", TREE, config=put(config={key: [7, {}]}))

# --- docker-archives -------------------------------------------------------------------------------------------------


def listed(name, want, **changes):
    row(f"docker: {name}", want, lambda: docker(TAR, **changes))


ENTRY = {"Config": "c.json", "RepoTags": ["t/hostile:1"], "Layers": ["l.tar"]}
listed("right", TREE)
listed("no image", "holds no image", manifest=[])
listed("an object", "expected an array", manifest={})
listed("null", "not a JSON document", manifest=b"null")
listed("of null", "expected an object", manifest=[None])
listed("half", "manifest.json", manifest=b'[{"Config": "c.json"')
listed("two documents", "manifest.json", manifest=b"[][]")
listed("a text", "not a JSON document", manifest=b"hello")
for key, value, want in (
        ("Config", None, "Config: missing"), ("Config", 7, "expected a string"), ("Config", "", 'has no ""'), ("Config", "nowhere.json", "has no"),
        ("Config", "../../../etc/passwd", "has no"), ("Config", "/etc/passwd", "has no"), ("Config", "l.tar", "is not a JSON document"),
        ("Config", "c.json\0x", "holds a NUL"), ("Config", ".", "has no"), ("Config", "a" * 5000, "has no"),
        ("Layers", "x", "expected an array"), ("Layers", 7, "expected an array"), ("Layers", [7], "expected a string"),
        ("Layers", [None], "expected a string"), ("Layers", ["nowhere.tar"], "has no"), ("Layers", ["/etc/passwd"], "has no"),
        ("Layers", ["../l.tar"], "has no"), ("Layers", ["c.json"], "bad tar data"), ("Layers", ["l.tar", "l.tar"], "the image has 2 layers"),
        ("Layers", [], "the image has 0 layers"), ("Layers", None, "the image has 0 layers"),
        ("RepoTags", "x", "expected an array"), ("RepoTags", [7], "expected a string"), ("RepoTags", ["../x"], "invalid reference format"),
        ("RepoTags", ["UP:1"], "must be lowercase"), ("RepoTags", ["a@sha256:" + "0" * 64], "must not hold a digest"),
        ("RepoTags", [""], "invalid reference format"), ("RepoTags", ["a:1", None], "expected a string")):
    listed(f"{key} is {str(value)[:24]!r}", want, manifest=[{**ENTRY, key: value}])
listed("no Config", "Config", manifest=[{"Layers": ["l.tar"]}])
listed("Config twice", "stands twice", manifest=b'[{"Config": "x", "Config": "c.json", "Layers": ["l.tar"]}]')
listed("a Parent that is a path", TREE, manifest=[{**ENTRY, "Parent": "../../etc"}])
listed("foreign LayerSources", TREE, manifest=[{**ENTRY, "LayerSources": {ID: {"mediaType": "x", "size": 1, "digest": "sha256:0", "urls": ["http://127.0.0.1:1/"]}}}])
listed("the config's name lies", "its content has the digest", config_name=b"0" * 64 + b".json")
listed("a layer with another diff id", "the image's config says", diff_id="sha256:" + "0" * 64)
listed("manifest.json twice", "twice", more=member(b"manifest.json", b"[]"))
listed("the config twice", "twice", more=member(b"c.json", b"{}"))
listed("the layer twice", TREE, more=member(b"l.tar", TAR))
listed("index.json of another image", TREE, more=member(b"index.json", b'{"schemaVersion": 2, "manifests": [{"mediaType": "%s", "digest": "sha256:%s", "size": 3}]}' % (
    (MEDIA + "manifest.v1+json").encode(), b"0" * 64)))
listed("index.json that is broken", "index.json", more=member(b"index.json", b"[1"))
listed("repositories of old, lying", TREE, more=member(b"repositories", b'{"t/hostile": {"1": "../../x"}}'))
listed("a device beside", "holds only files, directories and links", more=member(b"x", kind=b"3", device=(1, 3)))
listed("a fifo beside", "holds only files, directories and links", more=member(b"x", kind=b"6"))
listed("dotdot beside", '".."', more=member(b"../x", b"evil"))
listed("a path of 33 parts", "components", more=member(b"a/" * 32 + b"a", b"x"))
listed("70000 folders and files", "more than 65536 entries", more=b"".join(head(b"%d" % n) for n in range(70000)))
listed("300000 folders", "more than 65536 entries", more=head(b"d", b"5") * 300000)
listed("5000 documents", "more than 4096 JSON documents", more=b"".join(member(b"%d" % n, b"{}") for n in range(5000)))


def long_names(count):
    return b"".join(rawtar.pax([(b"path", b"%07d" % n + (b"/" + b"x" * 250) * 15)]) + head(b"f") for n in range(count))


row("docker: 10000 names of 3800 bytes", "memory allowed", lambda: docker(TAR, more=long_names(10000)))


def linked(name, want, *parts):
    """An archive whose manifest.json is reached by links."""
    row(f"docker: links: {name}", want, lambda: member(b"c.json", rawtar.text(config([ID]))) + member(b"l.tar", TAR) + b"".join(parts) + END)


MANIFEST = member(b"real.json", rawtar.text([ENTRY]))
linked("a symlink", TREE, MANIFEST, symlink(b"manifest.json", b"real.json"))
linked("a hard link", TREE, MANIFEST, hardlink(b"manifest.json", b"real.json"))
linked("a symlink to the machine", "not an image archive", symlink(b"manifest.json", b"../../../../etc/passwd"))
linked("a hard link to the machine", "not an image archive", hardlink(b"manifest.json", b"/etc/passwd"))
linked("to itself", "not an image archive", symlink(b"manifest.json", b"manifest.json"))
linked("a loop", "not an image archive", symlink(b"manifest.json", b"a"), symlink(b"a", b"manifest.json"))
linked("nine in a row", "not an image archive", MANIFEST, symlink(b"manifest.json", b"l1"),
       *(symlink(b"l%d" % n, b"l%d" % (n + 1)) for n in range(1, 9)), symlink(b"l9", b"real.json"))
linked("a folder", "not an image archive", folder(b"manifest.json"))

row("nothing at all", "not an image archive", b"")
row("only the end", "not an image archive", END)
row("a README", "not an image archive", member(b"README", b"hello") + END)
row("a layer alone", "not an image archive", TAR)
row("oci-layout alone", "not an image archive", member(b"oci-layout", b'{"imageLayoutVersion": "1.0.0"}') + END)
row("cut in the layer", "Truncated tar|in the middle of an entry", docker(member(b"f", noise(9000)) + END)[:-6000])
row("cut behind the layer's header", "Truncated tar", docker(TAR)[:-len(END) - len(TAR)])
row("cut before the layer", "the archive has no", docker(TAR)[:-len(END) - len(TAR) - 512])
row("cut in the manifest", "Truncated tar", docker(TAR)[:1600])
row("a layer said to have 8 GB", "Truncated tar|in the middle of an entry", member(b"c.json", rawtar.text(config([ID]))) + member(b"manifest.json", rawtar.text([ENTRY])) + head(b"l.tar", size=8 << 30) + pad(TAR))

# --- each limit, one below and one above --------------------------------------------------------------------------------
THREE = folder(b"d") + member(b"d/a", b"x") + member(b"d/b", b"y" * 5000) + END
WHOLE = {"d": "d", "d/a": "fx", "d/b": "f" + "y" * 5000}
for key, most, want in (("layer_entries", 3, "the layer has more than 2 entries"), ("layer_bytes", len(THREE), "more than"),
                        ("layers", 1, None), ("images", 1, None), ("depth", 2, "more than 1 components"), ("archive_entries", 3, "more than 2 entries"),
                        ("archive_bytes", len(docker(THREE)), "bytes allowed")):
    row(f"limit: {key} is just enough", WHOLE, docker(THREE), **{key: most})
    if want:
        row(f"limit: {key} is one too few", want, docker(THREE), **{key: most - 1})
row("limit: layers", "more than 1 layers", docker(THREE, manifest=[{**ENTRY, "Layers": ["l.tar", "l.tar"]}]), layers=1)
row("limit: images", "more than 1 images", docker(THREE, manifest=[ENTRY, ENTRY]), images=1)
row("limit: xattr_bytes", "more than 10 bytes of extended attributes",
    docker(member(b"f", b"x", more=[(b"SCHILY.xattr.user.a", b"12345678")]) + END), xattr_bytes=10)
row("limit: ratio", "grows by more than 3 times", docker(gzip.compress(THREE, mtime=0), THREE), ratio=3, ratio_from=1000)
row("limit: ratio_from", WHOLE, docker(gzip.compress(THREE, mtime=0), THREE), ratio=3, ratio_from=10240)
row("limit: memory", "needs a window of", lambda: docker(zstd(THREE + bytes(5 * MB), "-19"), THREE + bytes(5 * MB)), memory=8 << 20)
