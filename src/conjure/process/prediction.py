"""What a network says of a state, and where a sampler goes from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

Ask = Callable[[Tensor, int, Sequence[str]], "Prediction"]
"""States, a visit and a prompt a row → what the network says of them."""

Memory = Any
"""What a sampler carries from step to step (a multistep sampler's last prediction), or None."""


@dataclass(frozen=True)
class Prediction:
    """What a network predicts at a batch of states, in the two forms the estimands need.

    The two say the same (x = αx̂₀ + σε̂), but each is computed from the network's own output, so
    that both keep their precision where α or σ is near 0.

    Args:
        noise: ε̂, shape ``(n, *state)``.
        picture: x̂₀, same shape.
        variance: What a network with a learned variance says of it, same shape: −1 for the
            smallest variance of a step, 1 for the largest (Nichol & Dhariwal 2021, eq. 15).
    """

    noise: Tensor
    picture: Tensor
    variance: Tensor | None = None

    def __getitem__(self, rows: slice | Tensor) -> Prediction:
        variance = None if self.variance is None else self.variance[rows]
        return Prediction(self.noise[rows], self.picture[rows], variance)

    @staticmethod
    def concatenate(parts: Sequence[Prediction]) -> Prediction:
        """The rows of several predictions, one after another."""
        full = [part for part in parts if len(part.noise)] or parts[:1]
        variances = [part.variance for part in full if part.variance is not None]
        return Prediction(
            torch.cat([part.noise for part in full]),
            torch.cat([part.picture for part in full]),
            torch.cat(variances) if len(variances) == len(full) else None,
        )


def guide(conditional: Prediction, unconditional: Prediction, w: float) -> Prediction:
    """Classifier-free guidance: ε̂_∅ + w(ε̂_y − ε̂_∅), which is affine, so x̂₀ follows suit.

    A learned variance is that of the prompt, as in diffusers.
    """
    return Prediction(
        unconditional.noise + w * (conditional.noise - unconditional.noise),
        unconditional.picture + w * (conditional.picture - unconditional.picture),
        conditional.variance,
    )


class Guided(Protocol):
    """What is known of a process' guidance."""

    @property
    def guidance(self) -> float: ...
    @property
    def negative(self) -> str: ...


def predict_guided(
    process: Guided, ask: Ask, x: Tensor, step: int, prompts: Sequence[str]
) -> Prediction:
    """The whole guided prediction: a call a row, and with guidance two.

    Args:
        process: Whose guidance and negative prompt.
        ask: Its ``predict``, or that of a network that counts.
        x: States, shape ``(n, *state)``.
        step: The visit.
        prompts: A prompt a row.
    """
    prediction = ask(x, step, prompts)
    if process.guidance > 1:
        free = ask(x, step, [process.negative] * len(prompts))
        prediction = guide(prediction, free, process.guidance)
    return prediction


def scored_visits(visits: Sequence[int]) -> tuple[int, ...]:
    """Of a path's visits, the one at which each level is scored: the last there.

    >>> scored_visits([0, 1, 1, 2, 2])  # Heun's method looks ahead once a step
    (0, 2, 4)
    """
    return tuple(v for v, level in enumerate(visits) if [*visits[v + 1 : v + 2]] != [level])


@dataclass(frozen=True)
class Transition:
    """The Gaussian from which a sampler draws its next state.

    Args:
        mean: μ, shape ``(n, *state)``.
        std: σ̃, one number a step; 0 for a deterministic step. A sampler whose variance depends
            on the prompt gives a tensor of the shape of ``mean``.
        memory: What the sampler carries to the next step. It belongs to the whole batch: rows
            of a transition, ``transition[rows]``, have none.
    """

    mean: Tensor
    std: float | Tensor
    memory: Memory = None

    def __getitem__(self, rows: slice | Tensor) -> Transition:
        std = self.std[rows] if isinstance(self.std, Tensor) else self.std
        return Transition(self.mean[rows], std)

    def draw(self, noise: Tensor) -> Tensor:
        """The next state, given standard normal noise of the shape of ``mean``."""
        return self.mean + self.std * noise
