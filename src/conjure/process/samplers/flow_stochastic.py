"""A flow's x̂₀, then fresh noise: diffusers' flow Euler with ``stochastic_sampling``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from conjure.errors import ConjureError
from conjure.process.prediction import Memory, Prediction, Transition
from conjure.process.samplers.base import Grid, SchedulerConfig, Timing, without_eta
from conjure.process.samplers.schedules import check_steps, flow_grid, is_flow


@dataclass(frozen=True)
class FlowStochastic:
    """Jump to the picture, and back to the next level with fresh noise."""

    @property
    def name(self) -> str:
        """``flow-stochastic``."""
        return "flow-stochastic"

    def grid(self, config: SchedulerConfig, steps: int, timing: Timing) -> Grid:
        """The flow's noise levels."""
        check_steps(config, steps)
        return flow_grid(config, steps, timing)

    def transition(
        self, grid: Grid, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """(1 − s′)x̂₀ + s′z, in variance-preserving units."""
        alpha_next, sigma_next = grid.at(step + 1)
        return Transition(alpha_next * prediction.picture, sigma_next)

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
        return {"sampler": self.name, "eta": None, "clip": None}


@without_eta("flow-stochastic")
def build(config: SchedulerConfig) -> FlowStochastic:
    """The sampler for a flow model.

    Raises:
        ConjureError: It is none.
    """
    if not is_flow(config):
        raise ConjureError("flow-stochastic samples flow models, and this is none: use lcm.")
    return FlowStochastic()
