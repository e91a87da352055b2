"""Hostile layers (threats.md part C, rows 39 to 46), as rows: a name, the tar, and what must come of it.

A row is accepted with exactly one tree, or refused with a text. The tree: path -> "d", "f" and the content, "l" and the
target, "p" (fifo), "c1:3", "b8:0" (devices; c0:0 is a whiteout); what is written down for the store's worker is there too,
as "o" (opaque) and "i" (a directory that the archive implies), below the key ">".
"""

from .rawtar import END, folder, hardlink, head, member, pad, pax, record, symlink

ROWS = []       # (name, function that makes the tar, the tree or the refusal's words)
OUT = b"../victim/hello"
LONG = b"n" * 255


def row(name, want, *parts):
    """A layer of these parts and an end; a part that is a function is called for its bytes when the row runs."""
    ROWS.append((name, lambda: b"".join(part() if callable(part) else part for part in parts) + END, want))


def bare(name, want, data):
    """The bytes as they are."""
    ROWS.append((name, data if callable(data) else lambda: data, want))


TREE = {"f": "fx"}
BAD = "bad tar data"

# --- names ------------------------------------------------------------------------------------------------
DOTS = 'holds ".."'
for number, path in enumerate((b"../x", b"/../x", b"a/../../x", b"./../x", b"a/..", b"..", b"../", b"../dest-evil/new", b"../fs-evil/f",
                               b"a/../b", b"..//..//etc/passwd", b"/" * 90 + b"../x")):
    row(f"name: dotdot {number}", DOTS, member(path, b"evil"))
for kind in b"1234567":
    row(f"name: dotdot, type {chr(kind)}", DOTS, member(b"../x", kind=bytes([kind]), link=b"a"))
row("name: dotdot in a pax path", DOTS, member(b"f", b"evil", more=[(b"path", b"../../victim/hello")]))
row("name: dotdot in the ustar prefix", DOTS, head(b"x", raw={345: b"../.."}))
row("name: dotdot in a GNU long name", DOTS, head(b"././@LongLink", b"L", 6), pad(b"../../x"[:6] + b"\0"), member(b"f", b"x"))
row("name: absolute", {"etc": "d", "etc/passwd": "fx", ">": "ietc"}, member(b"/etc/passwd", b"x"))
row("name: slashes and dots", {"a": "d", "a/b": "fx", ">": "ia"}, member(b"//.///a/.//./b", b"x"))
row("name: only a slash", {}, folder(b"/"))
row("name: the root as a file", "the layer's root must be a directory", member(b".", b"x"))
row("name: the root as a link", "the layer's root must be a directory", symlink(b"/", b"/etc"))
row("name: the root as a hard link", "the layer's root must be a directory", hardlink(b".", b"/etc"))
row("name: not UTF-8", {"\udcff\udcfe": "fx"}, member(b"\xff\xfe", b"x"))
row("name: not UTF-8 in pax", {"\udcff\udcfe": "fx"}, member(b"f", b"x", more=[(b"path", b"\xff\xfe")]))
row("name: not UTF-8, said to be binary", {"\udcff": "fx"}, member(b"f", b"x", more=[(b"hdrcharset", b"BINARY"), (b"path", b"\xff")]))
row("name: control characters", {"a\nb\x1b[2J": "fx"}, member(b"a\nb\x1b[2J", b"x"))
row("name: NUL inside the field", {"a": "fx"}, member(b"a\0/../../b", b"x"))
row("name: empty", "an entry has no name", member(b"", b"x"))
row("name: empty by pax", TREE, member(b"f", b"x", more=[(b"path", b"")]))
row("name: 255 bytes", {LONG.decode(): "fx"}, member(LONG, b"x"))
row("name: 256 bytes", "too long", member(b"n" * 256, b"x"))
row("name: 4200 bytes of path", "too long", member((LONG + b"/") * 16 + b"n" * 104, b"x"))
row("name: 256 deep", {**{"/".join("a" * n): "d" for n in range(1, 256)}, "/".join("a" * 256): "fx", ">": " ".join("i" + "/".join("a" * n) for n in range(1, 256))}, member(b"a/" * 255 + b"a", b"x"))
row("name: 257 deep", "more than 256 components", member(b"a/" * 256 + b"a", b"x"))
row("name: 3000 deep by pax", "components", member(b"f", b"x", more=[(b"path", b"a/" * 2000 + b"x")]))

# --- links: go-archive's matrix ---------------------------------------------------------------------------
TARGETS = (b"../victim/hello", b"/../victim/hello", b"../../../../../../victim/hello", b"d/../../victim/hello", b"..//victim/hello")
for number, to in enumerate(TARGETS):
    row(f"links: hard link out {number}", DOTS, folder(b"d"), hardlink(b"h", to, mode=0o755))
    row(f"links: hard link out by pax {number}", DOTS, folder(b"d"), hardlink(b"h", b"d", more=[(b"linkpath", to)]))
    row(f"links: symlink out {number}", {"d": "d", "s": "l" + to.decode()}, folder(b"d"), symlink(b"s", to))
    row(f"links: symlink out, a file in its place {number}", {"d": "d", "s": "fmine"}, folder(b"d"), symlink(b"s", to), member(b"s", b"mine"))
    row(f"links: symlink out, a hard link to it {number}", {"d": "d", "s": "l" + to.decode(), "h": "fmine"},
        folder(b"d"), symlink(b"s", to), hardlink(b"h", b"s"), member(b"h", b"mine", mode=0o777))
for number, to in enumerate((b"../victim", b"/victim", b"../../victim", b"/proc/self/root", b"/proc/self/cwd", b"/proc/1/root")):
    there = "cannot make the directory"
    row(f"links: file through a symlink out {number}", there, symlink(b"s", to), member(b"s/hello", b"evil"))
    row(f"links: new folder through a symlink out {number}", there, symlink(b"s", to), folder(b"s/newdir"), member(b"s/newdir/f", b"evil"))
    row(f"links: hard link through a symlink out {number}", "No such file", symlink(b"s", to), hardlink(b"h", b"s/hello"))
    row(f"links: folder in place of a symlink out {number}", {"s": "d", "s/hello": "fmine", ">": "os"},
        symlink(b"s", to), folder(b"s"), member(b"s/hello", b"mine"))
    row(f"links: folder replaced by a symlink out {number}", there,
        folder(b"s"), member(b"s/keep", b"1"), symlink(b"s", to), member(b"s/hello", b"evil"))
    row(f"links: whiteout through a symlink out {number}", there, symlink(b"s", to), member(b"s/.wh.hello"))
row("links: absolute hard link to the machine's file", "No such file", hardlink(b"h", b"/etc/hostname"))
row("links: absolute hard link inside", {"bin": "d", "bin/a": "fx", "bin/b": "fx", ">": "ibin"}, member(b"bin/a", b"x"), hardlink(b"bin/b", b"/bin/a"))
row("links: hard link to a hard link", {"a": "fx", "b": "fx", "c": "fx"}, member(b"a", b"x"), hardlink(b"b", b"a"), hardlink(b"c", b"b"))
row("links: hard link to itself", {"a": "fx"}, member(b"a", b"x"), hardlink(b"a", b"a"))
row("links: hard link to what comes later", "is not in the layer", hardlink(b"h", b"f"), member(b"f", b"x"))
row("links: hard link to a folder", "a hard link to the directory", folder(b"d"), hardlink(b"h", b"d"))
row("links: hard link to the root", "a hard link to the layer's root", hardlink(b"h", b"/"))
row("links: hard link to a whiteout", "a hard link to the directory or whiteout", member(b".wh.x"), hardlink(b"h", b"x"))
row("links: hard link to a device", {"n": "c1:3", "h": "c1:3"}, member(b"n", kind=b"3", device=(1, 3)), hardlink(b"h", b"n"))
row("links: hard link that takes a folder's place", {"a": "fx", "d": "fx"},
    member(b"a", b"x"), folder(b"d"), member(b"d/f", b"y"), hardlink(b"d", b"a"))
row("links: hard link with content", BAD, member(b"a", b"x"), hardlink(b"b", b"a", data=b"other"))
row("links: hard link through an inner symlink", {"d": "d", "d/f": "fx", "s": "ld", "h": "fx"},
    folder(b"d"), member(b"d/f", b"x"), symlink(b"s", b"d"), hardlink(b"h", b"s/f"))
row("links: hard link without a target", "bad tar data", hardlink(b"h", b""))
row("links: symlink without a target", "bad tar data", symlink(b"s", b""))
row("links: a loop of symlinks", "Symbolic link loop", symlink(b"a", b"b"), symlink(b"b", b"a"), member(b"a/x", b"evil"))
row("links: a symlink to itself", "Symbolic link loop", symlink(b"a", b"a"), member(b"a/x", b"evil"))
row("links: 41 symlinks one after the other", "Symbolic link loop", folder(b"d"), symlink(b"l0", b"d"),
    *(symlink(b"l%d" % n, b"l%d" % (n - 1)) for n in range(1, 42)), member(b"l41/x", b"x"))
row("links: chain out", "cannot make the directory", symlink(b"a", b"b"), symlink(b"b", b"c"), symlink(b"c", b"../../../victim"), member(b"a/hello", b"evil"))
row("links: up and down inside", {"d": "d", "d/up": "l..", "d/f": "fx"}, folder(b"d"), symlink(b"d/up", b".."), member(b"d/up/d/up/d/f", b"x"))
row("links: beyond the root is the root", {"d": "d", "d/up": "l../../../../..", "f": "fx"},
    folder(b"d"), symlink(b"d/up", b"../../../../.."), member(b"d/up/f", b"x"))
row("links: usr merge", {"usr": "d", "usr/lib": "d", "lib": "lusr/lib", "usr/lib/libc.so": "fx"},
    folder(b"usr"), folder(b"usr/lib"), symlink(b"lib", b"usr/lib"), member(b"lib/libc.so", b"x"))
row("links: usr merge, folder over the link", {"usr": "d", "usr/lib": "d", "lib": "d", "lib/libc.so": "fx", ">": "olib"},
    folder(b"usr"), folder(b"usr/lib"), symlink(b"lib", b"usr/lib"), folder(b"lib/"), member(b"lib/libc.so", b"x"))
row("links: the parent is swapped in the middle", {"d": "le", "e": "d", "e/1": "f1", "e/2": "f2"},
    folder(b"d"), member(b"d/1", b"0"), folder(b"e"), member(b"e/1", b"1"), symlink(b"d", b"e"), member(b"d/2", b"2"))
row("links: target of 4095 bytes", {"s": "l" + "t" * 4095}, symlink(b"s", b"t", more=[(b"linkpath", b"t" * 4095)]))
row("links: target of 4096 bytes", "too long", symlink(b"s", b"t", more=[(b"linkpath", b"t" * 4096)]))
row("links: chmod through a hard link to a link", {"s": "l" + OUT.decode(), "h": "l" + OUT.decode()},     # CVE-2021-32760
    symlink(b"s", OUT), hardlink(b"h", b"s", mode=0o777), symlink(b"s", OUT, mode=0o777))
row("links: not UTF-8 target", {"s": "l\udcff"}, symlink(b"s", b"\xff"))

# --- whiteouts ----------------------------------------------------------------------------------------------
row("whiteout", {"etc": "d", "etc/passwd": "c0:0", ">": "ietc"}, member(b"etc/.wh.passwd"))
row("whiteout with content", {"x": "c0:0"}, member(b".wh.x", b"content"))
row("whiteout as a folder", {"x": "c0:0"}, folder(b".wh.x"))
row("whiteout as a symlink", {"x": "c0:0"}, symlink(b".wh.x", b"/etc"))
row("whiteout of nothing", "the whiteout names no file", member(b".wh."))
row("whiteout of dot", "the whiteout names no file", member(b"a/.wh.."))
row("whiteout of dotdot", "the whiteout names no file", member(b"a/.wh..."))
row("whiteout of nothing, with a slash", "the whiteout names no file", folder(b".wh./"))
row("whiteout of what the layer brings", {"x": "fmine"}, member(b"x", b"mine"), member(b".wh.x"))
row("whiteout of a folder that the layer brings", {"d": "d", "d/f": "fx", ">": "od"}, folder(b"d"), member(b"d/f", b"x"), member(b".wh.d"))
row("whiteout, then the same again", {"x": "fmine"}, member(b".wh.x"), member(b"x", b"mine"))
row("whiteout, then a folder", {"x": "d", ">": "ox"}, member(b".wh.x"), folder(b"x"))
row("whiteout, then below it", "Not a directory", member(b".wh.x"), member(b"x/y", b"x"))
row("whiteout twice", {"x": "c0:0"}, member(b".wh.x"), member(b".wh.x"))
row("whiteout behind an inner symlink", "must not lie behind a symbolic link", folder(b"d"), symlink(b"l", b"d"), member(b"l/.wh.x"))
row("opaque behind an inner symlink", "must not lie behind a symbolic link", folder(b"d"), symlink(b"l", b"d"), member(b"l/.wh..wh..opq"))
row("opaque root", {">": "o"}, member(b".wh..wh..opq"))
row("opaque in the middle", {"d": "d", "d/a": "f1", "d/b": "f2", ">": "od"}, folder(b"d"), member(b"d/a", b"1"), member(b"d/.wh..wh..opq"), member(b"d/b", b"2"))
row("opaque folder that becomes a file", {"d": "fx", ">": "od"}, folder(b"d"), member(b"d/.wh..wh..opq"), member(b"d", b"x"))
row("opaque folder that becomes a symlink out", {"d": "l../../victim", ">": "od"},
    folder(b"d"), member(b"d/.wh..wh..opq"), symlink(b"d", b"../../victim"))
row("aufs' own files", {"d": "d"}, folder(b"d"), member(b".wh..wh.plnk"), hardlink(b".wh..wh.aufs", b"nowhere"), folder(b".wh..wh.orph"), member(b"d/.wh..wh.x"))
row("below aufs' own folder", {".wh..wh.orph": "d", ".wh..wh.orph/x": "fx", ">": "i.wh..wh.orph"}, member(b".wh..wh.orph/x", b"x"))
row("a name that only looks like one", {".wh.a": "d", ".wh.a/b": "fx", ".whx": "fx", "a.wh.b": "fx", ">": "i.wh.a"},
    member(b".wh.a/b", b"x"), member(b".whx", b"x"), member(b"a.wh.b", b"x"))
row("whiteout of 251 bytes", {"n" * 251: "c0:0"}, member(b".wh." + b"n" * 251))
row("a device 0:0 is a whiteout too", {"x": "c0:0"}, member(b"x", kind=b"3"))

# --- kinds of nodes, duplicates -------------------------------------------------------------------------------
row("device", {"null": "c1:3"}, member(b"null", kind=b"3", device=(1, 3), mode=0o666))
row("block device", {"sda": "b8:1"}, member(b"sda", kind=b"4", device=(8, 1)))
row("device of 4096", "device number 4096:1 is out of range", member(b"x", kind=b"3", device=(4096, 1)))
row("device, minor of 2 to the 20th", "is out of range", member(b"x", kind=b"3", device=(1, 1 << 20)))
row("device, number negative", "is out of range", member(b"x", kind=b"3", device=(-1, 3)))
row("device by pax of 2 to the 40th", "is out of range", member(b"x", kind=b"3", more=[(b"SCHILY.devmajor", b"1099511627776")]))
row("device with content", BAD, member(b"n", b"data", kind=b"3", device=(1, 3)), member(b"f", b"x"))
row("file below a device", "Not a directory", member(b"n", kind=b"3", device=(1, 3)), member(b"n/x", b"x"))
row("fifo", {"p": "p"}, member(b"p", kind=b"6"))
row("fifo, written to", {"p": "fx"}, member(b"p", kind=b"6"), member(b"p", b"x"))
row("file below a fifo", "Not a directory", member(b"p", kind=b"6"), member(b"p/x", b"x"))
row("fifo with content", BAD, member(b"p", b"data", kind=b"6"), member(b"f", b"x"))
row("folder with content", BAD, member(b"d", b"data", kind=b"5"), member(b"f", b"x"))
row("contiguous file", TREE, member(b"f", b"x", kind=b"7"))
row("unknown type is a file", TREE, member(b"f", b"x", kind=b"Q"))
row("old tar", TREE, member(b"f", b"x", magic=bytes(8)))
row("old tar, a folder by its slash", {"f": "d"}, member(b"f/", kind=b"\0", magic=bytes(8)))
row("GNU tar's magic", TREE, member(b"f", b"x", magic=b"ustar  \0"))
row("volume label", TREE, member(b"label", kind=b"V", magic=b"ustar  \0"), member(b"f", b"x"))
row("duplicate file", {"f": "f2"}, member(b"f", b"first and longer"), member(b"f", b"2"))
row("duplicate by another spelling", {"f": "f2"}, member(b"f", b"1"), member(b"./f", b"2"))
row("duplicate does not write through a hard link", {"a": "f1", "b": "f2"}, member(b"a", b"1"), hardlink(b"b", b"a"), member(b"b", b"2"))
row("folder becomes a file", {"d": "fx", ">": "id id/a id/a/b"}, member(b"d/a/b/c", b"x"), member(b"d", b"x"))
row("file becomes a folder", {"f": "d", "f/x": "fx", ">": "of"}, member(b"f", b"x"), folder(b"f"), member(b"f/x", b"x"))
row("file as a folder", "Not a directory", member(b"f", b"x"), member(b"f/g", b"x"))
row("2000 times the same", {"f": "f1999"}, *(member(b"f", b"%d" % n) for n in range(2000)))
row("a folder becomes a file 100 times", {"d": "fx", ">": " ".join(["od"] * 99)}, (folder(b"d") + member(b"d/x") + member(b"d", b"x")) * 100)

# --- numbers ------------------------------------------------------------------------------------------------
for key, value, want in ((b"uid", b"4294967294", None), (b"uid", b"4294967295", "out of range"), (b"uid", b"4294967296", "out of range"),
                         (b"gid", b"4294967294", None), (b"gid", b"4294967295", "out of range"), (b"gid", b"18446744073709551616", "out of range"),
                         (b"uid", b"-1", "out of range"), (b"uid", b"-9223372036854775808", "out of range")):
    row(f"pax {key.decode()} {value.decode()}", want or TREE, member(b"f", b"x", more=[(key, value)]))
row("uid of 2 to the 32nd in base 256", "out of range", member(b"f", b"x", uid=1 << 32))
row("uid negative in base 256", "out of range", member(b"f", b"x", uid=-5))
row("gid negative in base 256", "out of range", member(b"f", b"x", gid=-5))
for name, value in (("negative", b"-1"), ("negative with a fraction", b"-1.5"), ("of 1901", b"-2147483648"), ("of 2446", b"15032385535.999999999"),
                    ("with 30 digits behind the point", b"1." + b"1" * 30), ("beyond the file system", b"99999999999999")):
    row(f"pax mtime {name}", TREE, member(b"f", b"x", more=[(b"mtime", value)]))
row("pax mtime of 2 to the 70th", TREE, member(b"f", b"x", more=[(b"mtime", b"1180591620717411303424")]))
row("pax mtime that is no number", TREE, member(b"f", b"x", more=[(b"mtime", b"yesterday")]))
row("mtime negative in base 256", TREE, member(b"f", b"x", mtime=-3600))
row("mtime of 2 to the 62nd in base 256", TREE, member(b"f", b"x", mtime=1 << 62))
row("mode with all bits", TREE, member(b"f", b"x", mode=0o7777777))

# --- what stands behind names: xattrs, ACLs -------------------------------------------------------------------
CAPABILITY = b"\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"        # cap_net_raw+p, as setcap writes it


def xattrs(*pairs):
    return [(b"SCHILY.xattr." + key, value) for key, value in pairs]


row("xattrs: what is kept", {"f": "fx", "f@": "security.capability user.a"},
    member(b"f", b"x", more=xattrs((b"security.capability", CAPABILITY), (b"user.a", b"1"))))
for number, key in enumerate((b"trusted.overlay.opaque", b"trusted.overlay.redirect", b"trusted.overlay.metacopy", b"trusted.overlay.whiteout",
                              b"trusted.x", b"user.overlay.opaque", b"user.overlay.redirect", b"security.selinux", b"security.ima",
                              b"security.apparmor", b"system.nfs4_acl", b"user.", b"btrfs.compression", b"other")):
    row(f"xattrs: {key.decode()} is dropped, file", TREE, member(b"f", b"x", more=xattrs((key, b"y"))))
    if number < 8:
        row(f"xattrs: {key.decode()} is dropped, folder", {"d": "d"}, folder(b"d", more=xattrs((key, b"y"))))
row("xattrs: the root's", {"@": "user.a"}, folder(b"./", more=xattrs((b"user.a", b"1"), (b"trusted.overlay.opaque", b"y"))))
row("xattrs: by libarchive's records", {"f": "fx", "f@": "user.a"}, member(b"f", b"x", more=[(b"LIBARCHIVE.xattr.user.a", b"MQ==")]))
row("xattrs: trusted by libarchive's records", TREE, member(b"f", b"x", more=[(b"LIBARCHIVE.xattr.trusted.overlay.opaque", b"eQ==")]))
row("xattrs: trusted, encoded name", TREE, member(b"f", b"x", more=[(b"LIBARCHIVE.xattr.trusted%2eoverlay.opaque", b"eQ==")]))
row("xattrs: a capability that is none", "security.capability", member(b"f", b"x", more=xattrs((b"security.capability", b"junk"))))
row("xattrs: a name of 300 bytes", "extended attribute", member(b"f", b"x", more=xattrs((b"user." + b"a" * 300, b"1"))))
row("xattrs: two of 400 kB", "extended attribute", member(b"f", b"x", more=xattrs((b"user.a", b"v" * 400000), (b"user.b", b"v" * 400000))))
row("xattrs: 1000 of one name", {**TREE, "f@": "user.a"}, member(b"f", b"x", more=xattrs(*([(b"user.a", b"1")] * 1000))))
row("xattrs: 20000 names that are not kept", TREE, member(b"f", b"x", more=xattrs(*((b"trusted.%d" % n, b"1") for n in range(20000)))))
row("ACL: of text that is none", TREE, member(b"f", b"x", more=[(b"SCHILY.acl.access", b"user::" + b"rwxrwx" * 500)]))
row("ACL: of 10000 users", TREE,
    member(b"f", b"x", more=[(b"SCHILY.acl.access", b",".join(b"user:u%d:rwx:%d" % (n, n) for n in range(10000)))]))
row("flags: immutable is dropped", TREE, member(b"f", b"x", more=[(b"SCHILY.fflags", b"simmutable,sappend")]))

# --- pax and GNU headers ----------------------------------------------------------------------------------------
row("pax: size over the header's", {"f": "fabc"}, member(b"f", b"abc", size=0, more=[(b"size", b"3")]))
row("pax: size under the header's", {"f": "fab", "g": "fx"}, head(b"PaxHeaders/x", b"x", 9) + pad(record(b"size", b"2")) + head(b"f", size=600) + pad(b"ab"), member(b"g", b"x"))
row("pax: size negative", BAD, member(b"f", b"abc", more=[(b"size", b"-1")]))
row("pax: size of 2 to the 63rd", "Tar size attribute overflow", member(b"f", b"abc", more=[(b"size", b"9223372036854775808")]))
row("pax: size that is text", BAD, member(b"f", b"abc", more=[(b"size", b"three")]))
row("pax: length beyond the header", BAD, pax(b"99999 path=x\n"), member(b"f", b"x"))
row("pax: length of nothing", BAD, pax(b"0 path=x\n"), member(b"f", b"x"))
row("pax: length negative", BAD, pax(b"-9 path=x\n"), member(b"f", b"x"))
row("pax: no equals sign", BAD, pax(b"9 path x\n"), member(b"f", b"x"))
row("pax: no end of line", BAD, pax(b"8 path=xx"), member(b"f", b"x"))
row("pax: length of 40 digits", BAD, pax(b"0" * 40 + b"10 path=x\n"), member(b"f", b"x"))
row("pax: NUL in the path", {"a": "fx"}, member(b"f", b"x", more=[(b"path", b"a\0/../../b")]))
row("pax: NUL in the key", BAD, member(b"f", b"x", more=[(b"pa\0th", b"../x")]))
row("pax: the same key twice", {"b": "fx"}, member(b"f", b"x", more=[(b"path", b"a"), (b"path", b"b")]))
row("pax: two headers in a row", BAD, pax([(b"path", b"a")]), pax([(b"path", b"b")]), member(b"f", b"x"))
row("pax: a header and no member", BAD, pax([(b"path", b"a")]))
row("pax: a path that ends in a slash", BAD, member(b"f", b"x", more=[(b"path", b"d/")]))
row("pax: a global path", TREE, pax([(b"path", b"g")], b"g"), member(b"f", b"x"))
row("pax: a global comment", TREE, pax([(b"comment", b"c" * 40)], b"g"), member(b"f", b"x"))
row("pax: a global dotdot", TREE, pax([(b"path", b"../x")], b"g"), member(b"f", b"x"))
row("pax: a header said to have 8 GB", BAD, head(b"PaxHeaders/x", b"x", 8 << 30), member(b"f", b"x"))
row("pax: a header of 2 MB", "Special header too large", lambda: pax([(b"comment", b"c" * (2 << 20))]), member(b"f", b"x"))
row("pax: 60000 records", TREE, lambda: pax([(b"c.%d" % n, b"") for n in range(60000)]), member(b"f", b"x"))
row("pax: 5000 headers in a row", BAD, pax([(b"path", b"a")]) * 5000, member(b"f", b"x"))
row("pax: type of Solaris", {"g": "fx"}, pax([(b"path", b"g")], b"X"), member(b"f", b"x"))
row("GNU: a long name of 1 GB", BAD, head(b"././@LongLink", b"L", 1 << 30), member(b"f", b"x"))
row("GNU: a long link of 1 GB", BAD, head(b"././@LongLink", b"K", 1 << 30), symlink(b"f", b"x"))
row("GNU: a long name of 2 to the 63rd", BAD, head(b"././@LongLink", b"L", (1 << 63) - 1), member(b"f", b"x"))
row("GNU: a long name, negative", BAD, head(b"././@LongLink", b"L", -1), member(b"f", b"x"))
row("GNU: a long name and no member", BAD, head(b"././@LongLink", b"L", 2), pad(b"a\0"))
row("GNU: a long name of nothing", "an entry has no name", head(b"././@LongLink", b"L", 0), member(b"f", b"x"))
row("GNU: long names for ever", "Too many special headers", (head(b"././@LongLink", b"L", 2) + pad(b"a\0")) * 5000, member(b"f", b"x"))
row("GNU: multi volume", "has an unknown type", member(b"f", b"x", kind=b"M", magic=b"ustar  \0"))
row("GNU: a dump folder", {"d": "d"}, member(b"d", b"Yx\0\0", kind=b"D", magic=b"ustar  \0"))


# --- sparse files -------------------------------------------------------------------------------------------------
def sparse(*records, data=b"xxxx", more=()):
    return member(b"f", data, more=[(b"GNU.sparse." + key, value) for key, value in records] + list(more))


row("sparse: 0.1", {"f": "f" + "\0" * 996 + "xxxx"}, sparse((b"map", b"996,4"), (b"size", b"1000")))
row("sparse: a map beyond the size", "does not fit its size", sparse((b"map", b"9223372036854775000,512"), (b"size", b"1024")))
row("sparse: 8 EB", "more than 68719476736 bytes", sparse((b"map", b"0,4"), (b"size", b"9223372036854775807")))
row("sparse: 65 GB", "more than 68719476736 bytes", sparse((b"map", b"0,4"), (b"size", b"69793218560")))
row("sparse: a map that goes back", "does not fit its size", sparse((b"map", b"500,2,0,2"), (b"size", b"1000")))
row("sparse: a map that overlaps", "does not fit its size", sparse((b"map", b"0,3,1,3"), (b"size", b"1000")))
row("sparse: a map of letters", BAD, sparse((b"map", b"a,b"), (b"size", b"1000")))
row("sparse: a map with one number", {"f": "fxxxx" + "\0" * 996}, sparse((b"map", b"7"), (b"size", b"1000")))
row("sparse: negative", BAD, sparse((b"map", b"-4,4"), (b"size", b"1000")))
row("sparse: more in the map than there is", {"f": "fxxxx" + "\0" * 996}, sparse((b"map", b"0,600"), (b"size", b"1000")))
row("sparse: 100000 holes", {"f": "f" + "\0" * 200000}, lambda: sparse((b"map", b",".join(b"%d,0" % n for n in range(100000))), (b"size", b"200000"), data=b""))
row("sparse: 1.0", {"f": "f" + "\0" * 96 + "xxxx"},
    member(b"GNUSparseFile.0/f", pad(b"1\n96\n4\n") + b"xxxx",
           more=[(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", b"f"), (b"GNU.sparse.realsize", b"100")]))
for number, listing in enumerate((b"99999999999999\n0\n4\n", b"-1\n0\n", b"1\n" * 300, b"x\n0\n4\n", b"1" * 512)):
    row(f"sparse: 1.0 with a bad map {number}", BAD,
        member(b"GNUSparseFile.0/f", pad(listing) + b"xxxx",
               more=[(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", b"f"), (b"GNU.sparse.realsize", b"100")]))
row("sparse: the name climbs", DOTS, sparse((b"map", b"0,4"), (b"size", b"4"), (b"name", b"../../x")))
row("sparse: old GNU", {"f": "f" + "\0" * 96 + "xxxx"},
    head(b"f", b"S", 4, magic=b"ustar  \0", raw={386: b"%011o\0%011o\0" % (96, 4), 483: b"%011o\0" % 100}) + pad(b"xxxx"))
row("sparse: old GNU, extended for ever", BAD, lambda: head(b"f", b"S", 4, magic=b"ustar  \0", raw={482: b"\1", 483: b"%011o\0" % 100}) +
    ((b"%011o\0%011o\0" % (0, 0)) * 21 + b"\1" + bytes(7)) * 20000)

# --- damage -------------------------------------------------------------------------------------------------------
for number, off in enumerate((1, -1, 512)):
    row(f"damage: checksum {number}", BAD, head(b"f", off=off))
row("damage: checksum in the second member", BAD, member(b"f", b"x"), head(b"g", off=1))
row("damage: size negative", BAD, member(b"f", raw={124: b"\xff" * 12}))
row("damage: size with letters", BAD, member(b"f", raw={124: b"zzzzzzzzzzzz"}))
row("damage: size of 8 GB and nothing behind", BAD, head(b"f", size=8 << 30 - 1))
row("damage: size of 2 to the 63rd", "Tar entry size overflow", head(b"f", size=(1 << 63) - 1))
row("damage: size of 65 GB", "more than 68719476736 bytes", head(b"f", size=65 << 30))
row("damage: noise", BAD, bytes(range(256)) * 8)
row("damage: text", BAD, b"this is no archive\n" * 100)
row("damage: a gzip inside", "bad gzip data", b"\x1f\x8b\x08" * 400)
bare("damage: empty", {}, b"")
bare("damage: one byte", BAD, b"x")
bare("damage: 511 zeros", BAD, bytes(511))
bare("damage: one block of zeros", {}, bytes(512))
bare("damage: zeros for ever", {}, bytes(1 << 20))
bare("damage: a member behind the end", TREE, member(b"f", b"x") + END + member(b"../x", b"evil"))
bare("damage: noise behind the end", TREE, member(b"f", b"x") + END + b"noise" * 1000)
bare("damage: no end", TREE, member(b"f", b"x"))
WHOLE = folder(b"d") + member(b"n" * 120, b"c" * 700) + symlink(b"s", b"d") + END
LONGER = {"n" * 120: "f" + "c" * 700}
KEPT = {512: {"d": "d"}, 3072: {"d": "d", **LONGER}, 3584: {"d": "d", **LONGER, "s": "ld"}}      # no end is as good as one
CUTS = {"in a header": 100, "behind a folder's header": 512, "in a pax header": 700, "in a pax record": 1030, "behind a pax record": 1536,
        "behind a file's header": 2048, "in a file's content": 2500, "at the end of a file's content": 2748, "in a file's padding": 2900,
        "behind a file": 3072, "in a link's header": 3400, "behind the last member": 3584, "in the end": 4000}
for name, at in CUTS.items():
    bare(f"cut: {name}", KEPT.get(at, BAD), WHOLE[:at])
