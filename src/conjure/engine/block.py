"""Many jobs in step: all their paths walk together, and every prediction is asked for once."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from conjure.divergence import Squares
from conjure.engine import noise
from conjure.engine.network import Network, even_size
from conjure.engine.paths import PathCache, PathKey, from_rows, to_rows
from conjure.levels import Floats
from conjure.process.base import (
    Memory,
    Prediction,
    Process,
    Transition,
    guide,
    scored_visits,
)


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
class Trace:
    """The paths of one job, for looking at.

    Args:
        sample: Which.
        states: Shape ``(2, T, *state)``: path, scored state; float32.
        pictures: x̂₀ of that state under either prompt, shape ``(2, T, 2, *state)``: path, state,
            prompt; float32.
    """

    sample: int
    states: np.ndarray
    pictures: np.ndarray


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
        calls = fresh * len(visits) + 2 * crossed * visits[-1]
        if guided and fresh:
            calls += len(self.samples) - started + fresh * (len(visits) - 1)
        return calls


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
    groups = _group(block, network.batch_size, len(fresh) * (2 if guided else 1))
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
            _mark_same(squares, block, i, move)
        for number, group in enumerate(groups if score else []):
            if visit == 0:
                crossed = own[group.other]
            else:
                mine = [group.rows(x, prompts)]
                crossed = answers[-1] if number == 0 else _ask(network, visit, mine)[0]
                if unconditional is not None:
                    crossed = guide(crossed, unconditional[group.at], w)
            _score(squares, group, i, float(process.levels.sigma[i]), own, crossed)
            if move is not None and noisy:
                turned = process.transition(x[group.at], visit, crossed, crossed_memory[number])
                crossed_memory[number] = turned.memory
                doubled = twice_step_kl(move[group.at], turned)
                squares.step[group.jobs, :, i] = doubled.reshape(2, -1).T
            if trace is not None and trace in group.jobs:
                seen.append(_see(group, group.jobs.tolist().index(trace), x, own, crossed))
        if score and trace is not None and len(seen) == i:  # one prompt against itself
            p = int(block.ends[trace, 0])
            seen.append(([_keep(x[p])] * 2, [[_keep(own.picture[p])] * 2] * 2))
        if move is not None:
            memory = move.memory
            x = move.draw(drawn(visit + 1)[origin])
    if trace is None:
        return squares, None
    states, traced = (np.array(part).swapaxes(0, 1) for part in zip(*seen, strict=True))
    return squares, Trace(jobs[trace].sample, states, traced)


@dataclass(frozen=True)
class _Group:
    """Jobs whose crossed predictions share a pass. Fixed, since a sampler remembers by batch.

    Args:
        jobs: Their numbers, shape ``(n,)``.
        at: The paths where they are asked, first of each job and then second, shape ``(2n,)``.
        other: The paths whose prompts they are asked under, likewise.
    """

    jobs: np.ndarray
    at: Tensor
    other: Tensor

    def rows(self, x: Tensor, prompts: list[str]) -> tuple[Tensor, list[str]]:
        """States and prompts of the crossed predictions."""
        return x[self.at], [prompts[p] for p in self.other.tolist()]


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


def _group(block: Block, batch_size: int, heads: int) -> list[_Group]:
    """Cut a block's jobs so that passes are of one size; the first shares one with ``heads``."""
    jobs = np.flatnonzero(block.ends[:, 0] != block.ends[:, 1])
    if not len(jobs):
        return []
    rows = even_size(heads + 2 * len(jobs), batch_size)
    rows = min(rows + rows % 2, batch_size)  # a job's two rows stay together
    size = max(1, rows // 2)
    first = (-heads % rows) // 2
    cuts = [0, *range(first, len(jobs), size), len(jobs)]
    groups = []
    for start, stop in pairwise(cuts):
        ends = block.ends[jobs[start:stop]]
        if len(ends):
            at, other = (torch.from_numpy(e.T.reshape(-1).copy()) for e in (ends, ends[:, ::-1]))
            groups.append(_Group(jobs[start:stop], at, other))
    return groups


def _ask(
    network: Network, step: int, asked: Sequence[tuple[Tensor, Sequence[str]]]
) -> list[Prediction]:
    """Several lists of rows in one go."""
    rows = torch.cat([x for x, _ in asked])
    answer = network.predict(rows, step, [prompt for _, prompts in asked for prompt in prompts])
    ends = np.cumsum([0, *(len(x) for x, _ in asked)]).tolist()
    return [answer[start:stop] for start, stop in pairwise(ends)]


def _score(
    squares: Squares, group: _Group, step: int, sigma: float, own: Prediction, crossed: Prediction
) -> None:
    n, jobs = len(group.jobs), group.jobs
    noise_gap = squared_norm(own.noise[group.at] - crossed.noise)
    picture_gap = squared_norm(own.picture[group.at] - crossed.picture)
    squares.noise[jobs, :, step] = noise_gap.reshape(2, n).T
    squares.picture[jobs, :, step] = picture_gap.reshape(2, n).T
    first, second = own.noise[group.at[:n]], own.noise[group.at[n:]]
    squares.printed[jobs, 0, step] = squared_norm(first - second) / sigma**2
    swapped = crossed.noise[n:] - crossed.noise[:n]
    squares.printed[jobs, 1, step] = squared_norm(swapped) / sigma**2


def _mark_same(squares: Squares, block: Block, step: int, move: Transition | None) -> None:
    """A prompt against itself differs by nothing, also in the step, where there is one."""
    if move is not None and (isinstance(move.std, Tensor) or move.std > 0):
        squares.step[block.ends[:, 0] == block.ends[:, 1], :, step] = 0.0


def _see(
    group: _Group, place: int, x: Tensor, own: Prediction, crossed: Prediction
) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    """Of one job: both paths' states, and what each becomes under either prompt."""
    n = len(group.jobs)
    a, b = int(group.at[place]), int(group.at[n + place])
    pictures = [
        [_keep(own.picture[a]), _keep(crossed.picture[place])],
        [_keep(crossed.picture[n + place]), _keep(own.picture[b])],
    ]
    return [_keep(x[a]), _keep(x[b])], pictures


def squared_norm(x: Tensor) -> Floats:
    """‖x‖² of each row, summed in float64 where the device has it; shape ``(n,)``."""
    wide = x if x.device.type == "mps" else x.double()
    return wide.flatten(1).square().sum(1).cpu().double().numpy()


def twice_step_kl(own: Transition, other: Transition) -> Floats:
    """2 KL(own‖other) of one Gaussian step, shape ``(n,)``; NaN where it adds no noise.

    ‖Δμ‖²/σ̃² with one variance for both; Σ[ln(v₂/v₁) + (v₁ + Δμ²)/v₂ − 1] otherwise.
    """
    difference = own.mean - other.mean
    if isinstance(own.std, Tensor) or isinstance(other.std, Tensor):
        v1, v2 = (
            torch.as_tensor(move.std, dtype=difference.dtype, device=difference.device) ** 2
            for move in (own, other)
        )
        terms = torch.log(v2 / v1) + (v1 + difference**2) / v2 - 1
        return (terms + torch.zeros_like(difference)).flatten(1).sum(1).cpu().double().numpy()
    if own.std == 0:
        return np.full(len(difference), np.nan)
    return squared_norm(difference) / own.std**2


def _keep(x: Tensor) -> np.ndarray:
    return x.detach().float().cpu().numpy()
