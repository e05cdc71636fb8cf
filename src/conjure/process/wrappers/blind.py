"""The process without meaning: one that does not read its prompt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from conjure.process.prediction import Prediction
from conjure.process.wrappers.base import Wrapper


@dataclass(frozen=True)
class Blind(Wrapper):
    """A process that conjures the same from every prompt, so that all distances are 0.

    The weights are as they were: meaning belongs to the process.

    Args:
        process: What it would be, if it read.
    """

    @property
    def reads_prompts(self) -> bool:
        """No: nothing need be measured to know its distances, and rounding cannot blur them."""
        return False

    @property
    def guidance(self) -> float:
        """There is nothing to guide by."""
        return 1.0

    def describe(self) -> dict[str, Any]:
        """The process, with a word that prompts are not read."""
        return {**self.process.describe(), "prompt": "ignored"}

    def prepare(self, prompts: Iterable[str]) -> None:
        """One prompt will do."""
        self.process.prepare([self.process.negative])

    def predict(self, x: Tensor, step: int, prompts: Sequence[str]) -> Prediction:
        """What the network says under the negative prompt."""
        return self.process.predict(x, step, [self.process.negative] * len(prompts))
