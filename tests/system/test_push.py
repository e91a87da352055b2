#!/usr/bin/env python3
"""Push, distribution inspect and search, by the docker client, to Debian's docker-registry (plain, with TLS and htpasswd) and
to the tests' own registry, which tells what was sent. Others' programs, skopeo and umoci, read what we wrote and the other
way round: digests stay the same everywhere."""

import base64
import json
import os
import threading

from lib import images, misbehave, others, registry, samples, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

USERS = {"ann": "secret", "bob": "other"}
plain = others.DockerRegistry()
secure = others.DockerRegistry(tls="good", users={"ann": "secret"})
own = registry.start()
tokens = registry.start(tls="good", auth="token", users=USERS)
box = vm.prepared("push")
SETTINGS = f"""\
engine:
  registry:
    insecure-registries: ["{plain.name}", "{own.name}"]
    certificates: [/etc/skerry/tests-ca.pem]
    least-speed-seconds: 30
"""
LAYERS = [images.layer(images.busybox_files()), images.layer({"data/one": b"first\n"}),
          images.layer({"data/two": misbehave.noise(600_000)})]
CONFIG = {"Cmd": ["cat", "/data/one"], "Env": ["PATH=/bin"]}


def overlay():
    folder = os.path.join(box.scratch, "overlay/etc/skerry")
    os.makedirs(folder)
    with open(os.path.join(folder, "system.yaml"), "w", encoding="ascii") as text:
        text.write(SETTINGS)
    with open(os.path.join(folder, "tests-ca.pem"), "w", encoding="ascii") as text:
        text.write(registry.ca_text())
    return os.path.join(box.scratch, "overlay")


def local(name):
    return os.path.join(box.scratch, name)


def load(name, layers=None, write=images.docker_archive):
    """An image in the machine's store; its id."""
    box.docker("load", "-i", write(local("load.tar"), name, layers or LAYERS, CONFIG))
    return box.inspect(name, "image")["Id"]


def tag(source, *names):
    for name in names:
        box.docker("tag", source, name)


def push(name, *words):
    """(digest, all that the client said) of a push that went well."""
    said = box.docker("push", *words, name)
    line = [item for item in said.splitlines() if ": digest: sha256:" in item][-1]
    return line.split("digest: ")[1].split()[0], said


def push_fails(name, *texts, words=()):
    done = box.docker("push", *words, name, check=False)
    check(done.returncode != 0, f"docker push {name} went well: {done.stdout}")
    for text in texts:
        contains(done.stderr + done.stdout, text, f"docker push {name}")
    return done.stderr


def lines_of(path, headers=None):
    """(status, JSON lines) of a streamed answer."""
    return box.lines("POST", path, headers)


def auth(name, password):
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps({"username": name, "password": password}).encode())
            .decode()}


def workers():
    return box.sh("ps | grep -c '[w]orker fetch'; true")


@case("push: what was loaded is in docker-registry, every blob with its digest, and skopeo reads it")
def push_plain():
    name = f"{plain.name}/push/app:1"
    want = load(name)
    digest, said = push(name)
    contains(said, f"The push refers to repository [{plain.name}/push/app]", "docker push")
    equal(said.count("Pushed"), len(LAYERS), f"pushed layers in {said}")
    raw, _kind = others.inspect(f"docker://{plain.here}/push/app:1", *plain.skopeo_words(""))
    document = json.loads(raw)
    equal(registry.digest(raw), digest, "the manifest's digest")
    contains(said, f"1: digest: {digest} size: {len(raw)}", "docker push")
    equal(document["config"]["digest"], want, "the config is the image's id")
    equal([item["digest"] for item in document["layers"]], [registry.digest(item) for item in LAYERS], "layers")
    equal(box.inspect(name, "image")["RepoDigests"], [f"{plain.name}/push/app@{digest}"], "RepoDigests")
    folder = local("layout")
    others.copy(f"docker://{plain.here}/push/app:1", f"oci:{folder}:1", *plain.skopeo_words("src"))
    root = others.unpack(folder, "1", local("bundle"))
    with open(os.path.join(root, "data/one"), encoding="ascii") as text:
        equal(text.read(), "first\n", "a file of the image, unpacked by umoci")


@case("push: the stream that clients read")
def stream():
    name = f"{own.name}/push/stream"
    load(f"{name}:1")
    status, lines = lines_of(f"/images/{name}/push?tag=1", {"X-Registry-Auth": "e30="})
    equal(status, 200, lines)
    equal(lines[0], {"status": f"The push refers to repository [{name}]"}, "the first line")
    seen = {}
    for line in lines[1:-2]:
        check({"status", "progressDetail", "id"} == set(line), f"a layer's line: {line}")
        check(len(line["id"]) == 12, f"id of {line}")
        seen.setdefault(line["id"], []).append(line["status"])
    equal(len(seen), len(LAYERS), f"layers in {lines}")
    for states in seen.values():
        equal((states[0], states[-1]), ("Preparing", "Pushed"), "first and last state of a layer")
        check(set(states[1:-1]) <= {"Waiting", "Pushing"}, f"states {states}")
    details = [line["progressDetail"] for line in lines[1:-2] if line["status"] == "Pushing"]
    check(any(item["current"] == item["total"] for item in details), f"progress {details}")
    check(all(0 <= item["current"] <= item["total"] for item in details), f"progress {details}")
    media_type, document = own.manifests[("push/stream", "1")]
    equal(lines[-2], {"status": f"1: digest: {registry.digest(document)} size: {len(document)}"}, "the last but one")
    equal(lines[-1], {"progressDetail": {}, "aux": {"Tag": "1", "Digest": registry.digest(document),
                                                    "Size": len(document)}}, "the last line")
    equal(media_type, json.loads(document)["mediaType"], "Content-Type of the manifest")


@case("push: an image that came with a manifest is pushed with it: the digest stays")
def keeps_manifest():
    image = registry.make([images.layer({"kept": b"kept\n"})], CONFIG, "oci", "gzip",
                          spoil=lambda item: {**item, "annotations": {"of": "tests"}})
    others.run("tar", "-C", samples.layout(image, local("oci"), "1"), "-cf", local("oci.tar"), ".")
    box.docker("load", "-i", local("oci.tar"))
    tag(image.id, f"{plain.name}/push/kept:1")
    digest, _said = push(f"{plain.name}/push/kept:1")
    equal(digest, image.digest, "the digest")
    raw, _kind = others.inspect(f"docker://{plain.here}/push/kept:1", *plain.skopeo_words(""))
    equal(raw, image.manifest, "the manifest")


@case("push again: nothing is sent, every layer is there already")
def again():
    name = f"{own.name}/push/again:1"
    load(name)
    first, _said = push(name)
    own.clear()
    second, said = push(name)
    equal(second, first, "the digest")
    equal(said.count("Layer already exists"), len(LAYERS), said)
    equal([item.method for item in own.asked() if item.method not in ("HEAD", "GET", "PUT")], [], "requests")
    equal([item.kind for item in own.asked(method="PUT")], ["manifest"], "what was put")


@case("push: a layer that another repository of the registry has is mounted, not sent")
def mounted():
    layers = [images.layer({"mount": misbehave.noise(100_000)})]
    load(f"{own.name}/push/origin:1", layers)
    push(f"{own.name}/push/origin:1")
    tag(f"{own.name}/push/origin:1", f"{own.name}/push/copy:1")
    own.clear()
    _digest, said = push(f"{own.name}/push/copy:1")
    contains(said, "Mounted from push/origin", "docker push")
    equal([item.query["from"] for item in own.asked(kind="uploads", repo="push/copy") if "mount" in item.query],
          [["push/origin"]] , "mounts")
    equal([item.received for item in own.asked(kind="upload", repo="push/copy") if item.received > 5000], [],
          "bytes that were sent")
    own.mounts = False
    try:
        tag(f"{own.name}/push/origin:1", f"{own.name}/push/sent:1")
        _digest, said = push(f"{own.name}/push/sent:1")
        contains(said, "Pushed", "docker push to a registry that does not mount")
        check(own.has("push/sent", registry.digest(layers[0])), "the layer is not there")
    finally:
        own.mounts = True


@case("push of all tags: each has its manifest, layers go once")
def all_tags():
    name = f"{own.name}/push/all"
    base, *tops = [images.layer({"all": word}) for word in (b"base\n", b"1\n", b"2\n")]
    first, second = load(f"{name}:one", [base, tops[0]]), load(f"{name}:two", [base, tops[1]])
    tag(first, f"{name}:three")
    own.clear()
    said = box.docker("push", "-a", name)
    for word in ("one", "two", "three"):
        contains(said, f"{word}: digest: sha256:", "docker push -a")
        document = json.loads(own.manifests[("push/all", word)][1])
        equal(document["config"]["digest"], second if word == "two" else first, f"the config of {word}")
    equal([item.query.get("digest") for item in own.asked(kind="upload", method="PUT")].count([registry.digest(base)]), 1,
          "uploads of the common layer")
    contains(box.docker("push", "-a", f"{own.name}/push/none", check=False).stderr,
             f"An image does not exist locally with the tag: {own.name}/push/none", "docker push -a of no image")


@case("push: what cannot be pushed is refused with words")
def refused():
    push_fails(f"{own.name}/push/nobody:1", f"An image does not exist locally with the tag: {own.name}/push/nobody")
    name = f"{own.name}/push/refused"
    load(f"{name}:1")
    push_fails(f"{name}:2", f"tag does not exist: {name}:2")
    for path, want, text in [
            (f"/images/{name}@sha256:{'a' * 64}/push", 400, "cannot push a digest reference"),
            (f"/images/{name}/push?tag=a%20b", 400, "invalid tag format"),
            ("/images/UPPER/push?tag=1", 400, "invalid reference format"),
            (f"/images/{name}/push?tag=1&platform=%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22arm64%22%7D", 404,
             "does not provide the specified platform")]:
        status, answer = box.request("POST", path)
        equal((status, text in answer["message"]), (want, True), f"{path}: {status} {answer}")
    push_fails("127.0.0.1:1/push/nothing:1", "An image does not exist locally")
    tag(f"{name}:1", "10.0.2.2:1/push/nothing:1")
    push_fails("10.0.2.2:1/push/nothing:1", "10.0.2.2:1")


@case("login and push: TLS by a CA of system.yaml, htpasswd; skopeo fetches what was pushed")
def with_htpasswd():
    name = f"{secure.name}/push/secure:1"
    want = load(name)
    push_fails(name, "no basic auth credentials")
    done = box.docker("login", "-u", "ann", "-p", "wrong", secure.name, check=False)
    check(done.returncode != 0, f"login with a wrong password: {done.stdout}")
    contains(box.docker("login", "-u", "ann", "-p", "secret", secure.name), "Login Succeeded", "docker login")
    digest, _said = push(name)
    raw, _kind = others.inspect(f"docker://{secure.here}/push/secure:1", *secure.skopeo_words(""))
    equal((registry.digest(raw), json.loads(raw)["config"]["digest"]), (digest, want), "the manifest")
    box.docker("logout", secure.name)
    push_fails(name, "no basic auth credentials")


@case("push with tokens: the scope is pull and push of this repository; who may not is told so")
def with_tokens():
    name = f"{tokens.name}/push/token:1"
    load(name)
    push_fails(name, "denied")
    equal([key for key in tokens.manifests if key[0] == "push/token"], [], "manifests")
    box.docker("login", "-u", "bob", "-p", "other", tokens.name)
    tokens.clear()
    push(name)
    asked = [scope for item in tokens.asked(kind="token") for scope in item.query.get("scope", [])]
    check(asked and all(scope == "repository:push/token:pull,push" for scope in asked), f"scopes {asked}")
    check(all(item.authorization is None or item.authorization.startswith("Bearer ")
              for item in tokens.asked() if item.kind != "token"), "credentials went to where tokens are wanted")
    tag(name, f"{tokens.name}/push/token2:1")
    tokens.clear()
    _digest, said = push(f"{tokens.name}/push/token2:1")
    contains(said, "Mounted from push/token", "docker push")
    check(any(set(item.query.get("scope", [""])) & {"repository:push/token:pull"} or
              "repository:push/token:pull" in " ".join(item.query.get("scope", [])) for item in tokens.asked(kind="token")),
          f"no scope for the mount: {[item.query for item in tokens.asked(kind='token')]}")
    status, lines = lines_of(f"/images/{tokens.name}/push/token/push?tag=1", auth("ann", "wrong"))
    check(status == 200 and "errorDetail" in lines[-1], f"wrong password: {status} {lines}")
    contains(lines[-1]["error"], "unauthorized", "the error")
    box.docker("logout", tokens.name)


@case("push to a registry that takes small requests only: in pieces, in order")
def in_pieces():
    name = f"{own.name}/push/pieces:1"
    layers = [images.layer({"piece": misbehave.noise(900_000)})]
    load(name, layers)
    own.clear()
    own.max_body = 150_000
    try:
        push(name)
    finally:
        own.max_body = 0
    pieces = [item.received for item in own.asked(kind="upload", method="PATCH") if item.status == 202]
    check(len(pieces) >= 6 and max(pieces) <= 150_000, f"pieces {pieces}")
    equal(own.blobs[registry.digest(layers[0])], layers[0], "the layer")


@case("push: an upload that is cut off is taken up where it was, a registry in trouble is asked again")
def interrupted():
    name = f"{own.name}/push/cut:1"
    layers = [images.layer({"cut": misbehave.noise(400_000)})]
    load(name, layers)
    own.fault("push/cut", misbehave.refuse_upload_after(200_000), kind="upload", method="PUT")
    own.fault("push/cut", misbehave.status(503), kind="manifest", method="PUT", times=2)
    own.clear()
    digest, _said = push(name)
    own.heal()
    check(own.asked(kind="upload", method="PATCH"), "the layer did not go in pieces after the cut")
    equal(own.blobs[registry.digest(layers[0])], layers[0], "the layer")
    equal([item.status for item in own.asked(kind="manifest", method="PUT")], [503, 503, 201], "manifests")
    equal(registry.digest(own.manifests[("push/cut", "1")][1]), digest, "the manifest")


@case("push to a registry that fails for good: the error is told, tries are few, no manifest was sent")
def broken():
    name = f"{own.name}/push/broken:1"
    load(name, [images.layer({"broken": b"x\n"})])
    own.fault("push/broken", misbehave.status(500), kind="uploads")
    own.clear()
    push_fails(name, "500")
    check(len(own.asked(kind="uploads")) <= 2 * 5, f"{len(own.asked(kind='uploads'))} tries")
    equal(own.asked(kind="manifest"), [], "manifests")
    own.heal()
    own.fault("push/broken", misbehave.error(403, "DENIED", "you shall not"), kind="uploads")
    push_fails(name, "you shall not")
    own.heal()
    own.fault("push/broken", misbehave.error(400, "MANIFEST_INVALID", "not to my taste"), kind="manifest")
    push_fails(name, "not to my taste")
    own.heal()
    equal(workers(), "0", "fetch workers")
    push(name)


@case("push: who leaves ends it; the image is as it was")
def leaves():
    name = f"{own.name}/push/leave:1"
    load(name, [images.layer({"leave": misbehave.noise(50_000)})])
    gate = threading.Event()
    own.fault("push/leave", misbehave.hold(gate), kind="upload")
    client = box.follow("push", name)
    until(lambda: own.asked(kind="upload", repo="push/leave"), "the upload began")
    client.kill()
    client.communicate()
    until(lambda: workers() == "0", "no worker is left")
    gate.set()
    own.heal()
    equal([key for key in own.manifests if key[0] == "push/leave"], [], "manifests")
    push(name)


@case("push: an event for each tag")
def events():
    name = f"{own.name}/push/event:1"
    load(name)
    since = box.now()
    push(name)
    shown = box.docker("events", "--since", f"{since:.6f}", "--until", f"{box.now() + 1:.6f}", "--filter", "event=push",
                       "--format", "{{json .}}")
    found = [json.loads(line) for line in shown.splitlines()]
    equal([(item["Type"], item["Actor"]["ID"], item["Actor"]["Attributes"]["name"]) for item in found],
          [("image", name, name)], "events")


@case("what skopeo pushed is pulled, pushed elsewhere and the same by every digest: OCI and Docker's formats, gzip and zstd")
def there_and_back():
    for kind, compress in (("oci", "gzip"), ("docker", "gzip"), ("oci", "zstd")):
        layers = [images.layer({name: (kind + compress).encode() * 1000}) for name in ("there", "back")]
        image = registry.make(layers, CONFIG, kind, compress)
        here = f"push/back-{kind}-{compress}"
        others.copy(f"dir:{samples.directory(image, local('back'))}", f"docker://{plain.here}/{here}:1", *plain.skopeo_words("dest"))
        box.docker("pull", f"{plain.name}/{here}:1")
        equal(box.inspect(f"{plain.name}/{here}:1", "image")["Id"], image.id, f"id of {kind} {compress}")
        tag(f"{plain.name}/{here}:1", f"{own.name}/{here}:1")
        digest, _said = push(f"{own.name}/{here}:1")
        equal((digest, own.manifests[(here, "1")][1]), (image.digest, image.manifest), f"manifest of {kind} {compress}")
        box.docker("rmi", f"{plain.name}/{here}:1", f"{own.name}/{here}:1")
        box.docker("pull", f"{own.name}/{here}@{digest}")
        equal(box.inspect(f"{own.name}/{here}@{digest}", "image")["Id"], image.id, "pulled again, by digest")


@case("save of ours loads in skopeo and umoci, theirs loads in ours: the same digests")
def archives():
    name = f"{own.name}/push/archive:1"
    want = load(name)
    digest, _said = push(name)
    box.docker("save", "-o", local("ours.tar"), name)
    others.copy(f"oci-archive:{local('ours.tar')}", f"oci:{local('from-oci')}:1")
    with open(local("from-oci/index.json"), encoding="utf-8") as text:
        equal([item["digest"] for item in json.load(text)["manifests"]], [digest], "the manifest through oci-archive")
    others.copy(f"docker-archive:{local('ours.tar')}", f"dir:{local('from-docker')}")
    with open(local("from-docker/manifest.json"), encoding="utf-8") as text:
        document = json.load(text)
    equal(document["config"]["digest"], want, "the image's id through docker-archive")
    equal([item["digest"] for item in document["layers"]], [registry.digest(item) for item in LAYERS], "its layers")
    root = others.unpack(local("from-oci"), "1", local("archive-bundle"))
    check(os.path.exists(os.path.join(root, "data/two")), "umoci did not unpack all layers")
    box.docker("rmi", name)
    others.copy(f"docker-archive:{local('ours.tar')}", f"docker-archive:{local('theirs.tar')}:{name}")
    others.copy(f"docker://127.0.0.1:{own.port}/push/archive:1", f"oci-archive:{local('theirs-oci.tar')}:{name}",
                "--src-tls-verify=false")
    for archive in ("theirs.tar", "theirs-oci.tar"):
        contains(box.docker("load", "-i", local(archive)), f"Loaded image: {name}", f"docker load of {archive}")
        equal(box.inspect(name, "image")["Id"], want, f"the id of {archive}")
        box.docker("rmi", name)


@case("distribution: descriptor and platforms of an index, a manifest, with and without credentials")
def distribution():
    by_platform, top = samples.platforms(own, "push/many", "1")
    status, found = box.request("GET", f"/distribution/{own.name}/push/many:1/json")
    equal(status, 200, found)
    equal((found["Descriptor"]["digest"], found["Descriptor"]["mediaType"]), (top, registry.TYPES["oci"]["index"]),
          "the descriptor")
    equal(found["Descriptor"]["size"], len(own.manifests[("push/many", "1")][1]), "its size")
    equal([f"{item['os']}/{item['architecture']}" for item in found["Platforms"]], list(by_platform), "platforms")
    equal([item.get("variant") for item in found["Platforms"]], ["v8", "v7", None, None, None], "variants")
    one = by_platform["linux/arm64"]
    status, found = box.request("GET", f"/distribution/{own.name}/push/many@{one.digest}/json")
    equal((status, found), (200, {
        "Descriptor": {"mediaType": one.media_type, "digest": one.digest, "size": len(one.manifest)},
        "Platforms": [{"architecture": "arm64", "os": "linux", "variant": "v8"}]}), "by digest")
    tokens.add("push/private", registry.make(LAYERS[1:2]), "latest")
    path = f"/distribution/{tokens.name}/push/private/json"
    status, found = box.request("GET", path, headers=auth("ann", "secret"))
    equal((status, found.get("Platforms")), (200, [{"architecture": "amd64", "os": "linux"}]), found)
    for path, want, text, headers in [
            (path, 401, "unauthorized", auth("ann", "wrong")), (f"/distribution/{own.name}/push/many:none/json", 404,
                                                                "manifest unknown", {}),
            ("/distribution/UPPER/json", 400, "invalid reference format", {})]:
        status, found = box.request("GET", path, headers=headers)
        check(status == want and text in found["message"], f"{path}: {status} {found}, not {want} {text}")


@case("search: a registry's host in the term, limit and filters, as docker search shows it")
def search():
    own.found = [{"name": f"team/app{number}", "description": f"number {number}", "star_count": number * 10,
                  "is_official": number % 2 == 0, "is_automated": True} for number in range(30)]
    shown = box.docker("search", "--format", "{{json .}}", f"{own.name}/team/app1")
    found = [json.loads(line) for line in shown.splitlines()]
    found[0].pop("IsAutomated", None)       # older clients have it
    equal(found[0], {"Description": "number 1", "IsOfficial": "false", "Name": "team/app1", "StarCount": "10"}, "the first")
    equal(len(found), 11, "what has app1 in its name")

    def names(**query):
        own.clear()
        status, answer = box.request("GET", f"/images/search?term={own.name}/team/app&" + "&".join(
            f"{key}={value}" for key, value in query.items()))
        equal(status, 200, answer)
        return [item["name"] for item in answer]

    equal(len(names()), 25, "without a limit")
    equal(own.asked(kind="search")[0].query, {"q": ["team/app"], "n": ["25"]}, "the question")
    equal(names(limit=3), ["team/app0", "team/app1", "team/app2"], "limit")
    equal(names(limit=4, filters='{"is-official":["true"]}'), ["team/app0", "team/app2"], "official ones")
    equal(names(limit=4, filters='{"is-official":{"false":true}}'), ["team/app1", "team/app3"], "others")
    equal(names(limit=4, filters='{"stars":["20"]}'), ["team/app2", "team/app3"], "stars")
    equal(names(limit=4, filters='{"is-automated":["true"]}'), [], "automated ones")
    for query, text in [("term=", "search term"), (f"term={own.name}/x&limit=101", "outside the range of [1, 100]"),
                        (f"term={own.name}/x&limit=-1", "invalid limit"), (f"term={own.name}/x&limit=a", "invalid limit"),
                        (f'term={own.name}/x&filters={{"stars":["a"]}}', "invalid filter 'stars=a'"),
                        (f'term={own.name}/x&filters={{"zzz":["a"]}}', "invalid filter 'zzz'"),
                        ("term=https://x.example/y", "should not have a scheme")]:
        status, answer = box.request("GET", f"/images/search?{query}")
        check(status == 400 and text in answer["message"], f"{query}: {status} {answer}")
    own.fault("", misbehave.body(b'{"results": 5}'), kind="search")
    status, answer = box.request("GET", f"/images/search?term={own.name}/x")
    check(status >= 500 or status == 400, f"nonsense: {status} {answer}")
    own.heal()
    own.fault("", misbehave.endless(b'{"results": [' + b" " * 60000), kind="search")
    status, answer = box.request("GET", f"/images/search?term={own.name}/x", seconds=120)
    check(status >= 400, f"endless: {status} {answer}")
    own.heal()


@case("an image of 120 layers is pulled and runs", seconds=900)
def many_layers():
    image = samples.many_layers(120)
    own.add("push/layers", image, "1")
    name = f"{own.name}/push/layers:1"
    box.docker("pull", name, seconds=800)
    shown = box.inspect(name, "image")
    equal((shown["Id"], len(shown["RootFS"]["Layers"])), (image.id, 120), "the image")
    equal(box.docker("run", "--rm", name, "sh", "-c", "cat /n/all; ls /n | wc -l"), f"119\n{119 - 11 + 1}", "what it sees")


if __name__ == "__main__":
    box.up(overlay=overlay())
    tap.main()
