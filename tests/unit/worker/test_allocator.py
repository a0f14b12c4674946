"""In a process of its own: the settings hold for the rest of it."""

import asyncio
import os
import subprocess
import sys

import pytest

from camera_worker import allocator

SCRIPT = """
import ctypes, threading
from camera_worker.allocator import tune, tune_for_pictures

class Statistics(ctypes.Structure):  # struct mallinfo2 of malloc.h
    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]

library = ctypes.CDLL(None)
library.mallinfo2.restype = Statistics
assert tune()
# What would raise the threshold of its own accord.
del_me = bytearray(3_000_000)
del del_me
before = library.mallinfo2().hblkhd
inter_frame, key_frame = bytearray(100_000), bytearray(200_000)
print(library.mallinfo2().hblkhd - before)
assert tune_for_pictures()
before = library.mallinfo2().hblkhd
picture, array = bytearray(300_000), bytearray(640 * 360)
print(library.mallinfo2().hblkhd - before)
"""


HOLES = """
import re
from pathlib import Path
from camera_worker.allocator import trim, tune, tune_for_pictures

def resident_kib():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

assert tune()
assert tune_for_pictures()
arrays = [bytearray(b"1" * 200_000) for _ in range(400)]
full = resident_kib()
# The last one holds the heap up, and every second one is a hole.
del arrays[:-1:2]
holed = resident_kib()
assert trim()
print(full - holed, holed - resident_kib())
"""


def run(script: str) -> str:
    sources = os.pathsep.join(path for path in sys.path if path.endswith(("crds", "workers")))
    command = [sys.executable, "-c", script]
    return subprocess.run(command, check=True, capture_output=True, text=True, env={"PYTHONPATH": sources}).stdout


def test_only_large_buffers_are_given_back_to_the_system() -> None:
    without_pictures, with_pictures = map(int, run(SCRIPT).split())

    assert 200_000 <= without_pictures < 220_000
    assert 300_000 <= with_pictures < 320_000


def test_holes_between_buffers_are_given_back_when_trimmed() -> None:
    by_itself, trimmed = map(int, run(HOLES).split())

    assert by_itself < 1_000
    assert trimmed > 35_000


async def test_it_is_trimmed_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[bool] = []
    monkeypatch.setattr(allocator, "trim", lambda: trimmed.append(True))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await allocator.keep_trimmed(0.01)

    assert len(trimmed) > 1
