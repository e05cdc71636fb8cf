"""DDIM (Song et al. 2021), from the deterministic η = 0 to the ancestral η = 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from conjure.errors import ConjureError
from conjure.process.base import Memory, Prediction, Transition
from conjure.process.samplers.base import (
    Grid,
    SchedulerConfig,
    check_steps,
    clip_from,
    ddim_step,
    grid_from_alphas_cumprod,
)


@dataclass(frozen=True)
class Ddim:
    """DDIM on the pipeline's own timestep spacing.

    The neighbour of a timestep is the next in the list; diffusers assumes a uniform stride, which
    is the same wherever the number of steps divides the number of training timesteps.

    Args:
        eta: 0 is deterministic; 1 has the small-step limit of the reverse SDE.
        clip: Largest |x̂₀| if the scheduler's configuration clips it, else None.
    """

    eta: float = 1.0
    clip: float | None = None

    @property
    def name(self) -> str:
        """``ddim``."""
        return "ddim"

    def grid(self, config: SchedulerConfig, steps: int) -> Grid:
        """Timesteps and ᾱ of diffusers' DDIMScheduler."""
        from diffusers import DDIMScheduler

        check_steps(config, steps)
        scheduler: Any = DDIMScheduler.from_config(dict(config))
        scheduler.set_timesteps(steps)
        return grid_from_alphas_cumprod(
            scheduler.alphas_cumprod.numpy(),
            np.asarray(scheduler.timesteps, dtype=np.float64),
            float(scheduler.final_alpha_cumprod),
        )

    def transition(
        self, grid: Grid, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """One step; clipping bounds x̂₀ and leaves ε̂ alone, as in diffusers."""
        if self.clip is not None:
            picture = prediction.picture.clamp(-self.clip, self.clip)
            prediction = Prediction(prediction.noise, picture)
        return ddim_step(grid, step, prediction, self.eta)

    def is_kl(self, estimand: str) -> bool:
        """`ancestral` wherever there is noise; `girsanov` for the reverse SDE alone (η = 1).

        With 0 < η < 1 the small-step limit is another SDE, whose path divergence is
        (1 + η²)²/(4η²) times as large. With clipping the drift is not the score's.
        """
        if estimand == "ancestral":
            return self.eta > 0
        return estimand == "girsanov" and self.eta == 1 and self.clip is None

    def describe(self) -> dict[str, Any]:
        """Name and options."""
        return {"sampler": self.name, "eta": self.eta, "clip": self.clip}


def build(config: SchedulerConfig, eta: float | None) -> Ddim:
    """The sampler for a model; η is 1 unless given."""
    eta = 1.0 if eta is None else float(eta)
    if not 0 <= eta <= 1:
        raise ConjureError(f"eta lies between 0 (deterministic) and 1 (ancestral), not {eta:g}.")
    return Ddim(eta, clip_from(config))
