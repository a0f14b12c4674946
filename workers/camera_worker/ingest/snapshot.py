"""JPEG pictures of key frames, on demand: a picture of 1080p costs 10 ms, and nobody looks at most of them."""

import threading
from collections import OrderedDict
from typing import Any

import av
import av.error
import av.logging

from camera_worker.ingest.source import KeyFrame

#: Pictures that are kept for the next one who asks.
_KEPT = 16
_QUALITY = 85


class Snapshots:
    """Makes pictures, one at a time, and keeps the latest. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: OrderedDict[str, tuple[KeyFrame, bytes]] = OrderedDict()

    def jpeg(self, uid: str, key_frame: KeyFrame) -> bytes | None:
        """The picture of a camera's key frame; None: it is damaged.

        Args:
            uid: of the camera.
            key_frame: its latest one.
        """
        # One at a time: a page of snapshots must not take the CPU from the cameras.
        with self._lock:
            kept = self._made.get(uid)
            if kept is not None and kept[0] is key_frame:
                return kept[1]
            picture = encode(key_frame)
            if picture is not None:
                self._made[uid] = (key_frame, picture)
                self._made.move_to_end(uid)
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
            return picture


def encode(key_frame: KeyFrame, *, fit: int | None = None, quality: int = _QUALITY) -> bytes | None:
    """A key frame as JPEG; None: it is damaged.

    Args:
        key_frame: what to show.
        fit: pixels of its longer side, at most; None: as it is.
        quality: of the JPEG, 0 to 100.
    """
    # Loaded by the first picture that somebody wants: 27 MB.
    import cv2  # noqa: PLC0415

    context: Any = av.CodecContext.create(key_frame.codec, "r")
    context.thread_count = 1
    if key_frame.extradata:
        context.extradata = key_frame.extradata
    try:
        with av.logging.Capture(local=True):
            frames = context.decode(av.Packet(bytes(key_frame.data))) or context.decode(None)
    except (av.error.FFmpegError, ValueError):
        return None
    if not frames:
        return None
    frame = frames[0]
    scale = min(1.0, fit / max(frame.width, frame.height)) if fit is not None else 1.0
    # Even sides: chroma has half of them.
    width, height = (max(2, round(side * scale / 2) * 2) if scale < 1 else side for side in (frame.width, frame.height))
    # Else swscale starts a thread for each core, for this one picture.
    pixels = frame.to_ndarray(width=width, height=height, format="bgr24", interpolation="AREA", threads=1)
    encoded, data = cv2.imencode(".jpg", pixels, [int(cv2.IMWRITE_JPEG_QUALITY), quality])
    return data.tobytes() if encoded else None
