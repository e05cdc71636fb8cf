"""A run: every finished sample of every pair, in SQLite."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from conjure.divergence.base import FIELDS, Squares
from conjure.engine.jobs import Job, PathKey, ordered
from conjure.errors import ConjureError, RunMismatchError
from conjure.store.database import Base
from conjure.store.leases import SCHEMA, Leases
from conjure.store.sealed import is_whole, seal, unseal

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pairs (id INTEGER PRIMARY KEY, a TEXT, b TEXT, UNIQUE (a, b));
CREATE TABLE IF NOT EXISTS walks (prompt INTEGER, sample INTEGER, PRIMARY KEY (prompt, sample))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vectors (prompt TEXT PRIMARY KEY, vector BLOB);
CREATE TABLE IF NOT EXISTS about (one INTEGER PRIMARY KEY CHECK (one = 1), settings TEXT);
CREATE TABLE IF NOT EXISTS samples (
    pair INTEGER, sample INTEGER, squares BLOB, PRIMARY KEY (pair, sample)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS paces (one INTEGER PRIMARY KEY CHECK (one = 1), calls INTEGER);
CREATE TABLE IF NOT EXISTS floors (prompt TEXT PRIMARY KEY, squares BLOB);
"""


class Run:
    """The samples of a run. A pair is unordered: (b, a) finds what was stored for (a, b).

    Safe to share: SQLite's write-ahead log keeps readers and writers of several processes apart,
    and a sample that two of them computed is kept once. Every transaction makes sure that the run
    is still one of the same settings: an empty one may be begun anew with others.

    Args:
        folder: Where it is.
        keep: A temporary folder, to be gone with it.
        settings: Of what is added, see ``settings_key``; None only to read.
    """

    def __init__(
        self,
        folder: Path,
        keep: tempfile.TemporaryDirectory[str] | None = None,
        settings: str | None = None,
    ) -> None:
        self.folder = folder
        self._temporary = keep
        self._settings = settings
        self._base = Base(folder / "samples.sqlite", _SCHEMA + SCHEMA)
        self._leases = Leases(self._base)

    def add(self, jobs: Sequence[Job], squares: Squares) -> int:
        """Store finished samples in one transaction; those already there stay as they are.

        Returns:
            How many were new.
        """
        rows = []
        with self._transaction():
            for number, job in enumerate(jobs):
                a, b = ordered(job.a, job.b)
                one = _row(squares, number)
                turned = (one if (a, b) == (job.a, job.b) else mirrored(one)).astype("<f8")
                blob = seal(turned, a, b, job.sample)
                self._base.execute("INSERT OR IGNORE INTO pairs (a, b) VALUES (?, ?)", (a, b))
                rows.append((a, b, job.sample, blob))
            between = self._base.changes
            self._base.executemany(
                "INSERT OR IGNORE INTO samples "
                "SELECT id, ?3, ?4 FROM pairs WHERE a = ?1 AND b = ?2",
                rows,
            )
            fresh = self._base.changes - between
            self._leases.give_back(jobs)
        return fresh

    def walked(self, paths: Iterable[PathKey]) -> int:
        """Note that paths were walked.

        Returns:
            How many of them had been walked before.
        """
        rows = {(_key(prompt), sample) for prompt, sample in paths}
        with self._transaction():
            before = self._base.changes
            self._base.executemany("INSERT OR IGNORE INTO walks VALUES (?, ?)", rows)
            return len(rows) - (self._base.changes - before)

    def have(self, a: str, b: str) -> set[int]:
        """Which samples of a pair are stored."""
        found = self._base.execute(
            "SELECT sample FROM samples WHERE pair = (SELECT id FROM pairs WHERE a = ? AND b = ?)",
            ordered(a, b),
        )
        return {sample for (sample,) in found if isinstance(sample, int)}

    def missing(self, jobs: Sequence[Job]) -> list[Job]:
        """Those of some jobs that are not stored, not even by another process meanwhile."""
        have: dict[tuple[str, str], set[int]] = {}
        for a, b, _ in jobs:
            if ordered(a, b) not in have:
                have[ordered(a, b)] = self.have(a, b)
        return [job for job in jobs if job.sample not in have[ordered(job.a, job.b)]]

    def take(self, jobs: Sequence[Job]) -> list[Job]:
        """Those of some jobs that are not stored, nor somebody else's work: now they are ours."""
        if not self.stays:
            return self.missing(jobs)
        with self._transaction():
            return self._leases.take(self.missing(jobs))

    def squares(self, a: str, b: str, samples: Sequence[int]) -> Squares:
        """The squares of some stored samples, a row each, paths in the order (a, b).

        Raises:
            KeyError: One of them is not stored.
            DamagedError: One of them is not as it was stored.
        """
        key = ordered(a, b)
        found = dict(
            self._base.execute(
                "SELECT sample, squares FROM samples "
                "WHERE pair = (SELECT id FROM pairs WHERE a = ? AND b = ?)",
                key,
            )
        )
        file = self._base.path
        blobs = [unseal(found[sample], "<f8", *key, sample, file=file) for sample in samples]
        values = np.stack(blobs).reshape(len(samples), len(FIELDS), 2, -1)
        if key != (a, b):
            values = np.stack([mirrored(value) for value in values])
        return Squares(*(values[:, i] for i in range(len(FIELDS))))

    def add_floor(self, prompt: str, squares: Squares) -> None:
        """Store what half precision makes of one prompt alone, a sample of it."""
        blob = seal(_row(squares, 0).astype("<f8"), prompt)
        with self._transaction():
            self._base.execute("INSERT OR IGNORE INTO floors VALUES (?, ?)", (prompt, blob))

    def floor(self, prompt: str) -> Squares | None:
        """What was stored of a prompt by ``add_floor``, or None."""
        found = self._base.execute("SELECT squares FROM floors WHERE prompt = ?", (prompt,))
        if not found:
            return None
        values = unseal(found[0][0], "<f8", prompt, file=self._base.path)
        return Squares(*values.reshape(len(FIELDS), 1, 2, -1))

    def add_vectors(self, prompts: Sequence[str], vectors: np.ndarray) -> None:
        """Store the embeddings of some prompts, ``(N, D)`` float32, in one transaction."""
        rows = [(p, seal(v.astype("<f4"), p)) for p, v in zip(prompts, vectors, strict=True)]
        with self._transaction():
            self._base.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)

    def vector(self, prompt: str) -> np.ndarray | None:
        """A prompt's embedding, or None if it is not stored."""
        found = self._base.execute("SELECT vector FROM vectors WHERE prompt = ?", (prompt,))
        return unseal(found[0][0], "<f4", prompt, file=self._base.path) if found else None

    @property
    def stays(self) -> bool:
        """Whether it is there afterwards: none that is temporary is."""
        return self._temporary is None

    def calls_kept(self, calls: int) -> int:
        """After how many network calls samples are stored: as at first, where that is not slower.

        So a run that goes on asks in the same passes as one that was never stopped.
        """
        with self._transaction():
            self._base.execute("INSERT OR IGNORE INTO paces VALUES (1, ?)", (calls,))
            ((first,),) = self._base.execute("SELECT calls FROM paces")
        return first if isinstance(first, int) and 0 < first <= 4 * calls else calls

    def is_empty(self) -> bool:
        """Whether nothing is stored yet, neither samples nor embeddings."""
        query = "SELECT EXISTS (SELECT 1 FROM samples) OR EXISTS (SELECT 1 FROM vectors)"
        ((filled,),) = self._base.execute(query)
        return not filled

    def in_work(self) -> tuple[int, int]:
        """How many processes work on it now, and on how many samples."""
        return self._leases.held()

    def count(self) -> tuple[int, int]:
        """Pairs and samples stored."""
        query = "SELECT (SELECT count(*) FROM pairs), (SELECT count(*) FROM samples)"
        return self._base.execute(query)[0]

    def count_results(self) -> int:
        """Samples and embeddings stored."""
        query = "SELECT (SELECT count(*) FROM samples) + (SELECT count(*) FROM vectors)"
        ((count,),) = self._base.execute(query)
        return count

    def longest(self) -> int:
        """Samples up to the last one that any pair has."""
        query = "SELECT max(sample) FROM samples WHERE typeof(sample) = 'integer'"
        ((last,),) = self._base.execute(query)
        return 0 if last is None else last + 1

    def rows(self) -> Iterable[tuple[str, str, int]]:
        """(a, b, sample) of everything that is stored, in order."""
        return self._base.execute(
            "SELECT a, b, sample FROM samples JOIN pairs ON id = pair ORDER BY a, b, sample"
        )

    def damaged(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Statements that drop each row that is not as it was stored, with their values."""
        return _damaged(self._base)

    def repair(self) -> int:
        """Drop what is damaged, to be computed again.

        Returns:
            How many rows.
        """
        with self._base.transaction():
            found = self.damaged()
            for statement, values in found:
                self._base.execute(statement, values)
        return len(found)

    def close(self) -> None:
        """Let go of the files, and of what is not done; a temporary run is gone with it."""
        with suppress(ConjureError):  # which would hide what ended it
            self._leases.end()
        self._base.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def claim(self, write: Callable[[], None] | None = None) -> None:
        """Make the run one of these settings, if nothing is stored in it yet.

        Args:
            write: Writes them where people read them, before another process can claim the run.

        Raises:
            RunMismatchError: Something is, under others.
        """
        with self._base.transaction():
            found = self._base.execute("SELECT settings FROM about")
            if found and found[0] != (self._settings,) and not self.is_empty():
                raise RunMismatchError(_OTHERS.format(str(self.folder)))
            self._base.execute("INSERT OR REPLACE INTO about VALUES (1, ?)", (self._settings,))
            if write is not None:
                write()

    def _transaction(self) -> AbstractContextManager[None]:
        return self._base.transaction(self._check)

    def _check(self) -> None:
        found = self._base.execute("SELECT settings FROM about")
        if found and self._settings is not None and found[0] != (self._settings,):
            raise RunMismatchError(_OTHERS.format(str(self.folder)))


_OTHERS = (
    "Another process has begun the run in {!r} with other settings meanwhile: nothing of this one "
    "was mixed in. Take another folder."
)


def _key(prompt: str) -> int:
    digest = hashlib.blake2b(prompt.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def mirrored(values: np.ndarray) -> np.ndarray:
    """A sample's squares ``(4, 2, T)`` with the prompts swapped.

    Paths change places; the printed squares compare both paths at once and stay.
    """
    turned = values[:, ::-1].copy()
    turned[FIELDS.index("printed")] = values[FIELDS.index("printed")]
    return turned


def _damaged(base: Base) -> list[tuple[str, tuple[Any, ...]]]:
    """Statements that drop each row that is not as it was stored, with their values."""
    samples = base.execute(
        "SELECT a, b, sample, pair, squares FROM samples LEFT JOIN pairs ON id = pair"
    )
    found: list[tuple[str, tuple[Any, ...]]] = [
        ("DELETE FROM samples WHERE pair IS ? AND sample IS ?", (pair, sample))
        for a, b, sample, pair, blob in samples
        if not is_whole(blob, a, b, sample)
    ]
    for table, column in (("vectors", "vector"), ("floors", "squares")):
        rows = base.execute(f"SELECT prompt, {column} FROM {table}")
        found += [
            (f"DELETE FROM {table} WHERE prompt IS ?", (prompt,))
            for prompt, blob in rows
            if not is_whole(blob, prompt)
        ]
    return found


def _row(squares: Squares, number: int) -> np.ndarray:
    return np.stack([getattr(squares, name)[number] for name in FIELDS])
