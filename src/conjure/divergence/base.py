"""What the estimands are computed from, and the form in which they answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal, Protocol

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

    def __repr__(self) -> str:
        return f"<Squares of {self.samples} samples at {self.noise.shape[-1]} states>"

    @property
    def samples(self) -> int:
        """How many samples k the squares hold."""
        return len(self.noise)

    def first(self, samples: int) -> Squares:
        """Of the first so many samples alone."""
        return Squares(*(getattr(self, field)[:samples] for field in FIELDS))

    @staticmethod
    def concatenate(parts: list[Squares]) -> Squares:
        """The samples of several runs of one pair, one after another."""
        return Squares(*(np.concatenate([getattr(p, f) for p in parts]) for f in FIELDS))


FIELDS = tuple(field.name for field in fields(Squares))
"""The squares' names, in the order in which they are stored."""


class Law(Protocol):
    """What a process says of the law of its paths."""

    @property
    def draws_noise(self) -> bool: ...
    @property
    def is_sde(self) -> bool: ...


@dataclass(frozen=True)
class Estimand:
    """One way to sum a run's squared differences into a distance.

    Args:
        name: How users ask for it.
        terms: Maps squares and levels to ``(k, 2, T)`` contributions. A sample's distance is
            half their sum over paths and states; where the estimand is a divergence, half the sum
            over path 0 is its sample of KL(P₁‖P₂) and over path 1 of KL(P₂‖P₁).
        of: Whose KL divergence its two halves are: of the ``"sde"`` that small steps tend to (where
            there is none, the value is a score distance), of the sampler's own ``"chain"`` (where
            it draws no noise, there is no value), or of none.
        minimum_steps: The fewest scored states for which it exists.
        by_path: Whether a half is what the states of one path contribute, so that it can be shown
            beside their pictures.
    """

    name: str
    terms: Callable[[Squares, NoiseLevels], Floats]
    of: Literal["sde", "chain"] | None = None
    minimum_steps: int = 1
    by_path: bool = True

    def is_kl(self, process: Law) -> bool:
        """Whether it is a Jeffreys divergence, in nats, for this process."""
        if self.of == "sde":
            return process.is_sde
        return self.of == "chain" and process.draws_noise
