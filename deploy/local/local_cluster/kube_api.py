"""The few requests that the local cluster itself makes to its API server and to health endpoints."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

    from local_cluster.pki import KeyPair

_TIMEOUT = 5.0


class KubeApi:
    """A client with the rights of a certificate.

    Args:
        url: base URL of kube-apiserver.
        authority: certificate of the authority that signed the server's.
        client: certificate and key to authenticate with.
    """

    def __init__(self, url: str, authority: Path, client: KeyPair) -> None:
        self._url = url
        self._context = ssl.create_default_context(cafile=str(authority))
        self._context.load_cert_chain(client.certificate, client.key)

    def is_ok(self, path: str) -> bool:
        """Whether a health endpoint answers 200; False as well while nobody listens."""
        try:
            return request(self._url + path, self._context)[0] == http.HTTPStatus.OK
        except OSError:
            return False

    def get(self, path: str) -> dict[str, Any] | None:
        """The decoded answer, or None when the server does not answer or does not have it."""
        try:
            status, body = request(self._url + path, self._context)
        except OSError:
            return None
        if status != http.HTTPStatus.OK:
            return None
        decoded: dict[str, Any] = json.loads(body)
        return decoded


def request(url: str, context: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    """GET a URL; returns status and body.

    Raises:
        OSError: no answer; protocol errors are turned into one too.
    """
    parts = urlsplit(url)
    port = parts.port or 0
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.hostname or "", port, timeout=_TIMEOUT, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", port, timeout=_TIMEOUT)
    try:
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""))
        response = connection.getresponse()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()


def answers_health(url: str) -> bool:
    """Whether a health endpoint on the loopback interface answers 200; its self-signed certificate is not verified."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return request(url, context)[0] == http.HTTPStatus.OK
    except OSError:
        return False


def accepts_connections(path: Path) -> bool:
    """Whether a server accepts connections at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT)
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True
