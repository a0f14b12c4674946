"""In a process of its own: the settings hold for the rest of it."""

import os
import subprocess
import sys

SCRIPT = """
import ctypes, threading
from camera_worker.allocator import tune

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
key_frame, array = bytearray(300_000), bytearray(640 * 360)
print(library.mallinfo2().hblkhd - before)
"""


def test_only_large_buffers_are_given_back_to_the_system() -> None:
    sources = os.pathsep.join(path for path in sys.path if path.endswith(("crds", "workers")))
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True, env={"PYTHONPATH": sources}
    )

    mapped = int(ran.stdout)
    assert 300_000 <= mapped < 320_000
