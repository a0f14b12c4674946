"""Whatever happens to a camera, its connection keeps its promises."""

import random
from collections.abc import Callable
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from camera_api.camera import Transport
from camera_api.faults import Fault
from camera_api.health import Verdict
from camera_worker.errors import StreamError
from camera_worker.ingest.connection import AUTH_BACKOFF, SESSION_BACKOFF, Connection, Phase
from camera_worker.ingest.judgement import UNANSWERED_AFTER_S, Judgement

CONNECT_FAULTS = (Fault.DNS_FAILED, Fault.CONNECTION_REFUSED, Fault.UNREACHABLE, Fault.TIMED_OUT)
SESSION_FAULTS = (
    *(Fault.TIMED_OUT, Fault.AUTH_FAILED, Fault.STREAM_NOT_FOUND, Fault.UNSUPPORTED_TRANSPORT),
    *(Fault.UNSUPPORTED_CODEC, Fault.STALLED, Fault.DISCONNECTED),
)
OFFLINE_AFTER_S = 10.0
TICK_S = 0.25


Rule = TypeVar("Rule", bound=Callable[..., object])


def phase_is(*phases: Phase) -> Callable[[Rule], Rule]:
    """The rule applies in these phases."""
    return precondition(lambda machine: machine.connection.phase in phases)


class CameraMachine(RuleBasedStateMachine):
    """A camera's connection and the verdict on it, as the camera's thread and the event loop drive them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.connection = Connection(Transport.AUTO, 0.0, random.Random(7))
        self.judgement = Judgement(OFFLINE_AFTER_S, 0.0)
        self.locked_until = 0.0
        self.stopped = False

    @rule(seconds=st.floats(0.0, 100.0))
    def time_passes(self, seconds: float) -> None:
        steps = max(1, round(seconds / TICK_S))
        for _ in range(steps):
            self.now += TICK_S
            self.judgement.tick(self.connection.phase, self.connection.phase_since, self.now)

    @phase_is(Phase.IDLE, Phase.BACKING_OFF)
    @rule()
    def thread_wakes_up(self) -> None:
        self.now += self.connection.wait_s(self.now)
        assert self.now >= self.locked_until, "a refused password was tried again too soon"
        self.connection.connect(self.now)

    @phase_is(Phase.CONNECTING)
    @rule()
    def port_accepts(self) -> None:
        self.connection.queue(self.now)

    @phase_is(Phase.QUEUED)
    @rule()
    def place_is_free(self) -> None:
        self.connection.open(self.now)

    @phase_is(Phase.OPENING)
    @rule()
    def session_stands(self) -> None:
        self.connection.opened(self.now)

    @phase_is(Phase.STREAMING)
    @rule()
    def key_frame_comes(self) -> None:
        self.connection.key_frame(self.now)
        self.judgement.key_frame(self.now)

    @phase_is(Phase.STREAMING)
    @rule()
    def packet_comes(self) -> None:
        self.judgement.packet(self.now)

    @phase_is(Phase.CONNECTING)
    @rule(fault=st.sampled_from(CONNECT_FAULTS))
    def connection_fails(self, fault: Fault) -> None:
        self._fail(StreamError(fault, "", connected=False))

    @phase_is(Phase.OPENING, Phase.STREAMING)
    @rule(fault=st.sampled_from(SESSION_FAULTS))
    def session_fails(self, fault: Fault) -> None:
        self._fail(StreamError(fault, ""))

    @precondition(lambda machine: not machine.stopped)
    @rule()
    def credentials_change(self) -> None:
        self.connection.reset(self.now, Transport.AUTO)
        self.locked_until = self.now
        assert self.connection.wait_s(self.now) == 0

    @rule()
    def camera_is_removed(self) -> None:
        self.connection.stop(self.now)
        self.stopped = True

    def _fail(self, error: StreamError) -> None:
        counts = self.connection.fail(error, self.now)
        wait = self.connection.wait_s(self.now)
        if error.fault is Fault.AUTH_FAILED:
            assert AUTH_BACKOFF.first_s <= wait <= AUTH_BACKOFF.longest_s * AUTH_BACKOFF.highest
            self.locked_until = self.now + AUTH_BACKOFF.first_s
        else:
            assert wait <= SESSION_BACKOFF.longest_s * SESSION_BACKOFF.highest
            assert counts == (wait > 0)
        if counts:
            self.judgement.fail(error, self.now, retry_at=self.connection.retry_at)
            assert self.judgement.verdict is not Verdict.CONNECTING

    @invariant()
    def nothing_starts_once_removed(self) -> None:
        assert not self.stopped or self.connection.phase is Phase.STOPPED

    @invariant()
    def faulty_has_a_reason_and_nothing_else_has(self) -> None:
        assert (self.judgement.trouble is not None) == (self.judgement.verdict is Verdict.FAULTY)

    @invariant()
    def a_fault_never_begins_in_the_future(self) -> None:
        assert self.judgement.trouble is None or self.judgement.trouble.since <= self.now

    @invariant()
    def silence_is_noticed(self) -> None:
        last = self.judgement.last_packet
        silent = last is not None and self.now - last > OFFLINE_AFTER_S + UNANSWERED_AFTER_S + TICK_S
        unjudged = self.connection.phase in {Phase.IDLE, Phase.QUEUED, Phase.STOPPED}
        in_phase = self.now - self.connection.phase_since
        if silent and not unjudged and in_phase > UNANSWERED_AFTER_S + TICK_S and self.judgement.pending is not None:
            assert self.judgement.verdict is Verdict.FAULTY


CameraMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestCameraMachine = CameraMachine.TestCase
