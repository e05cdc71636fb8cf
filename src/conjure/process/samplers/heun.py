"""Heun's method (Karras et al. 2022, Algorithm 1): Euler's step, corrected by a look ahead."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from conjure.levels import NoiseLevels
from conjure.process.prediction import Memory, Prediction, Transition
from conjure.process.samplers.base import Grid, SchedulerConfig, Timing, without_eta
from conjure.process.samplers.schedules import (
    check_steps,
    flow_grid,
    is_flow,
    make_scheduler,
    set_timesteps,
    vp_from_ratio,
)
from conjure.process.samplers.steps import UNBOUNDED, Bound, bound_from


@dataclass(frozen=True)
class Heun:
    """Heun's method on the probability-flow ODE, in the model's own units.

    The network is asked twice at every level but the first: at the end of Euler's step, which is
    off the path, and again where the corrected step has led.

    Args:
        flow: Whether the units are those of a flow, x/(α + σ), or variance-exploding, x/α.
        bound: On x̂₀, as the scheduler's configuration says.
    """

    flow: bool = False
    bound: Bound = UNBOUNDED

    @property
    def name(self) -> str:
        """``heun``."""
        return "heun"

    def grid(self, config: SchedulerConfig, steps: int, timing: Timing) -> Grid:
        """Levels of diffusers' HeunDiscreteScheduler, or of a flow, each visited twice."""
        check_steps(config, steps)
        visits = (0, *(level for level in range(1, steps) for _ in range(2)))
        if self.flow:
            grid = flow_grid(config, steps, timing)
            return replace(grid, timesteps=grid.timesteps[list(visits)], visits=visits)
        scheduler = make_scheduler("HeunDiscreteScheduler", config)
        set_timesteps(scheduler, steps, timing)
        ratio = scheduler.sigmas.double().numpy()
        alpha, sigma = vp_from_ratio(np.concatenate([ratio[:1], ratio[1:-1:2]]))
        return Grid(
            NoiseLevels(alpha, sigma),
            np.asarray(scheduler.timesteps, dtype=np.float64),
            (1.0, 0.0),
            prior_scale=float(scheduler.init_noise_sigma) * float(alpha[0]),
            visits=visits,
        )

    def transition(
        self, grid: Grid, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """From a path's own state Euler's step; from the look ahead, the corrected one."""
        level, scale = self._units(*grid.at(step))
        level_next, scale_next = self._units(*grid.at(step + 1))
        here = x / scale
        slope = (here - self.bound(prediction.picture)) / level
        if memory is None:
            ahead = here + (level_next - level) * slope
            more = step + 2 < len(grid.visits)
            kept = (here, slope, level) if more else None
            return Transition(scale_next * ahead, 0.0, kept)
        start, first, start_level = memory
        corrected = start + (level - start_level) * (first + slope) / 2
        return Transition(scale * corrected, 0.0)

    def _units(self, alpha: float, sigma: float) -> tuple[float, float]:
        """The noise level in the model's own units, and what their x is to be multiplied by."""
        scale = alpha + sigma if self.flow else alpha
        return sigma / scale, scale

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
        return {"sampler": self.name, "eta": None, **self.bound.describe()}


@without_eta("heun")
def build(config: SchedulerConfig) -> Heun:
    """The sampler for a model."""
    flow = is_flow(config)
    return Heun(flow, UNBOUNDED if flow else bound_from({**config, "thresholding": False}))
