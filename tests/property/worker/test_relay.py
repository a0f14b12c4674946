"""Whatever a camera sends and however a reader reads, the relay keeps its promises."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from camera_worker.relay.clock import JUMP_S, StreamClock
from camera_worker.relay.framing import (
    GAP,
    TICKS_PER_S,
    End,
    Frame,
    FrameParser,
    Header,
    Packet,
    Parameters,
    encode_end,
    encode_header,
    encode_packet_prefix,
)
from camera_worker.relay.queue import ReaderQueue

TICKS = st.integers(-(2**63), 2**63 - 1)
SIZES = st.integers(0, 100_000)
HEADERS = st.builds(
    Header,
    st.builds(Parameters, codec=st.text(), extradata=st.binary(), width=SIZES, height=SIZES),
    epoch_s=st.floats(0, 1e11),
)
PACKETS = st.builds(Packet, TICKS, TICKS, st.booleans(), st.booleans(), st.binary())
ENDS = st.builds(End, reason=st.text(), message=st.text())


def encode(frame: Frame) -> bytes:
    match frame:
        case Header():
            return encode_header(frame)
        case Packet():
            prefix = encode_packet_prefix(len(frame.data), frame.pts, frame.dts, is_key=frame.is_key)
            return GAP * frame.after_gap + prefix + frame.data
        case End():
            return encode_end(frame)


@given(st.data(), HEADERS, st.lists(PACKETS), st.lists(ENDS, max_size=1))
def test_frames_are_read_back_from_any_pieces(
    data: st.DataObject, header: Header, packets: list[Packet], ends: list[End]
) -> None:
    frames: list[Frame] = [header, *packets, *ends]
    body = b"".join(encode(frame) for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)))))
    parser = FrameParser()

    read = [
        frame
        for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)
        for frame in parser.feed(body[start:end])
    ]

    assert read == frames


STAMPS = st.none() | st.floats(-1e12, 1e12) | st.floats(0, 10)


@given(st.lists(st.tuples(STAMPS, STAMPS, st.floats(0, 5), st.booleans(), st.booleans()), max_size=60))
def test_a_time_line_rises_and_stays_near_the_wall(
    packets: list[tuple[float | None, float | None, float, bool, bool]],
) -> None:
    clock, now, last = StreamClock(0.0), 0.0, -1
    epoch = clock.epoch_s(0.0, 0.0)
    for number, (pts_s, dts_s, passed, is_key, restarts) in enumerate(packets):
        now += passed
        if restarts:
            clock.restart()

        pts, dts = clock.map(pts_s, dts_s, now, is_key=is_key)

        assert dts > last
        assert pts >= dts >= 0
        # Ahead by a jump that is let pass and by what lies between dts and pts; a tick per packet for standing stamps.
        assert pts / TICKS_PER_S + epoch - now <= 2 * JUMP_S + number / TICKS_PER_S + 0.01
        last = dts


@dataclass(frozen=True)
class Sized:
    number: int
    size: int
    is_key: bool


class QueueMachine(RuleBasedStateMachine):
    """A reader that takes what it likes, when it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = ReaderQueue[Sized](max_age_s=2.0, max_bytes=1000)
        self.now = 0.0
        self.put_at: list[float] = []
        self.sent: list[Sized] = []
        self.taken: list[Sized] = []

    @rule(size=st.integers(1, 1200), is_key=st.booleans(), passed=st.floats(0, 0.5))
    def put(self, size: int, is_key: bool, passed: float) -> None:
        self.now += passed
        packet = Sized(len(self.sent), size, is_key)
        self.sent.append(packet)
        self.put_at.append(self.now)
        self.queue.put(packet, self.now)

    @rule(max_bytes=st.integers(1, 3000), passed=st.floats(0, 3))
    def take(self, max_bytes: int, passed: float) -> None:
        self.now += passed
        for place, packet in enumerate(self.queue.take(max_bytes, self.now)):
            follows = bool(self.taken) and packet.number == self.taken[-1].number + 1
            has_gap = place == 0 and self.queue.has_gap
            assert follows or packet.is_key, "after a gap comes a key frame"
            assert follows or not self.taken or has_gap, "and the reader is told"
            assert self.now - self.put_at[packet.number] <= 2.0
            self.taken.append(packet)
            self.queue.has_gap = False

    @invariant()
    def it_is_bounded(self) -> None:
        assert 0 <= self.queue.size <= 1000
        assert (self.queue.size == 0) == (len(self.queue) == 0)


TestQueue = QueueMachine.TestCase
