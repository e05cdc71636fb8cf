"""Run any list of jobs: planned into blocks, each handed over as soon as it is finished."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass

from conjure.divergence.base import Squares
from conjure.engine.block import run_block
from conjure.engine.jobs import Block, Job, PathKey, ends_of
from conjure.engine.memory import keep_freed_memory, return_freed_memory
from conjure.engine.network import Network
from conjure.engine.paths import PathCache
from conjure.engine.plan import Limits, last_uses, plan_blocks
from conjure.process.base import Process

POLL_SECONDS = 0.2
"""Between two looks at what other processes are working on."""

TIDY_SECONDS = 5.0
"""Work after which memory that was freed goes back to the system."""


@dataclass(frozen=True)
class Finished:
    """A block that was run.

    Args:
        jobs: Its jobs.
        squares: Theirs, a row each.
        walked: The paths that were walked for it.
    """

    jobs: list[Job]
    squares: Squares
    walked: list[PathKey]


def run_jobs(
    process: Process,
    network: Network,
    jobs: Sequence[Job],
    seed: int,
    cache: PathCache,
    missing: Callable[[Sequence[Job]], list[Job]] = list,
    take: Callable[[Sequence[Job]], list[Job]] | None = None,
    *,
    again: Container[str] = (),
    antithetic: bool = False,
    calls: int | None = None,
) -> Iterator[Finished]:
    """Run jobs block by block; a path that several blocks need is walked once if it can be kept.

    The blocks are those of all jobs, done or not, so that a run that goes on asks in the same
    passes as one that was never stopped, and rounds alike.

    Args:
        process: The process.
        network: Its counted network.
        jobs: In any order.
        seed: Of the noise.
        cache: Where paths are kept meanwhile.
        missing: Of a block's jobs, those that are still to be done.
        take: Likewise, those that nobody else does meanwhile; asked just before it is run. What
            others do is waited for, and done here if they give up. None where there are no others.
        again: Prompts whose paths are kept beyond these jobs, for others to come.
        antithetic: Whether samples come in pairs of opposite noise.
        calls: Of the network, that a block may take, whatever fits in memory; None for any.
    """
    blocks = plan_blocks(jobs, Limits.of(process, network.batch_size, calls))
    last = last_uses(blocks)
    held = {key for job in jobs for key in ends_of(job) if key[0] in again} if again else set()
    keep_freed_memory()
    tidied = time.monotonic()
    take = missing if take is None else take
    elsewhere: deque[list[Job]] = deque()
    for number, planned in enumerate(blocks):
        left = missing(planned)
        block = take(left) if left else []
        if len(block) < len(left):
            elsewhere.append(planned)
        if block:
            yield _run(process, network, block, seed, cache, last.keys() | held, antithetic)
            if time.monotonic() - tidied > TIDY_SECONDS:
                return_freed_memory()
                tidied = time.monotonic()
        for key in Block(planned).paths:
            if last.get(key) == number and key not in held:
                cache.drop(key)
    while elsewhere:
        planned = elsewhere.popleft()
        if block := take(planned):
            yield _run(process, network, block, seed, cache, held, antithetic)
        if missing(planned):
            elsewhere.append(planned)
            time.sleep(POLL_SECONDS)


def _run(
    process: Process,
    network: Network,
    block: list[Job],
    seed: int,
    cache: PathCache,
    keep: Container[PathKey],
    antithetic: bool,
) -> Finished:
    walked = [key for key in Block(block).paths if key not in cache]
    squares, _ = run_block(
        process, network, block, seed, cache=cache, keep=keep, antithetic=antithetic
    )
    return Finished(block, squares, walked)
