"""Accounts of cameras that speak HTTP: Basic (RFC 7617) and Digest with MD5 (RFC 7616), which cameras still use."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from camera_simulator.config import CameraConfig

_BASIC: Final = "Basic "
_DIGEST: Final = "Digest "


@dataclass(frozen=True, slots=True)
class Account:
    """Who may watch a camera.

    Args:
        realm: what the account is of.
        username: without a colon.
        password: not empty.
        is_basic: the password is sent as it is; otherwise a digest of it.
    """

    realm: str
    username: str
    password: str = field(repr=False)
    is_basic: bool
    _nonce: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    def challenge(self) -> str:
        """Value of WWW-Authenticate."""
        if self.is_basic:
            return f'{_BASIC}realm="{self.realm}"'
        return f'{_DIGEST}realm="{self.realm}", nonce="{self._nonce}", algorithm=MD5, qop="auth"'

    def admits(self, method: str, path: str, authorization: str) -> bool:
        """Whether a request with this value of Authorization may watch."""
        if self.is_basic:
            account = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            return hmac.compare_digest(authorization.encode(), f"{_BASIC}{account}".encode())
        if not authorization.startswith(_DIGEST):
            return False
        fields = _fields(authorization.removeprefix(_DIGEST))
        if fields.get("username") != self.username or fields.get("nonce") != self._nonce or fields.get("uri") != path:
            return False
        secret = _md5(f"{self.username}:{self.realm}:{self.password}")
        request = _md5(f"{method}:{path}")
        middle = [self._nonce]
        if "qop" in fields:
            middle += [fields.get("nc", ""), fields.get("cnonce", ""), fields["qop"]]
        expected = _md5(":".join([secret, *middle, request]))
        return hmac.compare_digest(expected.encode(), fields.get("response", "").encode())


def account_of(config: CameraConfig, password: str | None = None) -> Account | None:
    """The account of a camera, or None where it has none.

    Args:
        config: the camera.
        password: another password than the declared one; an open camera then wants one, too.
    """
    if config.auth == "none" and password is None:
        return None
    return Account(config.realm, config.username or "admin", password or config.password, config.auth == "basic")


def _fields(text: str) -> dict[str, str]:
    """Named values of a list (RFC 9110, 11.2); what is none is left out."""
    pairs = (item.partition("=") for item in urllib.request.parse_http_list(text))
    return {name.strip().lower(): value.strip().strip('"') for name, found, value in pairs if found}


def _md5(text: str) -> str:
    # Prescribed by the protocol; what it protects is as weak as the cameras are.
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
