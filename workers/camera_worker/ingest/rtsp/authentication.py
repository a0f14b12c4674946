"""Basic and Digest authentication of RTSP requests (RFC 2326, D; RFC 7617; RFC 7616). Pure but for the random nonce."""

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from camera_api.assignment import Credentials
from camera_worker.ingest.challenge import challenge_fields, escaped

#: By name in lower case, without "-sess". An empty one is MD5 (RFC 7616, 3.3).
_ALGORITHMS = {"": "md5", "md5": "md5", "sha-256": "sha256"}
_SESSION = "-sess"


class Login(Protocol):
    """What answers one challenge."""

    def authorization(self, method: str, url: str) -> str:
        """Value of the header Authorization of the next request."""


@dataclass(frozen=True, slots=True)
class Basic:
    """User name and password as they are."""

    credentials: Credentials = field(repr=False)

    def authorization(self, method: str, url: str) -> str:  # noqa: ARG002
        """Value of the header Authorization: the same for each request."""
        pair = f"{self.credentials.username}:{self.credentials.password.get_secret_value()}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


@dataclass(slots=True)
class Digest:
    """A hash that proves the password; requests are counted."""

    credentials: Credentials = field(repr=False)
    challenge: Mapping[str, str]
    algorithm: str  #: as ``hashlib`` names it
    client_nonce: str
    count: int = 0  #: of requests that were answered

    def authorization(self, method: str, url: str) -> str:
        """Value of the header Authorization of the next request."""
        challenge, digest = self.challenge, self._digest
        realm, nonce, algorithm = challenge["realm"], challenge["nonce"], challenge.get("algorithm", "")
        self.count += 1
        number = f"{self.count:08x}"
        secret = digest(self.credentials.username, realm, self.credentials.password.get_secret_value())
        is_session = algorithm.lower().endswith(_SESSION)
        if is_session:
            secret = digest(secret, nonce, self.client_nonce)
        has_qop = bool(challenge.get("qop"))
        middle = (number, self.client_nonce, "auth") if has_qop else ()
        named = {"username": self.credentials.username, "realm": realm, "nonce": nonce, "uri": url}
        named["response"] = digest(secret, nonce, *middle, digest(method, url))
        named |= {"opaque": challenge["opaque"]} if "opaque" in challenge else {}
        named |= {"cnonce": self.client_nonce} if has_qop or is_session else {}
        items = [f'{name}="{escaped(value)}"' for name, value in named.items()]
        items += [f"algorithm={escaped(algorithm)}"] if algorithm else []
        items += ["qop=auth", f"nc={number}"] if has_qop else []
        return "Digest " + ", ".join(items)

    def _digest(self, *parts: str) -> str:
        return hashlib.new(self.algorithm, ":".join(parts).encode(), usedforsecurity=False).hexdigest()


def login_for(
    challenges: Iterable[str], credentials: Credentials, nonce: Callable[[int], str] = secrets.token_hex
) -> Login | None:
    """Answers the best challenge; None: none can be answered.

    Digest goes before Basic, which tells the password to everyone on the line. Of several Digests the first one counts,
    as the server prefers it (RFC 7616, 3.7).

    Args:
        challenges: values of the headers WWW-Authenticate.
        credentials: for the camera.
        nonce: makes the client's, of so many random bytes.
    """
    basic: Login | None = None
    for challenge in challenges:
        scheme, _, rest = challenge.strip().partition(" ")
        if scheme.lower() == "basic":
            basic = Basic(credentials)
        elif scheme.lower() == "digest":
            fields = challenge_fields(rest)
            algorithm = _ALGORITHMS.get(fields.get("algorithm", "").lower().removesuffix(_SESSION))
            qops = fields.get("qop", "").replace(",", " ").split()
            if algorithm and {"realm", "nonce"} <= fields.keys() and (not qops or "auth" in qops):
                return Digest(credentials, fields, algorithm, nonce(8))
    return basic


def is_stale(challenges: Iterable[str]) -> bool:
    """Whether only the nonce was too old, and the password is right (RFC 7616, 3.3)."""
    return any(
        challenge_fields(challenge.partition(" ")[2]).get("stale", "").lower() == "true" for challenge in challenges
    )
