"""What a registry does wrong on purpose: functions for Registry.fault() of lib/registry.py.

    reg.fault("team/app", misbehave.cut_after(5000), kind="blob", times=1)

Each call here gives a function(handler) that answers one request, or ends its connection, and returns True; one that
returns False lets the honest answer follow. What is wrong with a document needs no fault: Registry.put() takes any.
"""

import os

from . import registry


def status(code, headers=None, text=b""):
    """An error without the distribution-spec's words, as a proxy in front of a registry gives it."""
    def answer(handler):
        handler.drain()
        handler.reply(code, text or b"no", headers)
        return True
    return answer


def error(code, name, message=""):
    """One in the registry's own words."""
    def answer(handler):
        handler.error(code, name, message)
        return True
    return answer


def body(data, headers=None, code=200):
    """These bytes instead of the right ones."""
    def answer(handler):
        handler.reply(code, data, headers)
        return True
    return answer


def other_bytes(handler):
    """A blob of the right size with other content: the digest is wrong."""
    data = handler.server.blobs[handler.now.ref]
    handler.reply(200, bytes(len(data) - 1) + b"x", {"Content-Type": "application/octet-stream"})
    return True


def more_bytes(count):
    """The right blob, and then so many bytes more than its descriptor says."""
    def answer(handler):
        handler.reply(200, handler.server.blobs[handler.now.ref] + bytes(count))
        return True
    return answer


def fewer_bytes(count):
    """The blob without its last bytes, told as if it were whole."""
    def answer(handler):
        handler.reply(200, handler.server.blobs[handler.now.ref][:-count])
        return True
    return answer


def content_type(kind):
    """A manifest under another Content-Type than its own (None: under none)."""
    def answer(handler):
        found = handler.server.manifests.get((handler.now.repo, handler.now.ref))
        if not found:
            return False
        headers = {"Docker-Content-Digest": registry.digest(found[1])}
        handler.reply(200, found[1], {**headers, "Content-Type": kind} if kind else headers)
        return True
    return answer


def digest_header(text):
    """The right manifest with another Docker-Content-Digest."""
    def answer(handler):
        kind, data = handler.server.manifests[(handler.now.repo, handler.now.ref)]
        handler.reply(200, data, {"Content-Type": kind, "Docker-Content-Digest": text})
        return True
    return answer


def endless(block=b" " * 65536, headers=None, blob=False):
    """A body that never ends, in chunks; ends with the connection or the server. blob: begins as the right one."""
    def answer(handler):
        handler.head(200, {"Transfer-Encoding": "chunked", **(headers or {})}, None)
        if blob:
            data = handler.server.blobs[handler.now.ref]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        while not handler.server.ended.is_set():
            with handler.server.lock:
                handler.now.sent += len(block)
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
        return handler.cut()
    return answer


def slow(start=0, seconds=1.0):
    """A blob, byte for byte: start of them at once, then one each `seconds`."""
    def answer(handler):
        data = handler.server.blobs[handler.now.ref]
        handler.head(200, {}, len(data))
        handler.send(data[:start])
        for at in range(start, len(data)):
            if handler.server.ended.wait(seconds):
                break
            handler.send(data[at:at + 1])
            handler.wfile.flush()
        return handler.cut()
    return answer


def silent(handler):
    """Takes the request and says nothing, until the server ends."""
    handler.server.ended.wait()
    return handler.cut()


def hold(gate, sent=None):
    """Waits for the threading.Event `gate`; the first `sent` bytes of a blob go out before it."""
    def answer(handler):
        if sent is None:
            gate.wait()
            return False
        data = handler.server.blobs[handler.now.ref]
        handler.head(200, {"Accept-Ranges": "bytes"}, len(data))
        handler.send(data[:sent])
        handler.wfile.flush()
        gate.wait()
        handler.send(data[sent:])
        return True
    return answer


def cut_after(count, ranges=True):
    """A blob (or its asked part) whose connection ends after so many bytes. ranges: whether parts can be had at all;
    where they cannot, the whole blob is started anew each time."""
    def answer(handler):
        data = handler.server.blobs[handler.now.ref]
        start = 0
        if ranges and (handler.now.range or "").startswith("bytes="):
            start = int(handler.now.range[6:].split("-")[0])
        if start:
            handler.head(206, {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, len(data) - start)
        else:
            handler.head(200, {"Accept-Ranges": "bytes"} if ranges else {}, len(data))
        handler.send(data[start:start + count])
        handler.wfile.flush()
        return handler.cut()
    return answer


def no_ranges(handler):
    """A whole blob, whatever part was asked for."""
    if handler.command != "GET" or not handler.server.has(handler.now.repo, handler.now.ref):
        return False
    handler.give_blob(handler.server.blobs[handler.now.ref], ranges=False)
    return True


def wrong_range(handler):
    """A part that is not the one asked for: its beginning once more."""
    if not handler.now.range:
        return False
    data = handler.server.blobs[handler.now.ref]
    handler.reply(206, data[:100], {"Content-Range": f"bytes 0-99/{len(data)}"})
    return True


def redirect(base, code=307):
    """To the same path of another server ("http://10.0.2.2:PORT"), or to exactly base where it has a path."""
    def answer(handler):
        handler.drain()
        there = base if base.count("/") > 2 else base + handler.path
        handler.reply(code, b"", {"Location": there})
        return True
    return answer


def always_401(challenge):
    """401 whatever credentials come."""
    def answer(handler):
        handler.error(401, "UNAUTHORIZED", "authentication required",
                      {"WWW-Authenticate": challenge(handler) if callable(challenge) else challenge})
        return True
    return answer


def always_401_bearer(handler):
    """401 that names the server's own realm, whatever token comes."""
    return always_401(handler.challenge(handler.wanted(handler.now.kind)))(handler)


def huge_token(size):
    """A token of so many characters."""
    def answer(handler):
        handler.reply(200, {"token": "t" * size, "expires_in": 300})
        return True
    return answer


def refuse_upload_after(count):
    """Ends an upload's connection after so many bytes of its body; a shorter one goes through."""
    def answer(handler):
        if int(handler.headers.get("Content-Length") or 0) < count:
            return False
        got = 0
        for block in handler.body():
            got += len(block)
            if got >= count:
                return handler.cut()
        return handler.cut()
    return answer


def deep_json(depth):
    """A document that is nested so deep."""
    return b'{"schemaVersion":2,"x":' + b"[" * depth + b"]" * depth + b"}"


def schema1(name, tag):
    """A manifest of the time before 2016."""
    return (f'{{"schemaVersion":1,"name":"{name}","tag":"{tag}","architecture":"amd64","fsLayers":[],"history":[],'
            '"signatures":[]}').encode(), "application/vnd.docker.distribution.manifest.v1+prettyjws"


def noise(size):
    """Bytes that no packer makes smaller."""
    return os.urandom(size)
