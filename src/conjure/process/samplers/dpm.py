"""DPM-Solver++ (Lu et al. 2022): multistep, in x̂₀ and log-SNR; its ODE and its SDE."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from conjure.errors import ConjureError
from conjure.process.prediction import Memory, Prediction, Transition
from conjure.process.samplers.base import Grid, SchedulerConfig, Timing, without_eta
from conjure.process.samplers.schedules import check_steps, flow_solver_grid
from conjure.process.samplers.steps import UNBOUNDED, Bound, bound_from, half_log_snr


@dataclass(frozen=True)
class DpmSolver:
    """DPM-Solver++(2M), or its SDE.

    The SDE's small-step limit is the reverse SDE with the forward g, and its first-order step is
    DDIM's with η = 1. The second order carries the last x̂₀ along: given what a path has been
    through, its step is still a Gaussian, and `ancestral` its divergence.

    Args:
        stochastic: Whether it is the SDE.
        order: 1 or 2.
        heun: How the second order is taken: by Heun's rule, or at the midpoint.
        first_at_end: When the last step is of first order: always, or in fewer than 15 steps.
        bound: On x̂₀, as the scheduler's configuration says.
    """

    stochastic: bool
    order: int = 2
    heun: bool = False
    first_at_end: tuple[bool, bool] = (True, True)
    bound: Bound = UNBOUNDED

    @property
    def name(self) -> str:
        """``dpm++`` or ``dpm++-sde``."""
        return "dpm++-sde" if self.stochastic else "dpm++"

    def grid(self, config: SchedulerConfig, steps: int, timing: Timing) -> Grid:
        """Noise levels of diffusers' DPMSolverMultistepScheduler."""
        check_steps(config, steps)
        name = "DPMSolverMultistepScheduler"
        return flow_solver_grid(name, config, steps, timing, algorithm_type="dpmsolver++")

    def transition(
        self, grid: Grid, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """One step of the first or second order (eqs. 4.1 and 4.2, and their SDE forms in A)."""
        (alpha, sigma), (alpha_next, sigma_next) = grid.at(step), grid.at(step + 1)
        picture = self.bound(prediction.picture)
        kept = sigma_next / sigma * alpha / alpha_next  # e^(−h), h = Δλ/2
        shrink = kept**2 if self.stochastic else kept
        mean = sigma_next / sigma * (kept if self.stochastic else 1.0) * x
        mean = mean + alpha_next * (1 - shrink) * picture
        last = step + 1 == len(grid.visits)
        always, in_few = self.first_at_end
        first = last and (always or (in_few and len(grid.visits) < 15))
        if self.order == 2 and memory is not None and not first:
            h = half_log_snr(alpha_next, sigma_next) - half_log_snr(alpha, sigma)
            before = half_log_snr(alpha, sigma) - half_log_snr(*grid.at(step - 1))
            slope = h / before * (picture - memory)
            twice = 2 * h if self.stochastic else h
            weight = (shrink - 1) / twice + 1 if self.heun else (1 - shrink) / 2
            mean = mean + alpha_next * weight * slope
        std = sigma_next * math.sqrt(1 - shrink) if self.stochastic else 0.0
        return Transition(mean, std, picture)

    @property
    def draws_noise(self) -> bool:
        """In its SDE form."""
        return self.stochastic

    @property
    def is_sde(self) -> bool:
        """In that form, but not with a bound, which bends the drift."""
        return self.stochastic and self.bound.idle

    def describe(self) -> dict[str, Any]:
        """Name and options."""
        about = {"sampler": self.name, "eta": None, **self.bound.describe()}
        return {**about, "order": self.order, "heun": self.heun, "first": list(self.first_at_end)}


@without_eta("dpm++")
def build(config: SchedulerConfig) -> DpmSolver:
    """Its ODE."""
    return _build(config, stochastic=False)


@without_eta("dpm++-sde")
def build_sde(config: SchedulerConfig) -> DpmSolver:
    """Its SDE."""
    return _build(config, stochastic=True)


def _build(config: SchedulerConfig, *, stochastic: bool) -> DpmSolver:
    # Only a configuration of its own kind speaks of its order.
    own = config if "algorithm_type" in config else {}
    order = int(own.get("solver_order", 2))
    if order not in (1, 2):
        raise ConjureError(
            f"The model's scheduler asks for DPM-Solver++ of order {order}; 1 and 2 are supported."
        )
    zero = own.get("final_sigmas_type", "zero") == "zero"
    return DpmSolver(
        stochastic,
        order,
        heun=own.get("solver_type", "midpoint") == "heun",
        first_at_end=(
            bool(own.get("euler_at_final", False)) or zero,
            bool(own.get("lower_order_final", True)),
        ),
        bound=bound_from(config, clips=False),
    )
