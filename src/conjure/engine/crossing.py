"""Both prompts at both paths' states: the crossed predictions, in groups, and their squares."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from conjure.divergence.base import Squares
from conjure.engine.jobs import Block
from conjure.engine.network import even_size
from conjure.levels import Floats
from conjure.process.prediction import Prediction, Transition


@dataclass(frozen=True)
class Group:
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


def group_jobs(block: Block, batch_size: int, heads: int) -> list[Group]:
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
            groups.append(Group(jobs[start:stop], at, other))
    return groups


def score_group(
    squares: Squares, group: Group, step: int, sigma: float, own: Prediction, crossed: Prediction
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


def mark_same(squares: Squares, block: Block, step: int, move: Transition | None) -> None:
    """A prompt against itself differs by nothing, also in the step, where there is one."""
    if move is not None and (isinstance(move.std, Tensor) or move.std > 0):
        squares.step[block.ends[:, 0] == block.ends[:, 1], :, step] = 0.0


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
