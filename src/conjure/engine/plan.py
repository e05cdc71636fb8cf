"""Which jobs go together: blocks whose paths fit in memory, cut so that few are walked twice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from conjure.engine.jobs import Job, PathKey, ends_of
from conjure.process.base import Process

PATH_BYTES = 64 * 2**20
"""Memory for the states of the paths that walk together, by default."""

STATES_PER_PATH = 6
"""A path's state, its own prediction (two), the unconditional one (two), and the step's mean."""

SOFT_PASSES, HARD_PASSES = 4, 64
"""A block's network passes a step: enough to fill them, few enough to lose little when killed."""


@dataclass(frozen=True)
class Limits:
    """How large a block may grow.

    Args:
        paths: Distinct paths that may walk together.
        batch_size: Rows of a network pass.
        guided: Whether every path also asks the unconditional branch.
        rows: Of the network a step, beyond which a kill would lose too much.
    """

    paths: int
    batch_size: int
    guided: bool
    rows: float = math.inf

    @staticmethod
    def of(
        process: Process, batch_size: int, calls: int | None = None, path_bytes: int = PATH_BYTES
    ) -> Limits:
        """What memory allows: states are float64, of the process's shape; two paths at least.

        Args:
            process: That is asked.
            batch_size: Rows of a network pass.
            calls: Of the network, that a block may take; None for any.
            path_bytes: Memory.
        """
        fit = path_bytes // (STATES_PER_PATH * 8 * math.prod(process.shape))
        rows = math.inf if calls is None else calls / len(process.visits)
        return Limits(max(2, fit), batch_size, process.guidance > 1, rows)


def plan_blocks(jobs: Sequence[Job], limits: Limits) -> list[list[Job]]:
    """Order jobs so that those with common paths are near, and cut them into blocks.

    A block ends where its passes are full and the next job shares no path with it; at the latest
    where memory or the work that a kill would lose ends it.

    >>> jobs = [Job("a", "b", 0), Job("c", "d", 0), Job("a", "b", 1)]
    >>> plan_blocks(jobs, Limits(paths=4, batch_size=4, guided=False))
    [[Job(a='a', b='b', sample=0), Job(a='c', b='d', sample=0)], [Job(a='a', b='b', sample=1)]]
    """
    blocks: list[list[Job]] = []
    paths: set[PathKey] = set()
    crossed = 0
    per_path = 2 if limits.guided else 1
    # Two tiles of prompts, all against all, are a block.
    most = math.isqrt(int(min(HARD_PASSES * limits.batch_size, limits.rows)) // 2)
    for job in neighbours_first(jobs, max(1, min(most, limits.paths // 2))):
        ends = set(ends_of(job))
        new = ends - paths
        rows = len(paths) * per_path + 2 * crossed
        full = rows >= SOFT_PASSES * limits.batch_size and rows % limits.batch_size == 0
        ends_here = (
            len(paths) + len(new) > limits.paths
            or rows >= HARD_PASSES * limits.batch_size
            or rows + per_path * len(new) + 2 * (len(ends) - 1) > limits.rows
            or (full and len(new) == len(ends))
        )
        if not blocks or ends_here:
            blocks.append([])
            paths, crossed = set(), 0
        blocks[-1].append(job)
        paths |= ends
        crossed += len(ends) - 1
    return blocks


def neighbours_first(jobs: Sequence[Job], tile: int) -> list[Job]:
    """Sample by sample; within one, pairs in tiles, so that a tile's prompts walk together.

    Prompts are numbered as they come, and a pair lies in the tile of its two numbers: all against
    all becomes squares, and pairs that share nothing keep their order.
    """
    numbers: dict[str, int] = {}
    for job in jobs:
        numbers.setdefault(job.a, len(numbers))
        numbers.setdefault(job.b, len(numbers))

    def place(job: Job) -> tuple[int, int, int]:
        first, second = sorted((numbers[job.a] // tile, numbers[job.b] // tile))
        return (job.sample, first, second)

    return sorted(jobs, key=place)


def last_uses(blocks: Sequence[Sequence[Job]]) -> dict[PathKey, int]:
    """The last block that needs each path, of those that more than one needs."""
    first: dict[PathKey, int] = {}
    last: dict[PathKey, int] = {}
    for number, block in enumerate(blocks):
        for job in block:
            for key in ends_of(job):
                first.setdefault(key, number)
                last[key] = number
    return {key: number for key, number in last.items() if number > first[key]}
