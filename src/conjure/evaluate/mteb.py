"""A process as an encoder that mteb evaluates, unchanged, on its tasks of textual similarity.

>>> import mteb, conjure.mteb  # doctest: +SKIP
>>> encoder = conjure.mteb.Encoder(conjure.load("emoji", steps=10))  # doctest: +SKIP
>>> mteb.evaluate(encoder, mteb.get_tasks(["STSBenchmark"]))  # doctest: +SKIP

Two of them. mteb's main score is the Spearman correlation of cosines, so that a model without
vectors of its own must make cosine mean its distance. ``Encoder`` does: landmark embeddings
(a sum of squares, see ``conjure.embed``) through random Fourier features, whose cosine is
exp(−d²/2h²) up to 1/√D. ``PairScorer`` computes the exact distance of every pair that mteb
asks about: read its ``spearman``; its cosine fields are NaN, since they mean nothing, and its
Euclidean and Manhattan ones mean nothing either.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from conjure.errors import ConjureError
from conjure.loading.load import default_process
from conjure.operations.embedding.embeddings import embed
from conjure.operations.embedding.landmarks import Landmarks
from conjure.operations.pairs import compare_pairs
from conjure.process.base import Process
from conjure.store.manifest import hash_levels

if TYPE_CHECKING:
    from mteb.models.model_meta import ModelMeta

FEATURES = 8192
"""D: cosines are off by about 1/√D."""

LEAST_FEATURES = 4096

BANDWIDTH_TEXTS = 512
"""Texts of a task whose median distance is the bandwidth."""


class Encoder:
    """Landmark embeddings, with cosine = exp(−d²/2h²).

    The bandwidth h is the median distance of a task's own first texts, fixed with its first call
    for all of its splits: neither it nor D changes an order by more than the features' noise. Give
    one to have the same in every task.

    Args:
        process: From ``conjure.load``; None for the embedded model.
        paths: Unconditional paths whose states are the landmarks.
        features: D, even, at least 4,096.
        seed: Of landmarks and features.
        bandwidth: h; None for each task's own.
        out: A run directory where finished vectors are kept.
    """

    def __init__(
        self,
        process: Process | None = None,
        *,
        paths: int = 2,
        features: int = FEATURES,
        seed: int = 0,
        bandwidth: float | None = None,
        out: str | Path | None = None,
    ) -> None:
        if bandwidth is not None and not bandwidth > 0:
            raise ConjureError(f"bandwidth is a length above 0, not {bandwidth!r}.")
        if features < LEAST_FEATURES or features % 2:
            raise ConjureError(
                f"features is even and at least {LEAST_FEATURES}, not {features}: fewer make "
                "cosines too noisy."
            )
        self.process = process or default_process()
        self.paths, self.features, self.seed, self.out = paths, features, seed, out
        self.bandwidth = bandwidth
        self.landmarks: Landmarks | None = None
        self.bandwidths: dict[str, float] = {}

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any = None,
        **_: Any,
    ) -> np.ndarray:
        """Unit vectors of shape ``(N, D)``, float32.

        Args:
            inputs: Batches with a list of texts under ``text``, as mteb gives them.
            task_metadata: Of mteb's task, by whose name the bandwidth is kept.
        """
        texts = _texts(inputs)
        first = self.landmarks is None
        found = embed(
            texts, process=self.process, paths=self.paths if first else None,
            seed=self.seed if first else None, landmarks=self.landmarks, out=self.out,
        )  # fmt: skip
        self.landmarks = found.landmarks
        vectors = torch.from_numpy(np.asarray(found.vectors, dtype=np.float32))
        key = str(getattr(task_metadata, "name", ""))
        if key not in self.bandwidths:
            usual = self.bandwidth or _median_distance(vectors[:BANDWIDTH_TEXTS])
            self.bandwidths[key] = usual
        return fourier_features(vectors, self.bandwidths[key], self.features, self.seed)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Cosines of all with all, shape ``(N, M)``."""
        return _tensor(embeddings1) @ _tensor(embeddings2).T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """Cosines row by row, shape ``(N,)``."""
        return (_tensor(embeddings1) * _tensor(embeddings2)).sum(-1)

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """Name, version and every setting."""
        kwargs = {"paths": self.paths, "features": self.features, "seed": self.seed}
        kwargs |= {} if self.bandwidth is None else {"bandwidth": self.bandwidth}
        return _meta(self.process, "landmarks", self.features, kwargs)


class PairScorer:
    """The exact distance, for the pairs that mteb asks about.

    What ``encode`` returns is a number that stands for each text, in one dimension, so that
    mteb's own cosines are all 1, and their correlations NaN: they mean nothing. ``spearman`` and
    ``pearson`` are those of −distance. A wrapper of mteb's that keeps embeddings for another run
    does not go with it.

    Args:
        process: From ``conjure.load``; None for the embedded model.
        samples: Monte Carlo samples a pair.
        seed: Of the noise.
        estimand: Which distance.
        out: A run directory where finished samples are kept.
    """

    def __init__(
        self,
        process: Process | None = None,
        *,
        samples: int = 2,
        seed: int = 0,
        estimand: str = "girsanov",
        out: str | Path | None = None,
    ) -> None:
        self.process = process or default_process()
        self.samples, self.seed, self.estimand, self.out = samples, seed, estimand, out
        self._texts: dict[float, str] = {}

    def encode(self, inputs: Iterable[Mapping[str, Any]], **_: Any) -> np.ndarray:
        """The number of each text, a hash of 52 bits, shape ``(N, 1)``, float64."""
        texts = _texts(inputs)
        numbers = [_number(text) for text in texts]
        self._texts |= dict(zip(numbers, texts, strict=True))
        return np.array(numbers, dtype=np.float64)[:, None]

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """−distance of the texts that the numbers stand for, shape ``(N,)``.

        Raises:
            ConjureError: This scorer has not seen one of them.
        """
        ones, others = (np.asarray(e, np.float64).ravel() for e in (embeddings1, embeddings2))
        try:
            pairs = [(self._texts[i], self._texts[j]) for i, j in zip(ones, others, strict=True)]
        except KeyError as error:
            raise ConjureError(
                "These numbers stand for texts that another scorer has seen: take PairScorer "
                "without a cache of embeddings."
            ) from error
        run = compare_pairs(
            pairs, process=self.process, samples=self.samples, seed=self.seed,
            estimand=self.estimand, out=self.out,
        )  # fmt: skip
        return torch.tensor([-result.distance for result in run])

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """−distance of all with all, shape ``(N, M)``: costly."""
        ones, others = (np.asarray(e, np.float64).ravel() for e in (embeddings1, embeddings2))
        left, right = np.repeat(ones, len(others)), np.tile(others, len(ones))
        return self.similarity_pairwise(left, right).reshape(len(ones), len(others))

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """Name, version and every setting."""
        kwargs = {"samples": self.samples, "seed": self.seed, "estimand": self.estimand}
        return _meta(self.process, "pairs", 1, kwargs)


def fourier_features(vectors: Tensor, bandwidth: float, features: int, seed: int) -> np.ndarray:
    """Unit vectors whose cosine is exp(−‖x − y‖²/2h²) on average, and off by about 1/√D.

    Cosines and sines of random projections (Rahimi & Recht 2007, in pairs, so that every vector has
    length 1).

    Args:
        vectors: Shape ``(N, d)``.
        bandwidth: h.
        features: D, even.
        seed: Of the projections.
    """
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(7,))))
    shape = (vectors.shape[1], features // 2)
    frequencies = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)) / bandwidth
    angles = vectors @ frequencies
    return (torch.cat([angles.cos(), angles.sin()], 1) * (2 / features) ** 0.5).numpy()


def _median_distance(vectors: Tensor) -> float:
    """Between different texts; 1 where there is only one."""
    gaps = torch.pdist(vectors)
    gaps = gaps[gaps > 0]
    return float(gaps.median()) if len(gaps) else 1.0


def _number(text: str) -> float:
    """A whole number above 0 that float64 holds exactly."""
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return float((int.from_bytes(digest, "little") >> 12) + 1)


def _texts(inputs: Iterable[Mapping[str, Any]]) -> list[str]:
    return [text for batch in inputs for text in batch["text"]]


def _tensor(values: Any) -> Tensor:
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)


def _meta(process: Process, kind: str, dimensions: int, kwargs: dict[str, Any]) -> ModelMeta:
    try:
        from mteb.models.model_meta import ModelMeta, ScoringFunction
    except ImportError as error:
        raise ConjureError("This needs mteb: pip install 'conjure[mteb]'.") from error
    name = re.sub(r"[^\w.-]+", "--", process.model.strip("/"))
    settings = {k: v for k, v in process.describe().items() if k != "device"}
    return ModelMeta(
        loader=None,
        name=f"conjure/{kind}-{name}",
        revision=process.fingerprint(),
        release_date=None,
        languages=["eng-Latn"],
        n_parameters=None,
        memory_usage_mb=None,
        max_tokens=None,
        embed_dim=dimensions,
        license=None,
        open_weights=None,
        public_training_code=None,
        public_training_data=None,
        framework=["PyTorch"],
        similarity_fn_name=ScoringFunction.COSINE if kind == "landmarks" else None,
        use_instructions=False,
        training_datasets=None,
        experiment_kwargs={
            **settings,
            "levels": hash_levels(process),
            **kwargs,
            "conjure": version("conjure"),
        },
    )
