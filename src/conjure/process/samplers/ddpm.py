"""DDPM (Ho et al. 2020): the posterior of the forward chain, with its smaller variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjure.errors import ConjureError
from conjure.process.prediction import Memory, Prediction, Transition
from conjure.process.samplers.base import Grid, SchedulerConfig, Timing, without_eta
from conjure.process.samplers.schedules import (
    check_steps,
    grid_from_alphas_cumprod,
    make_scheduler,
    refuse_flow,
    set_timesteps,
)
from conjure.process.samplers.steps import UNBOUNDED, Bound, bound_from, ddim_variance


@dataclass(frozen=True)
class Ddpm:
    """Ancestral sampling with the posterior variance (``fixed_small``), or a learned one.

    Args:
        bound: On x̂₀, as the scheduler's configuration says.
        learned: Whether the network says where between the posterior variance and β the variance
            lies (``learned_range``): it then depends on the prompt.
    """

    bound: Bound = UNBOUNDED
    learned: bool = False

    @property
    def name(self) -> str:
        """``ddpm``."""
        return "ddpm"

    def grid(self, config: SchedulerConfig, steps: int, timing: Timing) -> Grid:
        """Timesteps and ᾱ of diffusers' DDPMScheduler; its last step ends at ᾱ = 1."""
        check_steps(config, steps)
        scheduler = make_scheduler("DDPMScheduler", config)
        set_timesteps(scheduler, steps, timing)
        return grid_from_alphas_cumprod(
            scheduler.alphas_cumprod.numpy(),
            np.asarray(scheduler.timesteps, dtype=np.float64),
            1.0,
        )

    def transition(
        self, grid: Grid, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """Mean and variance of q(x′ | x, x̂₀), the forward chain's posterior (eqs. 6 and 7).

        Written in x and x̂₀, so that a bound on x̂₀ moves the implied noise too.
        """
        alpha, sigma = grid.at(step)
        alpha_next, sigma_next = grid.at(step + 1)
        picture = self.bound(prediction.picture)
        kept = alpha / alpha_next
        added = 1 - kept**2
        mean = (alpha_next * added * picture + kept * sigma_next**2 * x) / sigma**2
        smallest = ddim_variance(grid, step, eta=1.0)
        if not self.learned or smallest == 0:
            return Transition(mean, smallest**0.5)
        if prediction.variance is None:
            raise ConjureError(
                "The model's scheduler asks for a learned variance, and its network has none. Use "
                "the ddim sampler instead."
            )
        share = (prediction.variance + 1) / 2
        low, high = np.log(max(smallest, 1e-20)), np.log(added)
        return Transition(mean, torch.exp((share * high + (1 - share) * low) / 2))

    @property
    def draws_noise(self) -> bool:
        """Always."""
        return True

    @property
    def is_sde(self) -> bool:
        """Neither with a bound, which bends the drift, nor with a variance that depends on the
        prompt: there is no one g for both.
        """  # fmt: skip
        return self.bound.idle and not self.learned

    def describe(self) -> dict[str, Any]:
        """Name and options."""
        about = {"sampler": self.name, "eta": None, **self.bound.describe()}
        return {**about, "variance": "learned_range"} if self.learned else about


@without_eta("ddpm")
def build(config: SchedulerConfig) -> Ddpm:
    """The sampler for a model.

    Raises:
        ConjureError: The configuration asks for another variance.
    """
    refuse_flow("ddpm", config, "its reverse SDE is the ddim sampler with eta 1")
    variance = config.get("variance_type") or "fixed_small"
    if variance not in ("fixed_small", "fixed_small_log", "learned_range"):
        raise ConjureError(
            f"The model's scheduler asks for the variance {variance!r}; ddpm supports "
            "'fixed_small' and 'learned_range'. Use the ddim sampler instead."
        )
    return Ddpm(bound_from(config), learned=variance == "learned_range")
