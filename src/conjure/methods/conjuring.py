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
from conjure.methods.base import DIFFUSION, Asked, Measured
from conjure.operations.arguments import check_arguments, check_prompt, why_unavailable
from conjure.operations.pairs import compare_pairs
from conjure.process.base import Process
from conjure.store.manifest import make_manifest


@dataclass(frozen=True)
class Conjuring:
    """Columns: the estimands that the process has, the one that is asked for first."""

    asked: Asked
    process: Process
    name: str = "conjuring"
    group: str = DIFFUSION

    @property
    def settings(self) -> dict[str, Any]:
        """The manifest of the run, which more samples add to."""
        return {"method": self.name, **make_manifest(self.process, self.asked.seed)}

    def check(self, texts: Iterable[str]) -> None:
        """By the length that the text encoder reads."""
        for text in texts:
            check_prompt(self.process, text)

    def cost(self, pairs: Sequence[Pair]) -> int:
        """What the engine plans, for all samples."""
        distinct = dict.fromkeys(ordered(*pair) for pair in pairs)
        return self.asked.samples * count_calls(self.process, [Job(*pair, 0) for pair in distinct])

    def measure(self, pairs: Sequence[Pair], folder: Path) -> Measured:
        """By the run directory of ``conjure.compare_pairs``."""
        there = [name for name in ESTIMANDS if why_unavailable(self.process, name) is None]
        names = [self.asked.estimand, *(name for name in there if name != self.asked.estimand)]
        run = compare_pairs(
            list(pairs), process=self.process, samples=self.asked.samples, seed=self.asked.seed,
            estimand=names[0], out=folder, progress=self.asked.progress,
        )  # fmt: skip
        found = {name: np.zeros((len(pairs), self.asked.samples)) for name in names}
        for row, result in enumerate(run):
            for name in names:
                said = result.estimands[name]
                assert said is not None
                found[name][row] = said.per_sample
        return Measured(found, run.calls, self.asked.samples)


def build(asked: Asked, argument: str | None) -> Conjuring:
    """The method ``conjuring``."""
    if argument is not None:
        raise ConjureError("conjuring takes no name: the model is that of --model.")
    check_arguments(asked.process, asked.samples, asked.seed, asked.estimand)
    return Conjuring(asked, asked.process)
