"""Wire faults over every protocol, on real servers: named right, in time, and at no cost for healthy cameras.

The normal run takes a selection that differs from what test_ingest_worker.py tells; the long one takes them all, on
all servers that are installed (``tests/bench/bench_wire_faults.py`` prints the same as a table).
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from camera_api.camera import Transport
from simulator_process import SimulatorProcess
from wire import gstreamer, losses
from wire.cases import Case, Neighbours, Result, run_wave
from wire.gstreamer import Speech
from wire.network import NetworkUnavailableError, require_network
from wire.report import WAVES, run
from worker_process import Worker

pytestmark = pytest.mark.media

#: The usual frame rate is known after 15 s of good stream.
LEARN_S = 17.0
HEALTHY = tuple(f"healthy-{number}" for number in range(6))
PACKET_LOSS_PER_MILLE = 20


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def simulator(stack: ExitStack) -> SimulatorProcess:
    return stack.enter_context(SimulatorProcess([gstreamer.declared(name=name) for name in HEALTHY]))


@pytest.fixture(scope="module")
def outcome(
    stack: ExitStack, simulator: SimulatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Result], dict[str, int]]:
    """What the worker has said of all cases, broken at the same time, and the frames that healthy cameras miss."""
    worker = stack.enter_context(Worker(tmp_path_factory.mktemp("worker")))
    worker.assign(*(gstreamer.healthy(simulator, name) for name in HEALTHY))
    neighbours = Neighbours(worker, simulator, HEALTHY)
    neighbours.wait(15.0)
    results = run_wave(worker, list(_cases(stack, simulator)), learn_s=LEARN_S, say=print)
    return results, neighbours.disturbed()


def _cases(stack: ExitStack, simulator: SimulatorProcess) -> Iterator[Case]:
    secure, web, jpeg = Speech("rtsps", "h264"), Speech("http", "h264"), Speech("http", "mjpeg")
    for speech in (secure, web, jpeg):
        yield from gstreamer.switched_cases(simulator, speech)
    over_udp = [fault for fault in gstreamer.SWITCHED if fault.name in {"silent", "stall", "kick", "slow", "clockjump"}]
    yield from gstreamer.switched_cases(simulator, Speech("rtsp", "h265", Transport.UDP), over_udp)
    for speech, auth in ((secure, "digest"), (web, "basic"), (jpeg, "digest")):
        yield from gstreamer.account_cases(simulator, speech, auth)
    yield from gstreamer.transport_cases(simulator)
    yield from gstreamer.address_cases(stack, simulator)
    try:
        require_network()
    except NetworkUnavailableError:
        return
    yield from losses.loss_cases(stack, PACKET_LOSS_PER_MILLE)
    yield from losses.outage_cases(stack)


def test_each_is_named_right_and_in_time_and_its_end_noticed(outcome: tuple[list[Result], dict[str, int]]) -> None:
    results, _ = outcome
    wrong = [
        f"{result.case.camera.name}: {result.wrong}: expected {result.case.expected}, got {result.got} "
        f"after {result.known_s} s, working again after {result.working_again_s} s"
        for result in results
        if result.wrong
    ]

    assert len(results) > 40
    assert wrong == []


def test_healthy_cameras_lose_no_frame_meanwhile(outcome: tuple[list[Result], dict[str, int]]) -> None:
    _, disturbed = outcome

    assert disturbed == {}


def test_the_network_between_camera_and_worker_is_tried_as_well(outcome: tuple[list[Result], dict[str, int]]) -> None:
    try:
        require_network()
    except NetworkUnavailableError as error:
        pytest.skip(f"packet loss and outages were left out: {error}")

    assert {"2 % loss", "black-hole, while watched"} <= {result.case.fault for result in outcome[0]}


@pytest.mark.long
@pytest.mark.parametrize("wave", WAVES)
def test_every_wire_fault_on_every_server(wave: str) -> None:
    rows, disturbed = run([wave])

    assert rows, "left out; the captured output tells why"
    assert [row for row in rows if row.wrong] == []
    assert disturbed == {}
