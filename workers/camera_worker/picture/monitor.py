"""Picture health of one camera: from key frames to the faults of its picture. Pure; times are arguments."""

from collections import Counter, deque
from dataclasses import dataclass, field

from camera_api.faults import Fault, diagnosis_order
from camera_worker.picture.black import black
from camera_worker.picture.covered import covered
from camera_worker.picture.defocused import defocused
from camera_worker.picture.evidence import Evidence, Suspicion
from camera_worker.picture.features import Features, measure
from camera_worker.picture.frozen import UsualMotion, change, frozen
from camera_worker.picture.layout import MAX_LOST
from camera_worker.picture.memory import Memory
from camera_worker.picture.moved import moved
from camera_worker.picture.overexposed import overexposed
from camera_worker.picture.reference import FirstView, Remedian, View
from camera_worker.picture.thumbnail import Gray

#: Of several things a picture shows, the first one explains the others.
VIEW_CHECKS = (black, overexposed, moved, defocused, covered)
#: A fault is raised after this many suspicious key frames in a row and cleared after so many good ones. One of the
#: suspicious ones may instead leave it open, see ``Suspicion.is_left_open_by``.
RAISE_AFTER, CLEAR_AFTER = 3, 6
#: Two differences of nothing are three equal pictures.
_FROZEN_RAISE_AFTER = RAISE_AFTER - 1
#: The reference is renewed from nine pictures at least this far apart: what stays for less than two and a half minutes
#: never gets into it, dusk does.
SAMPLE_EVERY_S = 30.0
#: With this much lost the picture is good, but no model.
_MAX_LOST_IN_SAMPLE = MAX_LOST / 2
#: Unless there was no better one for so long: a mast that has settled a little aside, or a shadow's edge that seems to
#: be one, would stop the learning for good, and the votes would dwindle to those of what has gone along.
_MODEL_WITHIN_S = 600.0
#: Key frames in a row that must agree that the camera has switched to or from infra-red.
_LIGHT_AFTER = 2


@dataclass(frozen=True, slots=True)
class KeyFrameFacts:
    """What is known of a key frame besides its picture."""

    at: float  #: monotonic seconds
    inter_bytes: float | None = None  #: median size of the frames since the last key frame; None: there are none
    is_variable_rate: bool | None = None  #: whether the encoder's rate follows the picture; None: not known
    is_infrared: bool | None = None  #: whether the picture has no colour; None: not known


@dataclass(frozen=True, slots=True)
class PictureFinding:
    """A fault of the picture that is there at present."""

    fault: Fault
    since: float  #: monotonic seconds of the last good key frame
    message: str  #: what was measured against what threshold; stays the same while the fault stands


@dataclass(slots=True)
class _Run:
    """Raises a fault after suspicious pictures in a row and clears it after good ones."""

    raise_after: int
    active: PictureFinding | None = None
    #: The latest pictures since the last one in good order; None: one that leaves it open.
    _row: deque[Suspicion | None] = field(default_factory=lambda: deque(maxlen=RAISE_AFTER))
    _latest: Suspicion | None = None  #: until it is over
    _good: int = 0
    _last_good: float | None = None

    @property
    def is_suspicious(self) -> bool:
        return bool(self._row) or self.active is not None

    def good(self, at: float) -> None:
        """A picture without the fault."""
        self._row.clear()
        self._last_good = at
        self._good += 1
        if self._good >= CLEAR_AFTER:
            self.active = None
        if self.active is None:
            self._latest = None

    def interrupted(self) -> None:
        """Nothing was seen for a while: one good picture ends the fault, one with it lets it stand."""
        self._row.clear()
        self._latest = None
        self._last_good = None
        self._good = CLEAR_AFTER - 1

    def bad(self, suspicion: Suspicion, at: float) -> None:
        """A picture with the fault."""
        if self._row and self._latest is not None and not suspicion.continues(self._latest):
            self._row.clear()
        if self._last_good is None:
            self._last_good = at
        self._good = 0
        self._latest = suspicion
        self._row.append(suspicion)
        self._judge(self._last_good)

    def without(self, evidence: Evidence, at: float) -> None:
        """A picture that shows no fault: in good order, or it leaves open what the ones before showed."""
        if self._latest is None or not self._latest.is_left_open_by(evidence):
            self.good(at)
        elif self.active is not None:
            self._row.clear()
            if self._latest.layout is None:
                # Without a place any rain on a bare road would keep the fault alive.
                self.good(at)
        elif None in self._row:
            self.good(at)
        else:
            self._row.append(None)
            self._judge(at if self._last_good is None else self._last_good)

    def _judge(self, last_good: float) -> None:
        if len(self._row) < self.raise_after:
            return
        suspicions = [each for each in self._row if each is not None]
        certain = [each.fault for each in suspicions if each.is_certain]
        names = Counter(certain or (each.fault for each in suspicions))
        most = max(names.values())
        fault = min((name for name, number in names.items() if number == most), key=diagnosis_order)
        is_agreed = bool(certain) or most == self.raise_after
        if self.active is None or (self.active.fault is not fault and is_agreed):
            since = self.active.since if self.active is not None else last_good
            message = next(each.message for each in reversed(suspicions) if each.fault is fault)
            self.active = PictureFinding(fault, since, message)


class PictureMonitor:
    """Watches one camera's picture. For one thread; about two thirds of a megabyte.

    Nothing is said about the layout, that is Covered, Moved and Defocused, before nine key frames in good order.
    """

    def __init__(self) -> None:
        self._views: dict[bool, View] = {}
        self._infrared = False
        self._other_light = 0
        self._first = FirstView()
        self._renewal = Remedian()
        self._sampled_at = self._model_at = float("-inf")
        self._motion = UsualMotion()
        self._previous: tuple[Features, float] | None = None
        self._was_interrupted = False
        self._view_run = _Run(RAISE_AFTER)
        self._frozen_run = _Run(_FROZEN_RAISE_AFTER)

    def observe(self, luma: Gray, facts: KeyFrameFacts) -> tuple[PictureFinding, ...]:
        """Takes the next key frame.

        Args:
            luma: 180x320 uint8, see ``thumbnail``; kept, so it must not change. Of a whole frame: damaged ones tell
                nothing about the camera.
            facts: what else is known.

        Returns:
            The faults that are there now, the one that explains the others first.
        """
        self._follow_light(facts.is_infrared)
        view = self._views.get(self._infrared)
        evidence = Evidence(measure(luma), view)
        suspicion = next((found for check in VIEW_CHECKS if (found := check(evidence)) is not None), None)
        if suspicion is not None:
            self._view_run.bad(suspicion, facts.at)
        else:
            self._view_run.without(evidence, facts.at)
        self._watch_motion(evidence.features, facts)
        if not self.is_suspicious:
            self._learn(evidence, facts.at)
        return tuple(run.active for run in (self._view_run, self._frozen_run) if run.active is not None)

    @property
    def is_suspicious(self) -> bool:
        """Whether anything is said against the latest picture: no fault yet, maybe, but no picture in good order."""
        return self._view_run.is_suspicious or self._frozen_run.is_suspicious

    @property
    def knows_view(self) -> bool:
        """Whether there is a learned view, without which nothing is said about the layout."""
        return bool(self._views)

    def interrupted(self) -> None:
        """No picture was seen for a while, be it that the stream was lost or that nobody looked.

        What was learned stays. A fault that stood is there again in the next picture, since when it was, or has ended.
        """
        self._was_interrupted = True
        self._view_run.interrupted()
        self._frozen_run.interrupted()

    def acknowledge_view(self) -> None:
        """The camera is meant to look where it looks now: the view is learned anew."""
        self._views.clear()
        self._first = FirstView()
        self._renewal = Remedian()
        self._view_run = _Run(RAISE_AFTER)

    def export_memory(self) -> bytes:
        """What was learned, for ``restore_memory`` of another process; some 40 kB per light, 5 ms."""
        return Memory(self._views, self._motion).dump()

    def restore_memory(self, data: bytes) -> None:
        """Takes up what an earlier monitor of the same camera had learned.

        Raises:
            ValueError: the data is damaged or of another version; nothing has changed.
        """
        memory = Memory.load(data)
        self._views, self._motion = memory.views, memory.motion

    def _follow_light(self, infrared: bool | None) -> None:
        if infrared is None or infrared == self._infrared:
            self._other_light = 0
            return
        self._other_light += 1
        if self._other_light < _LIGHT_AFTER and self._views:
            return
        known = self._views.get(self._infrared)
        self._infrared = infrared
        self._other_light = 0
        self._first = FirstView()
        self._renewal = Remedian()
        if known is not None and infrared not in self._views:
            self._views[infrared] = View(known.reference, known.reliability.copy(), is_borrowed=True)

    def _watch_motion(self, features: Features, facts: KeyFrameFacts) -> None:
        previous, self._previous = self._previous, (features, facts.at)
        was_interrupted, self._was_interrupted = self._was_interrupted, False
        seconds = facts.at - previous[1] if previous is not None and not was_interrupted else None
        self._motion.see(features.means, seconds)
        if previous is None:
            return
        measured = change(features, previous[0])
        suspicion = frozen(
            measured,
            self._motion,
            noise=features.noise,
            inter_bytes=facts.inter_bytes,
            is_variable_rate=facts.is_variable_rate,
        )
        if suspicion is not None:
            # A black, white or covered picture has nothing in it that could change.
            if not self._view_run.is_suspicious or self._frozen_run.active is not None:
                self._frozen_run.bad(suspicion, facts.at)
            return
        self._frozen_run.good(facts.at)
        # How much changes over hours says nothing of how little does from one key frame to the next.
        if seconds is not None and not self._view_run.is_suspicious:
            self._motion.learn(measured, facts.inter_bytes, seconds)

    def _learn(self, evidence: Evidence, at: float) -> None:
        view = evidence.view
        if view is None or view.is_borrowed:
            learned = self._first.add(evidence.features)
            if learned is not None:
                self._views[self._infrared] = learned
                self._sampled_at = self._model_at = at
            return
        # Even of a picture that is no model: a shadow that has moved on, or a van that stays, shall lose its vote.
        if evidence.layout is not None:
            view.learn(evidence.layout.likeness)
        # As it is: a model that sways with the mast would be a blurred one.
        if evidence.at_rest is not None and evidence.at_rest.lost_share <= _MAX_LOST_IN_SAMPLE:
            self._model_at = at
        elif at - self._model_at < _MODEL_WITHIN_S:
            return
        if at - self._sampled_at < SAMPLE_EVERY_S:
            return
        self._sampled_at = at
        median = self._renewal.add(evidence.features.luma)
        if median is not None:
            view.renew(median)
