"""The C library's allocator, set for dozens of threads that each hold a few large buffers.

Measured with 32 cameras of 1080p25 4 Mbit/s that are not decoded: 106 MB instead of 173 MB, for a tenth more CPU. By
itself, glibc gives every thread an arena, in which buffers of key frames leave holes; it takes ever larger buffers into
them once one was freed; and it gives the top of a heap back as soon as 128 KiB are free, so that each temporary array
of a picture is faulted in page by page again (0.53 instead of 0.19 ms for scaling and a Laplacian of one key frame).

Holes remain within the heaps. FFmpeg aligns each of its buffers, and glibc (until 2.38; its bugs 14581 and 30723) cuts
an aligned buffer out of a longer free piece, so that one which was freed does not do for the next of the same size. A
stream and its decoder are free when the camera comes back, but in pieces: by 8 to 11 KiB each time the heaps have grown
with four cameras that came back thousands of times, all of it free. So its pages are given back.
"""

import asyncio
import ctypes

_KIB = 1024
_M_MMAP_THRESHOLD = -3
#: Parameters of mallopt(3), by their numbers in malloc.h, and their values.
_SETTINGS = (
    # M_ARENA_MAX: cameras fill each other's holes. A second one takes 2 to 12 MB with 32 cameras, most with readers of
    # the relay, and saves no CPU that could be measured; eight take 9 MB and save 4 %.
    (-8, 1),
    # M_MXFAST: freed pieces are joined at once. By itself, glibc looks for pieces to join each time that a frame is
    # freed, which are those of other cameras: 3 % of the CPU.
    (1, 0),
    # Key frames are given back for good. Being set, it does not grow any more.
    (_M_MMAP_THRESHOLD, 128 * _KIB),
    (-1, 2048 * _KIB),  # M_TRIM_THRESHOLD: what stays for the next picture, in each arena
)
#: Seconds between two times that holes are given back: 32 cameras that come back every second leave 20 MB meanwhile.
#: It takes 2 to 5 ms for 20 MB, and as long to fault in what is used again.
TRIM_EVERY_S = 60.0


def tune() -> bool:
    """Called once per process, before threads start.

    Returns:
        Whether the C library knows these settings; musl, for one, has none.
    """
    known = [_set(parameter, value) for parameter, value in _SETTINGS]
    return all(known)


def tune_for_pictures() -> bool:
    """Called before the first picture is looked at, which takes arrays of 225 KiB (640x360) for a moment each.

    They stay on the heap from now on, and most key frames with them: 7 to 9 MB more with 32 cameras.

    Returns:
        As ``tune``.
    """
    return _set(_M_MMAP_THRESHOLD, 256 * _KIB)


def _set(parameter: int, value: int) -> bool:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(parameter, value) == 1


def trim() -> bool:
    """Gives the pages of holes within the heaps back to the system. An arena is locked while its turn lasts.

    Returns:
        Whether there were any; false also where the C library is another one.
    """
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return malloc_trim is not None and malloc_trim(0) == 1


async def keep_trimmed(every_s: float = TRIM_EVERY_S) -> None:
    """Trims for ever."""
    while True:
        await asyncio.sleep(every_s)
        # Waits for locks that cameras' threads hold.
        await asyncio.to_thread(trim)
