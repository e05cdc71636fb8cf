"""PNDM (Liu et al. 2022) as Stable Diffusion runs it: linear multistep, without Runge–Kutta."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjure.errors import ConjureError
from conjure.process.parametrization import to_prediction
from conjure.process.prediction import Memory, Prediction, Transition
from conjure.process.samplers.base import Grid, SchedulerConfig, Timing, without_eta
from conjure.process.samplers.schedules import (
    check_steps,
    grid_from_alphas_cumprod,
    make_scheduler,
    refuse_flow,
    set_timesteps,
)
from conjure.process.samplers.steps import ddim_step

ADAMS_BASHFORTH = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}
"""Weights of the last predictions, newest first."""


@dataclass(frozen=True)
class Pndm:
    """DDIM's deterministic step with ε̂ extrapolated from up to four predictions.

    The second level is visited twice: the first time as a look ahead, by which the first step is
    corrected. As in diffusers, what is extrapolated is what the network predicts, ε or v.

    Args:
        velocity: Whether that is v.
    """

    velocity: bool = False

    @property
    def name(self) -> str:
        """``pndm``."""
        return "pndm"

    def grid(self, config: SchedulerConfig, steps: int, timing: Timing) -> Grid:
        """Timesteps and ᾱ of diffusers' PNDMScheduler with ``skip_prk_steps``."""
        check_steps(config, steps)
        scheduler = make_scheduler("PNDMScheduler", config, skip_prk_steps=True)
        set_timesteps(scheduler, steps, timing)
        timesteps = np.asarray(scheduler.timesteps, dtype=np.float64)
        kept = timesteps if steps < 2 else np.delete(timesteps, 1)
        grid = grid_from_alphas_cumprod(
            scheduler.alphas_cumprod.numpy(), kept, float(scheduler.final_alpha_cumprod)
        )
        if grid.levels.alpha[0] == 0:
            raise ConjureError("pndm cannot start at zero signal-to-noise: use ddim.")
        visits = (0,) if steps < 2 else (0, 1, *range(1, steps))
        return replace(grid, timesteps=timesteps, visits=visits)

    def transition(
        self, grid: Grid, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """Remembers the last predictions, newest first, and where the first step began."""
        history, begin = ([], None) if memory is None else memory
        alpha, sigma = grid.at(step)
        new = prediction.noise
        if self.velocity:
            new = alpha * prediction.noise - sigma * prediction.picture
        if begin is not None:  # back to the first state, with the mean of here and there
            used, place = (new + history[0]) / 2, 0
            x, kept = begin, (history, None)
        else:
            history = [new, *history][:4]
            weights = ADAMS_BASHFORTH[len(history)]
            used = torch.stack([w * part for w, part in zip(weights, history, strict=True)]).sum(0)
            again = step == 0 and len(grid.visits) > 1
            place, kept = step, (history, x if again else None)
        alpha, sigma = grid.at(place)
        kind = "v_prediction" if self.velocity else "epsilon"
        move = ddim_step(grid, place, to_prediction(kind, used, x, alpha, sigma), eta=0.0)
        return Transition(move.mean, 0.0, kept)

    @property
    def draws_noise(self) -> bool:
        """Never: its steps are deterministic."""
        return False

    @property
    def is_sde(self) -> bool:
        """Never: an ODE has no path divergence."""
        return False

    def describe(self) -> dict[str, Any]:
        """Name and options."""
        return {"sampler": self.name, "eta": None, "clip": None}


@without_eta("pndm")
def build(config: SchedulerConfig) -> Pndm:
    """The sampler for a model."""
    refuse_flow("pndm", config, "use euler, heun, dpm++ or unipc")
    if config.get("prediction_type", "epsilon") not in ("epsilon", "v_prediction"):
        raise ConjureError("pndm runs models that predict ε or v: use ddim.")
    return Pndm(velocity=config.get("prediction_type") == "v_prediction")
