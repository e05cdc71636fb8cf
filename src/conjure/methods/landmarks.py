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
from conjure.methods.base import DIFFUSION, Measured, Request
from conjure.operations.arguments import check_arguments, check_texts
from conjure.operations.embedding.embeddings import embed
from conjure.operations.embedding.landmarks import estimand_weights
from conjure.process.base import Process
from conjure.store.manifest import make_manifest
from conjure.store.status import count_vectors

PATHS = 2


@dataclass(frozen=True)
class LandmarkDistance:
    """Column: the estimand under the reference measure, at so many unconditional paths' states."""

    request: Request
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
            "estimand": self.request.estimand,
            **make_manifest(self.process, self.request.seed),
        }

    def check(self, texts: Iterable[str]) -> None:
        """By the length that the text encoder reads."""
        check_texts(self.process, texts)

    def cost(self, pairs: Sequence[Pair], folder: Path | None) -> int:
        """M a text, and M for the landmarks, where they are not there."""
        texts = dict.fromkeys(chain.from_iterable(pairs))
        place = None if folder is None else folder / "embeddings"
        drawn = place is not None and (place / "landmarks.safetensors").exists()
        fresh = len(texts) - count_vectors(place, texts)
        starts = 0 if drawn else len(self.process.visits)
        return self.paths * (len(self.process.levels) * fresh + starts)

    def measure(self, pairs: Sequence[Pair], folder: Path) -> Measured:
        """N·M calls for N prompts."""
        folder.mkdir(parents=True, exist_ok=True)
        prompts = list(dict.fromkeys(chain.from_iterable(pairs)))
        found = embed(
            prompts, process=self.process, paths=self.paths, seed=self.request.seed,
            estimand=self.request.estimand, out=folder / "embeddings",
            progress=self.request.progress,
        )  # fmt: skip
        rows = {prompt: row for row, prompt in enumerate(found.prompts)}
        ends = np.array([[rows[a], rows[b]] for a, b in pairs])
        gap = found.vectors[ends[:, 0]].astype(np.float64) - found.vectors[ends[:, 1]]
        return Measured({self.request.estimand: (gap**2).sum(1, keepdims=True)}, found.calls, 0)


def build(request: Request, argument: str | None) -> LandmarkDistance:
    """The method ``landmarks`` or ``landmarks:PATHS``."""
    if argument is not None and not (argument.isdigit() and int(argument) > 0):
        raise ConjureError(f"landmarks:PATHS takes a whole number of paths, not {argument!r}.")
    paths = PATHS if argument is None else int(argument)
    check_arguments(request.process, 1, request.seed, request.estimand)
    estimand_weights(request.estimand, request.process.levels)  # refuses what is no weighting
    return LandmarkDistance(request, request.process, paths, f"landmarks:{paths}")
