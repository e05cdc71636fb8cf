"""Ours without paths: squared distances of landmark embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from conjure.engine.jobs import Pair
from conjure.errors import ConjureError
from conjure.methods.base import DIFFUSION, Asked, Measured
from conjure.methods.shared import distinct_texts
from conjure.operations.arguments import check_arguments, check_prompt
from conjure.operations.embedding.embeddings import embed
from conjure.operations.embedding.landmarks import estimand_weights
from conjure.process.base import Process
from conjure.store.manifest import make_manifest

PATHS = 2


@dataclass(frozen=True)
class LandmarkDistance:
    """Column: the estimand under the reference measure, at so many unconditional paths' states."""

    asked: Asked
    process: Process
    paths: int
    name: str
    group: str = DIFFUSION

    @property
    def settings(self) -> dict[str, Any]:
        """The process and the landmarks."""
        return {
            "method": "landmarks",
            "paths": self.paths,
            "estimand": self.asked.estimand,
            **make_manifest(self.process, self.asked.seed),
        }

    def check(self, texts: Iterable[str]) -> None:
        """By the length that the text encoder reads."""
        for text in texts:
            check_prompt(self.process, text)

    def cost(self, pairs: Sequence[Pair]) -> int:
        """M a text, and M for the landmarks."""
        drawn = len(self.process.visits)
        return self.paths * (len(self.process.levels) * distinct_texts(pairs) + drawn)

    def measure(self, pairs: Sequence[Pair], folder: Path) -> Measured:
        """N·M calls for N prompts."""
        folder.mkdir(parents=True, exist_ok=True)
        prompts = list(dict.fromkeys(chain.from_iterable(pairs)))
        found = embed(
            prompts, process=self.process, paths=self.paths, seed=self.asked.seed,
            estimand=self.asked.estimand, out=folder / "embeddings", progress=self.asked.progress,
        )  # fmt: skip
        rows = {prompt: row for row, prompt in enumerate(found.prompts)}
        ends = np.array([[rows[a], rows[b]] for a, b in pairs])
        gap = found.vectors[ends[:, 0]].astype(np.float64) - found.vectors[ends[:, 1]]
        return Measured({self.asked.estimand: (gap**2).sum(1, keepdims=True)}, found.calls, 0)


def build(asked: Asked, argument: str | None) -> LandmarkDistance:
    """The method ``landmarks`` or ``landmarks:PATHS``."""
    if argument is not None and not (argument.isdigit() and int(argument) > 0):
        raise ConjureError(f"landmarks:PATHS takes a whole number of paths, not {argument!r}.")
    paths = PATHS if argument is None else int(argument)
    check_arguments(asked.process, 1, asked.seed, asked.estimand)
    estimand_weights(asked.estimand, asked.process.levels)  # refuses what is no weighting
    return LandmarkDistance(asked, asked.process, paths, f"landmarks:{paths}")
