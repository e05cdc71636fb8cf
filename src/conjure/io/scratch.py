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

_OURS = re.compile(r"conjure-(new|tmp)-[a-z0-9_]{8}")
_BEGUN = 60.0
"""Seconds after which what is called new, and may not be held yet, is as good as left."""


@cache
def scratch() -> Path:
    """This process's folder of temporary files, made when it is first asked for; gone at its end.

    Those of processes that were killed go first.
    """
    common = Path(tempfile.gettempdir())
    with suppress(OSError):
        for entry in common.iterdir():
            kind = _OURS.fullmatch(entry.name)
            if kind and _is_left(entry / "lock", new=kind[1] == "new"):
                shutil.rmtree(entry, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix="conjure-new-"))
    held = os.open(made / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    _lock(held)
    folder = made.rename(made.with_name(made.name.replace("-new-", "-tmp-")))

    def remove(owner: int = os.getpid()) -> None:
        if os.getpid() == owner:  # a fork has the same folder, and ends earlier
            shutil.rmtree(folder, ignore_errors=True)
            os.close(held)

    atexit.register(remove)
    return folder


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=scratch.cache_clear)  # or it would go with its parent


@contextmanager
def draft_beside(target: Path, suffix: str) -> Iterator[Path]:
    """An empty file beside a target, to be written and then take its place; gone if it did not.

    Args:
        target: Whose place it is to take.
        suffix: How its own name is to end.
    """
    handle, name = tempfile.mkstemp(prefix=_prefix(target, "new"), suffix=suffix, dir=target.parent)
    draft, held = Path(name), fcntl is not None
    if not held:  # Windows does not move open files
        os.close(handle)
    try:
        _lock(handle)
        draft = draft.rename(
            draft.with_name(draft.name.replace(".conjure-new-", ".conjure-draft-"))
        )
        yield draft
    finally:
        if held:
            os.close(handle)
        draft.unlink(missing_ok=True)


def sweep_drafts(target: Path) -> None:
    """Remove the drafts of a target that killed processes have left beside it."""
    ours = re.compile(f"({_patterns(target)})" + r"[a-z0-9_]{8}(\.\w+)?")
    with suppress(OSError):
        for entry in target.parent.iterdir():
            kind = ours.fullmatch(entry.name)
            if kind and _is_left(entry, new=kind[1].endswith("-new-")):
                entry.unlink(missing_ok=True)


def _prefix(target: Path, kind: str) -> str:
    return f".{target.stem[:40]}.conjure-{kind}-"  # names have 255 bytes, letters up to four


def _patterns(target: Path) -> str:
    return "|".join(re.escape(_prefix(target, kind)) for kind in ("new", "draft"))


def _lock(handle: int) -> None:
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_left(path: Path, *, new: bool) -> bool:
    """Whether nobody holds a file that somebody once held, or was about to."""
    if fcntl is None:
        return False
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:  # another user's; or a folder just being made
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return not new or time.time() - os.fstat(handle).st_mtime > _BEGUN
    except OSError:
        return False
    finally:
        os.close(handle)
