"""The tests' own registry of the distribution-spec: honest by itself, and it misbehaves where a test asks for it.

    reg = registry.start()                              plain HTTP on a free port of 127.0.0.1; ended with the program
    reg = registry.start(tls="good", auth="token", users={"ann": "secret"})
    reg.name                                            "10.0.2.2:PORT", as a machine in QEMU calls it
    image = registry.make([layer, …], {"Cmd": ["sh"]}, kind="oci", compress="gzip")     bytes of layers from lib.images
    reg.add("team/app", image, "1", "latest")           blobs and manifest; returns the manifest's digest
    reg.fault("team/app", misbehave.status(500), kind="blob", times=2)      see lib/misbehave.py
    reg.asked(kind="blob", repo="team/app")             what was asked for, in order: list of Asked
    reg.downloads(digest), reg.sent(digest)             how often a blob was sent whole or in part, and how many bytes

auth: None; "basic"; "token" (bearer tokens by the server's own /token, GET and POST). Repositories in reg.public can be
pulled without a user where tokens are used. tls: None or a name of certificates().
"""

import base64
import hashlib
import http.server
import json
import os
import re
import secrets
import socket
import ssl
import subprocess
import tempfile
import threading
import urllib.parse
from dataclasses import dataclass, field

from . import images, tap

GUEST_SEES = "10.0.2.2"         # the host, as a machine in QEMU calls it
DOCKER = "application/vnd.docker."
OCI = "application/vnd.oci.image."
TYPES = {       # of documents and layers
    "docker": {"manifest": DOCKER + "distribution.manifest.v2+json", "config": DOCKER + "container.image.v1+json",
               "index": DOCKER + "distribution.manifest.list.v2+json",
               "none": DOCKER + "image.rootfs.diff.tar", "gzip": DOCKER + "image.rootfs.diff.tar.gzip",
               "zstd": DOCKER + "image.rootfs.diff.tar.zstd"},
    "oci": {"manifest": OCI + "manifest.v1+json", "config": OCI + "config.v1+json", "index": OCI + "index.v1+json",
            "none": OCI + "layer.v1.tar", "gzip": OCI + "layer.v1.tar+gzip", "zstd": OCI + "layer.v1.tar+zstd"},
}
BLOCK = 64 << 10
NAME = r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
PATHS = [       # kind of a request, by its path
    ("ping", re.compile(r"/v2/$")),
    ("token", re.compile(r"/token$")),
    ("search", re.compile(r"/v1/search$")),
    ("ping1", re.compile(r"/v1/_ping$")),
    ("catalog", re.compile(r"/v2/_catalog$")),
    ("tags", re.compile(rf"/v2/(?P<repo>{NAME})/tags/list$")),
    ("manifest", re.compile(rf"/v2/(?P<repo>{NAME})/manifests/(?P<ref>[^/]+)$")),
    ("uploads", re.compile(rf"/v2/(?P<repo>{NAME})/blobs/uploads/$")),
    ("upload", re.compile(rf"/v2/(?P<repo>{NAME})/blobs/uploads/(?P<ref>[^/]+)$")),
    ("blob", re.compile(rf"/v2/(?P<repo>{NAME})/blobs/(?P<ref>[^/]+)$")),
]


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def pack(data, compress):
    """A layer's tar as it travels; the same bytes each time."""
    if compress == "none":
        return data
    words = {"gzip": ["gzip", "-n1"], "zstd": ["zstd", "-q", "-c"]}[compress]
    return subprocess.run(words, input=data, stdout=subprocess.PIPE, check=True).stdout


@dataclass
class Image:
    """An image as a registry has it: the manifest, its type, and the blobs it names."""
    manifest: bytes
    media_type: str
    config: bytes
    layers: list                # blobs, base first
    blobs: dict = field(default_factory=dict)

    @property
    def id(self):
        return digest(self.config)

    @property
    def digest(self):
        return digest(self.manifest)

    def descriptor(self, **more):
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.manifest), **more}


def manifest_of(config, blobs, types, layer_type, **more):
    """The document, as a dictionary that a test may spoil."""
    return {"schemaVersion": 2, "mediaType": types["manifest"],
            "config": {"mediaType": types["config"], "digest": digest(config), "size": len(config)},
            "layers": [{"mediaType": layer_type, "digest": digest(blob), "size": len(blob)} for blob in blobs], **more}


def make(layers, config=None, kind="docker", compress="gzip", spoil=None, platform=None):
    """An image from plain layers' tars. spoil(manifest dictionary) may change it before it is written."""
    types = TYPES[kind]
    text = images.config_of(layers, config or {"Cmd": ["sh"]})
    if platform:
        text = json.dumps({**json.loads(text), **platform}).encode()
    blobs = [pack(item, compress) for item in layers]
    document = manifest_of(text, blobs, types, types[compress])
    if spoil:
        changed = spoil(document)
        document = document if changed is None else changed
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Image(raw, types["manifest"], text, blobs, {digest(item): item for item in [text, *blobs]})


def index_of(entries, kind="oci"):
    """(document, media type) of an index; entries: (Image, {"os": …, "architecture": …})."""
    document = {"schemaVersion": 2, "mediaType": TYPES[kind]["index"],
                "manifests": [image.descriptor(platform=platform) for image, platform in entries]}
    return json.dumps(document).encode(), TYPES[kind]["index"]


@dataclass
class Asked:
    """One request, as the server saw it."""
    method: str
    kind: str                   # see PATHS; "other" for what is not in there
    repo: str
    ref: str                    # tag or digest; id of an upload
    path: str
    query: dict
    authorization: str          # the header, or None
    range: str
    status: int = 0
    sent: int = 0               # bytes of the body
    received: int = 0


class Gone(Exception):
    """The client went away, or a fault ends the connection here."""


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "tests"
    timeout = 300

    def log_message(self, *_what):
        pass

    # --- reading ------------------------------------------------------------------------------------

    def body(self):
        """Blocks of the request's body."""
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            while True:
                size = int(self.rfile.readline().split(b";")[0] or b"0", 16)
                data = self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    return
                self.now.received += len(data)
                yield data
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            data = self.rfile.read(min(left, BLOCK))
            if not data:
                raise Gone("the client went away")
            left -= len(data)
            self.now.received += len(data)
            yield data

    def query(self, name, default=""):
        return self.now.query.get(name, [default])[0]

    # --- answering ----------------------------------------------------------------------------------

    def head(self, status, headers=None, size=0):
        self.now.status = status
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if size is not None and "Content-Length" not in (headers or {}):
            self.send_header("Content-Length", str(size))
        self.end_headers()

    def send(self, data):
        """Bytes of an answer's body; counted before they go, so that who has them finds them counted."""
        for start in range(0, len(data), BLOCK):
            block = data[start:start + BLOCK]
            with self.server.lock:
                self.now.sent += len(block)
            self.wfile.write(block)

    def reply(self, status, data=b"", headers=None):
        if not isinstance(data, bytes):
            data, headers = json.dumps(data).encode(), {"Content-Type": "application/json", **(headers or {})}
        self.head(status, headers, len(data))
        if self.command != "HEAD":
            self.send(data)

    def error(self, status, code, message="", headers=None):
        self.drain()
        self.reply(status, {"errors": [{"code": code, "message": message or code.lower().replace("_", " ")}]}, headers)

    def drain(self):
        """Reads what is left of a body that nobody wants, so that the client gets to the answer."""
        if not self.drained:
            self.drained = True
            for _block in self.body():
                pass

    def cut(self):
        """Ends the connection here and now."""
        self.close_connection = True
        raise Gone("cut")

    # --- one request ----------------------------------------------------------------------------------

    def serve(self):
        url = urllib.parse.urlsplit(self.path)
        kind, found = next(((kind, match) for kind, pattern in PATHS if (match := pattern.match(url.path))), ("other", None))
        parts = found.groupdict() if found else {}
        self.drained = False
        self.now = Asked(self.command, kind, parts.get("repo") or "", urllib.parse.unquote(parts.get("ref") or ""),
                         url.path, urllib.parse.parse_qs(url.query, keep_blank_values=True),
                         self.headers.get("Authorization"), self.headers.get("Range"))
        with self.server.lock:
            self.server.log.append(self.now)
        try:
            if self.faulty(kind) or not self.allowed(kind):
                return
            answer = getattr(self, f"on_{kind}", None)
            if answer:
                answer()
            else:
                self.error(404, "NOT_FOUND")
        except (Gone, OSError, ssl.SSLError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def faulty(self, kind):
        for fault in self.server.faults_for(self.now.repo, kind, self.command):
            if fault(self):
                return True
        return False

    # --- who may ------------------------------------------------------------------------------------------

    def user(self):
        """The name behind `Authorization: Basic`, or None."""
        scheme, _space, rest = (self.headers.get("Authorization") or "").partition(" ")
        try:
            name, _colon, password = base64.b64decode(rest).decode().partition(":")
        except ValueError:
            return None
        return name if scheme.lower() == "basic" and self.server.users.get(name) == password else None

    def wanted(self, kind):
        """The scope that a request needs."""
        if not self.now.repo:
            return ""
        action = "pull" if self.command in ("GET", "HEAD") and kind not in ("upload", "uploads") else "pull,push"
        return f"repository:{self.now.repo}:{action}"

    def allowed(self, kind):
        server = self.server
        if not server.auth or kind in ("token", "other"):
            return True
        if server.auth == "basic":
            if self.user():
                return True
            self.error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": 'Basic realm="tests"'})
            return False
        scope = self.wanted(kind)
        scheme, _space, token = (self.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() == "bearer" and server.token_covers(token, scope):
            return True
        few = ',error="insufficient_scope"' if token in server.tokens else ""
        self.error(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": self.challenge(scope) + few})
        return False

    def challenge(self, scope):
        text = f'Bearer realm="{self.server.realm}",service="{self.server.service}"'
        return text + (f',scope="{scope}"' if scope else "")

    def on_token(self):
        """GET with Basic, or POST with grant_type=password or refresh_token."""
        fields = self.now.query
        name = self.user()
        if self.command == "POST":
            fields = self.now.query = urllib.parse.parse_qs(b"".join(self.body()).decode())
            grant = fields.get("grant_type", [""])[0]
            if grant == "refresh_token":
                name = self.server.refresh.get(fields.get("refresh_token", [""])[0])
            else:
                given = fields.get("username", [""])[0]
                name = given if self.server.users.get(given) == fields.get("password", [""])[0] else None
        if not name and (self.headers.get("Authorization") or self.command == "POST"):
            return self.error(401, "UNAUTHORIZED", "incorrect username or password")
        given = [scope for text in fields.get("scope", []) for scope in text.split(" ") if scope]
        granted = [scope for scope in given if name or (
            scope.split(":")[1] in self.server.public and scope.endswith(":pull"))]
        token = self.server.new_token(granted, name)
        answer = {"token": token, "access_token": token, "expires_in": self.server.token_seconds}
        if name and "true" in (fields.get("offline_token", [""])[0], "true" if fields.get("access_type", [""])[0] == "offline"
                               else ""):
            answer["refresh_token"] = self.server.new_refresh(name)
        return self.reply(200, answer)

    # --- reading from the registry --------------------------------------------------------------------------

    def on_ping(self):
        self.reply(200, {})

    def on_ping1(self):
        self.reply(200, {"standalone": True})

    def on_search(self):
        """Docker Hub's search, over reg.found: a list of results."""
        text, most = self.query("q"), int(self.query("n", "25") or 25)
        found = [item for item in self.server.found if text in item["name"] or text in item.get("description", "")]
        self.reply(200, {"query": text, "num_results": len(found[:most]), "results": found[:most]})

    def on_catalog(self):
        with self.server.lock:
            self.reply(200, {"repositories": sorted({repo for repo, _ref in self.server.manifests})})

    def on_tags(self):
        with self.server.lock:
            names = sorted(ref for repo, ref in self.server.manifests if repo == self.now.repo and ":" not in ref)
        if names:
            self.reply(200, {"name": self.now.repo, "tags": names})
        else:
            self.error(404, "NAME_UNKNOWN", "repository name not known to registry")

    def on_manifest(self):
        key = (self.now.repo, self.now.ref)
        if self.command == "PUT":
            return self.put_manifest(*key)
        found = self.server.manifests.get(key)
        if not found:
            return self.error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        kind, data = found
        return self.reply(200, data, {"Content-Type": kind, "Docker-Content-Digest": digest(data),
                                      "Etag": f'"{digest(data)}"'})

    def put_manifest(self, repo, ref):
        data = b"".join(self.body())
        try:
            document = json.loads(data)
            needed = [document["config"], *document["layers"]] if "layers" in document else []
            missing = [item["digest"] for item in needed if not self.server.has(repo, item["digest"])]
            missing += [item["digest"] for item in document.get("manifests", [])
                        if (repo, item["digest"]) not in self.server.manifests]
        except (ValueError, KeyError, TypeError):
            return self.error(400, "MANIFEST_INVALID", "manifest invalid")
        kind = self.headers.get("Content-Type")
        if kind != document.get("mediaType", kind):
            return self.error(400, "MANIFEST_INVALID", "the Content-Type is not the document's mediaType")
        if missing:
            return self.error(400, "MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry: {missing[0]}")
        if ":" in ref and ref != digest(data):
            return self.error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.server.put(repo, data, kind, ref)
        return self.reply(201, b"", {"Location": f"/v2/{repo}/manifests/{digest(data)}",
                                     "Docker-Content-Digest": digest(data)})

    def on_blob(self):
        if not self.server.has(self.now.repo, self.now.ref):
            return self.error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        return self.give_blob(self.server.blobs[self.now.ref])

    def give_blob(self, data, ranges=True):
        """The bytes, or the part that was asked for."""
        headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": self.now.ref}
        if ranges:
            headers["Accept-Ranges"] = "bytes"
        found = re.match(r"bytes=(\d+)-(\d*)$", self.now.range or "") if ranges else None
        if not found:
            return self.reply(200, data, headers)
        start, end = int(found[1]), min(int(found[2] or len(data) - 1), len(data) - 1)
        if start > end:
            return self.reply(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        return self.reply(206, data[start:end + 1], {**headers, "Content-Range": f"bytes {start}-{end}/{len(data)}"})

    # --- writing to it -------------------------------------------------------------------------------------

    def on_uploads(self):
        """POST: starts an upload, mounts a blob of another repository, or takes it whole."""
        if self.command != "POST":
            return self.error(405, "UNSUPPORTED")
        repo, mount, source = self.now.repo, self.query("mount"), self.query("from")
        if mount and source and self.server.mounts and self.server.has(source, mount):
            self.drain()
            self.server.grant(repo, mount)
            return self.reply(201, b"", {"Location": f"/v2/{repo}/blobs/{mount}", "Docker-Content-Digest": mount})
        if self.query("digest") and self.server.single_post:
            return self.finish(b"".join(self.body()), self.query("digest"))
        self.drain()
        key = secrets.token_hex(8)
        with self.server.lock:
            self.server.uploads[key] = bytearray()
        return self.reply(202, b"", {"Location": self.server.location(repo, key), "Range": "0-0",
                                     "Docker-Upload-Uuid": key})

    def on_upload(self):
        key, repo = self.now.ref, self.now.repo
        data = self.server.uploads.get(key)
        if data is None:
            return self.error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if self.command == "DELETE":
            self.server.uploads.pop(key, None)
            return self.reply(204)
        if self.command in ("PATCH", "PUT"):
            most = self.server.max_body
            if most and int(self.headers.get("Content-Length") or 0) > most:
                return self.error(413, "SIZE_INVALID", "request entity too large")
            given = re.match(r"(?:bytes )?(\d+)-(\d+)", self.headers.get("Content-Range") or "")
            if given and int(given[1]) != len(data):
                return self.error(416, "BLOB_UPLOAD_INVALID", "out of order", {"Range": f"0-{max(len(data) - 1, 0)}"})
            for block in self.body():
                data += block
        if self.command == "PUT":
            self.server.uploads.pop(key, None)
            return self.finish(bytes(data), self.query("digest"))
        return self.reply(202 if self.command == "PATCH" else 204, b"", {
            "Location": self.server.location(repo, key), "Range": f"0-{max(len(data) - 1, 0)}",
            "Docker-Upload-Uuid": key})

    def finish(self, data, promised):
        if digest(data) != promised:
            return self.error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self.server.put_blob(self.now.repo, data)
        return self.reply(201, b"", {"Location": f"/v2/{self.now.repo}/blobs/{promised}",
                                     "Docker-Content-Digest": promised})


class Registry(http.server.ThreadingHTTPServer):
    """The server and all that it knows; its members may be changed while it runs."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, tls=None, auth=None, users=None, address="127.0.0.1", port=0):
        super().__init__((address, port), Handler)
        self.lock = threading.RLock()
        self.port = self.server_address[1]
        self.tls, self.auth, self.users = tls, auth, dict(users or {})
        self.name = f"{GUEST_SEES}:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.name}"
        self.realm, self.service, self.token_seconds = f"{self.url}/token", "tests", 300
        self.public = set()                     # repositories that anybody may pull, with tokens
        self.mounts, self.single_post, self.max_body = True, False, 0   # what uploads may do; bytes, 0: any
        self.blobs, self.manifests, self.uploads = {}, {}, {}
        self.owned = set()                      # (repository, digest of a blob)
        self.found = []                         # answers of a search
        self.log, self.tokens, self.refresh, self.faults = [], {}, {}, []
        self.context = None
        self.ended = threading.Event()
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificates()[tls])

    def finish_request(self, request, client_address):
        """In the connection's own thread: who never finishes a handshake stops nobody else."""
        request.settimeout(Handler.timeout)
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except (OSError, ssl.SSLError):
                return
        self.RequestHandlerClass(request, client_address, self)

    def handle_error(self, *_what):
        pass

    def begin(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        tap.CLEANUP.append(self.stop)
        return self

    def stop(self):
        if not self.ended.is_set():
            self.ended.set()
            self.shutdown()
            self.server_close()

    # --- what it holds ----------------------------------------------------------------------------------

    def has(self, repo, name):
        return (repo, name) in self.owned and name in self.blobs

    def grant(self, repo, name):
        with self.lock:
            self.owned.add((repo, name))

    def put_blob(self, repo, data):
        with self.lock:
            self.blobs[digest(data)] = data
            self.owned.add((repo, digest(data)))
        return digest(data)

    def put(self, repo, document, media_type, *names):
        """A manifest or index, whatever it says, under its digest and these tags."""
        with self.lock:
            for name in {digest(document), *names}:
                self.manifests[(repo, name)] = (media_type, document)
        return digest(document)

    def add(self, repo, image, *tags):
        for data in image.blobs.values():
            self.put_blob(repo, data)
        return self.put(repo, image.manifest, image.media_type, *tags)

    def location(self, repo, key):
        return f"/v2/{repo}/blobs/uploads/{key}?_state={key[:4]}"

    # --- tokens --------------------------------------------------------------------------------------------

    def new_token(self, scopes, name):
        token = secrets.token_urlsafe(24)
        with self.lock:
            self.tokens[token] = (set(scopes), name)
        return token

    def new_refresh(self, name):
        token = secrets.token_urlsafe(24)
        with self.lock:
            self.refresh[token] = name
        return token

    def forget_tokens(self):
        """All tokens that were given are worth nothing from now on."""
        with self.lock:
            self.tokens.clear()

    def token_covers(self, token, scope):
        if token not in self.tokens:
            return False
        if not scope:
            return True
        _type, repo, actions = scope.split(":")
        given = set()
        for item in self.tokens[token][0]:
            kind, name, can = (item.split(":") + ["", ""])[:3]
            if (kind, name) == ("repository", repo):
                given |= set(can.split(","))
        return set(actions.split(",")) <= given

    # --- faults and what was asked ---------------------------------------------------------------------------

    def fault(self, repo, function, kind="", times=0, method=""):
        """Lets function(handler) answer requests for a repository ("": any) of a kind and method; it returns True when
        it did. times: so many only."""
        with self.lock:
            self.faults.append({"repo": repo, "kind": kind, "method": method, "left": times or None, "do": function})

    def faults_for(self, repo, kind, method):
        with self.lock:
            found = []
            for item in self.faults:
                if any(item[key] and item[key] != value for key, value in
                       (("repo", repo), ("kind", kind), ("method", method))) or item["left"] == 0:
                    continue
                if item["left"]:
                    item["left"] -= 1
                found.append(item["do"])
            return found

    def heal(self):
        """No faults any more."""
        with self.lock:
            self.faults.clear()

    def asked(self, **what):
        """Requests whose members are these, in order: asked(kind="blob", method="GET")."""
        with self.lock:
            return [item for item in self.log if all(getattr(item, key) == value for key, value in what.items())]

    def clear(self):
        """Forgets what was asked so far."""
        with self.lock:
            self.log.clear()

    def downloads(self, name):
        return sum(1 for item in self.asked(kind="blob", method="GET", ref=name) if item.status in (200, 206))

    def sent(self, name):
        return sum(item.sent for item in self.asked(kind="blob", method="GET", ref=name))


def start(**options):
    return Registry(**options).begin()


# --- certificates ---------------------------------------------------------------------------------------------

CERTIFICATES = [        # name, authority, alternative names, whether it ended
    ("good", "ca", f"IP:{GUEST_SEES},IP:127.0.0.1,DNS:localhost,DNS:registry.test", False),
    ("wrong-name", "ca", "DNS:other.example,IP:10.9.8.7", False),
    ("expired", "ca", f"IP:{GUEST_SEES},IP:127.0.0.1,DNS:localhost", True),
    ("unknown-ca", "other-ca", f"IP:{GUEST_SEES},IP:127.0.0.1,DNS:localhost", False),
]
CA_SETTINGS = """[ca]
default_ca=own
[own]
database={folder}/index.txt
serial={folder}/serial
new_certs_dir={folder}
default_md=sha256
policy=any
unique_subject=no
copy_extensions=copy
[any]
commonName=supplied
"""
_made = {}


def _openssl(*words):
    run = subprocess.run(["openssl", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if run.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(words)}: {run.stdout}")


def _authority(folder, name):
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "365",
             "-keyout", f"{folder}/{name}-key.pem", "-out", f"{folder}/{name}.pem", "-subj", f"/CN=tests {name}",
             "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def _certificate(folder, name, authority, names, ended):
    _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
             f"{folder}/{name}-key.pem", "-out", f"{folder}/{name}.csr", "-subj", f"/CN={name}",
             "-addext", f"subjectAltName={names}", "-addext", "extendedKeyUsage=serverAuth")
    dates = ["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"] if ended else ["-days", "300"]
    _openssl("ca", "-batch", "-notext", "-config", f"{folder}/ca.cnf", "-cert", f"{folder}/{authority}.pem", "-keyfile",
             f"{folder}/{authority}-key.pem", "-in", f"{folder}/{name}.csr", "-out", f"{folder}/{name}.pem", *dates)


def certificates():
    """name -> (certificate, key), made once per program; "ca" is the authority's certificate alone."""
    if not _made:
        holder = tempfile.TemporaryDirectory(prefix="skerry-registry-")
        folder = holder.name
        tap.CLEANUP.append(holder.cleanup)
        with open(f"{folder}/ca.cnf", "w", encoding="ascii") as text:
            text.write(CA_SETTINGS.format(folder=folder))
        open(f"{folder}/index.txt", "w", encoding="ascii").close()
        with open(f"{folder}/serial", "w", encoding="ascii") as text:
            text.write("1001\n")
        for name in ("ca", "other-ca"):
            _authority(folder, name)
        for name, *rest in CERTIFICATES:
            _certificate(folder, name, *rest)
            _made[name] = (f"{folder}/{name}.pem", f"{folder}/{name}-key.pem")
        _made["ca"] = f"{folder}/ca.pem"
    return _made


def ca_text():
    """The authority's certificate, for a machine's system.yaml."""
    with open(certificates()["ca"], encoding="ascii") as text:
        return text.read()
