"""A weaker diffusion baseline of the paper: predictions compared at the initial noise alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from conjure.engine.ends import first_predictions
from conjure.engine.jobs import Job, Pair, all_jobs, paths_of
from conjure.engine.network import Network
from conjure.engine.scoring import squared_norm
from conjure.errors import ConjureError
from conjure.io.progress import progress_bar
from conjure.methods.base import DIFFUSION, Measured, Request
from conjure.operations.arguments import check_texts
from conjure.process.base import Process
from conjure.store.manifest import make_manifest
from conjure.store.values import kept_values, missing_values

HELD = 2**29
"""Bytes of predictions that are held at a time."""

TOGETHER = 2048
"""Samples of pairs at most between two savings."""


@dataclass(frozen=True)
class InitialTimestep:
    """Column: ‖Δε̂‖² at x_T, or ‖Δx̂₀‖² where there is no signal (α = 0) and ε̂ says nothing.

    Guidance only scales it. A call for each prompt and sample.
    """

    request: Request
    process: Process
    name: str = "initial-timestep"
    group: str = DIFFUSION

    @property
    def settings(self) -> dict[str, Any]:
        """The process, of which only the first state matters."""
        return {"method": self.name, **make_manifest(self.process, self.request.seed)}

    @property
    def column(self) -> str:
        """What is compared."""
        return "picture" if self.process.levels.pure_noise else "noise"

    def check(self, texts: Iterable[str]) -> None:
        """By the length that the text encoder reads."""
        check_texts(self.process, texts)

    def cost(self, pairs: Sequence[Pair], folder: Path | None) -> int:
        """One a text and sample, in each part of the pairs that it is in."""
        jobs = missing_values(folder, all_jobs(pairs, self.request.samples))
        parts = range(0, len(jobs), self._together)
        return sum(len(paths_of(jobs[start : start + self._together])) for start in parts)

    @property
    def _together(self) -> int:
        """Samples of pairs in a part, which is kept when it is done.

        Two states each, at which noise and picture are said, in float64.
        """
        return max(1, min(TOGETHER, HELD // (32 * math.prod(self.process.shape))))

    def measure(self, pairs: Sequence[Pair], folder: Path) -> Measured:
        """Prompts in a part of the pairs are asked once; across parts, again."""
        network, k = Network(self.process), self.request.samples

        def compute(jobs: Sequence[Job]) -> np.ndarray:
            rows = {path: row for row, path in enumerate(paths_of(jobs))}
            prediction = first_predictions(self.process, network, list(rows), self.request.seed)
            values = prediction.noise if self.column == "noise" else prediction.picture
            a = torch.tensor([rows[job.a, job.sample] for job in jobs])
            b = torch.tensor([rows[job.b, job.sample] for job in jobs])
            return squared_norm(values[a] - values[b])[:, None]

        with progress_bar("Initial timestep", None, shown=self.request.progress) as bar:
            network.on_calls = bar.advance
            found = kept_values(
                folder, all_jobs(pairs, k), 1, compute, self._together,
                lambda missing: bar.expect(len(paths_of(missing))),
            )  # fmt: skip
        return Measured({self.column: found.reshape(len(pairs), k)}, network.calls, k)


def build(request: Request, argument: str | None) -> InitialTimestep:
    """The method ``initial-timestep``."""
    if argument is not None:
        raise ConjureError("initial-timestep takes no name: the model is that of --model.")
    return InitialTimestep(request, request.process)
