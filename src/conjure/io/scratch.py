"""Temporary files: held by a lock for as long as their process lives, swept when it was killed.

A lock says more than a process number: those come again, and containers count their own.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is held there, and so nothing is swept
    fcntl = None

_OURS = re.compile(r"conjure-tmp-[a-z0-9_]{8}")
_BEGUN = 1.0
"""Seconds in which a file may be there and not yet be held."""


@cache
def scratch() -> Path:
    """This process's folder of temporary files, made when it is first asked for; gone at its end.

    Those of processes that were killed go first.
    """
    common = Path(tempfile.gettempdir())
    with suppress(OSError):
        for entry in common.iterdir():
            if _OURS.fullmatch(entry.name) and _is_left(entry / "lock"):
                shutil.rmtree(entry, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="conjure-tmp-"))
    held = _hold(folder / "lock")

    def remove(owner: int = os.getpid()) -> None:
        if os.getpid() == owner:  # a fork has the same folder, and ends earlier
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)

    atexit.register(remove)
    return folder


@contextmanager
def draft_beside(target: Path, suffix: str) -> Iterator[Path]:
    """An empty file beside a target, to be written and then take its place; gone if it did not.

    Args:
        target: Whose place it is to take.
        suffix: How its own name is to end.
    """
    handle, name = tempfile.mkstemp(prefix=_prefix(target), suffix=suffix, dir=target.parent)
    held = True
    try:
        if fcntl is None:  # Windows does not move open files
            os.close(handle)
            held = False
        _lock(handle)
        yield Path(name)
    finally:
        if held:
            os.close(handle)
        Path(name).unlink(missing_ok=True)


def sweep_drafts(target: Path) -> None:
    """Remove the drafts of a target that killed processes have left beside it."""
    ours = re.compile(re.escape(_prefix(target)) + r"[a-z0-9_]{8}(\.\w+)?")
    with suppress(OSError):
        for entry in target.parent.iterdir():
            if ours.fullmatch(entry.name) and _is_left(entry):
                entry.unlink(missing_ok=True)


def _prefix(target: Path) -> str:
    return f".{target.stem[:40]}.conjure-draft-"  # names have 255 bytes, letters up to four


def _hold(path: Path) -> int:
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    _lock(handle)
    return handle


def _lock(handle: int) -> None:
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_left(path: Path) -> bool:
    """Whether nobody holds a file that somebody once held."""
    if fcntl is None:
        return False
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:  # another user's; or a folder just being made
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return time.time() - os.fstat(handle).st_mtime > _BEGUN
    except OSError:
        return False
    finally:
        os.close(handle)
