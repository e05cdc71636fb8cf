"""The values of a method, kept pair by pair as they come, in SQLite."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from conjure.engine.jobs import Job, ordered
from conjure.errors import NonFinitePredictionError
from conjure.store.database import Base
from conjure.store.sealed import is_whole, seal, unseal

_SCHEMA = """
CREATE TABLE IF NOT EXISTS kept (
    a TEXT, b TEXT, sample INTEGER, numbers BLOB, PRIMARY KEY (a, b, sample)
) WITHOUT ROWID;
"""

FIRST = 16
"""Jobs that are done first, to see how long they take."""

KEPT = 8.0
"""Seconds after which what was computed is to be on disk."""

Compute = Callable[[Sequence[Job]], np.ndarray]
"""Some pairs and samples → their numbers, shape ``(n, columns)``."""


def kept_values(
    folder: Path,
    jobs: Sequence[Job],
    columns: int,
    compute: Compute,
    together: int,
    announce: Callable[[Sequence[Job]], None] | None = None,
) -> np.ndarray:
    """The numbers of all jobs: those that a folder holds, and the others computed and put there.

    Args:
        folder: Made if it is not there.
        jobs: Pairs and samples; a pair's two orders are one.
        columns: Numbers a job.
        compute: Called with what is missing, some jobs at a time, each of which is kept when done:
            so many that they take a few seconds.
        together: How many at most.
        announce: Told what is missing, before it is computed.

    Returns:
        Shape ``(len(jobs), columns)``, float64.

    Raises:
        NonFinitePredictionError: What was computed is not finite.
        DamagedError: What was kept is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with closing(Base(folder / "values.sqlite", _SCHEMA)) as base:
        wanted = _as_kept(jobs)
        missing = _missing(base, wanted)
        if announce is not None:
            announce(missing)
        size, start = min(together, FIRST), 0
        while some := missing[start : start + size]:
            began = time.monotonic()
            numbers = np.asarray(compute(some), dtype="<f8").reshape(len(some), columns)
            for job, row in zip(some, numbers, strict=True):
                if not np.isfinite(row).all():
                    raise NonFinitePredictionError(
                        f"The distance of {job.a[:60]!r} and {job.b[:60]!r} is not finite, and is "
                        "not kept. In half precision a network may overflow: take dtype='float32' "
                        "(--dtype float32)."
                    )
            rows = [(*job, seal(row, *job)) for job, row in zip(some, numbers, strict=True)]
            with base.transaction():
                base.executemany("INSERT OR IGNORE INTO kept VALUES (?, ?, ?, ?)", rows)
            start += len(some)
            size = next_size(len(some), time.monotonic() - began, together)
        found = {Job(a, b, s): blob for a, b, s, blob in base.execute("SELECT * FROM kept")}
    values = [unseal(found[job], "<f8", *job, file=base.path) for job in wanted]
    return np.stack(values) if values else np.zeros((0, columns))


def next_size(count: int, seconds: float, most: int) -> int:
    """How many jobs to do before they are kept, after so many took so long.

    >>> next_size(16, 0.1, 2048), next_size(64, 16.0, 2048), next_size(1, 60.0, 2048)
    (32, 32, 1)
    """
    return max(1, min(most, 2 * count, int(count * KEPT / max(seconds, 1e-6))))


def missing_values(folder: Path | None, jobs: Sequence[Job]) -> list[Job]:
    """Those of some jobs, each once, whose numbers a folder does not hold."""
    wanted = _as_kept(jobs)
    if folder is None or not (folder / "values.sqlite").exists():
        return list(dict.fromkeys(wanted))
    with closing(Base(folder / "values.sqlite", _SCHEMA)) as base:
        return _missing(base, wanted)


def _as_kept(jobs: Sequence[Job]) -> list[Job]:
    return [Job(*ordered(job.a, job.b), job.sample) for job in jobs]


def _missing(base: Base, wanted: Sequence[Job]) -> list[Job]:
    have = {Job(*key) for key in base.execute("SELECT a, b, sample FROM kept")}
    return list(dict.fromkeys(job for job in wanted if job not in have))


def look_at_values(file: Path) -> tuple[int, int, int]:
    """How many pairs and samples are kept in a file, and how many are damaged."""
    with closing(Base(file, _SCHEMA)) as base:
        ((pairs, samples),) = base.execute(
            "SELECT (SELECT count(*) FROM (SELECT DISTINCT a, b FROM kept)), count(*) FROM kept"
        )
        return pairs, samples, len(_damaged(base))


def repair_values(file: Path) -> None:
    """Drop what is damaged, to be computed again."""
    with closing(Base(file, _SCHEMA)) as base, base.transaction():
        base.executemany("DELETE FROM kept WHERE a IS ? AND b IS ? AND sample IS ?", _damaged(base))


def _damaged(base: Base) -> list[Job]:
    rows = base.execute("SELECT a, b, sample, numbers FROM kept")
    return [Job(a, b, s) for a, b, s, blob in rows if not is_whole(blob, a, b, s)]
