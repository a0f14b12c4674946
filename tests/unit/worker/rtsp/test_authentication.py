"""Expected values are those of RFC 7616 and RFC 2069, or computed by their formulas with hashlib alone."""

import hashlib

import pytest
from pydantic import SecretStr

from camera_api.assignment import Credentials
from camera_worker.ingest.challenge import challenge_fields
from camera_worker.ingest.rtsp.authentication import Basic, Digest, is_stale, login_for

MUFASA = Credentials(username="Mufasa", password=SecretStr("Circle of Life"))
#: RFC 7616, 3.9.1.
RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
CLIENT_NONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


def fields(authorization: str) -> dict[str, str]:
    scheme, _, rest = authorization.partition(" ")
    assert scheme == "Digest"
    return challenge_fields(rest)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_the_rfc(algorithm: str, response: str) -> None:
    login = login_for([RFC_7616.format(algorithm)], MUFASA, lambda _: CLIENT_NONCE)
    assert login is not None

    sent = fields(login.authorization("GET", "/dir/index.html"))

    assert sent["response"] == response
    assert (sent["nc"], sent["qop"], sent["algorithm"]) == ("00000001", "auth", algorithm)


def test_requests_are_counted() -> None:
    login = login_for([RFC_7616.format("MD5")], MUFASA)
    assert login is not None

    first, second = (fields(login.authorization("OPTIONS", "rtsp://a/b")) for _ in range(2))

    assert (first["nc"], second["nc"]) == ("00000001", "00000002")
    assert first["response"] != second["response"]


def test_the_oldest_form_has_neither_count_nor_algorithm() -> None:
    login = login_for(['Digest realm="r", nonce="n"'], MUFASA)
    assert login is not None

    sent = fields(login.authorization("DESCRIBE", "rtsp://a/b"))

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    assert sent["response"] == md5(f"{md5('Mufasa:r:Circle of Life')}:n:{md5('DESCRIBE:rtsp://a/b')}")
    assert sent.keys() == {"username", "realm", "nonce", "uri", "response"}


def test_a_session_hashes_the_nonces_into_the_secret() -> None:
    login = login_for(['Digest realm="r", nonce="n", qop="auth", algorithm=MD5-sess'], MUFASA, lambda _: "c")
    assert login is not None

    sent = fields(login.authorization("DESCRIBE", "rtsp://a/b"))

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    secret = md5(f"{md5('Mufasa:r:Circle of Life')}:n:c")
    assert sent["response"] == md5(f"{secret}:n:00000001:c:auth:{md5('DESCRIBE:rtsp://a/b')}")


def test_basic_is_answered_in_utf_8() -> None:
    credentials = Credentials(username="Aladdin", password=SecretStr("open sesame"))
    login = login_for(['Basic realm="x"'], credentials)
    assert login is not None

    assert login.authorization("DESCRIBE", "rtsp://a/b") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


def test_digest_goes_before_basic_and_the_servers_first_before_its_second() -> None:
    offered = ['Basic realm="x"', 'Digest realm="r", nonce="n", algorithm=SHA-256', 'Digest realm="r", nonce="n"']

    login = login_for(offered, MUFASA)

    assert isinstance(login, Digest)
    assert login.algorithm == "sha256"
    assert isinstance(login_for(offered[:1], MUFASA), Basic)


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Negotiate",
        'Digest realm="r"',
        'Digest realm="r", nonce="n", algorithm=SHA-512-256',
        'Digest realm="r", nonce="n", qop="auth-int"',
    ],
)
def test_what_cannot_be_answered_is_left(challenge: str) -> None:
    assert login_for([challenge], MUFASA) is None


def test_a_challenge_adds_no_lines_and_no_fields() -> None:
    login = login_for(['Digest realm="a\r\nX: 1", nonce="n\\"', 'Digest realm="r", nonce="n"'], MUFASA)
    assert login is not None

    assert "\r" not in login.authorization("DESCRIBE", "rtsp://a/b")


def test_passwords_are_not_shown() -> None:
    for challenge in ('Basic realm="x"', 'Digest realm="r", nonce="n"'):
        assert "Life" not in repr(login_for([challenge], MUFASA))


@pytest.mark.parametrize(
    ("challenge", "stale"),
    [
        ('Digest realm="r", nonce="n", stale=TRUE', True),
        ('Digest realm="r", nonce="n", stale=false', False),
        ('Digest realm="r", nonce="n"', False),
    ],
)
def test_old_nonces_are_told_from_wrong_passwords(challenge: str, stale: bool) -> None:
    assert is_stale([challenge]) is stale
