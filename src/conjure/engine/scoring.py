"""From predictions to squared differences: the numbers that all estimands are sums of."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from conjure.divergence.base import Squares
from conjure.engine.crossing import Group
from conjure.engine.jobs import Block
from conjure.levels import Floats
from conjure.process.prediction import Prediction, Transition


def blank_squares(jobs: int, steps: int) -> Squares:
    """Room for the squares of some jobs; steps have no law until one is found."""
    noise, picture, printed = (np.zeros((jobs, 2, steps)) for _ in range(3))
    return Squares(noise, picture, np.full((jobs, 2, steps), np.nan), printed)


def score_predictions(
    squares: Squares, group: Group, step: int, sigma: float, own: Prediction, crossed: Prediction
) -> None:
    """Put down what a group's predictions differ by at one state.

    Args:
        squares: Of the block.
        group: Some of its jobs.
        step: Which scored state.
        sigma: Noise scale there.
        own: The guided predictions of all paths.
        crossed: The other prompt's at the group's states.
    """
    n, jobs = len(group.jobs), group.jobs
    noise_gap = squared_norm(own.noise[group.at] - crossed.noise)
    picture_gap = squared_norm(own.picture[group.at] - crossed.picture)
    squares.noise[jobs, :, step] = noise_gap.reshape(2, n).T
    squares.picture[jobs, :, step] = picture_gap.reshape(2, n).T
    first, second = own.noise[group.at[:n]], own.noise[group.at[n:]]
    squares.printed[jobs, 0, step] = squared_norm(first - second) / sigma**2
    swapped = crossed.noise[n:] - crossed.noise[:n]
    squares.printed[jobs, 1, step] = squared_norm(swapped) / sigma**2


def score_steps(
    squares: Squares, group: Group, step: int, own: Transition, crossed: Transition
) -> None:
    """Put down what the sampler's own steps differ by: those of the paths, and the crossed ones."""
    doubled = twice_step_kl(own[group.at], crossed)
    squares.step[group.jobs, :, step] = doubled.reshape(2, -1).T


def score_same(squares: Squares, block: Block, step: int, move: Transition | None) -> None:
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
