"""A process that is another one in all but what it says otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from conjure.levels import NoiseLevels
from conjure.process.base import OPTIONAL, Process
from conjure.process.prediction import Memory, Prediction, Transition


@dataclass(frozen=True)
class Wrapped:
    """All of a process, handed on.

    Args:
        process: Which.
    """

    process: Process

    @property
    def model(self) -> str:
        """The same."""
        return self.process.model

    @property
    def levels(self) -> NoiseLevels:
        """The same."""
        return self.process.levels

    @property
    def visits(self) -> Sequence[int]:
        """The same."""
        return self.process.visits

    @property
    def shape(self) -> tuple[int, ...]:
        """The same."""
        return self.process.shape

    @property
    def guidance(self) -> float:
        """The same."""
        return self.process.guidance

    @property
    def negative(self) -> str:
        """The same."""
        return self.process.negative

    @property
    def batch_size(self) -> int:
        """The same."""
        return self.process.batch_size

    @property
    def tunable(self) -> bool:
        """The same."""
        return self.process.tunable

    @property
    def draws_noise(self) -> bool:
        """The same."""
        return self.process.draws_noise

    @property
    def is_sde(self) -> bool:
        """The same."""
        return self.process.is_sde

    def describe(self) -> dict[str, Any]:
        """The same."""
        return self.process.describe()

    def fingerprint(self) -> str:
        """The same."""
        return self.process.fingerprint()

    def check(self, prompt: str) -> None:
        """The same."""
        self.process.check(prompt)

    def prepare(self, prompts: Iterable[str]) -> None:
        """The same."""
        self.process.prepare(prompts)

    def place(self, noise: Tensor) -> Tensor:
        """The same."""
        return self.process.place(noise)

    def prior(self, noise: Tensor) -> Tensor:
        """The same."""
        return self.process.prior(noise)

    def predict(self, x: Tensor, step: int, prompts: Sequence[str]) -> Prediction:
        """The same."""
        return self.process.predict(x, step, prompts)

    def transition(
        self, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """The same."""
        return self.process.transition(x, step, prediction, memory)

    def __getattr__(self, name: str) -> Any:
        """What the process has beside, if it has it."""
        if name in OPTIONAL:
            return getattr(self.process, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
