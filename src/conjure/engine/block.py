"""Many jobs in step: all their paths walk together, and every prediction is asked for once."""

from __future__ import annotations

from collections.abc import Container, Sequence

from torch import Tensor

from conjure.divergence.base import Squares
from conjure.engine import noise
from conjure.engine.crossing import Crossing
from conjure.engine.jobs import Block, Job, PathKey
from conjure.engine.network import Network
from conjure.engine.paths import PathCache
from conjure.engine.recall import Recall
from conjure.engine.scoring import blank_squares, score_predictions, score_same, score_steps
from conjure.engine.trace import Trace, Tracer
from conjure.engine.walk import Walk
from conjure.process.base import Process
from conjure.process.prediction import scored_visits


def run_block(
    process: Process,
    network: Network,
    jobs: Sequence[Job],
    seed: int,
    trace: int | None = None,
    cache: PathCache | None = None,
    keep: Container[PathKey] = (),
    *,
    antithetic: bool = False,
) -> tuple[Squares, Trace | None]:
    """Score both prompts of every job along both its paths.

    At each step the rows go through the network in full passes, across the borders of jobs: every
    path's own prediction, the unconditional ones, and each job's two crossed ones, which are
    reduced to numbers pass by pass. Neither the batch size nor what else is in the block changes a
    result, up to the rounding of the network's own arithmetic.

    Args:
        process: The process.
        network: Its counted network.
        jobs: As many as memory holds, see ``plan_blocks``.
        seed: Of the noise.
        trace: Number of a job whose paths are to be kept.
        cache: Paths that other blocks have walked, which are not walked again.
        keep: Which of this block's paths to put there.
        antithetic: Whether samples come in pairs of opposite noise.

    Returns:
        The squared differences, a row for each of ``jobs``; and the trace, if one was asked for.
    """
    block, visits, levels = Block(jobs), process.visits, process.levels

    def draw(step: int) -> Tensor:
        batch = noise.batch(seed, list(block.samples), step, process.shape, antithetic=antithetic)
        return process.place(batch)

    recall = Recall(block, PathCache() if cache is None else cache, keep, len(visits))
    walk = Walk(process, network, block, recall, draw)
    crossing = Crossing(process, network, block, heads=walk.rows)
    squares, tracer = blank_squares(len(jobs), len(levels)), Tracer(block, trace)
    scored = scored_visits(visits)
    for visit, step in enumerate(visits):
        beside = crossing.first_rows(visit, walk.x) if visit in scored else []
        paths, first = walk.ask(visit, beside)
        move = walk.move(visit, paths.own)
        if visit in scored:
            score_same(squares, block, step, move)
            sigma = float(levels.sigma[step])
            for number, group, crossed in crossing.ask(visit, walk.x, paths, first):
                score_predictions(squares, group, step, sigma, paths.own, crossed)
                if move is not None and process.draws_noise:  # else steps have no laws to compare
                    turned = crossing.turn(number, visit, walk.x, crossed)
                    score_steps(squares, group, step, move, turned)
                tracer.see(group, walk.x, paths.own, crossed)
            tracer.see_same(step, walk.x, paths.own)
        if move is not None:
            walk.advance(visit, move)
    return squares, tracer.trace()
