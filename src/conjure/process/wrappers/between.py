"""Two processes as one: what they say of the same states under one prompt."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjure.process.base import Defaults, Process, check_finite
from conjure.process.prediction import Prediction, predict_guided
from conjure.process.reading import Read
from conjure.process.samplers.base import Grid, Sampler

FIRST, SECOND = "A: ", "B: "
"""What stands before a prompt, to say under which of the two processes it is meant."""


@dataclass(frozen=True)
class Between(Defaults):
    """Two processes over the same states, with one sampler and the same noise levels.

    Its prompts are those of either, marked with ``FIRST`` or ``SECOND``; the divergence of
    the two marks of one prompt is that of the two processes under it. Nothing of guidance cancels
    between two networks: predictions are the full guided ones, and ``guidance`` is 1 out here.

    Args:
        first: Whose sampler leads, and who decodes.
        second: The other.
    """

    first: Process
    second: Process

    def __repr__(self) -> str:
        return f"<Between {self.first!r} and {self.second!r}>"

    @property
    def model(self) -> str:
        """Both names."""
        return f"{self.first.model} | {self.second.model}"

    @property
    def sampler(self) -> Sampler:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Which both share."""
        return self.first.sampler

    @property
    def grid(self) -> Grid:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Which both share, too."""
        return self.first.grid

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a state of either."""
        return self.first.shape

    @property
    def guidance(self) -> float:
        """1: what the two do inside is theirs."""
        return 1.0

    @property
    def negative(self) -> str:
        """Never asked for."""
        return FIRST

    @property
    def dtype(self) -> torch.dtype:
        """That of both. Of two precisions there is none: what sets them apart is what is asked."""
        same = self.first.dtype == self.second.dtype
        return self.first.dtype if same else torch.float64

    @property
    def device(self) -> torch.device:
        """Of the first."""
        return self.first.device

    @property
    def batch_size(self) -> int:
        """Of its rows either has about half, in passes of its own."""
        return 2 * min(self.first.batch_size, self.second.batch_size)

    def calls_for(self, rows: int) -> int:
        """Either process has half of the rows; with guidance it asks twice."""
        cost = [2 if p.guidance > 1 else 1 for p in (self.first, self.second)]
        return rows * sum(cost) // 2

    def describe(self) -> dict[str, Any]:
        """Both; the precision is told as that of the first."""
        first, second = self.first.describe(), self.second.describe()
        shared = {k: v for k, v in first.items() if second.get(k) == v}
        return {
            **shared,
            "dtype": first.get("dtype", "float64"),
            "first": {k: v for k, v in first.items() if k not in shared},
            "second": {k: v for k, v in second.items() if k not in shared},
        }

    def fingerprint(self) -> str:
        """A hash of both fingerprints."""
        both = f"{self.first.fingerprint()} {self.second.fingerprint()}"
        return hashlib.blake2b(both.encode(), digest_size=16).hexdigest()

    def check(self, *prompts: str) -> None:
        """As the process that is meant."""
        for mark, process in ((FIRST, self.first), (SECOND, self.second)):
            own = [prompt[len(mark) :] for prompt in prompts if prompt.startswith(mark)]
            if own:
                process.check(*own)

    def read(self, prompts: Sequence[str]) -> list[Read]:
        """What the process that is meant reads; a prompt of the one is none of the other."""
        found = []
        for prompt in prompts:
            meant = self.first if prompt.startswith(FIRST) else self.second
            (read,) = meant.read([prompt[len(FIRST) :]])
            found.append(read._replace(meaning=(prompt[: len(FIRST)], read.meaning)))
        return found

    def prepare(self, prompts: Iterable[str]) -> None:
        """Both encode what is meant for them, and their negative prompts."""
        some = list(prompts)
        for mark, process in ((FIRST, self.first), (SECOND, self.second)):
            own = [prompt[len(mark) :] for prompt in some if prompt.startswith(mark)]
            if own:
                process.prepare([*own, process.negative] if process.guidance > 1 else own)

    def place(self, noise: Tensor) -> Tensor:
        """Where the first keeps its states."""
        return self.first.place(noise)

    def predict(self, x: Tensor, step: int, prompts: Sequence[str]) -> Prediction:
        """Full guided predictions, each row by the process that its prompt is marked with."""
        parts: list[Prediction] = []
        order: list[int] = []
        for mark, process in ((FIRST, self.first), (SECOND, self.second)):
            rows = [row for row, prompt in enumerate(prompts) if prompt.startswith(mark)]
            if not rows:
                continue
            own = [prompts[row][len(mark) :] for row in rows]
            there = process.place(x[rows])
            prediction = predict_guided(process, process.predict, there, step, own)
            check_finite(prediction, step, process)
            variance = None if prediction.variance is None else prediction.variance.to(x)
            parts.append(Prediction(prediction.noise.to(x), prediction.picture.to(x), variance))
            order += rows
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(order))
        return Prediction.concatenate(parts)[back]

    @property
    def has_pictures(self) -> bool:
        """Where the first has."""
        return self.first.has_pictures

    def decode(self, states: Tensor) -> np.ndarray:
        """By the first."""
        return self.first.decode(states)


def why_apart(first: Process, second: Process) -> str | None:
    """Why no path divergence can be taken between two processes, or None if it can."""
    if first.shape != second.shape:
        return f"their states differ in shape ({first.shape} and {second.shape})"
    if first.sampler != second.sampler:
        return f"their samplers differ ({first.sampler} and {second.sampler})"
    ends = [np.hstack((p.grid.prior_scale, p.grid.final)) for p in (first, second)]
    if not np.allclose(*ends, atol=1e-6):
        return "their paths begin or end otherwise"
    if list(first.visits) != list(second.visits) or not (
        np.allclose(first.levels.alpha, second.levels.alpha, atol=1e-6)
        and np.allclose(first.levels.sigma, second.levels.sigma, atol=1e-6)
    ):
        return "their noise levels differ"
    if not _same_latents(first.codec, second.codec):
        return "their autoencoders differ, so that one latent is another picture"
    return None


def _same_latents(first: Any, second: Any) -> bool:
    """Whether two autoencoders make the same latents of a picture.

    Decoders may be tuned without moving those; and a lower precision does not move them far.
    """
    if first is second:
        return True
    if first is None or second is None:
        return False
    for name in ("scaling_factor", "shift_factor"):
        if getattr(first.config, name, None) != getattr(second.config, name, None):
            return False
    one, other = first.encoder.state_dict(), second.encoder.state_dict()
    return one.keys() == other.keys() and all(
        one[key].shape == other[key].shape
        and torch.allclose(one[key].cpu().float(), other[key].cpu().float(), rtol=0.02, atol=1e-3)
        for key in one
    )
