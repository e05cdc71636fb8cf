"""A weaker diffusion baseline of the paper: predictions compared at the initial noise alone."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjure.engine.ends import first_predictions
from conjure.engine.jobs import Job, Pair, PathKey, all_jobs, paths_of
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
"""Bytes of predictions that are remembered."""

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
        """One a text and sample. More where a text returns after it was forgotten."""
        return len(paths_of(missing_values(folder, all_jobs(pairs, self.request.samples))))

    @property
    def _held(self) -> int:
        """Predictions, in float64, that are remembered."""
        return max(2, HELD // (8 * math.prod(self.process.shape)))

    def measure(self, pairs: Sequence[Pair], folder: Path) -> Measured:
        """Prompts are asked once, while they are remembered."""
        network, k = Network(self.process), self.request.samples
        made: OrderedDict[PathKey, Tensor] = OrderedDict()

        def compute(jobs: Sequence[Job]) -> np.ndarray:
            needed = paths_of(jobs)
            if missing := [path for path in needed if path not in made]:
                prediction = first_predictions(self.process, network, missing, self.request.seed)
                values = prediction.noise if self.column == "noise" else prediction.picture
                made.update((path, row.clone()) for path, row in zip(missing, values, strict=True))
            a = torch.stack([made[job.a, job.sample] for job in jobs])
            b = torch.stack([made[job.b, job.sample] for job in jobs])
            for path in needed:
                made.move_to_end(path)
            while len(made) > self._held:
                made.popitem(last=False)
            return squared_norm(a - b)[:, None]

        with progress_bar("Initial timestep", None, shown=self.request.progress) as bar:
            network.on_calls = bar.advance
            found = kept_values(
                folder, all_jobs(pairs, k), 1, compute, min(TOGETHER, self._held),
                lambda missing: bar.expect(len(paths_of(missing))),
            )  # fmt: skip
        return Measured({self.column: found.reshape(len(pairs), k)}, network.calls, k)


def build(request: Request, argument: str | None) -> InitialTimestep:
    """The method ``initial-timestep``."""
    if argument is not None:
        raise ConjureError("initial-timestep takes no name: the model is that of --model.")
    return InitialTimestep(request, request.process)
