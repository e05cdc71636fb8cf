"""What a sampler is, and the one family of steps that the first-order samplers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from conjure.errors import ConjureError
from conjure.levels import Floats, NoiseLevels
from conjure.process.base import Memory, Prediction, Transition

SchedulerConfig = Mapping[str, Any]
"""A diffusers scheduler's configuration: the model's noise schedule and how it is spaced."""


@dataclass(frozen=True)
class Grid:
    """The states that a sampler visits.

    Args:
        levels: Noise levels of the T states at which the network is asked.
        timesteps: What the network is told at each of them, shape ``(T,)``.
        final: α and σ of what the last step leads to.
        prior_scale: The first state is this times standard normal noise.
    """

    levels: NoiseLevels
    timesteps: Floats
    final: tuple[float, float]
    prior_scale: float = 1.0

    def at(self, step: int) -> tuple[float, float]:
        """α and σ at state ``step``; at T, those of the clean end."""
        if step == len(self.levels):
            return self.final
        return float(self.levels.alpha[step]), float(self.levels.sigma[step])


class Sampler(Protocol):
    """How a path is advanced. Frozen: its options are its fields."""

    @property
    def name(self) -> str:
        """How users ask for it."""
        ...

    def grid(self, config: SchedulerConfig, steps: int) -> Grid:
        """The states it visits on the noise schedule of a model."""
        ...

    def transition(
        self, grid: Grid, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """Its step from state ``step``; see :class:`conjure.process.base.Process`."""
        ...

    def is_kl(self, estimand: str) -> bool:
        """Whether an estimand is a KL divergence of the chain, or of its small-step limit."""
        ...

    def describe(self) -> dict[str, Any]:
        """Name and options, as JSON values."""
        ...


def ddim_variance(grid: Grid, step: int, eta: float) -> float:
    """σ̃² of DDIM's step from state ``step`` (Song et al. 2021, eq. 16), η² times DDPM's."""
    alpha, sigma = grid.at(step)
    alpha_next, sigma_next = grid.at(step + 1)
    if sigma_next == 0:
        return 0.0
    return eta**2 * (sigma_next / sigma) ** 2 * (1 - (alpha / alpha_next) ** 2)


def ddim_step(grid: Grid, step: int, prediction: Prediction, eta: float) -> Transition:
    """α′x̂₀ + √(σ′² − σ̃²) ε̂, with fresh noise of variance σ̃².

    In variance-preserving units DDIM, DDPM (η = 1), Euler (η = 0) and Euler-ancestral (η = 1) are
    this one step on different grids.
    """
    alpha_next, sigma_next = grid.at(step + 1)
    variance = ddim_variance(grid, step, eta)
    direction = max(sigma_next**2 - variance, 0.0) ** 0.5
    return Transition(alpha_next * prediction.picture + direction * prediction.noise, variance**0.5)


def grid_from_alphas_cumprod(
    alphas_cumprod: Floats, timesteps: Floats, final: float, prior_scale: float = 1.0
) -> Grid:
    """A grid on a discrete schedule, at integer timesteps, noisiest first.

    Args:
        alphas_cumprod: ᾱ = α² of every training timestep.
        timesteps: Those that are visited, shape ``(T,)``.
        final: ᾱ where the last step ends.
        prior_scale: See :class:`Grid`.

    Raises:
        ConjureError: A timestep lies beyond the schedule.
    """
    if timesteps.max() >= len(alphas_cumprod):
        raise ConjureError(
            f"With {len(timesteps)} steps this scheduler's spacing and offset ask for timestep "
            f"{timesteps.max():.0f}, and the model has {len(alphas_cumprod)} (from 0): take fewer."
        )
    squared = alphas_cumprod[timesteps.astype(int)].astype(np.float64)
    return Grid(
        NoiseLevels(np.sqrt(squared), np.sqrt(1 - squared)),
        timesteps,
        (float(np.sqrt(final)), float(np.sqrt(1 - final))),
        prior_scale,
    )


def check_steps(config: SchedulerConfig, steps: int) -> None:
    """Refuse more steps than the model has timesteps, or fewer than one."""
    limit = int(config.get("num_train_timesteps", 1000))
    if steps < 1:
        raise ConjureError(f"steps is at least 1, not {steps}.")
    if steps > limit:
        raise ConjureError(f"This model has {limit} timesteps: steps is at most that, not {steps}.")


def clip_from(config: SchedulerConfig) -> float | None:
    """The bound on |x̂₀| that a configuration asks for, or None.

    Raises:
        ConjureError: It asks for dynamic thresholding, which is not supported.
    """
    if config.get("thresholding"):
        raise ConjureError(
            "The model's scheduler thresholds its pictures dynamically, which is not supported."
        )
    # A missing key means no clipping, as diffusers' latent pipelines set it themselves.
    return float(config.get("clip_sample_range", 1.0)) if config.get("clip_sample") else None


def refuse_eta(sampler: str, eta: float | None) -> None:
    """Refuse an η that the sampler would ignore."""
    if eta is not None:
        raise ConjureError(f"eta is an option of the ddim sampler; {sampler} has none.")
