"""Digest authentication over HTTP (RFC 7616) in the forms that FFmpeg leaves out.

FFmpeg knows MD5 under that very name. To a camera that writes "md5" (libmicrohttpd, as in motion) or asks for SHA-256
it sends no password at all, and what comes back looks like a wrong one.
"""

import hashlib
import http
import http.client
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from camera_api.assignment import Credentials
from camera_worker.ingest.challenge import challenge_fields, escaped
from camera_worker.ingest.reachability import http_connection

_ALGORITHMS = {"md5": "md5", "sha-256": "sha256"}
_KNOWN_TO_FFMPEG = frozenset({"", "MD5", "MD5-sess"})


def digest_header(url: str, credentials: Credentials, timeout_s: float) -> str | None:
    """A line of a request's header that the camera has let in; None: FFmpeg does it itself, or the camera refuses.

    It is tried out once here, since FFmpeg would send it again and again to a camera that refuses it, which may lock
    the account.

    Args:
        url: of the stream.
        credentials: for the camera.
        timeout_s: for each connection, and again for each answer.
    """
    target = _target(url)
    status, challenges = _ask(url, target, {}, timeout_s)
    if status != http.HTTPStatus.UNAUTHORIZED:
        return None
    for challenge in challenges:
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() != "digest":
            continue
        fields = challenge_fields(rest)
        login = _Login.answering(fields, credentials, target)
        if login is not None:
            status, _ = _ask(url, target, {"Authorization": login.value(1)}, timeout_s)
            return f"Authorization: {login.value(2)}\r\n" if status == http.HTTPStatus.OK else None
    return None


def _ask(url: str, target: str, headers: Mapping[str, str], timeout_s: float) -> tuple[int, list[str]]:
    """Status of the answer, 0 if there is none, and how the camera wants to be asked."""
    connection = http_connection(url, timeout_s)
    try:
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers.get_all("WWW-Authenticate", [])
    except (OSError, http.client.HTTPException):
        return 0, []
    finally:
        connection.close()


def _target(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(("", "", parts.path or "/", parts.query, ""))


@dataclass(frozen=True, slots=True)
class _Login:
    """What answers one challenge.

    Args:
        fields: of the answer that are the same each time, as they are sent.
        digest: the hash of parts joined by colons.
        secret: hash of user name, realm and password.
        request: hash of what is asked for.
        nonce: of the camera.
        client_nonce: ours.
        has_qop: requests are counted.
    """

    fields: tuple[str, ...]
    digest: Callable[..., str] = field(repr=False)
    secret: str = field(repr=False)
    request: str
    nonce: str
    client_nonce: str
    has_qop: bool

    @classmethod
    def answering(cls, challenge: Mapping[str, str], credentials: Credentials, target: str) -> "_Login | None":
        """None: FFmpeg answers it, or nobody can."""
        algorithm, qops = challenge.get("algorithm", ""), challenge.get("qop", "").replace(",", " ").split()
        name = _ALGORITHMS.get(algorithm.lower())
        if name is None or algorithm in _KNOWN_TO_FFMPEG or not {"realm", "nonce"} <= challenge.keys():
            return None
        if qops and "auth" not in qops:
            return None

        def digest(*parts: str) -> str:
            return hashlib.new(name, ":".join(parts).encode(), usedforsecurity=False).hexdigest()

        client_nonce = secrets.token_hex(8)
        named = {"username": credentials.username, "uri": target}
        named |= {key: challenge[key] for key in ("realm", "nonce", "opaque") if key in challenge}
        named |= {"cnonce": client_nonce} if qops else {}
        quoted = (f'{key}="{escaped(value)}"' for key, value in named.items())
        return cls(
            fields=(*quoted, f"algorithm={algorithm}", *(("qop=auth",) if qops else ())),
            digest=digest,
            secret=digest(credentials.username, challenge["realm"], credentials.password.get_secret_value()),
            request=digest("GET", target),
            nonce=challenge["nonce"],
            client_nonce=client_nonce,
            has_qop=bool(qops),
        )

    def value(self, count: int) -> str:
        """Of the header Authorization, in the request of this number."""
        number = f"{count:08x}"
        middle = (number, self.client_nonce, "auth") if self.has_qop else ()
        response = self.digest(self.secret, self.nonce, *middle, self.request)
        counted = (f"nc={number}",) if self.has_qop else ()
        return "Digest " + ", ".join([*self.fields, *counted, f'response="{response}"'])
