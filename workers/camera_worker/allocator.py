"""The C library's allocator, set for dozens of threads that each hold a few large buffers.

Measured with 32 cameras of 1080p25 4 Mbit/s that are not decoded: 146 MB instead of 203 MB, for no more CPU. By itself,
glibc gives every thread an arena, in which buffers of key frames leave holes; it takes ever larger buffers into them
once one was freed; and it gives the top of a heap back as soon as 128 KiB are free, so that each temporary array of a
picture is faulted in page by page again (0.53 instead of 0.19 ms for scaling and a Laplacian of one key frame).
"""

import ctypes

_KIB = 1024
#: Parameters of mallopt(3), by their numbers in malloc.h, and their values.
_SETTINGS = (
    (-8, 2),  # M_ARENA_MAX: one for each core that a worker may use, about
    # M_MMAP_THRESHOLD: key frames and pictures are given back for good; arrays of the detectors (640x360: 225 KiB) are
    # below. Being set, it does not grow any more.
    (-3, 256 * _KIB),
    (-1, 2048 * _KIB),  # M_TRIM_THRESHOLD: what stays for the next picture, in each arena
)


def tune() -> bool:
    """Called once per process, before threads start.

    Returns:
        Whether the C library knows these settings; musl, for one, has none.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    known = [mallopt(parameter, value) == 1 for parameter, value in _SETTINGS]
    return all(known)
