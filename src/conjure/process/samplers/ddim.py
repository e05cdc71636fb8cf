"""DDIM (Song et al. 2021), from the deterministic η = 0 to the ancestral η = 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from conjure.errors import ConjureError
from conjure.process.prediction import Memory, Prediction, Transition
from conjure.process.samplers.base import Grid, SchedulerConfig, Timing
from conjure.process.samplers.schedules import (
    check_steps,
    flow_grid,
    grid_from_alphas_cumprod,
    is_flow,
    make_scheduler,
    set_timesteps,
)
from conjure.process.samplers.steps import UNBOUNDED, Bound, bound_from, ddim_step


@dataclass(frozen=True)
class Ddim:
    """DDIM on the pipeline's own timestep spacing.

    The neighbour of a timestep is the next in the list; diffusers assumes a uniform stride, which
    is the same wherever the number of steps divides the number of training timesteps. Flow models
    run it on their own noise levels: with η = 1 that is the reverse SDE of the flow, which
    diffusers does not offer.

    Args:
        eta: 0 is deterministic; 1 has the small-step limit of the reverse SDE.
        bound: On x̂₀, as the scheduler's configuration says.
    """

    eta: float = 1.0
    bound: Bound = UNBOUNDED

    @property
    def name(self) -> str:
        """``ddim``."""
        return "ddim"

    def grid(self, config: SchedulerConfig, steps: int, timing: Timing) -> Grid:
        """Timesteps and ᾱ of diffusers' DDIMScheduler, or the noise levels of a flow."""
        check_steps(config, steps)
        if is_flow(config):
            return flow_grid(config, steps, timing)
        scheduler = make_scheduler("DDIMScheduler", config)
        set_timesteps(scheduler, steps, timing)
        return grid_from_alphas_cumprod(
            scheduler.alphas_cumprod.numpy(),
            np.asarray(scheduler.timesteps, dtype=np.float64),
            float(scheduler.final_alpha_cumprod),
        )

    def transition(
        self, grid: Grid, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """One step; a bound on x̂₀ leaves ε̂ alone, as in diffusers."""
        bounded = Prediction(prediction.noise, self.bound(prediction.picture))
        return ddim_step(grid, step, bounded, self.eta)

    @property
    def draws_noise(self) -> bool:
        """From the first η above 0 on."""
        return self.eta > 0

    @property
    def is_sde(self) -> bool:
        """With η = 1 alone.

        With 0 < η < 1 the small-step limit is another SDE, whose path divergence is
        (1 + η²)²/(4η²) times as large. With a bound the drift is not the score's.
        """
        return self.eta == 1 and self.bound.idle

    def describe(self) -> dict[str, Any]:
        """Name and options."""
        return {"sampler": self.name, "eta": self.eta, **self.bound.describe()}


def build(config: SchedulerConfig, eta: float | None) -> Ddim:
    """The sampler for a model; η is 1 unless given."""
    eta = 1.0 if eta is None else float(eta)
    if not 0 <= eta <= 1:
        raise ConjureError(f"eta lies between 0 (deterministic) and 1 (ancestral), not {eta:g}.")
    return Ddim(eta, bound_from(config))
