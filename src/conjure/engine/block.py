"""Many jobs in step: all their paths walk together, and every prediction is asked for once."""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from conjure.divergence.base import Squares
from conjure.engine import noise
from conjure.engine.crossing import group_jobs, mark_same, score_group, twice_step_kl
from conjure.engine.jobs import Block, Job, PathKey
from conjure.engine.network import Network
from conjure.engine.paths import PathCache, from_rows, to_rows
from conjure.engine.trace import Trace, as_array, see
from conjure.process.base import Process
from conjure.process.prediction import Memory, Prediction, guide, scored_visits


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
    block = Block(jobs)
    steps, guided, w = len(process.levels), process.guidance > 1, process.guidance
    visits, scored = process.visits, scored_visits(process.visits)
    noisy = process.draws_noise  # else there are no laws of steps to compare
    prompts = [prompt for prompt, _ in block.paths]
    origin = torch.tensor([block.samples[sample] for _, sample in block.paths])
    cache = PathCache() if cache is None else cache
    keys = list(block.paths)
    known = [p for p, key in enumerate(keys) if key in cache]
    cache.hits += len(known)
    fresh = torch.tensor([p for p, key in enumerate(keys) if key not in cache], dtype=torch.long)
    fresh_prompts = [prompts[p] for p in fresh.tolist()]
    groups = group_jobs(block, network.batch_size, len(fresh) * (2 if guided else 1))
    memory: Memory = None
    crossed_memory: list[Memory] = [None] * len(groups)
    empty = [np.zeros((len(jobs), 2, steps)) for _ in range(3)]
    squares = Squares(empty[0], empty[1], np.full((len(jobs), 2, steps), np.nan), empty[2])
    seen: list[tuple[list[np.ndarray], list[list[np.ndarray]]]] = []
    kept = torch.tensor([p for p in fresh.tolist() if keys[p] in keep], dtype=torch.long)
    room: list[PathKey] = []

    def drawn(step: int) -> Tensor:
        batch = noise.batch(seed, list(block.samples), step, process.shape, antithetic=antithetic)
        return process.place(batch)

    unstarted = torch.tensor(
        [n for sample, n in block.samples.items() if len(fresh) and sample not in cache.starts],
        dtype=torch.long,
    )
    process.prepare(dict.fromkeys([*prompts, process.negative] if guided else prompts))
    start = process.prior(drawn(0))
    x = start[origin]
    for visit, i in enumerate(visits):
        score = visit in scored
        asked = [(x[fresh], fresh_prompts)]
        if guided:
            where = start[unstarted] if visit == 0 else x[fresh]
            asked.append((where, [process.negative] * len(where)))
        if score and visit > 0 and groups:
            asked.append(groups[0].rows(x, prompts))
        answers = _ask(network, visit, asked)
        own, unconditional = answers[0], None
        if guided:
            unconditional = answers[1]
            if visit == 0 and len(fresh):  # all paths of a sample start at one state
                shared = _begun(cache, list(block.samples), unstarted.tolist(), unconditional)
                unconditional = shared[origin[fresh]]
            own = guide(own, unconditional, w)
        if known:
            rows = cache.read([keys[p] for p in known], visit, len(visits))
            remembered = from_rows(rows, own.noise, guided=guided)
            own, unconditional = _merged((own, unconditional), remembered, fresh, known)
        if len(kept):
            rows = to_rows(own[kept], None if unconditional is None else unconditional[kept])
            if visit == 0:
                room = cache.reserve([keys[p] for p in kept.tolist()], len(visits) * rows[0].nbytes)
            if room:
                cache.write(room, visit, len(visits), rows[: len(room)])
        last = visit + 1 == len(visits)
        move = None if last else process.transition(x, visit, own, memory)
        if score:
            mark_same(squares, block, i, move)
        for number, group in enumerate(groups if score else []):
            if visit == 0:
                crossed = own[group.other]
            else:
                mine = [group.rows(x, prompts)]
                crossed = answers[-1] if number == 0 else _ask(network, visit, mine)[0]
                if unconditional is not None:
                    crossed = guide(crossed, unconditional[group.at], w)
            score_group(squares, group, i, float(process.levels.sigma[i]), own, crossed)
            if move is not None and noisy:
                turned = process.transition(x[group.at], visit, crossed, crossed_memory[number])
                crossed_memory[number] = turned.memory
                doubled = twice_step_kl(move[group.at], turned)
                squares.step[group.jobs, :, i] = doubled.reshape(2, -1).T
            if trace is not None and trace in group.jobs:
                seen.append(see(group, group.jobs.tolist().index(trace), x, own, crossed))
        if score and trace is not None and len(seen) == i:  # one prompt against itself
            p = int(block.ends[trace, 0])
            seen.append(([as_array(x[p])] * 2, [[as_array(own.picture[p])] * 2] * 2))
        if move is not None:
            memory = move.memory
            x = move.draw(drawn(visit + 1)[origin])
    if trace is None:
        return squares, None
    states, traced = (np.array(part).swapaxes(0, 1) for part in zip(*seen, strict=True))
    return squares, Trace(jobs[trace].sample, states, traced)


def _begun(
    cache: PathCache, samples: Sequence[int], asked: Sequence[int], answers: Prediction
) -> Prediction:
    """The unconditional prediction at each sample's first state, just asked or known before."""
    new = {samples[n]: answers[row : row + 1] for row, n in enumerate(asked)}
    found = [new[s] if s in new else cache.starts[s] for s in samples]
    for sample, prediction in new.items():
        cache.begin(sample, prediction)
    return Prediction.concatenate(found)


def _merged(
    asked: tuple[Prediction, Prediction | None],
    remembered: tuple[Prediction, Prediction | None],
    fresh: Tensor,
    known: Sequence[int],
) -> tuple[Prediction, Prediction | None]:
    """Own and unconditional predictions, asked and remembered, in the order of the paths."""
    order = torch.empty(len(fresh) + len(known), dtype=torch.long)
    order[torch.cat([fresh, torch.tensor(known)])] = torch.arange(len(order))
    own = Prediction.concatenate([asked[0], remembered[0]])[order]
    if asked[1] is None or remembered[1] is None:
        return own, None
    return own, Prediction.concatenate([asked[1], remembered[1]])[order]


def _ask(
    network: Network, step: int, asked: Sequence[tuple[Tensor, Sequence[str]]]
) -> list[Prediction]:
    """Several lists of rows in one go."""
    rows = torch.cat([x for x, _ in asked])
    answer = network.predict(rows, step, [prompt for _, prompts in asked for prompt in prompts])
    ends = np.cumsum([0, *(len(x) for x, _ in asked)]).tolist()
    return [answer[start:stop] for start, stop in pairwise(ends)]
