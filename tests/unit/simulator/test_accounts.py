"""Who may watch a camera that speaks HTTP."""

import base64
import urllib.request

import pytest

from camera_simulator.accounts import Account, account_of
from camera_simulator.config import CameraConfig, parse_camera

PASSWORD = "s3cret pass:word"


def account(auth: str, password: str = PASSWORD) -> Account:
    config = parse_camera(
        {"name": "gate", "protocol": "http", "auth": auth, "username": "viewer", "password": password}
    )
    found = account_of(config)
    assert found is not None
    return found


def digest_of(challenge: str, password: str, path: str = "/gate/main") -> str:
    """What Python's own client answers."""
    fields = urllib.request.parse_keqv_list(urllib.request.parse_http_list(challenge.removeprefix("Digest ")))
    passwords = urllib.request.HTTPPasswordMgr()
    passwords.add_password(fields["realm"], "http://camera/", "viewer", password)
    request = urllib.request.Request(f"http://camera{path}")
    answer = urllib.request.HTTPDigestAuthHandler(passwords).get_authorization(request, fields)
    return f"Digest {answer}"


def test_an_open_camera_has_none_until_its_password_is_changed() -> None:
    config = CameraConfig(name="gate")

    assert account_of(config) is None
    changed = account_of(config, "nobody knows")
    assert changed is not None
    assert not changed.admits("GET", "/gate/main", "")


def test_basic_admits_the_right_password_only() -> None:
    camera = account("basic")

    assert camera.challenge().startswith("Basic realm=")
    for password, expected in ((PASSWORD, True), ("another", False)):
        value = "Basic " + base64.b64encode(f"viewer:{password}".encode()).decode()
        assert camera.admits("GET", "/gate/main", value) is expected


def test_digest_admits_the_right_password_only() -> None:
    camera = account("digest")

    assert camera.admits("GET", "/gate/main", digest_of(camera.challenge(), PASSWORD))
    assert not camera.admits("GET", "/gate/main", digest_of(camera.challenge(), "another"))
    # An answer is for one path, and for one camera's challenge.
    assert not camera.admits("GET", "/gate/sub", digest_of(camera.challenge(), PASSWORD))
    assert not account("digest").admits("GET", "/gate/main", digest_of(camera.challenge(), PASSWORD))


@pytest.mark.parametrize(
    "value", ["", "Digest", "Digest nonsense", "Basic ====", 'Digest username="viewer"', "Digest a=,b"]
)
@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_nonsense_is_refused(auth: str, value: str) -> None:
    assert not account(auth).admits("GET", "/gate/main", value)


def test_the_password_is_not_in_the_text_of_an_account() -> None:
    assert PASSWORD not in repr(account("digest"))
