"""Ours: the divergence between the processes that two prompts conjure, by every estimand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conjure.divergence import ESTIMANDS
from conjure.engine.jobs import Job, Pair, count_calls, ordered
from conjure.errors import ConjureError
from conjure.methods.base import DIFFUSION, Measured, Request
from conjure.operations.arguments import check_arguments, check_texts, why_unavailable
from conjure.operations.pairs import compare_pairs
from conjure.process.base import Process
from conjure.store.manifest import make_manifest
from conjure.store.status import samples_in


@dataclass(frozen=True)
class Conjuring:
    """Columns: the estimands that the process has, the one that is asked for first."""

    request: Request
    process: Process
    name: str = "conjuring"
    group: str = DIFFUSION

    @property
    def settings(self) -> dict[str, Any]:
        """The manifest of the run, which more samples add to."""
        return {"method": self.name, **make_manifest(self.process, self.request.seed)}

    def check(self, texts: Iterable[str]) -> None:
        """By the length that the text encoder reads."""
        check_texts(self.process, texts)

    def cost(self, pairs: Sequence[Pair], folder: Path | None) -> int:
        """What the engine plans, for all samples that are not there."""
        distinct = dict.fromkeys(ordered(*pair) for pair in pairs)
        have = samples_in(folder, distinct)
        return sum(
            count_calls(self.process, [Job(*p, s) for p in distinct if s not in have.get(p, ())])
            for s in range(self.request.samples)
        )

    def measure(self, pairs: Sequence[Pair], folder: Path) -> Measured:
        """By the run directory of ``conjure.compare_pairs``."""
        there = [name for name in ESTIMANDS if why_unavailable(self.process, name) is None]
        names = [self.request.estimand, *(name for name in there if name != self.request.estimand)]
        run = compare_pairs(
            list(pairs), process=self.process, samples=self.request.samples, seed=self.request.seed,
            estimand=names[0], out=folder, progress=self.request.progress,
        )  # fmt: skip
        found = {name: np.zeros((len(pairs), self.request.samples)) for name in names}
        for row, result in enumerate(run):
            for name in names:
                estimate = result.estimands[name]
                assert estimate is not None
                found[name][row] = estimate.per_sample
        return Measured(found, run.calls, self.request.samples)


def build(request: Request, argument: str | None) -> Conjuring:
    """The method ``conjuring``."""
    if argument is not None:
        raise ConjureError("conjuring takes no name: the model is that of --model.")
    check_arguments(request.process, request.samples, request.seed, request.estimand)
    return Conjuring(request, request.process)
