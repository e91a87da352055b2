#!/usr/bin/env python3
"""A registry that means harm, or is broken (threats.md part C): documents that can be read in two ways, digests, sizes and
types that lie, endless and crawling answers, redirects and realms that ask for credentials, certificates that are no good.

Each case is one pull from the tests' own registry. The answer must be an error that says what is wrong, the store must be
as before, with nothing left in tmp/, and the engine must be the same process as before.
"""

import base64
import json
import threading
import urllib.parse
import os

from lib import images, misbehave, registry, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

SECRET = "tests-secret-password"
USERS = {"ann": SECRET}
TRIES = 5               # of one transfer
METADATA = "169.254.169.254"    # where clouds keep the secrets of their machines
reg = registry.start()
away = registry.start()                                     # where redirects and `urls` point to
guarded = registry.start(auth="basic", users=USERS)
tokens = registry.start(auth="token", users=USERS)
unlisted = registry.start()                                 # plain HTTP that no setting allows
good = registry.start(tls="good")
elsewhere = registry.start(tls="good")                      # the same machine under another name: registry.test
BAD_TLS = {name: registry.start(tls=name) for name in ("expired", "wrong-name", "unknown-ca")}
box = vm.prepared("regthreats")
SETTINGS = f"""\
engine:
  registry:
    insecure-registries: ["{reg.name}", "{away.name}", "{guarded.name}", "{tokens.name}"]
    certificates: [/etc/skerry/tests-ca.pem]
    least-speed: 512
    least-speed-seconds: 5
"""
OTHER = [images.layer({"other": b"other\n"})]
BEFORE = {}


def overlay():
    folder = os.path.join(box.scratch, "overlay/etc")
    os.makedirs(os.path.join(folder, "skerry"))
    for name, text in (("skerry/system.yaml", SETTINGS), ("skerry/tests-ca.pem", registry.ca_text()),
                       ("hosts", f"127.0.0.1 localhost\n{registry.GUEST_SEES} registry.test\n")):
        with open(os.path.join(folder, name), "w", encoding="ascii") as out:
            out.write(text)
    return os.path.join(box.scratch, "overlay")


def state():
    """The store's names and the engine's process."""
    return box.sh(f"echo engine {vm.ENGINE}; cd /var/lib/skerry/images && find . -maxdepth 3 | sort")


def same_state(what):
    """The store is as it was; when it is not, later cases count from what it is now."""
    now, before = state().splitlines(), BEFORE["state"].splitlines()
    BEFORE["state"] = "\n".join(now)
    more, less = sorted(set(now) - set(before)), sorted(set(before) - set(now))
    check(not more and not less, f"the store after {what}: more {more}, gone {less}")


def auth(name="ann", password=SECRET):
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps({"username": name, "password": password}).encode())
            .decode()}


def pull(name, headers=None, seconds=120, platform=None):
    """(error or None, everything that was said) of a pull."""
    image, _colon, tag = (name, "", "") if "@" in name else name.rpartition(":")
    query = {"fromImage": image or name, **({"tag": tag} if image and tag else {}),
             **({"platform": platform} if platform else {})}
    status, lines = box.lines("POST", "/images/create?" + urllib.parse.urlencode(query), headers, seconds)
    if not lines:
        return "nothing was said", ""
    return lines[-1].get("error" if status == 200 else "message"), str(lines)


def refused(name, *texts, server=reg, **options):
    """The pull fails for that reason (one of the texts), and leaves nothing behind."""
    if not BEFORE:
        until(lambda: box.docker("ps", "-q"), "the declared container runs, so its image is loaded", 240)
        until(lambda: "./tmp/" not in state(), "no load is on its way")
        BEFORE["state"] = state()
    error, said = pull(f"{server.name}/{name}", **options)
    if not error:
        box.docker("rmi", f"{server.name}/{name}", check=False)
    check(error, f"{name} was pulled: {said}")
    check(any(text in error for text in texts), f"{name}: none of {texts} in {error!r}")
    check(SECRET not in said, f"the password is in {said}")
    same_state(f"{name} ({error})")


def fresh(*sizes):
    """Layers that the machine has not: what it has is not asked for."""
    return [images.layer({"a": None, "a/file": misbehave.noise(size)}) for size in sizes or (40_000, 20_000)]


def put(repo, spoil=None, kind="oci", **options):
    """An image in the registry whose manifest may be spoilt, as repo:1."""
    image = registry.make(fresh(), {"Cmd": ["sh"]}, kind, spoil=spoil, **options)
    reg.add(repo, image, "1")
    return image


def text_of(document):
    return document if isinstance(document, bytes) else json.dumps(document).encode()


# --- documents: rows 47, 48, 51 --------------------------------------------------------------------------------------

def change(*path, to):
    """spoil(): sets one member of the manifest."""
    def spoil(document):
        at = document
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = to
    return spoil


def twice(document):
    """The key `config` twice: who takes the last one sees another image."""
    text = json.dumps(document)
    return (text[:-1] + ', "config": ' + json.dumps({**document["config"], "digest": "sha256:" + "0" * 64}) + "}").encode()


SOME = {"mediaType": registry.OCI + "manifest.v1+json", "digest": "sha256:" + "a" * 64, "size": 3,
        "platform": {"os": "linux", "architecture": "amd64"}}
DOCUMENTS = [       # name, spoil, texts of which one is in the error
    ("row 47: layers and manifests in one document", lambda d: {**d, "manifests": [SOME]}, "manifest and an index at once"),
    ("row 47: the document's mediaType is that of an index", change("mediaType", to=registry.OCI + "index.v1+json"),
     "mediaType"),
    ("row 47: Layers beside layers", lambda d: {**d, "Layers": []}, "must be written"),
    ("row 51: a key twice", twice, "twice", "duplicate"),
    ("row 51: config is null", change("config", to=None), "config"),
    ("row 51: no config", lambda d: {k: v for k, v in d.items() if k != "config"}, "config"),
    ("row 51: layers is null", change("layers", to=None), "layers"),
    ("row 51: layers is an object", change("layers", to={}), "layers"),
    ("row 51: a layer is null", change("layers", 0, to=None), "descriptor"),
    ("row 51: a layer is a text", change("layers", 1, to="x"), "descriptor"),
    ("row 51: fewer layers than the config says", lambda d: {**d, "layers": d["layers"][:1]}, "layers"),
    ("row 51: no layers, where the config has some", change("layers", to=[]), "layers"),
    ("row 51: more layers than an image can have", lambda d: {**d, "layers": d["layers"] * 100}, "layers"),
    ("row 51: a document nested 40 deep", lambda d: {**d, "annotations": json.loads("[" * 40 + "]" * 40)}, "nest", "deep"),
    ("row 51: a document nested 100000 deep", lambda _d: misbehave.deep_json(100_000), "nest", "deep"),
    ("row 51: schemaVersion 3", change("schemaVersion", to=3), "schemaVersion"),
    ("row 51: an empty document", lambda _d: b"", "JSON", "empty"),
    ("row 51: null", lambda _d: b"null", "object"),
    ("row 51: an array", lambda _d: b"[]", "object"),
    ("row 51: no JSON", lambda _d: b"<html>hello</html>", "JSON"),
    ("row 51: JSON that is cut off", lambda d: text_of(d)[:-5], "JSON"),
    ("row 60: a manifest of 5 MB", lambda d: text_of(d) + b" " * 5_000_000, "more than"),
    ("row 48: a layer larger than it says", lambda d: change("layers", 0, "size", to=d["layers"][0]["size"] - 1)(d),
     "more than"),
    ("row 48: a layer of no bytes", change("layers", 0, "size", to=0), "size", "bytes", "digest"),
    ("row 48: a negative size", change("layers", 0, "size", to=-5), "size"),
    ("row 48: a size of 2^64", change("layers", 0, "size", to=2 ** 64), "size"),
    ("row 48: a size that is a text", change("layers", 0, "size", to="100"), "size"),
    ("row 48: a size with a fraction", change("layers", 0, "size", to=1.5), "size"),
    ("row 48: a config larger than it says", lambda d: change("config", "size", to=d["config"]["size"] - 1)(d),
     "more than", "bytes"),
    ("row 48: a config smaller than it says", lambda d: change("config", "size", to=d["config"]["size"] + 1)(d), "bytes"),
    ("row 48: a config of 5 GB", change("config", "size", to=5 << 30), "config"),
    ("row 48: a digest in capitals", change("layers", 0, "digest", to="sha256:" + "A" * 64), "digest"),
    ("row 48: a digest that is a path", change("layers", 0, "digest", to="sha256:../../../../etc/shadow"), "digest"),
    ("row 48: a digest with a path behind it", change("layers", 0, "digest", to="sha256:" + "a" * 64 + "/../x"), "digest"),
    ("row 48: a digest with NUL", change("layers", 0, "digest", to="sha256:" + "a" * 63 + "\0"), "digest", "NUL", "\\u0000"),
    ("row 48: a digest that is too short", change("layers", 0, "digest", to="sha256:" + "a" * 63), "digest"),
    ("row 48: MD5", change("layers", 0, "digest", to="md5:" + "a" * 32), "digest"),
    ("row 48: an algorithm that nobody has", change("layers", 0, "digest", to="sha257:" + "a" * 64), "digest"),
    ("row 48: a layer that is not there", change("layers", 0, "digest", to="sha256:" + "b" * 64), "blob"),
]


def document_case(number, name, spoil, texts):
    @case(name)
    def run():
        put(f"doc/{number}", spoil)
        refused(f"doc/{number}:1", *texts)


for number_, (name_, spoil_, *texts_) in enumerate(DOCUMENTS):
    document_case(number_, name_, spoil_, texts_)

CONFIGS = [         # name, the config's text from the right one, texts
    ("row 51: the config is null", lambda _c: b"null", "object", "config"),
    ("row 51: the config is no JSON", lambda _c: b"x" * 100, "JSON"),
    ("row 51: a config nested 100000 deep", lambda _c: misbehave.deep_json(100_000), "nest", "deep"),
    ("row 51: a config without rootfs", lambda c: {k: v for k, v in c.items() if k != "rootfs"}, "rootfs", "diff_ids"),
    ("row 51: diff_ids is null", lambda c: {**c, "rootfs": {"type": "layers", "diff_ids": None}}, "diff_ids", "layers"),
    ("row 51: config.config is a text", lambda c: {**c, "config": "sh"}, "config"),
    ("row 51: an environment of numbers", lambda c: {**c, "config": {"Env": [1, 2]}}, "Env"),
    ("row 49: another diff id than the layer has", lambda c: {**c, "rootfs": {**c["rootfs"], "diff_ids": [
        c["rootfs"]["diff_ids"][0], "sha256:" + "c" * 64]}}, "uncompressed layer has the digest"),
    ("row 49: the diff ids in another order", lambda c: {**c, "rootfs": {
        **c["rootfs"], "diff_ids": c["rootfs"]["diff_ids"][::-1]}}, "uncompressed layer has the digest"),
    ("row 49: a diff id that is a path", lambda c: {**c, "rootfs": {**c["rootfs"], "diff_ids": ["sha256:../x"] * 2}},
     "digest", "diff"),
    ("row 51: an image for another system", lambda c: {**c, "os": "windows"}, "windows", "linux", "platform"),
]


def config_case(number, name, spoil, texts):
    @case(name)
    def run():
        image = registry.make(fresh(), {"Cmd": ["sh"]}, "oci")
        config = text_of(spoil(json.loads(image.config)))
        types = registry.TYPES["oci"]
        manifest = json.dumps(registry.manifest_of(config, image.layers, types, types["gzip"])).encode()
        reg.add(f"config/{number}", registry.Image(manifest, types["manifest"], config, image.layers, {
            registry.digest(item): item for item in (config, *image.layers)}), "1")
        refused(f"config/{number}:1", *texts)


for number_, (name_, spoil_, *texts_) in enumerate(CONFIGS):
    config_case(number_, name_, spoil_, texts_)


@case("row 47: Content-Type and mediaType differ; the type of something else; a web page")
def content_types():
    put("type/a")
    for number, kind in enumerate((registry.OCI + "index.v1+json", registry.DOCKER + "distribution.manifest.v2+json",
                                   "text/html", registry.OCI + "config.v1+json")):
        reg.fault("type/a", misbehave.content_type(kind), kind="manifest", times=1)
        refused("type/a:1", "mediaType", "media type", f"{number} none")
    reg.heal()


@case("an index: no image for this machine, an entry that lies about digest, size or type, an index inside")
def indexes():
    image = registry.make(fresh(), {"Cmd": ["sh"]}, "oci")
    reg.add("index/a", image)
    here = {"os": "linux", "architecture": "amd64"}
    nested, _kind = registry.index_of([(image, here)])
    nested_digest = reg.put("index/a", nested, registry.TYPES["oci"]["index"])
    other = registry.make(OTHER, {}, "oci")
    reg.add("index/a", other)

    def entries(name, *items):
        reg.put("index/a", json.dumps({"schemaVersion": 2, "mediaType": registry.TYPES["oci"]["index"],
                                       "manifests": list(items)}).encode(), registry.TYPES["oci"]["index"], name)

    entries("1", image.descriptor(platform={"os": "linux", "architecture": "s390x"}))
    refused("index/a:1", "no matching manifest for linux/amd64")
    entries("1")
    refused("index/a:1", "no matching manifest for linux/amd64")
    entries("1", image.descriptor(platform={**here, "variant": "v9"}))
    refused("index/a:1", "no matching manifest")
    entries("1", {**image.descriptor(platform=here), "size": len(image.manifest) + 1})
    refused("index/a:1", "bytes")
    entries("1", {**image.descriptor(platform=here), "mediaType": registry.TYPES["docker"]["manifest"]})
    refused("index/a:1", "mediaType", "media type", "index says")
    entries("1", {**image.descriptor(platform=here), "digest": nested_digest, "size": len(nested)})
    refused("index/a:1", "index")
    reg.manifests[("index/a", image.digest)] = reg.manifests[("index/a", other.digest)]
    entries("1", image.descriptor(platform=here))
    refused("index/a:1", "bytes", "digest")


@case("schema 1 is refused by name, whatever its Content-Type")
def schema1():
    document, kind = misbehave.schema1("old/a", "1")
    for media_type in (kind, "application/json", registry.DOCKER + "distribution.manifest.v1+json"):
        reg.put("old/a", document, media_type, "1")
        refused("old/a:1", "schema 1")


@case("row 48: a manifest that is not what its digest says, asked for by digest; Docker-Content-Digest that lies")
def manifest_digests():
    image = put("digest/a")
    other = put("digest/b")
    document = json.dumps({**json.loads(other.manifest), "annotations": {"x": "y"}}).encode()
    reg.manifests[("digest/a", image.digest)] = (image.media_type, document)
    refused(f"digest/a@{image.digest}", "digest")
    reg.fault("digest/b", misbehave.digest_header("sha256:" + "d" * 64), kind="manifest")
    refused("digest/b:1", "digest")
    reg.heal()


@case("row 48: a blob with other bytes, more bytes, fewer bytes")
def blob_bytes():
    image = put("bytes/a")
    target = registry.digest(image.layers[0])

    def for_layer(fault):
        return lambda handler: handler.now.ref == target and fault(handler)

    for fault, *texts in [(misbehave.other_bytes, "digest"), (misbehave.more_bytes(1), "more than"),
                          (misbehave.more_bytes(500_000), "more than"),
                          (misbehave.body(b"x" * 50_000), "bad tar data", "more than")]:
        reg.fault("bytes/a", for_layer(fault), kind="blob")
        refused("bytes/a:1", *texts)
        reg.heal()
    reg.fault("bytes/a", lambda handler: handler.now.ref == image.id and misbehave.other_bytes(handler), kind="blob")
    refused("bytes/a:1", "digest")
    reg.heal()


@case("row 44: a layer that is no archive, and one that reaches out of its tree")
def bad_layers():
    escape = images.tarfile.TarInfo("../../../../../../tmp/escaped")
    escape.size = 0
    device = images.tarfile.TarInfo("x/../../y")
    for number, layer in enumerate((misbehave.noise(30_000), images.layer({"e": escape}), images.layer({"d": device}),
                                    images.layer({"l": ("link", "/etc"), "l/passwd": b"x"}))):
        image = registry.make([layer], {}, "oci")
        reg.add(f"layer/{number}", image, "1")
        if number < 3:
            refused(f"layer/{number}:1", "layer", "archive", "..", "path")
    equal(box.sh("ls /tmp/escaped 2>/dev/null; true"), "", "a file outside")


# --- credentials: rows 52, 53 ---------------------------------------------------------------------------------------------

def no_secrets(server, what):
    """The server never saw a credential."""
    seen = [item.authorization for item in server.asked() if item.authorization]
    equal(seen, [], f"Authorization at {what}")
    check(all(SECRET not in str(item.query) and SECRET not in item.path for item in server.asked()), f"the secret at {what}")


@case("row 52: a redirect to another host does not carry credentials there, and works")
def redirects():
    for server in (guarded, tokens):
        image = registry.make([images.layer({"redirect": misbehave.noise(3000)})], {}, "oci")
        server.add("to/away", image, "1")
        away.add("to/away", image, "1")
        for code in (301, 302, 303, 307, 308):
            server.fault("to/away", misbehave.redirect(away.url.rstrip("/"), code), kind="blob")
            away.clear()
            error, said = pull(f"{server.name}/to/away:1", headers=auth())
            equal(error, None, said)
            check(away.asked(kind="blob"), "the redirect was not followed")
            no_secrets(away, "the other host")
            server.heal()
            box.docker("rmi", f"{server.name}/to/away:1")
        server.clear()


@case("row 52: who is redirected to and asks for a password gets none")
def redirect_asks():
    image = registry.make([images.layer({"asks": misbehave.noise(3000)})], {}, "oci")
    guarded.add("to/asks", image, "1")
    guarded.fault("to/asks", misbehave.redirect(away.url), kind="blob")
    for challenge in ('Basic realm="give"', f'Bearer realm="{away.url}/token",service="give"'):
        away.fault("to/asks", misbehave.always_401(challenge))
        away.clear()
        refused("to/asks:1", "unauthorized", "authentication required", "401", server=guarded, headers=auth())
        no_secrets(away, "the other host")
        away.heal()
    guarded.heal()


@case("row 52: redirects without end, to other protocols, to addresses with a password, out of TLS")
def bad_redirects():
    image = registry.make([images.layer({"bad": misbehave.noise(3000)})], {}, "oci")
    reg.add("to/bad", image, "1")
    for target, *texts in [(reg.url, "redirects"), ("file:///etc/passwd", "address", "redirect", "http"),
                           ("ftp://10.0.2.2/x", "address", "redirect", "http"), ("http://u:p@10.0.2.2/x", "address", "redirect",
                                                                                "user"),
                           ("http://", "address", "redirect")]:
        reg.fault("to/bad", misbehave.redirect(target) if target == reg.url else
                  misbehave.status(307, {"Location": target}), kind="blob")
        reg.clear()
        refused("to/bad:1", *texts, "307")
        check(len(reg.asked(kind="blob")) <= 70, f"{len(reg.asked(kind='blob'))} requests for {target}")
        reg.heal()
    good.add("to/bad", image, "1")
    good.fault("to/bad", misbehave.redirect(unlisted.url), kind="blob")
    refused("to/bad:1", "without TLS", server=good)
    equal(unlisted.asked(), [], "requests without TLS")
    good.heal()


@case("row 52: `urls` of a descriptor are nobody's business")
def foreign_urls():
    away.add("urls/a", registry.make(OTHER, {}, "oci"), "1")

    def spoil(document):
        document["layers"][0]["urls"] = [f"{away.url}/v2/urls/a/blobs/{document['layers'][0]['digest']}"]

    image = put("urls/a", spoil)
    away.put_blob("urls/a", image.layers[0])
    with reg.lock:
        reg.owned.discard(("urls/a", registry.digest(image.layers[0])))
    away.clear()
    refused("urls/a:1", "blob")
    equal(away.asked(), [], "requests for urls")


@case("row 53: a realm for tokens on a foreign host, without TLS, of another protocol, on the metadata address")
def realms():
    image = registry.make([images.layer({"realm": misbehave.noise(3000)})], {}, "oci")
    tokens.add("realm/a", image, "1")
    own_realm = tokens.realm
    elsewhere.clear()
    try:
        for realm, *texts in [(f"https://registry.test:{elsewhere.port}/token", "credentials", "refused"),
                              (f"http://{METADATA}/latest/", "without TLS"),
                              ("http://registry.test/token", "without TLS"), ("file:///etc/passwd", "realm"),
                              ("https://ann:x@10.0.2.2/token", "realm"), ("//", "realm")]:
            tokens.realm = realm
            refused("realm/a:1", *texts, server=tokens, headers=auth())
        no_secrets(elsewhere, "the foreign realm")
        equal(elsewhere.asked(), [], "requests to the foreign realm")
    finally:
        tokens.realm = own_realm


@case("row 53: 401 for ever, wrong passwords: few requests, then an error")
def loops():
    image = registry.make([images.layer({"loop": misbehave.noise(3000)})], {}, "oci")
    for server, challenge in ((guarded, 'Basic realm="x"'), (tokens, None)):
        server.add("loop/a", image, "1")
        server.fault("loop/a", misbehave.always_401(challenge) if challenge else misbehave.always_401_bearer)
        server.clear()
        refused("loop/a:1", "unauthorized", "denied", "authentication required", server=server, headers=auth())
        check(len(server.asked()) <= 12, f"{len(server.asked())} requests")
        server.heal()
        refused("loop/a:1", "unauthorized", "authentication required", "incorrect username or password", "denied", server=server,
                headers=auth(password="wrong"))
        refused("loop/a:1", "no basic auth credentials", "denied", server=server)


@case("row 60: a token of 200 KB, one without end, one with a line break, an answer without one")
def bad_tokens():
    tokens.add("token/a", registry.make(OTHER, {}, "oci"), "1")
    for fault, *texts in [(misbehave.huge_token(200_000), "token"), (misbehave.endless(b'{"token":"' + b"a" * 60_000), "token"),
                          (misbehave.body(json.dumps({"token": "a\r\nX-Evil: 1"}).encode()), "token"),
                          (misbehave.body(b"{}"), "token"), (misbehave.body(b"<html>"), "token"),
                          (misbehave.body(json.dumps({"token": 5}).encode()), "token")]:
        tokens.fault("", fault, kind="token")
        refused("token/a:1", *texts, server=tokens, headers=auth())
        tokens.heal()


# --- TLS: rows 54, 55 ---------------------------------------------------------------------------------------------------------

@case("row 55: an expired certificate, one for another name, one of an authority that nobody knows")
def certificates():
    for name, server in BAD_TLS.items():
        server.add("tls/a", registry.make(OTHER, {}, "oci"), "1")
        refused("tls/a:1", "tls", "certificate", server=server, headers=auth())
        equal(server.asked(), [], f"requests to {name}")


@case("row 54: what fails with TLS is never asked without, unless it is listed")
def downgrade():
    unlisted.add("plain/a", registry.make(OTHER, {}, "oci"), "1")
    unlisted.clear()
    refused("plain/a:1", "tls", "TLS", server=unlisted, headers=auth())
    equal(unlisted.asked(), [], "requests without TLS")


# --- rows 57, 58, 59, 60 ---------------------------------------------------------------------------------------------------------

@case("row 57: a pull by digest moves no name; checkpoints are not there")
def names_stay():
    first, second = (registry.make([images.layer({"names": misbehave.noise(100)})], {}, "oci") for _each in range(2))
    reg.add("names/a", first, "1")
    reg.add("names/a", second)
    equal(pull(f"{reg.name}/names/a:1")[0], None, "the first")
    equal(pull(f"{reg.name}/names/a@{second.digest}")[0], None, "the second, by digest")
    equal(box.inspect(f"{reg.name}/names/a:1", "image")["Id"], first.id, "the name")
    equal(box.inspect(f"{reg.name}/names/a@{second.digest}", "image")["RepoTags"], [], "names of the second")
    for method in ("GET", "POST"):
        equal(box.request(method, "/containers/x/checkpoints")[0], 501, "checkpoints")
    box.docker("rmi", f"{reg.name}/names/a:1", f"{reg.name}/names/a@{second.digest}")


@case("row 58: names that are paths")
def bad_names():
    for name in ("../../etc", "a/../b", "a//b", ".a", "a/", "A/b", "a" * 300, "a:b:c", "a@sha256:x", "a@md5:" + "a" * 32):
        status, answer = box.request("POST", "/images/create?" + urllib.parse.urlencode({"fromImage": f"{reg.name}/{name}",
                                                                                         "tag": "1"}))
        equal(status, 400, f"{name}: {answer}")
    same_state("the case")


@case("row 59: two pulls that share a layer that is bad: both end, with the error")
def shared_layer():
    image = registry.make(fresh(), {"Cmd": ["sh"]}, "oci")
    for repo in ("shared/a", "shared/b"):
        reg.add(repo, image, "1")
    gate = threading.Event()
    bad = registry.digest(image.layers[0])

    def fault(handler):
        if handler.now.ref != bad:
            return False
        gate.wait()
        return misbehave.other_bytes(handler)

    for repo in ("shared/a", "shared/b"):
        reg.fault(repo, fault, kind="blob")
    found = {}

    def run(repo):
        found[repo] = pull(f"{reg.name}/{repo}:1")

    threads = [threading.Thread(target=run, args=(repo,)) for repo in ("shared/a", "shared/b")]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join(120)
    reg.heal()
    equal(sorted(found), ["shared/a", "shared/b"], "pulls that ended")
    for error, said in found.values():
        check(error and "digest" in error, f"{error}: {said}")
    same_state("the case")


@case("row 60: answers without end: manifest, blob, error, headers")
def endless():
    image = put("endless/a")
    target = registry.digest(image.layers[0])
    json_type = {"Content-Type": registry.TYPES["oci"]["manifest"]}
    cases = [("manifest", misbehave.endless(headers=json_type), "more than"),
             ("manifest", misbehave.endless(b'{"a":' * 10_000, headers=json_type), "more than"),
             ("blob", lambda handler: handler.now.ref == target and misbehave.endless(blob=True)(handler), "more than"),
             ("manifest", misbehave.status(404, text=b"n" * 300_000), "404", "not found"),
             ("manifest", misbehave.status(200, {f"X-{n}": "y" * 1000 for n in range(90)}), "headers")]
    for kind, fault, *texts in cases:
        reg.fault("endless/a", fault, kind=kind)
        reg.clear()
        refused("endless/a:1", *texts)
        check(all(item.sent < 16 << 20 for item in reg.asked()), f"bytes that were taken: {[i.sent for i in reg.asked()]}")
        reg.heal()


@case("row 60: 429, 503 and some 500s pass")
def passing_trouble():
    put("tries/a")
    reg.fault("tries/a", misbehave.status(429, {"Retry-After": "1"}), kind="manifest", times=1)
    reg.fault("tries/a", misbehave.status(503, {"Retry-After": "1"}), kind="blob", times=1)
    reg.fault("tries/a", misbehave.status(500), kind="blob", times=1)
    equal(pull(f"{reg.name}/tries/a:1")[0], None, "a registry in passing trouble")
    reg.heal()
    box.docker("rmi", f"{reg.name}/tries/a:1")


@case("a download that is cut off goes on where it was; without ranges, or with wrong ones, it is right in the end or an error")
def resumed():
    layer = images.layer({"resume": misbehave.noise(300_000)})
    for number, (ranges, more) in enumerate(((True, None), (False, None), (True, misbehave.wrong_range))):
        image = registry.make([layer], {"Labels": {"n": str(number)}}, "oci")
        target = registry.digest(image.layers[0])
        reg.add(f"resume/{number}", image, "1")
        reg.clear()

        def for_layer(fault, target=target):
            return lambda handler: handler.now.ref == target and fault(handler)

        reg.fault(f"resume/{number}", for_layer(misbehave.cut_after(100_000)), kind="blob", times=2)
        if not ranges:
            reg.fault(f"resume/{number}", for_layer(misbehave.no_ranges), kind="blob")
        if more:
            reg.fault(f"resume/{number}", for_layer(more), kind="blob", times=3)
        error, said = pull(f"{reg.name}/resume/{number}:1")
        reg.heal()
        equal(error, None, f"{number}: {said}")
        equal(box.inspect(f"{reg.name}/resume/{number}:1", "image")["Id"], image.id, "the image")
        if number == 0:
            asked = [item.range for item in reg.asked(kind="blob", ref=target)]
            check(any(item and not item.startswith("bytes=0-") for item in asked), f"ranges {asked}")
            check(reg.sent(target) < len(image.layers[0]) + 200_000, f"{reg.sent(target)} bytes were sent")
        box.docker("rmi", f"{reg.name}/resume/{number}:1")


# --- what is tried again: all at the same time, as each takes its time ---------------------------------------------------

def for_first_layer(fault):
    """Only the first layer of an image is bad."""
    return lambda handler: handler.now.ref == FIRST.get(handler.now.repo) and fault(handler)


AGAIN = [       # name, kind of request, fault, texts
    ("row 60: one byte a second is too slow", "blob", for_first_layer(misbehave.slow(100)), "slower than"),
    ("row 60: silence is too slow", "manifest", misbehave.silent, "slower than"),
    ("row 60: 500 for ever", "manifest", misbehave.status(500), "500"),
    ("row 60: a connection that is cut each time", "blob", for_first_layer(misbehave.cut_after(0)), "missing", "ended after",
     "was cut"),
    ("row 48: a blob without its last byte", "blob", for_first_layer(misbehave.fewer_bytes(1)), "ended after"),
    ("row 48: an empty blob", "blob", for_first_layer(misbehave.body(b"")), "ended after"),
    ("row 48: a layer smaller than it says", None, None, "ended after", "416"),
]
FIRST, RUNNING, FOUND = {}, {}, {}


def start_again():
    """Starts all pulls of AGAIN."""
    reg.clear()
    for number, (_name, kind, fault, *_texts) in enumerate(AGAIN):
        repo = f"again/{number}"
        grow = None if kind else lambda d: change("layers", 0, "size", to=d["layers"][0]["size"] + 1)(d)
        FIRST[repo] = registry.digest(put(repo, grow).layers[0])
        if kind:
            reg.fault(repo, fault, kind=kind)
        RUNNING[number] = threading.Thread(target=lambda number=number, repo=repo: FOUND.update(
            {number: pull(f"{reg.name}/{repo}:1", seconds=200)}), daemon=True)
        RUNNING[number].start()


def again_case(number, name, kind, texts):
    @case(f"{name}: at most {TRIES} tries, then an error")
    def run():
        if not RUNNING:
            start_again()
        RUNNING[number].join(220)
        check(number in FOUND, "the pull did not end")
        error, said = FOUND[number]
        check(error and any(text in error for text in texts), f"none of {texts} in {error!r}: {said}")
        asked = reg.asked(kind=kind or "blob", repo=f"again/{number}", ref="1" if kind == "manifest" else FIRST[f"again/{number}"])
        check(1 <= len(asked) <= TRIES, f"{len(asked)} tries")


for number_, (name_, kind_, _fault, *texts_) in enumerate(AGAIN):
    again_case(number_, name_, kind_, texts_)


@case("after these tries the store is as before")
def after_tries():
    reg.heal()
    same_state("the tries")


@case("after all of that a good pull is good, no worker runs, and the engine has not grown")
def afterwards():
    put("good/a")
    for server in (reg, good):
        server.add("good/a", registry.make(fresh(), {"Cmd": ["sh"]}, "oci"), "1")
        equal(pull(f"{server.name}/good/a:1")[0], None, "a good pull")
    until(lambda: box.sh("ps | grep '[s]kerryd worker' | grep -vc 'worker dns'; true") == "0", "no worker runs")
    peak = int(box.sh(f"grep VmHWM /proc/{vm.ENGINE}/status").split()[1])
    check(peak <= 24 << 10, f"the engine had {peak} KiB at its largest")
    check(SECRET not in box.log(), "the password is on the console")


if __name__ == "__main__":
    box.up(overlay=overlay())
    tap.main()
