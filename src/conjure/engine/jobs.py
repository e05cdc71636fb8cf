"""What there is to do: samples of pairs, and the paths that they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import numpy as np

from conjure.process.base import Process

Pair = tuple[str, str]


class Job(NamedTuple):
    """One sample of one pair.

    Args:
        a: y₁.
        b: y₂.
        sample: Which sample of the seed's noise.
    """

    a: str
    b: str
    sample: int


@dataclass(frozen=True)
class Block:
    """Jobs that are run together, and the distinct paths and noises that they need.

    A path belongs to a prompt and a sample, whoever asks for it; the initial state belongs to the
    sample alone.

    Args:
        jobs: In the order of the results.
    """

    jobs: Sequence[Job]

    @cached_property
    def paths(self) -> dict[PathKey, int]:
        """(prompt, sample) → number of the path."""
        found: dict[PathKey, int] = {}
        for a, b, sample in self.jobs:
            found.setdefault((a, sample), len(found))
            found.setdefault((b, sample), len(found))
        return found

    @cached_property
    def samples(self) -> dict[int, int]:
        """Sample → number of its noise."""
        return {s: n for n, s in enumerate(dict.fromkeys(job.sample for job in self.jobs))}

    @cached_property
    def ends(self) -> np.ndarray:
        """The two paths of each job, shape ``(jobs, 2)``."""
        pairs = [(self.paths[j.a, j.sample], self.paths[j.b, j.sample]) for j in self.jobs]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    def calls(self, visits: Sequence[int], guided: bool, walked: int = 0, started: int = 0) -> int:
        """Network calls that the block makes.

        Own predictions at every visit of every path; of each job, the other prompt's at all scored
        ones but the first, whose state all prompts share; and with guidance the unconditional
        ones, once a visit.

        Args:
            visits: Of the process.
            guided: Whether guidance is above 1.
            walked: Paths that are known already.
            started: Samples whose first unconditional prediction is.

        >>> Block([Job("a", "b", 0)]).calls(range(20), guided=False)
        78
        >>> Block([Job("a", "a", 0)]).calls(range(20), guided=False)  # nothing to cross
        20
        """
        crossed = int(np.sum(self.ends[:, 0] != self.ends[:, 1]))
        fresh = len(self.paths) - walked
        starts = len(self.samples) - started
        return calls_of(fresh, crossed, visits, starts if guided else None)


def calls_of(paths: int, crossed: int, visits: Sequence[int], starts: int | None) -> int:
    """Network calls of so many paths, and of so many jobs of two prompts.

    Args:
        paths: That must be walked.
        crossed: Jobs.
        visits: Of the process.
        starts: First unconditional predictions that must be asked; None without guidance.
    """
    calls = paths * len(visits) + 2 * crossed * visits[-1]
    if starts is not None and paths:
        calls += starts + paths * (len(visits) - 1)
    return calls


PathKey = tuple[str, int]
"""Prompt and sample."""


def count_calls(process: Process, jobs: Sequence[Job]) -> int:
    """Network calls that jobs need if every path is walked once."""
    return Block(jobs).calls(process.visits, process.guidance > 1)


def ordered(a: str, b: str) -> tuple[str, str]:
    """The pair in the order in which it is stored."""
    return (a, b) if a <= b else (b, a)


def ends_of(job: Job) -> tuple[PathKey, PathKey]:
    """The two paths of a job."""
    return (job.a, job.sample), (job.b, job.sample)


def paths_of(jobs: Sequence[Job]) -> list[tuple[str, int]]:
    """The distinct texts and samples of some jobs."""
    return list(dict.fromkeys(chain.from_iterable(map(ends_of, jobs))))


def all_jobs(pairs: Sequence[Pair], samples: int) -> list[Job]:
    """Every sample of every pair, a pair's samples together."""
    return [Job(*pair, sample) for pair in pairs for sample in range(samples)]
