"""The ingest worker as a process, watching real cameras whose lens, mount or sensor breaks."""

import json
import time
import urllib.error
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
import pytest

from camera_api.faults import Fault
from camera_api.health import CameraHealth, Verdict
from camera_simulator.bitstream import AccessUnit
from camera_simulator.footage import CLIPS, ClipLibrary, default_cache
from camera_worker.ingest.packet_sizes import PacketSizes
from camera_worker.ingest.pyav_picture import PyAvPicture
from camera_worker.picture.monitor import CLEAR_AFTER, RAISE_AFTER, KeyFrameFacts, PictureMonitor
from camera_worker.picture.reference import LEARNED_FROM
from camera_worker.picture.thumbnail import thumbnail
from simulator_process import SimulatorProcess
from worker_process import Worker, camera, eventually

pytestmark = pytest.mark.media

#: By what is switched on at the simulator.
PICTURE_FAULTS: Final = {
    "black": Fault.BLACK,
    "overexposed": Fault.OVEREXPOSED,
    "covered": Fault.COVERED,
    "moved": Fault.MOVED,
    "defocused": Fault.DEFOCUSED,
    "freeze": Fault.FROZEN,
}
STEADY: Final = "steady"
KEY_FRAME_S: Final = 2.0
#: A fault shows from the next key frame on.
NAMED_WITHIN_S: Final = (RAISE_AFTER + 1) * KEY_FRAME_S + 2.0
ENDED_WITHIN_S: Final = (CLEAR_AFTER + 1) * KEY_FRAME_S + 2.0


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess([{"name": name} for name in (*PICTURE_FAULTS, STEADY)]) as simulator:
        yield simulator


def test_each_picture_fault_is_named_and_proved_and_its_end_noticed(
    tmp_path: Path, simulator: SimulatorProcess
) -> None:
    with Worker(tmp_path) as worker:
        worker.assign(*(camera(name, simulator.url(name)) for name in (*PICTURE_FAULTS, STEADY)))
        for name in (*PICTURE_FAULTS, STEADY):
            eventually(_has_key_frames(worker, name, LEARNED_FROM + 1), 30, f"view of {name}", worker.log.read_text)
        assert {health.verdict for health in worker.report().cameras} == {Verdict.WORKING}

        began = {}
        for name in PICTURE_FAULTS:
            # The first time on a machine, this waits for an encoder.
            simulator.set_fault(name, name)
            began[name] = time.time()
        named = _named(worker, NAMED_WITHIN_S)
        for name, fault in PICTURE_FAULTS.items():
            since = datetime.fromisoformat(named[name].since).timestamp()
            # The last good picture; of a frozen camera, the one that stands.
            assert began[name] - KEY_FRAME_S - 1 <= since <= began[name] + KEY_FRAME_S + 1
            assert worker.metric("camera_fault_active", name, fault=fault.value) == 1
            assert worker.metric("camera_up", name) == 0
            _check_evidence(worker, name, named[name])
        code, _ = worker.terminate()
        assert code == 0

    with Worker(tmp_path) as worker:
        # A worker that had learned the present views would find them right.
        worker.assign(*(camera(name, simulator.url(name)) for name in (*PICTURE_FAULTS, STEADY)))
        _named(worker, NAMED_WITHIN_S)

        for name in PICTURE_FAULTS:
            simulator.clear_fault(name)
        deadline = time.monotonic() + ENDED_WITHIN_S
        for name, fault in PICTURE_FAULTS.items():
            worker.wait_for(name, Verdict.WORKING, within_s=deadline - time.monotonic())
            assert worker.metric("camera_fault_active", name, fault=fault.value) is None
            assert (worker.metric("camera_fault_seconds_total", name, fault=fault.value) or 0.0) > KEY_FRAME_S
            assert worker.metric("camera_up", name) == 1
        assert worker.health(STEADY).verdict is Verdict.WORKING
        with pytest.raises(urllib.error.HTTPError, match="404"):
            worker.get(f"/v1/cameras/city/{STEADY}/evidence")


@pytest.mark.parametrize("clip", ["h264-720p", "h264-360p", "mjpeg-480p"])
def test_the_footage_is_no_nuisance_where_it_begins_anew(clip: str) -> None:
    library = ClipLibrary[AccessUnit](default_cache(), lambda unit: unit)
    groups = library.load(CLIPS[clip]).groups
    monitor = PictureMonitor()
    sizes = PacketSizes()
    context: Any = av.CodecContext.create(CLIPS[clip].codec.value.replace("h265", "hevc"), "r")
    context.thread_count = 1
    # From the middle of the clip over its end, and once more.
    for number in range(len(groups) // 2, 5 * len(groups) // 2):
        group = groups[number % len(groups)]
        now = number * KEY_FRAME_S
        sizes.end_interval()
        picture = PyAvPicture((context.decode(av.Packet(group[0].data)) or context.decode(None))[0])
        context.flush_buffers()
        facts = KeyFrameFacts(now, sizes.inter_bytes, sizes.is_variable_rate(now), picture.is_grey())
        assert monitor.observe(thumbnail(picture.luma()), facts) == ()
        sizes.key_frame(len(group[0].data), now, now)
        for unit in group[1:]:
            sizes.inter_frame(len(unit.data))


def _named(worker: Worker, within_s: float) -> dict[str, CameraHealth]:
    deadline = time.monotonic() + within_s
    return {
        name: worker.wait_for(name, Verdict.FAULTY, fault, within_s=deadline - time.monotonic())
        for name, fault in PICTURE_FAULTS.items()
    }


def _has_key_frames(worker: Worker, name: str, number: int) -> Any:
    return lambda: (worker.metric("camera_keyframes_total", name) or 0) >= number


def _check_evidence(worker: Worker, name: str, health: CameraHealth) -> None:
    body = json.loads(worker.get(f"/v1/cameras/city/{name}/evidence"))
    assert (body["fault"], body["message"], body["active"]) == (PICTURE_FAULTS[name], health.faults[0].message, True)
    good, faulty = (
        cv2.imdecode(np.frombuffer(worker.get(f"/v1/cameras/city/{name}/evidence/{picture}.jpg"), np.uint8), 0)
        for picture in ("good", "faulty")
    )
    assert good is not None
    assert faulty is not None
    assert good.shape == faulty.shape == (270, 480)
    difference = float(np.abs(good.astype(np.int16) - faulty).mean())
    # What stands still looks like what was there last.
    assert difference < 15 if name == "freeze" else difference > 2
