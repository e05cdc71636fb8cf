"""What has meaning: a generative process, as the engine sees it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from conjure.levels import NoiseLevels

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


OPTIONAL = (
    "decode",  # latent states to pictures (N, H, W, 3) in [0, 1]: figures, finished pictures
    "picture_fingerprint",  # a hash of what decodes
    "reads",  # False where no prompt is read, so that all distances are 0
    "revision", "variant",  # of the model, where it has any: manifests
    "sampler", "grid", "family",  # what two processes must share to be compared on one path
)  # fmt: skip
"""What a process may have beside ``Process``."""


class Process(Protocol):
    """A generative process: a network, a sampler, its steps, its guidance.

    States are tensors of shape ``(n, *shape)`` in variance-preserving units. All methods are
    pure: the same arguments give the same answer, and each row depends on its own inputs alone.
    Randomness is the caller's.
    """

    @property
    def model(self) -> str:
        """The model's name, as it was asked for."""
        ...

    @property
    def levels(self) -> NoiseLevels:
        """The T levels at which the network is asked."""
        ...

    @property
    def visits(self) -> Sequence[int]:
        """The level at which the network is asked at each pass along a path, in order.

        0 … T − 1 for most samplers. Where one asks twice at a level (Heun's method, PNDM), the
        first is a look ahead, at a state off the path; the last is the path's own, and is scored.
        """
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one state."""
        ...

    @property
    def guidance(self) -> float:
        """Classifier-free guidance w ≥ 1; at 1 the unconditional branch is never asked."""
        ...

    @property
    def negative(self) -> str:
        """The prompt of the unconditional branch."""
        ...

    @property
    def batch_size(self) -> int:
        """How many rows one network pass may hold."""
        ...

    @property
    def tunable(self) -> bool:
        """Whether that is a guess, which a long run may better by measuring."""
        ...

    @property
    def draws_noise(self) -> bool:
        """Whether its steps are random: then its chain has a KL divergence."""
        ...

    @property
    def is_sde(self) -> bool:
        """Whether small steps tend to the reverse SDE with the forward g: then that has one."""
        ...

    def describe(self) -> dict[str, Any]:
        """Everything that makes the process what it is, as JSON values."""
        ...

    def fingerprint(self) -> str:
        """A hash of the model's own numbers: what ``describe`` cannot say."""
        ...

    def check(self, prompt: str) -> None:
        """Raise a ConjureError if the process cannot take this prompt."""
        ...

    def prepare(self, prompts: Iterable[str]) -> None:
        """Get ready to be asked under these prompts: encode them together where that is faster."""
        ...

    def place(self, noise: Tensor) -> Tensor:
        """Bring CPU float32 noise to the device and precision in which states are kept."""
        ...

    def prior(self, noise: Tensor) -> Tensor:
        """The first state of a path, from standard normal noise ``(n, *shape)``."""
        ...

    def predict(self, x: Tensor, step: int, prompts: Sequence[str]) -> Prediction:
        """Ask the network: ``x`` of shape ``(n, *shape)`` at visit ``step``, a prompt a row.

        Without guidance: this is the one expensive call, and the engine counts its rows.
        """
        ...

    def transition(
        self, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """Where the sampler goes from visit ``step``, given the guided prediction there.

        ``memory`` is None at the first visit and afterwards what the last transition returned.
        The transition from the last visit leads to the clean picture.
        """
        ...
