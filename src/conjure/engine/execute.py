"""Run any list of jobs: planned into blocks, each handed over as soon as it is finished."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from conjure.divergence import Squares
from conjure.engine.block import Block, Job, run_block
from conjure.engine.network import Network
from conjure.engine.paths import PathCache
from conjure.engine.plan import Limits, last_uses, plan_blocks
from conjure.process.base import Process


def run_jobs(
    process: Process,
    network: Network,
    jobs: Sequence[Job],
    seed: int,
    cache: PathCache,
    done: Container[Job] = (),
) -> Iterator[tuple[list[Job], Squares]]:
    """Run jobs block by block; a path that several blocks need is walked once if it can be kept.

    The blocks are those of all jobs, done or not, so that a run that goes on asks in the same
    passes as one that was never stopped, and rounds alike.

    Yields:
        The jobs of a block, and their squares.
    """
    planned = plan_blocks(jobs, Limits.of(process, network.batch_size))
    blocks = [todo for block in planned if (todo := [job for job in block if job not in done])]
    last = last_uses(blocks)
    for number, block in enumerate(blocks):
        squares, _ = run_block(process, network, block, seed, cache=cache, keep=last)
        for key in Block(block).paths:
            if last.get(key) == number:
                cache.drop(key)
        yield block, squares


def count_calls(process: Process, jobs: Sequence[Job]) -> int:
    """Network calls that jobs need if every path is walked once."""
    return Block(jobs).calls(len(process.levels), process.guidance > 1)
