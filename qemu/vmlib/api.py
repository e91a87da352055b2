"""Asks a machine's API over mutual TLS, as the docker client does. Used by `up` and by the tests."""

import http.client
import os
import ssl


def connection(port, pki, timeout):
    """An HTTPS connection with the client certificate in pki: ca.pem, cert.pem, key.pem."""
    context = ssl.create_default_context(cafile=os.path.join(pki, "ca.pem"))
    context.load_cert_chain(os.path.join(pki, "cert.pem"), os.path.join(pki, "key.pem"))
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=context)


def get(port, pki, path, timeout):
    """(status, body) of one GET."""
    conn = connection(port, pki, timeout)
    try:
        conn.request("GET", path)
        answer = conn.getresponse()
        return answer.status, answer.read()
    finally:
        conn.close()


def ping(port, pki, timeout):
    """None when GET /_ping answers OK, else the reason why not."""
    try:
        status, body = get(port, pki, "/_ping", timeout)
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    return None if status == 200 and body == b"OK" else f"status {status}, body {body[:80]!r}"
