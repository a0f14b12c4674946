"""From a feed to its readers; see conftest.py for what is real."""

from typing import Any

import pytest

from camera_worker.relay.feed import MAX_INBOX_BYTES
from camera_worker.relay.framing import TICKS_PER_S, End, EndReason, Header, Packet, Parameters
from camera_worker.relay.hub import TooManyReadersError
from camera_worker.relay.reader import LINGER_S, SMALL_BATCH_BYTES, STUCK_AFTER_S

PARAMETERS = Parameters("h264", b"", 1920, 1080)


def contents(frames: list[Any]) -> list[bytes]:
    return [frame.data for frame in frames if isinstance(frame, Packet)]


async def test_a_reader_gets_the_header_and_then_packets_from_a_key_frame_on(bench: Any, packet: Any) -> None:
    bench.open()
    reader, transport = bench.join()

    bench.send(packet(7.0), packet(7.04, is_key=True), packet(7.08))
    await bench.beat()

    header, first, second = transport.frames()
    assert isinstance(header, Header)
    assert header.parameters == PARAMETERS
    assert header.epoch_s == pytest.approx(1_896_091_199.0)
    assert (first.is_key, first.after_gap, second.is_key) == (True, False, False)
    assert first.pts / TICKS_PER_S + header.epoch_s == pytest.approx(1_896_091_200.0)
    assert second.dts - first.dts == 0.04 * TICKS_PER_S
    assert not reader.finished.done()
    assert bench.feed.counters.sent_bytes == len(transport.received)


async def test_without_readers_nothing_is_kept(bench: Any, packet: Any) -> None:
    bench.open()
    bench.send(packet(7.0, is_key=True))
    assert not bench.feed.wanted
    _, transport = bench.join()
    assert bench.feed.wanted
    bench.send(packet(7.04))
    transport.closed = True
    await bench.beat()

    assert not bench.feed.wanted
    assert bench.feed.readers == 0
    assert bench.relay._beat is None, "the relay sleeps"


async def test_a_late_reader_begins_with_the_group_that_is_kept(bench: Any, packet: Any) -> None:
    bench.open()
    bench.join()
    bench.send(packet(0.0, is_key=True), packet(0.04), packet(2.0, is_key=True, content=b"key"), packet(2.04))
    await bench.beat()

    _, late = bench.join()
    await bench.beat()
    bench.send(packet(2.08, content=b"next"))
    await bench.beat()

    assert contents(late.frames()) == [b"key", b"content", b"next"]
    assert bench.feed.readers == 2


async def test_all_readers_share_one_copy(bench: Any, packet: Any) -> None:
    bench.open()
    written: list[bytes] = []
    for _ in range(3):
        _, transport = bench.join()
        await bench.beat()
        transport.write = written.append
    bench.send(packet(0.0, is_key=True))
    await bench.beat()

    assert len({id(data) for data in written}) == 1


async def test_a_reader_that_takes_nothing_misses_packets_and_is_told(bench: Any, packet: Any, transport: Any) -> None:
    bench.open()
    _, slow = bench.join(transport(takes=0))
    _, fast = bench.join()
    for number in range(150):
        bench.send(packet(number / 25, is_key=number % 50 == 0, content=b"%d" % number))
        await bench.beat(0.04)
    slow.takes = None
    for number in range(150, 160):
        bench.send(packet(number / 25, is_key=number % 50 == 0, content=b"%d" % number))
        await bench.beat(0.04)

    assert contents(fast.frames()) == [b"%d" % number for number in range(160)]
    taken = [frame for frame in slow.frames() if isinstance(frame, Packet)]
    # The first one was handed over before anybody could know.
    assert contents(taken) == [b"0", *(b"%d" % number for number in range(150, 160))]
    assert [number for number, frame in enumerate(taken) if frame.after_gap] == [1]
    assert taken[1].is_key
    assert bench.feed.counters.drops >= 1


async def test_little_is_handed_over_to_a_connection_that_does_not_take_all(
    bench: Any, packet: Any, transport: Any
) -> None:
    bench.open()
    _, slow = bench.join(transport(takes=1000))
    for number in range(100):
        bench.send(packet(number / 25, is_key=number == 0, content=bytes(1000)))
        await bench.beat(0.001)
    for _ in range(100):
        await bench.beat(0.001)

    assert len(slow.writes) > 5
    assert max(slow.writes) <= SMALL_BATCH_BYTES
    assert len(contents(slow.frames())) == 100


async def test_a_reconnect_with_the_same_parameters_goes_on(bench: Any, packet: Any) -> None:
    bench.open()
    reader, transport = bench.join()
    bench.send(packet(500.0, is_key=True), packet(500.04))
    await bench.beat()
    bench.feed.lost()
    await bench.beat(3.0)

    bench.open()
    bench.send(packet(0.0), packet(0.04, is_key=True, content=b"again"))
    await bench.beat()

    frames = transport.frames()
    assert contents(frames) == [b"content", b"content", b"again"]
    assert frames[-1].after_gap
    assert frames[-1].dts - frames[1].dts == pytest.approx(3.0 * TICKS_PER_S, abs=2 * TICKS_PER_S / 25)
    assert not reader.finished.done()


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        (PARAMETERS, Parameters("hevc", b"", 1920, 1080), True),
        (PARAMETERS, Parameters("h264", b"other", 1920, 1080), True),
        (PARAMETERS, Parameters("h264", b"", 640, 360), True),
        (PARAMETERS, Parameters("h264", b"", 0, 0), False),
        (Parameters("h264", b"", 0, 0), PARAMETERS, False),
    ],
)
async def test_a_reconnect_with_other_parameters_ends_readers(
    bench: Any, packet: Any, before: Parameters, after: Parameters, ends: bool
) -> None:
    bench.open(before)
    reader, transport = bench.join()
    bench.send(packet(0.0, is_key=True))
    await bench.beat()

    bench.open(after)
    bench.send(packet(0.0, is_key=True))
    await bench.beat()
    await bench.beat()

    last = transport.frames()[-1]
    assert isinstance(last, End) is ends
    assert reader.finished.done() is ends
    if isinstance(last, End):
        assert last.reason == EndReason.PARAMETERS_CHANGED
        assert reader.finished.result() is True
        _, again = bench.join()
        bench.send(packet(0.04, is_key=True))
        await bench.beat()
        assert again.frames()[0].parameters == after


async def test_a_release_ends_readers_with_the_reason(bench: Any, packet: Any) -> None:
    bench.open()
    reader, transport = bench.join()
    viewer, ts = bench.join(as_ts=True)
    bench.send(packet(0.0, is_key=True))
    await bench.beat()

    bench.feed.end(EndReason.RELEASED, "the camera is gone")
    await bench.beat()
    await bench.beat()

    assert transport.frames()[-1] == End("Released", "the camera is gone")
    assert (reader.finished.result(), viewer.finished.result()) == (True, True)
    assert not ts.closed
    assert bench.feed.parameters is None
    assert bench.relay._beat is None
    bench.open()
    assert bench.feed.parameters is None, "a thread that is late changes nothing"


async def test_a_reader_that_does_not_take_the_end_is_cut_off(bench: Any, packet: Any, transport: Any) -> None:
    bench.open()
    reader, slow = bench.join(transport(takes=0))
    bench.send(packet(0.0, is_key=True))
    await bench.beat()
    bench.feed.end(EndReason.RELEASED, "the camera is gone")
    await bench.beat()
    assert not reader.finished.done()

    await bench.beat(LINGER_S)

    assert slow.closed
    assert reader.finished.result() is False


async def test_a_reader_that_takes_nothing_at_all_loses_its_place(bench: Any, packet: Any, transport: Any) -> None:
    bench.open()
    reader, slow = bench.join(transport(takes=0))
    bench.send(packet(0.0, is_key=True))
    await bench.beat()
    await bench.beat()
    await bench.beat(STUCK_AFTER_S - 1)
    assert not slow.closed

    slow.takes = 1
    await bench.beat()
    slow.takes = 0
    await bench.beat(STUCK_AFTER_S - 1)
    assert not slow.closed, "it has taken something"
    await bench.beat(2.0)

    assert slow.closed
    assert reader.finished.result() is False
    await bench.beat()
    assert bench.feed.readers == 0


async def test_when_the_event_loop_stands_still_packets_are_lost_and_readers_told(bench: Any, packet: Any) -> None:
    bench.open()
    _, transport = bench.join()
    large = bytes(MAX_INBOX_BYTES // 4)
    bench.send(*(packet(number / 25, is_key=number == 0, content=large) for number in range(10)))
    bench.send(packet(0.4, is_key=True, content=b"too early"))
    await bench.beat()
    bench.send(packet(0.44), packet(0.48, is_key=True, content=b"key"))
    await bench.beat()
    await bench.beat()

    frames = [frame for frame in transport.frames() if isinstance(frame, Packet)]
    assert len(frames) < 8
    assert next(frame for frame in frames if frame.after_gap).is_key


async def test_viewers_share_one_muxer_that_lives_while_they_do(bench: Any, packet: Any, muxers: Any) -> None:
    bench.open()
    bench.join()
    bench.send(packet(0.0, is_key=True), packet(0.04))
    await bench.beat()
    assert muxers.made == []

    _, first = bench.join(as_ts=True)
    _, second = bench.join(as_ts=True)
    bench.send(packet(0.08))
    await bench.beat()
    assert len(muxers.made) == 1
    assert first.received == second.received
    first.closed = second.closed = True
    await bench.beat()

    assert muxers.made[0].closed
    assert bench.feed.wanted
    bench.join(as_ts=True)
    assert len(muxers.made) == 2


async def test_a_late_viewer_begins_with_tables_and_a_key_frame(bench: Any, packet: Any) -> None:
    bench.open()
    bench.join(as_ts=True)
    bench.send(packet(0.0, is_key=True), packet(0.04), packet(2.0, is_key=True), packet(2.04))
    await bench.beat()

    _, late = bench.join(as_ts=True)
    await bench.beat()

    body = b"".join(late.chunks())
    pids = [(body[at + 1] & 0x1F) << 8 | body[at + 2] for at in range(0, len(body), 188)]
    # The table before the key frame, the key frame with its own, and what followed.
    assert pids == [0, 0, 0x100, 0x100]
    assert [body[at + 3] & 0x0F for at in (0, 188)] == [1, 2], "counters go on"


async def test_all_readers_are_told_when_the_worker_ends(bench: Any, packet: Any) -> None:
    bench.open()
    reader, transport = bench.join()
    bench.send(packet(0.0, is_key=True))
    await bench.beat()

    bench.relay.close()
    _, late = bench.join()
    await bench.beat()
    await bench.beat()

    assert transport.frames()[-1] == End("Failed", "the worker is shut down")
    assert reader.finished.result() is True
    assert isinstance(late.frames()[0], Header), "a reader that comes meanwhile has a stream of its own"


async def test_places_are_limited(bench: Any) -> None:
    with bench.relay.place(), bench.relay.place():
        with bench.relay.place(), pytest.raises(TooManyReadersError, match="all 3 places"), bench.relay.place():
            pass
        with bench.relay.place():
            pass


async def test_a_defect_ends_the_readers_of_one_stream_only(
    bench: Any, packet: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench.open()
    reader, transport = bench.join()
    bench.send(packet(0.0, is_key=True))
    stream = bench.relay._streams[bench.feed]
    monkeypatch.setattr(stream, "_put", lambda *_: 1 / 0)

    await bench.beat()
    await bench.beat()
    await bench.beat()

    assert transport.frames()[-1] == End("Failed", "the worker failed on the stream")
    assert reader.finished.done()
    assert "the relay failed on a stream" in caplog.text
    assert not bench.feed.wanted
