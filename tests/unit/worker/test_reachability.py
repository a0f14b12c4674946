"""The TCP connection that is made before FFmpeg gets a URL."""

import errno
import socket
from collections.abc import Callable, Iterator
from typing import Any, Self

import pytest

from camera_api.faults import Fault
from camera_worker.errors import StreamError
from camera_worker.ingest.reachability import check_reachable


class FakeSocket:
    """Answers connections by address; an address that is not listed accepts."""

    failures: dict[str, OSError]
    asked: list[tuple[str, int, float]]

    def __init__(self, *_: object) -> None:
        self._timeout = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def settimeout(self, seconds: float) -> None:
        self._timeout = seconds

    def connect(self, address: tuple[str, int]) -> None:
        self.asked.append((address[0], address[1], self._timeout))
        if address[0] in self.failures:
            raise self.failures[address[0]]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., type[FakeSocket]]]:
    def make(addresses: list[str] | Exception, **failures: OSError) -> type[FakeSocket]:
        def resolve(_: str, port: int, **__: Any) -> list[Any]:
            if isinstance(addresses, Exception):
                raise addresses
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

        FakeSocket.failures, FakeSocket.asked = {key.replace("_", "."): error for key, error in failures.items()}, []
        monkeypatch.setattr("camera_worker.ingest.reachability.socket.getaddrinfo", resolve)
        monkeypatch.setattr("camera_worker.ingest.reachability.socket.socket", FakeSocket)
        return FakeSocket

    return make  # type: ignore[return-value]


def fault_of(url: str = "rtsp://camera.example/main") -> tuple[Fault, str]:
    with pytest.raises(StreamError) as failure:
        check_reachable(url, 3.0, clock=lambda: 0.0)
    assert not failure.value.connected
    return failure.value.fault, failure.value.message


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("rtsp://camera.example/main", 554),
        ("rtsps://camera.example/main", 322),
        ("http://camera.example/main", 80),
        ("https://camera.example/main", 443),
        ("rtsp://camera.example:8554/main", 8554),
        ("rtsp://[2001:db8::7]:8554/main", 8554),
    ],
)
def test_the_port_is_the_urls_or_the_schemes(network: Any, url: str, port: int) -> None:
    fake = network(["192.0.2.7"])

    check_reachable(url, 3.0)

    assert fake.asked[0][1] == port


@pytest.mark.parametrize(
    ("error", "fault", "message"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), Fault.CONNECTION_REFUSED, "refused the connection"),
        (OSError(errno.EHOSTUNREACH, "x"), Fault.UNREACHABLE, "No route to host"),
        (OSError(errno.ENETUNREACH, "x"), Fault.UNREACHABLE, "Network is unreachable"),
        (TimeoutError("timed out"), Fault.TIMED_OUT, "accepted no connection within 3 s"),
    ],
)
def test_each_way_to_fail_has_its_fault(network: Any, error: OSError, fault: Fault, message: str) -> None:
    network(["192.0.2.7"], **{"192_0_2_7": error})

    found, text = fault_of()

    assert found is fault
    assert text.startswith("camera.example:554")
    assert message in text


def test_a_name_that_does_not_resolve_is_told_from_a_host_that_is_gone(network: Any) -> None:
    network(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))

    assert fault_of() == (
        Fault.DNS_FAILED,
        "host name camera.example does not resolve: Name or service not known",
    )


def test_a_name_that_no_resolver_takes_does_not_resolve(network: Any) -> None:
    network(UnicodeError("label too long"))

    assert fault_of()[0] is Fault.DNS_FAILED


def test_any_address_of_a_name_will_do(network: Any) -> None:
    fake = network(["192.0.2.7", "192.0.2.8"], **{"192_0_2_7": TimeoutError()})

    check_reachable("rtsp://camera.example/main", 3.0, clock=lambda: 0.0)

    assert fake.asked == [("192.0.2.7", 554, 1.5), ("192.0.2.8", 554, 3.0)]


def test_all_addresses_together_take_no_longer_than_one(network: Any) -> None:
    dead = {f"192_0_2_{number}": TimeoutError() for number in range(4)}
    fake = network([f"192.0.2.{number}" for number in range(4)], **dead)
    times = iter([0.0, 0.0, 2.0, 3.5])

    with pytest.raises(StreamError):
        check_reachable("rtsp://camera.example/main", 3.0, clock=lambda: next(times))

    assert len(fake.asked) == 2
