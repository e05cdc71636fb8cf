"""Contrastive embeddings: any model or folder that sentence-transformers loads."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from conjure.engine.jobs import Pair
from conjure.errors import ConjureError
from conjure.methods.base import CONTRASTIVE, Measured, Request
from conjure.methods.shared import cosine_distances, loading, network_options, short_name
from conjure.process.fingerprint import hash_weights


@dataclass(frozen=True)
class SentenceTransformers:
    """Column: 1 − cosine.

    Args:
        request: Device and precision.
        model: Of the library.
        argument: The hub id or folder that was named.
        label: What the table calls it.
    """

    request: Request
    model: Any
    argument: str
    label: str
    group: str = CONTRASTIVE

    @property
    def name(self) -> str:
        """With the model's label."""
        return f"sentence-transformers:{self.label}"

    @property
    def settings(self) -> dict[str, Any]:
        """The model: where it is from, its weights and what turns tokens into one vector."""
        return {
            "method": "sentence-transformers",
            "model": self.argument,
            "weights": hash_weights({"model": self.model}),
            "modules": [repr(module) for module in list(self.model)[1:]],
            "dtype": str(self.request.torch_dtype),
        }

    def check(self, texts: Iterable[str]) -> None:
        """Takes any text, and cuts long ones as the model says."""

    def cost(self, pairs: Sequence[Pair], folder: Path | None) -> int:
        """None: another network does the work."""
        return 0

    def measure(self, pairs: Sequence[Pair], folder: Path) -> Measured:
        """Encodes every text once; fast enough that nothing is kept."""
        texts = list(dict.fromkeys(chain.from_iterable(pairs)))
        shown = self.request.progress and sys.stderr.isatty()
        vectors = self.model.encode(texts, show_progress_bar=shown)
        return Measured(cosine_distances(texts, pairs, {"cosine": np.asarray(vectors)}), 0, 0)


def build(request: Request, argument: str | None) -> SentenceTransformers:
    """The method ``sentence-transformers:NAME``.

    Raises:
        ConjureError: No name, no such model, or the library is not there.
    """
    if argument is None:
        raise ConjureError("Name the model: sentence-transformers:NAME, a hub id or a folder.")
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ConjureError(
            "sentence-transformers:NAME needs the library: pip install 'conjure[evaluate]'."
        ) from error
    # Its pooling reads the last layer, and never the pooler of the network.
    with loading("model", argument, request, lambda key: "pooler" in key) as told:
        model = SentenceTransformer(
            argument, device=str(request.torch_device), model_kwargs=network_options(request),
            **told,
        )  # fmt: skip
    return SentenceTransformers(request, model, argument, short_name(argument))
