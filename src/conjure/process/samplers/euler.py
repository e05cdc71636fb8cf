"""Euler steps in σ/α (Karras et al. 2022, Algorithm 2 without churn), and the ancestral form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from conjure.process.prediction import Memory, Prediction, Transition
from conjure.process.samplers.base import Grid, SchedulerConfig, Timing, without_eta
from conjure.process.samplers.schedules import (
    check_steps,
    flow_grid,
    grid_from_sigmas,
    is_flow,
    make_scheduler,
    refuse_flow,
    set_timesteps,
)
from conjure.process.samplers.steps import ddim_step


@dataclass(frozen=True)
class Euler:
    """Euler's method on the probability-flow ODE, or its ancestral form.

    Both work in variance-exploding units, x/α; in variance-preserving ones they are DDIM's step
    with η = 0 and η = 1, on a grid of their own (interpolated timesteps, σ/α to 0 at the end).
    Euler's method on a flow is DDIM's step with η = 0 as well.

    Args:
        ancestral: Whether each step draws fresh noise.
    """

    ancestral: bool = False

    @property
    def name(self) -> str:
        """``euler`` or ``euler-ancestral``."""
        return "euler-ancestral" if self.ancestral else "euler"

    def grid(self, config: SchedulerConfig, steps: int, timing: Timing) -> Grid:
        """Timesteps and σ/α of diffusers' Euler schedulers, or the noise levels of a flow."""
        check_steps(config, steps)
        if is_flow(config):
            return flow_grid(config, steps, timing)
        ancestral = "Ancestral" if self.ancestral else ""
        scheduler = make_scheduler(f"Euler{ancestral}DiscreteScheduler", config)
        set_timesteps(scheduler, steps, timing)
        grid = grid_from_sigmas(scheduler, flow=False)
        # The path starts at init_noise_sigma times noise in units of x/α.
        start = float(scheduler.init_noise_sigma) * grid.at(0)[0]
        return replace(grid, prior_scale=start)

    def transition(
        self, grid: Grid, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """One step."""
        return ddim_step(grid, step, prediction, eta=1.0 if self.ancestral else 0.0)

    @property
    def draws_noise(self) -> bool:
        """In the ancestral form."""
        return self.ancestral

    @property
    def is_sde(self) -> bool:
        """In that form; an ODE has no path divergence."""
        return self.ancestral

    def describe(self) -> dict[str, Any]:
        """Name and options."""
        return {"sampler": self.name, "eta": None, "clip": None}


@without_eta("euler")
def build(config: SchedulerConfig) -> Euler:
    """Euler's method."""
    return Euler(ancestral=False)


@without_eta("euler-ancestral")
def build_ancestral(config: SchedulerConfig) -> Euler:
    """Its ancestral form."""
    refuse_flow("euler-ancestral", config, "its reverse SDE is the ddim sampler with eta 1")
    return Euler(ancestral=True)
