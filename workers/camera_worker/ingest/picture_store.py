"""What cameras' picture monitors have learned, kept in files over a restart of the worker.

The folder is the pod's memory (an emptyDir), which outlives its containers but not the pod. A file that cannot be
written or read costs nothing but the time in which a camera is learned anew, so nothing here raises.
"""

import hashlib
import json
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

#: Of one camera: two lights of 58 kB that compress not at all, and some more.
MAX_FILE_BYTES = 192 * 1024
#: Of all files together; the oldest make room. Half of the memory that a worker's pod has for files.
MAX_BYTES = 8 * 1024 * 1024
_VERSION = 1
_SUFFIX = ".view"


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the memory of a picture belongs to: with another one of these, it is of no use."""

    uid: str  #: of the Camera
    source: str  #: URL of the stream
    width: int  #: pixels
    height: int  #: pixels
    acknowledged_view: str | None  #: the latest acknowledgement that the memory has followed

    def header(self, payload: bytes) -> bytes:
        """First line of a file, without the URL."""
        fields = {
            "version": _VERSION,
            "uid": self.uid,
            "source": hashlib.sha256(self.source.encode()).hexdigest(),
            "size": [self.width, self.height],
            "acknowledgedView": self.acknowledged_view,
            "sha256": hashlib.sha256(payload).hexdigest(),
        }
        return json.dumps(fields, sort_keys=True).encode() + b"\n"


class PictureStore:
    """Files of one worker; for any thread.

    Args:
        folder: made when it is first needed, for this user only.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._trouble_said = False

    def load(self, remembered: Remembered) -> bytes | None:
        """What was kept; None: nothing, or nothing that can be relied on."""
        try:
            with self._path(remembered.uid).open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except OSError:
            return None
        header, _, payload = data.partition(b"\n")
        return payload if header + b"\n" == remembered.header(payload) else None

    def save(self, remembered: Remembered, payload: bytes) -> None:
        """Keeps what a monitor has exported."""
        data = remembered.header(payload) + payload
        if len(data) > MAX_FILE_BYTES:
            return
        path = self._path(remembered.uid)
        # One at a time: the bound is on all files together.
        with self._lock:
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._make_room(len(data), path)
                unfinished = path.with_suffix(".tmp")
                unfinished.write_bytes(data)
                unfinished.replace(path)
            except OSError as error:
                if not self._trouble_said:
                    logger.warning("pictures are learned anew after a restart: %s: %s", self._folder, error.strerror)
                    self._trouble_said = True

    def _path(self, uid: str) -> Path:
        # A UID is the API server's, but a file name is not the place to rely on that.
        return self._folder / (hashlib.sha256(uid.encode()).hexdigest()[:32] + _SUFFIX)

    def _make_room(self, size: int, path: Path) -> None:
        with os.scandir(self._folder) as entries:
            files = [(entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in entries if entry.is_file()]
        # The camera's own file counts too: the new one stands beside it for a moment.
        used = sum(size for _, size, _ in files)
        for _, freed, name in sorted(files):
            if used + size <= MAX_BYTES:
                return
            if name != str(path):
                Path(name).unlink(missing_ok=True)
                used -= freed
