"""How the C library keeps memory that passes have freed, and when the system gets it back."""

from __future__ import annotations

import ctypes
import os
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT = 1 << 30
"""Bytes that may lie free at the top of the heap before glibc hands them back unasked."""
MAPPED = 32 << 20
"""Bytes from which a block gets pages of its own: the most that glibc would come to by itself."""


@cache
def keep_freed_memory() -> None:
    """Ask glibc, once a process, to keep what a pass frees for the next pass.

    By itself it returns the top of its heap after a pass and takes it again for the next one: a
    page fault for every 4 KiB, a tenth of the time of small networks. ``return_freed_memory`` does
    it at a slower pace instead. Somebody's own setting (``MALLOC_TRIM_THRESHOLD_``) stays.

    Both numbers are set, since either one ends glibc's search for the other.
    """
    mallopt = _of_glibc("mallopt")
    if mallopt is not None and not {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & set(
        os.environ
    ):
        mallopt(M_MMAP_THRESHOLD, MAPPED)
        mallopt(M_TRIM_THRESHOLD, KEPT)


def return_freed_memory() -> None:
    """Hand freed pages back to the system.

    glibc keeps what a pass has freed, in pieces that the next one, of another size, cannot always
    use: over thousands of passes the peak would creep up, though no more is held.
    """
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_glibc(name: str) -> ctypes._NamedFuncPointer | None:
    """A function of the C library; None where another library is in its place."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None
