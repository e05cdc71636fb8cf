"""DDPM (Ho et al. 2020): the posterior of the forward chain, with its smaller variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from conjure.errors import ConjureError
from conjure.process.base import Memory, Prediction, Transition
from conjure.process.samplers.base import (
    Grid,
    SchedulerConfig,
    check_steps,
    clip_from,
    ddim_variance,
    grid_from_alphas_cumprod,
    refuse_eta,
)


@dataclass(frozen=True)
class Ddpm:
    """Ancestral sampling with the posterior variance (``fixed_small``).

    Args:
        clip: Largest |x̂₀| if the scheduler's configuration clips it, else None.
    """

    clip: float | None = None

    @property
    def name(self) -> str:
        """``ddpm``."""
        return "ddpm"

    def grid(self, config: SchedulerConfig, steps: int) -> Grid:
        """Timesteps and ᾱ of diffusers' DDPMScheduler; its last step ends at ᾱ = 1."""
        from diffusers import DDPMScheduler

        check_steps(config, steps)
        scheduler: Any = DDPMScheduler.from_config(dict(config))
        scheduler.set_timesteps(steps)
        return grid_from_alphas_cumprod(
            scheduler.alphas_cumprod.numpy(),
            np.asarray(scheduler.timesteps, dtype=np.float64),
            1.0,
        )

    def transition(
        self, grid: Grid, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """Mean and variance of q(x′ | x, x̂₀), the forward chain's posterior (eqs. 6 and 7).

        Written in x and x̂₀, so that clipping x̂₀ moves the implied noise too.
        """
        alpha, sigma = grid.at(step)
        alpha_next, sigma_next = grid.at(step + 1)
        picture = prediction.picture
        if self.clip is not None:
            picture = picture.clamp(-self.clip, self.clip)
        kept = alpha / alpha_next
        added = 1 - kept**2
        mean = (alpha_next * added * picture + kept * sigma_next**2 * x) / sigma**2
        return Transition(mean, ddim_variance(grid, step, eta=1.0) ** 0.5)

    def is_kl(self, estimand: str) -> bool:
        """Both, but `girsanov` not with clipping, which bends the drift."""
        return estimand == "ancestral" or (estimand == "girsanov" and self.clip is None)

    def describe(self) -> dict[str, Any]:
        """Name and options."""
        return {"sampler": self.name, "eta": None, "clip": self.clip}


def build(config: SchedulerConfig, eta: float | None) -> Ddpm:
    """The sampler for a model.

    Raises:
        ConjureError: An η was given, or the configuration asks for another variance.
    """
    refuse_eta("ddpm", eta)
    variance = config.get("variance_type", "fixed_small")
    if variance not in ("fixed_small", "fixed_small_log"):
        raise ConjureError(
            f"The model's scheduler asks for the variance {variance!r}; ddpm supports "
            "'fixed_small'. Use the ddim sampler instead."
        )
    return Ddpm(clip_from(config))
