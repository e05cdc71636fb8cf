"""Euler steps in σ/α (Karras et al. 2022, Algorithm 2 without churn), and the ancestral form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from conjure.levels import NoiseLevels
from conjure.process.base import Memory, Prediction, Transition
from conjure.process.samplers.base import Grid, SchedulerConfig, check_steps, ddim_step, refuse_eta


@dataclass(frozen=True)
class Euler:
    """Euler's method on the probability-flow ODE, or its ancestral form.

    Both work in variance-exploding units, x/α; in variance-preserving ones they are DDIM's step
    with η = 0 and η = 1, on a grid of their own (interpolated timesteps, σ/α to 0 at the end).

    Args:
        ancestral: Whether each step draws fresh noise.
    """

    ancestral: bool = False

    @property
    def name(self) -> str:
        """``euler`` or ``euler-ancestral``."""
        return "euler-ancestral" if self.ancestral else "euler"

    def grid(self, config: SchedulerConfig, steps: int) -> Grid:
        """Timesteps and σ/α of diffusers' Euler schedulers."""
        from diffusers import EulerAncestralDiscreteScheduler, EulerDiscreteScheduler

        check_steps(config, steps)
        scheduler_class = (
            EulerAncestralDiscreteScheduler if self.ancestral else EulerDiscreteScheduler
        )
        scheduler: Any = scheduler_class.from_config(dict(config))
        scheduler.set_timesteps(steps)
        ratio = scheduler.sigmas.numpy().astype(np.float64)
        alpha = 1 / np.sqrt(1 + ratio**2)
        sigma = ratio * alpha
        return Grid(
            NoiseLevels(alpha[:-1], sigma[:-1]),
            np.asarray(scheduler.timesteps, dtype=np.float64),
            (float(alpha[-1]), float(sigma[-1])),
            # The path starts at init_noise_sigma times noise in units of x/α.
            prior_scale=float(scheduler.init_noise_sigma) * float(alpha[0]),
        )

    def transition(
        self, grid: Grid, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """One step."""
        return ddim_step(grid, step, prediction, eta=1.0 if self.ancestral else 0.0)

    def is_kl(self, estimand: str) -> bool:
        """Both for the ancestral form; an ODE has no path divergence."""
        return self.ancestral and estimand in ("girsanov", "ancestral")

    def describe(self) -> dict[str, Any]:
        """Name and options."""
        return {"sampler": self.name, "eta": None, "clip": None}


def build(config: SchedulerConfig, eta: float | None) -> Euler:
    """Euler's method."""
    refuse_eta("euler", eta)
    return Euler(ancestral=False)


def build_ancestral(config: SchedulerConfig, eta: float | None) -> Euler:
    """Its ancestral form."""
    refuse_eta("euler-ancestral", eta)
    return Euler(ancestral=True)
