"""Whether RTP packets are missing, decided as soon as the evidence suffices. Pure; times are arguments.

Two lines are held against each other: one that loses ``TOLERATED`` of its packets, and one that loses ``FAULTY``. Each
second, a packet that is missing speaks for the second and each that was due for the first one, by the logarithm of how
much likelier what happened is on either (Wald's log-likelihood ratio, of losses as a Poisson process). The sum never
falls below zero, where the time before stops to count; above ``THRESHOLD`` the line is at fault (Page's CUSUM test,
Biometrika 41, 1954; of all tests that give as few false alarms, it has the soonest worst case: Moustakides, Annals of
Statistics 14, 1986). So much loss, or loss of a large stream, is known within seconds, and little loss of a small one
as soon as it can be told from chance.
"""

import math
from dataclasses import dataclass

from camera_api.faults import Fault
from camera_worker.ingest.judgement import Trouble

#: Part of the packets that a good line loses: wired networks far fewer, busy radio links about as many.
TOLERATED = 0.0002
#: Part of the packets whose loss is to be known soon: every second key frame of 140 packets is damaged.
FAULTY = 0.005
#: Where a missing packet speaks as much for a fault as those that were due meanwhile speak against it: what lies above
#: is named some time, what lies below is not.
LIMIT = (FAULTY - TOLERATED) / math.log(FAULTY / TOLERATED)
#: Natural logarithm of how much likelier a fault has to be. A good line passes it by chance less than once in exp(12)
#: seconds, which is two days, whatever its stream (Lorden, Annals of Mathematical Statistics 42, 1971); by the exact
#: distribution less than once in two weeks of streams from 0.5 to 8 Mbit/s.
THRESHOLD = 12.0
#: The same for its end. Less, because an end that was none is corrected within seconds.
END_THRESHOLD = 6.0
#: What one second may add at most: a single gap, however long, is no fault, and no two of them are.
_MAX_STEP = THRESHOLD / 2
#: What one second may speak for the end of a fault at most: it takes eight good ones, however large the stream.
_MAX_STEP_BACK = END_THRESHOLD / 8
#: RTP packets hold at most this many bytes of video on an Ethernet.
RTP_PAYLOAD = 1400


def evidence(lost: int, due: float) -> float:
    """How much speaks for a line at fault, as a log-likelihood ratio; negative: for a good one.

    Args:
        lost: packets that are missing.
        due: packets that were sent meanwhile.
    """
    return lost * math.log(FAULTY / TOLERATED) - due * (FAULTY - TOLERATED)


@dataclass(slots=True)
class LossWatch:
    """Finds that a camera's packets get lost, by the second."""

    trouble: Trouble | None = None
    #: For a fault; while there is one, for its end.
    _sum: float = 0.0
    #: Since the sum was zero: when the first loss was seen, and the packets that were lost and due.
    _since: float = 0.0
    _lost: int = 0
    _due: float = 0.0

    def second(self, lost: int, received_bytes: int, now: float) -> None:
        """Takes what was lost and received in about one second that ends now.

        Of Motion JPEG, FFmpeg delivers no frame that lacks a packet, so the part that is lost looks larger than it is.
        """
        due = lost + received_bytes / RTP_PAYLOAD
        step = evidence(lost, due)
        if self.trouble is not None:
            self._sum = max(0.0, self._sum + min(-step, _MAX_STEP_BACK))
            if self._sum >= END_THRESHOLD:
                self.trouble, self._sum = None, 0.0
            return
        if self._sum == 0:
            self._since, self._lost, self._due = now, 0, 0.0
        self._lost += lost
        self._due += due
        self._sum = max(0.0, self._sum + min(step, _MAX_STEP))
        if self._sum > THRESHOLD:
            message = f"{self._lost / self._due:.2%} of the packets are lost; more than {LIMIT:.2%} is a fault"
            self.trouble, self._sum = Trouble(Fault.PACKET_LOSS, self._since, message), 0.0
