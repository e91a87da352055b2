#!/usr/bin/env python3
"""Pull, login and import from an address, by the docker client: from Debian's docker-registry and from the tests' own registry,
which tells what was asked for. What misbehaves is in test_registry_threats."""

import base64
import http.server
import json
import os
import threading
import urllib.error
import urllib.parse
import urllib.request

from lib import images, misbehave, others, registry, samples, tap, vm
from lib.poll import until
from lib.tap import case, check, contains, equal

SECRET = "se-cret-of-ann"
USERS = {"ann": SECRET}
plain = others.DockerRegistry()
secure = others.DockerRegistry(tls="good", users=USERS)
own = registry.start()
tokens = registry.start(tls="good", auth="token", users=USERS)
hub = registry.start()                                  # stands before Docker Hub
foreign = registry.start(tls="unknown-ca")              # only its own folder of certs.d knows who signed it
box = vm.prepared("pull")
LAYERS = [images.layer(images.busybox_files()), images.layer({"data/one": b"first\n"}),
          images.layer({"data/two": misbehave.noise(600_000)})]
CONFIG = {"Cmd": ["cat", "/data/one"], "Env": ["PATH=/bin"]}
BEHIND = "behind.test:5000"                             # a name that only the proxy knows


class Proxy(http.server.BaseHTTPRequestHandler):
    """Forwards GETs of http://BEHIND/ to the tests' own registry; CONNECT is refused."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Proxy-Authorization")))
        path = self.path.removeprefix(f"http://{BEHIND}")
        request = urllib.request.Request(f"http://127.0.0.1:{own.port}{path}",
                                         headers={"Accept": ", ".join(self.headers.get_all("Accept") or [])})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, headers, data = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            status, headers, data = error.code, error.headers, error.read()
        self.send_response(status)
        for name in ("Content-Type", "Docker-Content-Digest"):
            if headers.get(name):
                self.send_header(name, headers[name])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_CONNECT(self):
        self.server.asked.append((self.path, self.headers.get("Proxy-Authorization")))
        self.send_error(403)

    def log_message(self, *_what):
        pass


proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
proxy.daemon_threads, proxy.asked = True, []
threading.Thread(target=proxy.serve_forever, daemon=True).start()
tap.CLEANUP.append(proxy.shutdown)
SETTINGS = f"""\
engine:
  registry:
    mirrors: ["{hub.url}"]
    insecure-registries: ["{plain.name}", "{own.name}", "{hub.name}", "{BEHIND}"]
    certificates: [/etc/skerry/tests-ca.pem]
    http-proxy: "http://ann:pass-word@{registry.GUEST_SEES}:{proxy.server_address[1]}"
    https-proxy: "http://ann:pass-word@{registry.GUEST_SEES}:{proxy.server_address[1]}"
    no-proxy: ["{registry.GUEST_SEES}"]
"""


def overlay():
    top = os.path.join(box.scratch, "overlay")
    with open(registry.certificates()["unknown-ca"][0].replace("unknown-ca.pem", "other-ca.pem"), encoding="ascii") as text:
        other = text.read()
    for path, text in (("etc/skerry/system.yaml", SETTINGS), ("etc/skerry/tests-ca.pem", registry.ca_text()),
                       (f"etc/docker/certs.d/{foreign.name}/ca.crt", other)):
        path = os.path.join(top, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as out:
            out.write(text)
    return top


def local(name):
    return os.path.join(box.scratch, name)


def lines_of(path, headers=None):
    """(status, JSON lines) of a streamed answer."""
    return box.lines("POST", path, headers)


def create(name, tag, **more):
    return "/images/create?" + urllib.parse.urlencode({"fromImage": name, "tag": tag, **more})


def header(**auth):
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(auth).encode()).decode()}


def pull_fails(name, *texts):
    done = box.docker("pull", name, check=False, stdin="")      # after a 401 the client asks for a name
    check(done.returncode != 0, f"docker pull {name} went well: {done.stdout}")
    for text in texts:
        contains(done.stderr, text, f"docker pull {name}")


def forget(*names):
    for name in names:
        box.docker("rmi", "-f", name)


def left():
    """What pulls leave behind when they should not: files in work, and workers."""
    return box.sh("ls /var/lib/skerry/images/tmp | wc -l; ps | grep '[s]kerryd worker' | grep -vc 'worker dns'; true").split()


@case("pull: what skopeo put into docker-registry, by tag; it runs, and has its digest")
def from_docker_registry():
    image = registry.make(LAYERS, CONFIG, "oci", "gzip")
    others.copy(f"oci:{samples.layout(image, local('oci'), '1')}:1", f"docker://{plain.here}/pull/app:1",
                *plain.skopeo_words("dest"))
    name = f"{plain.name}/pull/app:1"
    since = box.now()
    said = box.docker("pull", name)
    contains(said, "1: Pulling from pull/app", "docker pull")
    contains(said, f"Digest: {image.digest}", "docker pull")
    contains(said, f"Status: Downloaded newer image for {name}", "docker pull")
    found = box.inspect(name, "image")
    equal((found["Id"], found["RepoTags"], found["RepoDigests"]),
          (image.id, [name], [f"{plain.name}/pull/app@{image.digest}"]), "the image")
    equal(box.docker("run", "--rm", name), "first", "a container of it")
    events = box.docker("events", "--since", f"{since:.6f}", "--until", f"{box.now():.6f}", "--filter", "event=pull",
                        "--format", "{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}}")
    equal(events, f"image pull {name} {plain.name}/pull/app", "events")
    contains(box.docker("pull", name), f"Status: Image is up to date for {name}", "docker pull once more")
    until(lambda: left() == ["0", "0"], "nothing is left behind")


@case("pull: the stream that clients read, line by line")
def stream():
    image = registry.make([*LAYERS[:2], images.layer({"stream": misbehave.noise(3_000_000)})], CONFIG)
    own.add("pull/stream", image, "1")
    name = f"{own.name}/pull/stream"
    status, lines = lines_of(create(name, "1"), {"X-Registry-Auth": "e30="})
    equal(status, 200, lines)
    equal(lines[0], {"status": "Pulling from pull/stream", "progressDetail": {}, "id": "1"}, "the first line")
    equal(lines[-2:], [{"status": f"Digest: {image.digest}"},
                       {"status": f"Status: Downloaded newer image for {name}:1"}], "the last lines")
    seen = {}
    for line in lines[1:-2]:
        equal(set(line), {"status", "progressDetail", "id"}, f"members of {line}")
        seen.setdefault(line["id"], []).append(line["status"])
    ids = [registry.digest(item).removeprefix("sha256:")[:12] for item in image.layers]
    equal(sorted(seen), sorted(ids), "ids of layers")
    for states in seen.values():
        equal(states[0], "Pulling fs layer" if states[0] != "Already exists" else "Already exists", "first state")
        if states[-1] == "Already exists":
            continue
        equal(states[-1], "Pull complete", "last state")
        order = ["Pulling fs layer", "Waiting", "Downloading", "Verifying Checksum", "Download complete", "Extracting",
                 "Pull complete"]
        equal([order.index(item) for item in states], sorted(order.index(item) for item in states), f"order of {states}")
    last = [line["progressDetail"] for line in lines if line.get("id") == ids[2] and line["status"] == "Downloading"][-1]
    equal(last, {"current": len(image.layers[2]), "total": len(image.layers[2])}, "the last progress of a download")


@case("pull: by digest, with and without a name; no tag is made")
def by_digest():
    image = registry.make([LAYERS[0], images.layer({"by": b"digest\n"})], {**CONFIG, "Cmd": ["cat", "/by"]})
    own.add("pull/digest", image)
    name = f"{own.name}/pull/digest@{image.digest}"
    contains(box.docker("pull", name), f"Status: Downloaded newer image for {name}", "docker pull")
    found = box.inspect(name, "image")
    equal((found["Id"], found["RepoTags"], found["RepoDigests"]), (image.id, [], [name]), "the image")
    equal(box.docker("run", "--rm", name), "digest", "a container of it")
    contains(box.docker("pull", name), "Image is up to date", "docker pull once more")
    forget(name)
    status, lines = lines_of(create(f"{own.name}/pull/digest", image.digest))
    equal((status, lines[-1]), (200, {"status": f"Status: Downloaded newer image for {name}"}), "digest as the tag")
    status, answer = lines_of("/images/create?fromImage=busybox")
    equal(status, 501, f"all tags: {answer}")
    wrong = "sha256:" + "0" * 64
    pull_fails(f"{own.name}/pull/digest@{wrong}", f"manifest for {own.name}/pull/digest@{wrong} not found: manifest unknown")


@case("pull: of an index the image for this machine, or for the platform that is asked for")
def platforms():
    by_platform, index = samples.platforms(own, "pull/many", "1")
    name = f"{own.name}/pull/many:1"
    contains(box.docker("pull", name), f"Digest: {index}", "docker pull")
    found = box.inspect(name, "image")
    equal((found["Id"], found["Architecture"]), (by_platform["linux/amd64"].id, "amd64"), "this machine's")
    equal(found["RepoDigests"], [f"{own.name}/pull/many@{index}"], "the digest is the index's")
    equal(box.docker("run", "--rm", name), "linux/amd64", "a container of it")
    contains(box.docker("pull", "--platform", "linux/arm64", name), "Downloaded newer image", "docker pull for arm64")
    found = box.inspect(name, "image")
    equal((found["Id"], found["Architecture"]), (by_platform["linux/arm64"].id, "arm64"), "arm64's")
    equal(found["RepoDigests"], [f"{own.name}/pull/many@{index}"], "the digest went along")
    equal(box.inspect(by_platform["linux/amd64"].id, "image")["RepoDigests"], [], "and left the other one")
    contains(box.docker("pull", "--platform", "linux/arm/v7", name), "Downloaded newer image", "docker pull for arm/v7")
    equal(box.inspect(name, "image")["Id"], by_platform["linux/arm"].id, "arm/v7's")
    done = box.docker("pull", "--platform", "linux/riscv64", name, check=False)
    contains(done.stderr, "no matching manifest for linux/riscv64 in the manifest list entries", "a platform that it has not")
    contains(box.docker("pull", name), "Downloaded newer image", "docker pull")
    equal(box.docker("run", "--rm", name), "linux/amd64", "a container of it, again")
    forget(by_platform["linux/arm64"].id, by_platform["linux/arm"].id)


@case("pull: layers of gzip, zstd and without compression, in both families of documents")
def compressions():
    for kind in ("docker", "oci"):
        for compress in ("none", "gzip", "zstd"):
            text = f"{kind} {compress}\n".encode()
            image = registry.make([LAYERS[0], images.layer({"what": text})], {**CONFIG, "Cmd": ["cat", "/what"]}, kind, compress)
            own.add(f"pull/{kind}", image, compress)
            name = f"{own.name}/pull/{kind}:{compress}"
            box.docker("pull", name)
            equal(box.inspect(name, "image")["Id"], image.id, f"{name}: id")
            equal(box.docker("run", "--rm", name) + "\n", text.decode(), f"{name}: a container of it")


@case("pull: a tag that moved; the old image stays, by its digest alone")
def moved_tag():
    first = registry.make([LAYERS[0], images.layer({"v": b"1\n"})], CONFIG)
    second = registry.make([LAYERS[0], images.layer({"v": b"2\n"})], CONFIG)
    name = f"{own.name}/pull/moves:1"
    own.add("pull/moves", first, "1")
    box.docker("pull", name)
    own.add("pull/moves", second, "1")
    contains(box.docker("pull", name), f"Status: Downloaded newer image for {name}", "docker pull")
    equal(box.inspect(name, "image")["Id"], second.id, "the name's image")
    old = box.inspect(first.id, "image")
    equal((old["RepoTags"], old["RepoDigests"]), ([], [f"{own.name}/pull/moves@{first.digest}"]), "the old image")


@case("pull: a layer that is there is not downloaded again; one shared by two pulls at once comes once")
def shared_layers():
    base = images.layer({"base": misbehave.noise(300_000)})
    pair = [registry.make([base, images.layer({"own": b"%d\n" % number})], CONFIG) for number in (1, 2)]
    for number, image in enumerate(pair):
        own.add(f"pull/shares{number}", image, "1")
    digest = registry.digest(pair[0].layers[0])
    gate = threading.Event()
    own.clear()
    own.fault("", misbehave.hold(gate, 1000), kind="blob", method="GET", times=0)
    names = [f"{own.name}/pull/shares{number}:1" for number in (0, 1)]
    clients = [box.follow("pull", names[0])]
    until(lambda: own.asked(kind="blob", method="GET", ref=digest), "the first pull downloads")
    clients.append(box.follow("pull", names[1]))
    until(lambda: own.asked(kind="manifest", repo="pull/shares1"), "the second pull has begun")
    own.heal()
    gate.set()
    for client in clients:
        said, _none = client.communicate(timeout=120)
        equal(client.returncode, 0, f"docker pull: {said}")
    equal([box.inspect(name, "image")["Id"] for name in names], [image.id for image in pair], "ids")
    equal(own.downloads(digest), 1, "downloads of the shared layer")
    until(lambda: left() == ["0", "0"], "nothing is left behind")


@case("pull: interrupted by its client, it leaves nothing; who waited for its layers gets them")
def interrupted():
    image = registry.make([LAYERS[0], images.layer({"late": misbehave.noise(400_000)})], CONFIG)
    own.add("pull/left", image, "1", "2")
    digest = registry.digest(image.layers[1])
    gate = threading.Event()
    own.fault("pull/left", misbehave.hold(gate, 1000), kind="blob", method="GET")       # longer than the config
    before = set(box.docker("images", "-aq", "--no-trunc").split())
    own.clear()
    first = box.follow("pull", f"{own.name}/pull/left:1")
    until(lambda: own.asked(kind="blob", method="GET", ref=digest), "the first pull downloads")
    second = box.follow("pull", f"{own.name}/pull/left:2")
    until(lambda: own.asked(kind="manifest", ref="2"), "the second pull has begun")
    own.heal()
    first.terminate()
    first.communicate(timeout=60)
    said, _none = second.communicate(timeout=120)
    gate.set()
    equal(second.returncode, 0, f"the second pull: {said}")
    equal(box.docker("run", "--rm", f"{own.name}/pull/left:2", "ls", "/late"), "/late", "a container of it")
    equal(box.docker("images", "-q", f"{own.name}/pull/left:1"), "", "the first one's name")
    forget(f"{own.name}/pull/left:2")
    equal(set(box.docker("images", "-aq", "--no-trunc").split()), before, "images")
    until(lambda: left() == ["0", "0"], "nothing is left behind")


@case("pull: what was cut off goes on from where it was")
def resumed():
    image = registry.make([images.layer({"big": misbehave.noise(2_000_000)})], {"Cmd": ["x"]}, compress="none")
    own.add("pull/cut", image, "1")
    digest = registry.digest(image.layers[0])
    own.clear()
    own.fault("pull/cut", misbehave.cut_after(700_000), kind="blob", method="GET", times=4)
    box.docker("pull", f"{own.name}/pull/cut:1")
    own.heal()
    equal(box.inspect(f"{own.name}/pull/cut:1", "image")["Id"], image.id, "the id")
    asked = [item for item in own.asked(kind="blob", method="GET", ref=digest)]
    check(len(asked) >= 2 and asked[0].range is None, f"requests {asked}")
    starts = [int(item.range.removeprefix("bytes=").rstrip("-")) for item in asked[1:]]
    check(starts == sorted(starts) and starts[0] > 0, f"ranges begin at {starts}")
    check(own.sent(digest) < 2 * len(image.layers[0]), f"{own.sent(digest)} bytes were sent")


@case("run of an image that is not there pulls it")
def run_pulls():
    own.add("pull/run", registry.make([LAYERS[0], images.layer({"run": b"pulled\n"})], CONFIG), "latest")
    equal(box.docker("run", "--rm", f"{own.name}/pull/run", "cat", "/run"), "pulled", "docker run")


@case("login and pull with a password: docker-registry with TLS and htpasswd")
def basic():
    others.copy(f"oci:{samples.layout(registry.make(LAYERS[:1], CONFIG, 'oci'), local('oci'), '1')}:1",
                f"docker://{secure.here}/pull/basic:1", *secure.skopeo_words("dest"))
    pull_fails(f"{secure.name}/pull/basic:1", "no basic auth credentials")
    done = box.docker("login", "-u", "ann", "--password-stdin", secure.name, stdin="wrong", check=False)
    check(done.returncode != 0, "a wrong password was taken")
    contains(done.stderr, "401", "docker login with a wrong password")
    contains(box.docker("login", "-u", "ann", "--password-stdin", secure.name, stdin=SECRET), "Login Succeeded", "docker login")
    contains(box.docker("pull", f"{secure.name}/pull/basic:1"), "Downloaded newer image", "docker pull")
    box.docker("logout", secure.name)
    pull_fails(f"{secure.name}/pull/basic:1", "no basic auth credentials")


@case("login and pull with tokens: anonymous, with a password, with an identity token; a token that ended is renewed")
def with_tokens():
    image = registry.make([LAYERS[0], images.layer({"tokens": b"1\n"})], CONFIG)
    tokens.add("pull/private", image, "1")
    tokens.add("pull/public", image, "1")
    tokens.public.add("pull/public")
    name = f"{tokens.name}/pull/private"
    contains(box.docker("pull", f"{tokens.name}/pull/public:1"), "Downloaded newer image", "anonymous pull")
    forget(f"{tokens.name}/pull/public:1")
    pull_fails(f"{name}:1", f"pull access denied for {name}, repository does not exist or may require 'docker login': "
               "denied: requested access to the resource is denied")
    status, answer = box.request("POST", "/auth", {"username": "ann", "password": "wrong", "serveraddress": tokens.name})
    equal(status, 401, answer)
    contains(answer["message"], "unauthorized: incorrect username or password", "login")
    status, answer = box.request("POST", "/auth", {"username": "ann", "password": SECRET, "serveraddress": tokens.name})
    equal((status, answer["Status"]), (200, "Login Succeeded"), "login")
    check(answer["IdentityToken"], "an identity token")
    tokens.clear()
    status, lines = lines_of(create(name, "1"), header(identitytoken=answer["IdentityToken"]))
    equal((status, lines[-1]), (200, {"status": f"Status: Downloaded newer image for {name}:1"}), f"{lines}")
    asked = tokens.asked(kind="token")
    check(asked and all(item.method == "POST" for item in asked), f"tokens were asked for by {asked}")
    equal(len(asked), 1, "one token serves the whole pull")
    forget(f"{name}:1")
    status, lines = lines_of(create(name, "1"), header(username="ann", password=SECRET))
    equal(status, 200, lines)
    forget(f"{name}:1")
    tokens.fault("pull/private", lambda _handler: tokens.forget_tokens() and False, kind="blob", times=1)
    status, lines = lines_of(create(name, "1"), header(username="ann", password=SECRET))
    tokens.heal()
    equal((status, lines[-1]), (200, {"status": f"Status: Downloaded newer image for {name}:1"}), f"{lines}")
    for garbage in ("", "garbage", "e30", "bnVsbA=="):
        status, answer = lines_of(create(f"{tokens.name}/pull/public", "1"), {"X-Registry-Auth": garbage})
        equal(status, 200, f"X-Registry-Auth {garbage!r}: {answer}")


@case("pull: no such image, tag, repository, host; nobody there")
def not_there():
    own.add("pull/there", registry.make(LAYERS[:1], CONFIG), "1")
    name = f"{own.name}/pull/there"
    status, answer = lines_of(create(name, "2"))
    equal((status, answer[0]["message"]), (404, f"manifest for {name}:2 not found: manifest unknown: manifest unknown"), "a tag")
    own.fault("pull/denied", misbehave.error(403, "DENIED", "requested access to the resource is denied"))
    status, answer = lines_of(create(f"{own.name}/pull/denied", "1"))
    own.heal()
    equal((status, answer[0]["message"]),
          (404, f"pull access denied for {own.name}/pull/denied, repository does not exist or may require 'docker login': "
                "denied: requested access to the resource is denied"), "denied")
    status, answer = lines_of(create("127.0.0.1:9/a", "1"))
    equal(status, 500, answer)
    contains(answer[0]["message"], "connection refused", "nobody there")
    status, answer = lines_of(create(f"{registry.GUEST_SEES}:x/a", "1"))
    equal(status, 400, answer)
    contains(answer[0]["message"], "invalid reference format", "no name")


@case("Docker Hub's short names go to the mirror first, with library/ in front; it sees no credentials")
def mirrored():
    image = registry.make([LAYERS[0], images.layer({"hub": b"1\n"})], {**CONFIG, "Cmd": ["cat", "/hub"]})
    hub.add("library/pullhub", image, "latest")
    status, lines = lines_of(create("pullhub", "latest"), header(username="ann", password=SECRET))
    equal((status, lines[0]), (200, {"status": "Pulling from library/pullhub", "progressDetail": {}, "id": "latest"}), lines)
    equal(box.docker("run", "--rm", "pullhub"), "1", "a container of it")
    found = box.inspect("pullhub", "image")
    equal((found["RepoTags"], found["RepoDigests"]), (["pullhub:latest"], [f"pullhub@{image.digest}"]), "its names")
    check(all(item.authorization is None for item in hub.asked()), f"the mirror saw {hub.asked()}")


@case("pull through a proxy, but not where it is to be passed by")
def proxied():
    image = registry.make([LAYERS[0], images.layer({"proxy": b"1\n"})], CONFIG)
    own.add("pull/proxy", image, "1")
    contains(box.docker("pull", f"{BEHIND}/pull/proxy:1"), "Downloaded newer image", "docker pull")
    paths = [path for path, _auth in proxy.asked]
    check(f"http://{BEHIND}/v2/pull/proxy/manifests/1" in paths, f"the proxy was asked for {paths}")
    wanted = "Basic " + base64.b64encode(b"ann:pass-word").decode()
    check(all(auth == wanted for _path, auth in proxy.asked), f"the proxy saw {proxy.asked}")
    check(all(BEHIND in path for path in paths), f"the proxy was asked for {paths}")


@case("a CA for one registry alone, in Docker's folder")
def certs_d():
    image = registry.make([LAYERS[0], images.layer({"foreign": b"1\n"})], CONFIG)
    foreign.add("pull/ca", image, "1")
    contains(box.docker("pull", f"{foreign.name}/pull/ca:1"), "Downloaded newer image", "docker pull")


@case("import from an address: the layer of an image, its digest and its comment; what is not there is an error")
def import_address():
    image = registry.make(LAYERS[:1], CONFIG)
    own.add("pull/import", image, "1")
    url = f"{own.url}/v2/pull/import/blobs/{registry.digest(image.layers[0])}"
    said = box.docker("import", "-c", "CMD [\"echo\",\"imported\"]", url, "test/imported:1")
    contains(said, "sha256:", "docker import")
    equal(box.inspect("test/imported:1", "image")["RootFS"]["Layers"], [registry.digest(LAYERS[0])], "layers")
    contains(box.docker("history", "--no-trunc", "test/imported:1"), f"Imported from {url}", "docker history")
    equal(box.docker("run", "--rm", "test/imported:1"), "imported", "a container of it")
    done = box.docker("import", f"{own.url}/nothing", "test/imported:2", check=False)
    check(done.returncode != 0, "an address without anything was imported")
    contains(done.stderr, "404", "docker import")
    own.fault("pull/import", misbehave.cut_after(5000), kind="blob", method="GET", times=9)
    done = box.docker("import", url, "test/imported:2", check=False)
    own.heal()
    check(done.returncode != 0, "a broken download was imported")
    equal(box.docker("images", "-q", "test/imported:2"), "", "after the broken download")
    until(lambda: left() == ["0", "0"], "nothing is left behind")


@case("info shows mirrors and registries without TLS")
def info():
    found = box.request("GET", "/info")[1]["RegistryConfig"]
    equal(found["Mirrors"], [hub.url], "Mirrors")
    check(found["IndexConfigs"][own.name]["Secure"] is False, f"IndexConfigs {found['IndexConfigs']}")
    check(found["IndexConfigs"]["docker.io"]["Official"] is True, f"IndexConfigs {found['IndexConfigs']}")


@case("an engine that is killed in the middle of a pull: nothing is half there, and the pull goes well afterwards")
def killed():
    image = registry.make([LAYERS[0], images.layer({"killed": misbehave.noise(400_000)})], {**CONFIG, "Cmd": ["ls", "/killed"]})
    own.add("pull/killed", image, "1")
    gate = threading.Event()
    own.clear()
    own.fault("pull/killed", misbehave.hold(gate, 1000), kind="blob", method="GET")
    client = box.follow("pull", f"{own.name}/pull/killed:1")
    until(lambda: own.asked(kind="blob", method="GET", repo="pull/killed"), "the pull downloads")
    box.sh(f"kill -9 {vm.ENGINE}")
    client.communicate(timeout=60)
    own.heal()
    gate.set()
    box.wait_api()
    equal(box.docker("images", "-q", f"{own.name}/pull/killed"), "", "after the kill")
    until(lambda: left() == ["0", "0"], "nothing is left behind")
    box.docker("pull", f"{own.name}/pull/killed:1")
    equal(box.docker("run", "--rm", f"{own.name}/pull/killed:1"), "/killed", "a container of it")


@case("no secret is in the log, nor with its workers")
def no_secrets():
    text = box.log()
    for secret in (SECRET, "pass-word", base64.b64encode(f"ann:{SECRET}".encode()).decode()):
        check(secret not in text, f"{secret!r} is in the console's text")


box.up(overlay=overlay())
tap.main()
