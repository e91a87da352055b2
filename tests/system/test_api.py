#!/usr/bin/env python3
"""The door of the API: TLS versions and certificates, plain HTTP, malformed HTTP, clients that hang or leave."""

import os
import socket
import ssl
import subprocess

from lib import tap, vm
from lib.tap import case, check, contains, equal

box = vm.shared()
PORT = box.machine.known()["api_port"]
PKI = box.machine.known()["pki"]


def context(certificate=True, version=None):
    made = ssl.create_default_context(cafile=os.path.join(PKI, "ca.pem"))
    if certificate:
        made.load_cert_chain(os.path.join(PKI, "cert.pem"), os.path.join(PKI, "key.pem"))
    if version:
        made.minimum_version = made.maximum_version = version
    return made


def exchange(data, made=None, seconds=20):
    """Sends bytes over TLS, returns all that comes back until the engine closes, or the error's name."""
    try:
        with socket.create_connection(("127.0.0.1", PORT), timeout=seconds) as raw:
            with (made or context()).wrap_socket(raw, server_hostname="127.0.0.1") as sock:
                sock.sendall(data)
                answer = b""
                while block := sock.recv(65536):
                    answer += block
                return answer
    except ssl.SSLError as error:
        return f"refused: {error.reason}".encode()
    except (ConnectionError, socket.timeout) as error:
        return f"refused: {type(error).__name__}".encode()


def still_well():
    equal(box.request("GET", "/_ping"), (200, "OK"), "the engine afterwards")


PING = b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@case("TLS 1.2 and 1.3 with the client's certificate are served")
def versions():
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        contains(exchange(PING, context(version=version)), b"200 OK", str(version))


@case("a body in records of full size arrives whole over both versions")
def records():
    body = b'{"Image":"no/such","Labels":{"a":"' + b"x" * 200_000 + b'"}}'
    head = f"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        answer = exchange(head.encode() + b"Connection: close\r\n\r\n" + body, context(version=version))
        contains(answer, b"No such image: no/such:latest", str(version))


@case("curl with the client's certificate is served, without one it is not")
def curl():
    words = ["curl", "-sS", "--max-time", "20", "--cacert", f"{PKI}/ca.pem", f"https://127.0.0.1:{PORT}/_ping"]
    mine = ["--cert", f"{PKI}/cert.pem", "--key", f"{PKI}/key.pem"]
    equal(subprocess.run(words + mine, stdout=subprocess.PIPE, check=True).stdout, b"OK", "with")
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    check(done.returncode != 0 and done.stdout == b"", f"without: {done}")


@case("TLS 1.1 and older are refused")
def old():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.load_cert_chain(os.path.join(PKI, "cert.pem"), os.path.join(PKI, "key.pem"))
    made.set_ciphers("ALL:@SECLEVEL=0")
    made.minimum_version = ssl.TLSVersion.TLSv1
    made.maximum_version = ssl.TLSVersion.TLSv1_1
    check(exchange(PING, made).startswith(b"refused"), "served")
    still_well()


@case("a client without a certificate gets nothing")
def nobody():
    answer = exchange(PING, context(certificate=False))
    check(answer.startswith(b"refused") or answer == b"", f"answer {answer[:200]!r}")
    still_well()


@case("a client with a foreign certificate gets nothing, also when its names are the same")
def foreign():
    folder = os.path.join(box.scratch, "foreign")
    os.makedirs(folder)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                    "-subj", "/CN=skerry client", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
                   check=True, stderr=subprocess.DEVNULL)
    made = ssl.create_default_context(cafile=os.path.join(PKI, "ca.pem"))
    made.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    answer = exchange(PING, made)
    check(answer.startswith(b"refused") or answer == b"", f"answer {answer[:200]!r}")
    still_well()


@case("the server's own certificate is no client certificate")
def server_as_client():
    made = ssl.create_default_context(cafile=os.path.join(PKI, "ca.pem"))
    made.load_cert_chain(os.path.join(PKI, "server.pem"), os.path.join(PKI, "server-key.pem"))
    answer = exchange(PING, made)
    check(answer.startswith(b"refused") or answer == b"", f"answer {answer[:200]!r}")


@case("plain HTTP on the TLS port is closed without an answer of the API")
def plain():
    with socket.create_connection(("127.0.0.1", PORT), timeout=20) as sock:
        sock.sendall(PING)
        try:
            answer = sock.recv(4096)
        except ConnectionError:
            answer = b""
    check(b"OK" not in answer and b"Ostype" not in answer, f"answer {answer!r}")
    still_well()


MALFORMED = {
    "no version": b"GET /_ping\r\n\r\n",
    "bare line feeds": b"GET /_ping HTTP/1.1\nHost: x\n\n",
    "a space before the colon": b"GET /_ping HTTP/1.1\r\nHost : x\r\n\r\n",
    "a folded header": b"GET /_ping HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
    "two lengths": b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "length and chunked": b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
                          b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a zero byte": b"GET /_ping HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
    "a bad chunk": b"POST /containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "an endless header": b"GET /_ping HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 200000 + b"\r\n\r\n",
    "thousands of headers": b"GET /_ping HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no host": b"GET /_ping HTTP/1.1\r\n\r\n",
    "noise": bytes(range(256)) * 4,
}
for _name, _data in MALFORMED.items():
    @case(f"malformed HTTP: {_name}: 4xx or closed, nothing served")
    def malformed(name=_name, data=_data):
        answer = exchange(data)
        check(answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5", b"HTTP/1.0 4", b"refused")) or answer == b"",
              f"answer {answer[:200]!r}")
        check(b"\r\n\r\nOK" not in answer, "it was served")
        still_well()


@case("a path that climbs, is encoded or is too long is not found, and nothing else")
def paths():
    for path in ("/../../etc/passwd", "/containers/..%2f..%2fetc/json", "/" + "a" * 5000, "/containers/%00/json"):
        answer = exchange(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        check(answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 301")), f"{path[:40]}: {answer[:100]!r}")
    still_well()


@case("40 connections that say nothing do not keep others out")
def silent():
    quiet = [socket.create_connection(("127.0.0.1", PORT), timeout=20) for _ in range(40)]
    try:
        still_well()
    finally:
        for sock in quiet:
            sock.close()


@case("a client that leaves in the middle of its request, 50 times, leaves nothing behind")
def leaving():
    def descriptors():
        return int(box.sh(f"ls /proc/{vm.ENGINE}/fd | wc -l"))
    still_well()
    before = descriptors()
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", PORT), timeout=20) as raw:
            with context().wrap_socket(raw, server_hostname="127.0.0.1") as sock:
                sock.sendall(b"POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc")
    from lib.poll import until
    until(lambda: descriptors() <= before + 2, f"descriptors are back at {before}", 60)
    still_well()


@case("the unix socket is root's alone")
def unix():
    mode = box.sh("stat -c '%a %u' /run/docker.sock").split()
    check(mode[0][-1] == "0" and mode[1] == "0", f"mode and owner {mode}")


tap.main()
