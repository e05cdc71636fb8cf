"""What a network in half precision makes of one prompt alone: the floor under its distances."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from conjure.process.marked import Marked
from conjure.process.prediction import Prediction
from conjure.process.wrappers.base import Wrapper

NUDGE = 0.25
"""Of the spacing of numbers in half precision: how far a state is moved.

It is as good as nothing to the network, and yet every rounding on the way falls otherwise: what
comes out differs by rounding alone. (`python -m benchmarks.precision` prints that beside what
rounding really adds to the distance of two prompts.)
"""


class Beside(Marked):
    """A prompt at whose states the network is asked a little beside them."""

    __slots__ = ()


def is_half(dtype: torch.dtype) -> bool:
    """Whether a precision is coarse enough for a floor to matter."""
    return dtype in (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Nudged(Wrapper):
    """Prompts that are ``Beside`` are the same prompts, asked a quarter of a rounding away.

    The distance of a prompt to its other self is the floor under all distances.

    Args:
        process: In half precision.
    """

    def check(self, *prompts: str) -> None:
        """Refuse what the process refuses, without the mark."""
        self.process.check(*map(_plain, prompts))

    def prepare(self, prompts: Iterable[str]) -> None:
        """Marked ones are encoded as the others."""
        self.process.prepare(dict.fromkeys(map(_plain, prompts)))

    def predict(self, x: Tensor, step: int, prompts: Sequence[str]) -> Prediction:
        """The same draw moves all marked states of a step."""
        marked = torch.tensor([isinstance(prompt, Beside) for prompt in prompts], device=x.device)
        random = torch.Generator().manual_seed(step)
        draw = torch.rand(x.shape[1:], generator=random, dtype=torch.float32) - 0.5
        moved = x * (1 + NUDGE * torch.finfo(self.process.dtype).eps * draw.to(x))
        there = torch.where(marked.view(-1, *[1] * (x.dim() - 1)), moved, x)
        return self.process.predict(there, step, list(map(_plain, prompts)))


def _plain(prompt: str) -> str:
    return str(prompt) if isinstance(prompt, Beside) else prompt
