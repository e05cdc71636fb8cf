"""Steps that samplers share, and the bound on x̂₀."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjure.process.prediction import Prediction, Transition
from conjure.process.samplers.base import Grid, SchedulerConfig


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


@dataclass(frozen=True)
class Bound:
    """How far x̂₀ may go: not further than ±``clip``, or dynamically (Saharia et al. 2022, 2.3).

    Either bends the drift, so that `girsanov` is no KL with it.

    Args:
        clip: Largest |x̂₀|, where it is clipped.
        quantile: Where it is thresholded: values beyond this quantile of a picture's own |x̂₀|,
            at least 1 and at most ``most``, are cut there, and the picture divided by it.
        most: See there.
    """

    clip: float | None = None
    quantile: float | None = None
    most: float = 1.0

    def __call__(self, picture: Tensor) -> Tensor:
        """The bounded x̂₀, each row by itself."""
        if self.quantile is not None:
            sizes = picture.flatten(1).abs()
            # torch's quantile interpolates, as in diffusers.
            edge = torch.quantile(sizes, self.quantile, dim=1).clamp(1, max(1.0, self.most))
            edge = edge.view(-1, *(1 for _ in picture.shape[1:]))
            return picture.clamp(-edge, edge) / edge
        return picture if self.clip is None else picture.clamp(-self.clip, self.clip)

    @property
    def idle(self) -> bool:
        """Whether it bounds nothing."""
        return self.clip is None and self.quantile is None

    def describe(self) -> dict[str, Any]:
        """As JSON values."""
        if self.quantile is not None:
            return {"clip": None, "threshold": [self.quantile, self.most]}
        return {"clip": self.clip}


UNBOUNDED = Bound()


def bound_from(config: SchedulerConfig, *, clips: bool = True) -> Bound:
    """The bound on x̂₀ that a scheduler's configuration asks for.

    Args:
        config: Of the scheduler.
        clips: Whether diffusers' scheduler of this sampler knows ``clip_sample``.
    """
    if config.get("thresholding"):
        return Bound(
            quantile=float(config.get("dynamic_thresholding_ratio", 0.995)),
            most=float(config.get("sample_max_value", 1.0)),
        )
    # A missing key means no clipping, as diffusers' latent pipelines set it themselves.
    if clips and config.get("clip_sample"):
        return Bound(clip=float(config.get("clip_sample_range", 1.0)))
    return UNBOUNDED


def half_log_snr(alpha: float, sigma: float) -> float:
    """log(α/σ), the λ of DPM-Solver: half of ours; ±∞ at either end."""
    with np.errstate(divide="ignore"):
        return float(np.log(alpha) - np.log(sigma))
