"""The sampler of latent consistency models (Luo et al. 2023): x̂₀, then fresh noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from conjure.process.prediction import Memory, Prediction, Transition
from conjure.process.samplers.base import Grid, SchedulerConfig, Timing, without_eta
from conjure.process.samplers.schedules import (
    check_steps,
    grid_from_alphas_cumprod,
    make_scheduler,
    refuse_flow,
    set_timesteps,
)
from conjure.process.samplers.steps import UNBOUNDED, Bound, bound_from

SIGMA_DATA = 0.5


@dataclass(frozen=True)
class Lcm:
    """Jump to the picture, c_out·x̂₀ + c_skip·x, and back to the next level with fresh noise.

    Args:
        scaling: Of the timestep in c_out and c_skip.
        bound: On x̂₀, as the scheduler's configuration says.
    """

    scaling: float = 10.0
    bound: Bound = UNBOUNDED

    @property
    def name(self) -> str:
        """``lcm``."""
        return "lcm"

    def grid(self, config: SchedulerConfig, steps: int, timing: Timing) -> Grid:
        """Timesteps and ᾱ of diffusers' LCMScheduler."""
        check_steps(config, steps)
        scheduler = make_scheduler("LCMScheduler", config)
        set_timesteps(scheduler, steps, timing)
        return grid_from_alphas_cumprod(
            scheduler.alphas_cumprod.numpy(),
            np.asarray(scheduler.timesteps, dtype=np.float64),
            1.0,
        )

    def transition(
        self, grid: Grid, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """One jump."""
        time = self.scaling * float(grid.timesteps[step])
        size = time**2 + SIGMA_DATA**2
        picture = time / size**0.5 * self.bound(prediction.picture) + SIGMA_DATA**2 / size * x
        alpha_next, sigma_next = grid.at(step + 1)
        return Transition(alpha_next * picture, sigma_next)

    @property
    def draws_noise(self) -> bool:
        """Always: a step is a Gaussian."""
        return True

    @property
    def is_sde(self) -> bool:
        """Never: fresh noise at each step has no SDE for a limit."""
        return False

    def describe(self) -> dict[str, Any]:
        """Name and options."""
        return {"sampler": self.name, "eta": None, **self.bound.describe(), "scaling": self.scaling}


@without_eta("lcm")
def build(config: SchedulerConfig) -> Lcm:
    """The sampler for a model."""
    refuse_flow("lcm", config, "use flow-stochastic")
    return Lcm(float(config.get("timestep_scaling", 10.0)), bound_from(config))
