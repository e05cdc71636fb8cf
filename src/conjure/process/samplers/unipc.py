"""UniPC (Zhao et al. 2023): a multistep predictor whose last step is corrected at each visit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from conjure.errors import ConjureError
from conjure.levels import Floats
from conjure.process.prediction import Memory, Prediction, Transition
from conjure.process.samplers.base import Grid, SchedulerConfig, Timing, without_eta
from conjure.process.samplers.schedules import check_steps, flow_solver_grid
from conjure.process.samplers.steps import UNBOUNDED, Bound, bound_from, half_log_snr


@dataclass(frozen=True)
class UniPC:
    """UniPC in x̂₀ and log-SNR.

    The network is asked once a step, at the predicted state; its answer first corrects the step
    that led there, and then predicts the next.

    Args:
        order: Of the predictor.
        first: Whether B(h) is h (``bh1``), or e^h − 1 (``bh2``).
        lower_at_end: Whether the order falls towards the end.
        uncorrected: Steps whose corrector is off.
        bound: On x̂₀, as the scheduler's configuration says.
    """

    order: int = 2
    first: bool = False
    lower_at_end: bool = True
    uncorrected: tuple[int, ...] = ()
    bound: Bound = UNBOUNDED

    @property
    def name(self) -> str:
        """``unipc``."""
        return "unipc"

    def grid(self, config: SchedulerConfig, steps: int, timing: Timing) -> Grid:
        """Noise levels of diffusers' UniPCMultistepScheduler."""
        check_steps(config, steps)
        name = "UniPCMultistepScheduler"
        return flow_solver_grid(name, config, steps, timing, predict_x0=True, solver_p=None)

    def transition(
        self, grid: Grid, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """Correct, then predict (Algorithms 5 and 6); remembers x̂₀s, newest first, and x."""
        picture = self.bound(prediction.picture)
        pictures: list[Tensor] = []
        if memory is not None:
            pictures, before, order = memory
            if step - 1 not in self.uncorrected:
                x = self._update(grid, step - 1, before, pictures[:order], picture)
        pictures = [picture, *pictures][: self.order]
        most = self.order
        if self.lower_at_end:
            most = min(most, len(grid.visits) - step)
        order = min(most, len(pictures))
        mean = self._update(grid, step, x, pictures[:order], None)
        return Transition(mean, 0.0, (pictures, x, order))

    def _update(
        self, grid: Grid, step: int, x: Tensor, pictures: list[Tensor], ahead: Tensor | None
    ) -> Tensor:
        """From visit ``step`` to the next, by x̂₀ there and before; and ahead, to correct."""
        (alpha, sigma), (alpha_next, sigma_next) = grid.at(step), grid.at(step + 1)
        here = half_log_snr(alpha, sigma)
        h = half_log_snr(alpha_next, sigma_next) - here
        grown = np.expm1(-h)  # −1 where the next level is clean
        ratios = [(half_log_snr(*grid.at(step - i)) - here) / h for i in range(1, len(pictures))]
        differences = [
            (old - pictures[0]) / ratio for old, ratio in zip(pictures[1:], ratios, strict=True)
        ]
        if ahead is not None:
            differences.append(ahead - pictures[0])
        order = len(pictures)
        if (order == 1 and ahead is not None) or (order == 2 and ahead is None):
            rhos = np.array([0.5])
        else:
            count = order if ahead is not None else order - 1
            rhos = self._weights(np.array([*ratios, 1.0])[:count], h)
        mean = sigma_next / sigma * x - alpha_next * grown * pictures[0]
        step_size = -h if self.first else grown
        for rho, difference in zip(rhos, differences, strict=True):
            mean = mean - alpha_next * step_size * float(rho) * difference
        return mean

    def _weights(self, ratios: Floats, h: float) -> Floats:
        """ρ that makes the update exact for polynomials of λ (eq. 12)."""
        count = len(ratios)
        if not count:
            return np.empty(0)
        grown = np.expm1(-h)
        phi = grown / -h - 1
        size = -h if self.first else grown
        rows, values, factorial = [], [], 1.0
        for i in range(1, count + 1):
            rows.append(ratios ** (i - 1))
            values.append(phi * factorial / size)
            factorial *= i + 1
            phi = phi / -h - 1 / factorial
        return np.linalg.solve(np.array(rows), np.array(values))

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
        about = {"sampler": self.name, "eta": None, **self.bound.describe()}
        about |= {"order": self.order, "first": self.first, "lower": self.lower_at_end}
        return {**about, "uncorrected": list(self.uncorrected)}


@without_eta("unipc")
def build(config: SchedulerConfig) -> UniPC:
    """The sampler for a model."""
    own = config if "predict_x0" in config else {}
    if not own.get("predict_x0", True) or own.get("solver_p") is not None:
        raise ConjureError(
            "The model's scheduler asks for UniPC in the noise, or for another predictor; only the "
            "one in x̂₀ (predict_x0) is supported."
        )
    return UniPC(
        order=int(own.get("solver_order", 2)),
        first=own.get("solver_type", "bh2") == "bh1",
        lower_at_end=bool(own.get("lower_order_final", True)),
        uncorrected=tuple(own.get("disable_corrector") or ()),
        bound=bound_from(config, clips=False),
    )
