"""What the estimands are computed from, and the form in which they answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from conjure.levels import Floats, NoiseLevels


@dataclass(frozen=True)
class Squares:
    """Squared differences between two prompts' predictions, along both prompts' paths.

    Everything the estimands need of a run, and small enough to keep: four numbers a sample,
    path and state. Each array has shape ``(k, 2, T)``: samples, path (0 denoised under the first
    prompt, 1 under the second), scored states; float64.

    Args:
        noise: ‖ε̂(x|y₁) − ε̂(x|y₂)‖², guided predictions of the noise at the path's own state.
        picture: ‖x̂₀(x|y₁) − x̂₀(x|y₂)‖² at the same states.
        step: Twice the KL divergence between the sampler's own next-state distributions under
            the prompt of the path and under the other, given the path: ‖Δμ‖²/σ̃² where the
            variance does not depend on the prompt. NaN where the step adds no noise, and at the
            last state, whose map to the clean picture is left out.
        printed: ‖ŝ(x¹|y₁) − ŝ(x²|y₂)‖² in row 0 and ‖ŝ(x²|y₁) − ŝ(x¹|y₂)‖² in row 1, the
            squares of Algorithm 1 as it is printed: scores at *different* states.
    """

    noise: Floats
    picture: Floats
    step: Floats
    printed: Floats

    @property
    def samples(self) -> int:
        """How many samples k the squares hold."""
        return len(self.noise)

    @staticmethod
    def concatenate(parts: list[Squares]) -> Squares:
        """The samples of several runs of one pair, one after another."""
        fields = ("noise", "picture", "step", "printed")
        return Squares(*(np.concatenate([getattr(p, f) for p in parts]) for f in fields))


@dataclass(frozen=True)
class Estimand:
    """One way to sum a run's squared differences into a distance.

    Args:
        name: How users ask for it.
        terms: Maps squares and levels to ``(k, 2, T)`` contributions. A sample's distance is
            half their sum over paths and states; where the estimand is a divergence, half the sum
            over path 0 is its sample of KL(P₁‖P₂) and over path 1 of KL(P₂‖P₁).
        unit: ``"nats"`` where the value is a divergence for some process, else ``""``.
        source: The equation or paper it is from.
        minimum_steps: The fewest scored states for which it exists.
        needs_noise: Whether it exists only for samplers that add noise.
    """

    name: str
    terms: Callable[[Squares, NoiseLevels], Floats]
    unit: str
    source: str
    minimum_steps: int = 1
    needs_noise: bool = False
