"""Two processes as one, so that a prompt under the first can be compared to it under the other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjure.levels import NoiseLevels
from conjure.process.base import Process, check_finite
from conjure.process.prediction import Memory, Prediction, Transition, guide

FIRST, SECOND = "A: ", "B: "
"""What stands before a prompt, to say under which of the two processes it is meant."""


@dataclass(frozen=True)
class Between:
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

    @property
    def model(self) -> str:
        """Both names."""
        return f"{self.first.model} | {self.second.model}"

    @property
    def levels(self) -> NoiseLevels:
        """Those of both."""
        return self.first.levels

    @property
    def visits(self) -> Sequence[int]:
        """Those of both."""
        return self.first.visits

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
    def batch_size(self) -> int:
        """Of its rows either has about half, in passes of its own."""
        return 2 * min(self.first.batch_size, self.second.batch_size)

    @property
    def tunable(self) -> bool:
        """It is as it is."""
        return False

    def calls(self, rows: int) -> int:
        """Network calls of so many rows, of which either process has half."""
        cost = [2 if p.guidance > 1 else 1 for p in (self.first, self.second)]
        return rows * sum(cost) // 2

    @property
    def draws_noise(self) -> bool:
        """Where both do."""
        return self.first.draws_noise and self.second.draws_noise

    @property
    def is_sde(self) -> bool:
        """Where both are."""
        return self.first.is_sde and self.second.is_sde

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
        """Of both."""
        both = f"{self.first.fingerprint()} {self.second.fingerprint()}"
        return hashlib.blake2b(both.encode(), digest_size=16).hexdigest()

    def check(self, prompt: str) -> None:
        """As the one that is meant."""
        self._of(prompt).check(prompt[len(FIRST) :])

    def prepare(self, prompts: Iterable[str]) -> None:
        """Both encode what is meant for them, and their negative prompts."""
        some = list(prompts)
        for mark, process in ((FIRST, self.first), (SECOND, self.second)):
            own = [prompt[len(mark) :] for prompt in some if prompt.startswith(mark)]
            if own:
                process.prepare([*own, process.negative] if process.guidance > 1 else own)

    def place(self, noise: Tensor) -> Tensor:
        """As the first."""
        return self.first.place(noise)

    def prior(self, noise: Tensor) -> Tensor:
        """As both."""
        return self.first.prior(noise)

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
            said = process.predict(there, step, own)
            if process.guidance > 1:
                free = process.predict(there, step, [process.negative] * len(rows))
                said = guide(said, free, process.guidance)
            check_finite(said, step, process)
            variance = None if said.variance is None else said.variance.to(x)
            parts.append(Prediction(said.noise.to(x), said.picture.to(x), variance))
            order += rows
        back = torch.empty(len(order), dtype=torch.long)
        back[torch.tensor(order)] = torch.arange(len(order))
        return Prediction.concatenate(parts)[back]

    def transition(
        self, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """The sampler's step, which both share."""
        return self.first.transition(x, step, prediction, memory)

    def decode(self, states: Tensor) -> np.ndarray:
        """Clean states as pictures, by the first."""
        return self.first.decode(states)  # pyright: ignore[reportAttributeAccessIssue]

    def _of(self, prompt: str) -> Process:
        return self.first if prompt.startswith(FIRST) else self.second


def why_apart(first: Process, second: Process) -> str | None:
    """Why no path divergence can be taken between two processes, or None if it can."""
    if first.shape != second.shape:
        return f"their states differ in shape ({first.shape} and {second.shape})"
    samplers = [getattr(process, "sampler", None) for process in (first, second)]
    if samplers[0] != samplers[1]:
        return f"their samplers differ ({samplers[0]} and {samplers[1]})"
    grids = [getattr(process, "grid", None) for process in (first, second)]
    ends = [None if grid is None else (grid.prior_scale, grid.final) for grid in grids]
    if not np.allclose(*(np.hstack(end or (0, 0, 0)) for end in ends), atol=1e-6):
        return "their paths begin or end otherwise"
    if list(first.visits) != list(second.visits) or not (
        np.allclose(first.levels.alpha, second.levels.alpha, atol=1e-6)
        and np.allclose(first.levels.sigma, second.levels.sigma, atol=1e-6)
    ):
        return "their noise levels differ"
    if not _same_latents(first, second):
        return "their autoencoders differ, so that one latent is another picture"
    return None


def _same_latents(first: Process, second: Process) -> bool:
    """Whether both make the same latents of a picture.

    Decoders may be tuned without moving those; and a lower precision does not move them far.
    """
    pipelines = [getattr(getattr(p, "family", None), "pipeline", None) for p in (first, second)]
    codecs = [getattr(pipeline, "vae", None) for pipeline in pipelines]
    first_codec, second_codec = codecs
    if first_codec is second_codec:
        return True
    if first_codec is None or second_codec is None:
        return False
    for name in ("scaling_factor", "shift_factor"):
        if getattr(first_codec.config, name, None) != getattr(second_codec.config, name, None):
            return False
    one, other = first_codec.encoder.state_dict(), second_codec.encoder.state_dict()
    return one.keys() == other.keys() and all(
        one[key].shape == other[key].shape
        and torch.allclose(one[key].cpu().float(), other[key].cpu().float(), rtol=0.02, atol=1e-3)
        for key in one
    )
