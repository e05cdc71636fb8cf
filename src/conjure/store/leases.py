"""Who is working on which samples: so that processes that share a run do none of them twice."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Sequence

from conjure.engine.jobs import Job, ordered
from conjure.store.database import Base

LEASE = 60.0
"""Seconds that samples are somebody's: several times as long as a block is meant to take."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS leases (
    a TEXT, b TEXT, sample INTEGER, owner TEXT, until REAL, PRIMARY KEY (a, b, sample)
) WITHOUT ROWID;
"""


class Leases:
    """Those of one run, as one of the processes that work on it has them.

    One that was killed holds its samples no longer where others can see that it is gone, and
    elsewhere until they run out.

    Args:
        base: The run's.
    """

    def __init__(self, base: Base) -> None:
        self._base = base
        self._taken = False
        self._owner = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}"

    def take(self, jobs: Sequence[Job]) -> list[Job]:
        """Those of some jobs that nobody else works on; from now on they are ours.

        To be called within a transaction.
        """
        now, self._taken = time.time(), True
        self._drop_of_the_dead(now)
        rows = [(*ordered(job.a, job.b), job.sample, self._owner, now + LEASE) for job in jobs]
        self._base.executemany(
            "INSERT INTO leases VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE "
            f"SET owner = ?4, until = ?5 WHERE until < {now!r} OR owner = ?4",
            rows,
        )
        return [job for job in jobs if self._owner_of(job) == self._owner]

    def give_back(self, jobs: Sequence[Job]) -> None:
        """These are done, or will not be."""
        rows = [(*ordered(job.a, job.b), job.sample) for job in jobs]
        self._base.executemany("DELETE FROM leases WHERE a = ? AND b = ? AND sample = ?", rows)

    def held(self) -> tuple[int, int]:
        """How many processes work on the run now, and on how many samples."""
        found = self._base.execute(
            "SELECT owner, COUNT(*) FROM leases WHERE until >= ? GROUP BY owner", (time.time(),)
        )
        counts = [count for owner, count in found if not _is_dead(owner)]
        return len(counts), sum(counts)

    def end(self) -> None:
        """Nothing is worked on any more."""
        if self._taken:
            self._base.execute("DELETE FROM leases WHERE owner = ?", (self._owner,))

    def _owner_of(self, job: Job) -> str | None:
        found = self._base.execute(
            "SELECT owner FROM leases WHERE a = ? AND b = ? AND sample = ?",
            (*ordered(job.a, job.b), job.sample),
        )
        return found[0][0] if found else None

    def _drop_of_the_dead(self, now: float) -> None:
        for (owner,) in self._base.execute("SELECT DISTINCT owner FROM leases"):
            if owner != self._owner and _is_dead(owner):
                self._base.execute("DELETE FROM leases WHERE owner = ?", (owner,))
        self._base.execute("DELETE FROM leases WHERE until < ?", (now,))


def _is_dead(owner: str) -> bool:
    """Whether a process of this machine is gone; of others one cannot know."""
    import psutil

    host, number, _ = owner.rsplit(" ", 2)
    return host == socket.gethostname() and not psutil.pid_exists(int(number))
