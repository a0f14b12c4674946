"""What cameras cost, what a worker requests for them, and the size that its template has.

The unit is the category's own camera (``perCamera``), for which the figures of a 1080p stream with 25 frames per second
and 4 Mbit/s in H.264 are meant. What a camera really sends corrects its cost, once its worker has told.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from camera_api.assignment import Role
from camera_api.category import AnalyticsSettings, CameraCategorySpec, DecodePolicy, IngestSettings
from camera_api.health import StreamFacts
from camera_api.quantities import parse_cpu, parse_memory
from camera_operator.decide.model import PodView, Resources

Sizing = IngestSettings | AnalyticsSettings

_PIXELS = 1920 * 1080
_BITS_PER_SECOND = 4_000_000
_FRAMES_PER_SECOND = 25
#: Part of an ingest worker's CPU that receiving takes, measured over RTSP: 0.36 % of a core to receive, 0.39-0.50 %
#: with one key frame decoded in 10 s, 1.1 % with every key frame. It grows with the bits, the rest with the pixels.
_RECEIVING = {DecodePolicy.EVERY_KEY_FRAME: 0.35, DecodePolicy.KEY_FRAME_EVERY_10S: 0.8, DecodePolicy.NONE: 1.0}
#: Part of a camera's memory that does not grow with its pixels: connection, thread and the key frames as received.
_MEMORY_BASE = 0.4
#: CPU to decode a picture, compared with H.264.
_CODECS = {"hevc": 1.5, "av1": 2.0, "mjpeg": 0.7}
#: Costs are rounded to this, so that a rate that wavers does not resize a worker.
_STEP = 0.25
_LEAST, _MOST = 0.25, 16.0
#: Sizes that a template may have, in cameras. A template follows the number of cameras in steps, so that few additions
#: change it; that costs at most half as much again, and only until the pod that is made from it has been resized.
_CLASSES = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192)
#: A template shrinks by two classes at least: one that has just grown does not shrink when a camera leaves again.
_SHRINK_BY = 2
#: Requests of a pod that differ by less than these parts are left: a resize is a write, and costs kubelet a sync.
_GROW_BY, _SHRINK_TO = 0.02, 0.9


@dataclass(frozen=True, slots=True)
class Load:
    """Cameras, and what they cost in units of the category's camera."""

    count: int = 0
    cpu: float = 0.0
    memory: float = 0.0

    def __add__(self, other: "Load") -> "Load":
        return Load(self.count + other.count, self.cpu + other.cpu, self.memory + other.memory)

    def __sub__(self, other: "Load") -> "Load":
        return Load(self.count - other.count, self.cpu - other.cpu, self.memory - other.memory)

    @property
    def size(self) -> float:
        """The largest of the three: what a worker's capacity is compared with."""
        return max(self.count, self.cpu, self.memory)

    def fits(self, capacity: float) -> bool:
        """Whether a worker of so many of the category's cameras can carry it."""
        return self.size <= capacity


NOTHING = Load()
#: A camera of which nothing is known beyond its category.
ONE = Load(1, 1.0, 1.0)


def total(loads: Iterable[Load]) -> Load:
    """The sum."""
    count, cpu, memory = 0, 0.0, 0.0
    for load in loads:
        count, cpu, memory = count + load.count, cpu + load.cpu, memory + load.memory
    return Load(count, cpu, memory)


def camera_load(role: Role, decode: DecodePolicy, stream: StreamFacts | None) -> Load:
    """What a camera costs.

    Args:
        role: of the worker.
        decode: what an ingest worker decodes of it.
        stream: what its worker has reported; None: nothing.
    """
    if stream is None or not stream.width or not stream.height:
        return ONE
    return _load(
        role, decode, stream.codec, stream.width * stream.height, stream.bits_per_second, stream.frames_per_second
    )


@lru_cache(4096)
def _load(role: Role, decode: DecodePolicy, codec: str, area: int, bits_per_second: int, rate: float) -> Load:  # noqa: PLR0917 - a cache
    pixels = area / _PIXELS
    picture = pixels * _CODECS.get(codec, 1.0)
    if role is Role.ANALYTICS:
        # Every frame of the rate that the category asks for is decoded.
        cpu = picture * max(rate / _FRAMES_PER_SECOND, 0.5)
    else:
        receiving = _RECEIVING[decode]
        cpu = receiving * bits_per_second / _BITS_PER_SECOND + (1 - receiving) * picture
    return Load(1, _rounded(cpu), _rounded(_MEMORY_BASE + (1 - _MEMORY_BASE) * pixels))


def _rounded(cost: float) -> float:
    return min(max(round(cost / _STEP) * _STEP, _LEAST), _MOST)


def sizing_of(category: CameraCategorySpec, role: Role) -> Sizing:
    """The category's figures for workers of a role."""
    return category.ingest if role is Role.INGEST else category.analytics


def requests(sizing: Sizing, load: Load) -> Resources:
    """What a worker with this load requests: overhead + sum of perCamera."""
    return Resources(
        cpu=parse_cpu(sizing.overhead.cpu) + math.ceil(load.cpu * parse_cpu(sizing.per_camera.cpu)),
        memory=parse_memory(sizing.overhead.memory) + math.ceil(load.memory * parse_memory(sizing.per_camera.memory)),
    )


def template_size(load: Load, sizing: Sizing, present: int | None) -> int:
    """For how many of the category's cameras a template is to be made: enough, and calm.

    Args:
        load: what the worker has.
        sizing: of the category.
        present: size of the template as it stands; None: there is none.
    """
    needed = math.ceil(load.size)
    ladder = [*(size for size in _CLASSES if size < sizing.max_cameras_per_worker), sizing.max_cameras_per_worker]
    if needed > ladder[-1]:
        # More than the category allows by now: cameras stay when a limit is lowered.
        ladder.append(needed)
    wanted = next(index for index, size in enumerate(ladder) if size >= needed)
    if present is None or present < needed:
        return ladder[wanted]
    standing = next((index for index, size in enumerate(ladder) if size >= present), len(ladder))
    return present if standing - wanted < _SHRINK_BY else ladder[wanted]


def differs(wanted: Resources, present: Resources) -> bool:
    """Whether a pod's requests are so far from what it should have that a resize is worth it."""
    pairs = ((wanted.cpu, present.cpu), (wanted.memory, present.memory))
    if any(want > have * (1 + _GROW_BY) for want, have in pairs):
        return True
    return any(want < have * _SHRINK_TO for want, have in pairs)


def room(sizing: Sizing, pod: PodView) -> int | None:
    """How many of the category's cameras a pod has room for that was refused a resize; None: it was not.

    What it already has been granted is what its node has.
    """
    if pod.refusal is None or pod.allocated is None:
        return None
    return carries(sizing, pod.allocated)


def carries(sizing: Sizing, size: Resources) -> int:
    """How many of the category's cameras a pod of a size has room for."""
    parts = (
        (size.cpu - parse_cpu(sizing.overhead.cpu), parse_cpu(sizing.per_camera.cpu)),
        (size.memory - parse_memory(sizing.overhead.memory), parse_memory(sizing.per_camera.memory)),
    )
    return max(min((left // each for left, each in parts if each), default=0), 0)
