"""A weaker diffusion baseline of the paper: the finished pictures of both prompts, compared."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjure.baselines.base import (
    DIFFUSION,
    Asked,
    Measured,
    Pair,
    all_jobs,
    distinct_texts,
    paths_of,
)
from conjure.comparison import check_prompt
from conjure.engine import Job, Network
from conjure.engine.block import squared_norm
from conjure.engine.paths import PathKey
from conjure.engine.plan import neighbours_first
from conjure.engine.walk import finished_pictures
from conjure.errors import ConjureError
from conjure.process.base import Process
from conjure.progress import progress_bar
from conjure.store import make_manifest
from conjure.store.values import kept_values

TOGETHER = 128
"""Pairs whose pictures are made and compared at a time."""

REMEMBERED = 512
"""Finished pictures that are kept for pairs to come."""

Features = Callable[[np.ndarray], np.ndarray]
"""Pictures ``(n, height, width, 3)`` in [0, 1] → features ``(n, d)``."""


@dataclass(frozen=True)
class DirectOutput:
    """Columns: squared distances of latents and of pixels, and 1 − cosine of an image encoder.

    Both prompts start from the same noise and meet the same noise at every step. T calls (2T with
    guidance) for each prompt and sample, more where a prompt returns after many others.
    """

    asked: Asked
    process: Process
    encoder: str | None
    name: str
    group: str = DIFFUSION

    @property
    def settings(self) -> dict[str, Any]:
        """The process and the image encoder."""
        manifest = make_manifest(self.process, self.asked.seed)
        return {"method": "direct-output", "encoder": self.encoder, **manifest}

    def check(self, texts: Iterable[str]) -> None:
        """By the length that the text encoder reads."""
        for text in texts:
            check_prompt(self.process, text)

    def cost(self, pairs: Sequence[Pair]) -> int:
        """T a text and sample, and as many again with guidance."""
        return self._path_calls * self.asked.samples * distinct_texts(pairs)

    @property
    def _path_calls(self) -> int:
        return len(self.process.levels) * (2 if self.process.guidance > 1 else 1)

    def measure(self, pairs: Sequence[Pair], folder: Path) -> Measured:
        """Pairs with common prompts go together."""
        decode = getattr(self.process, "decode", None)
        columns = ["latents"] if decode is None else ["latents", "pixels"]
        if self.encoder is not None and decode is None:
            raise ConjureError("This process has no pictures for an image encoder to look at.")
        features = None if self.encoder is None else image_features(self.encoder, self.asked)
        if features is not None:
            columns.append("features")
        network, k = Network(self.process), self.asked.samples
        made: OrderedDict[PathKey, tuple[Tensor, np.ndarray | None, np.ndarray | None]] = (
            OrderedDict()
        )

        def prepare(keys: Sequence[PathKey]) -> None:
            latents = finished_pictures(self.process, network, keys, self.asked.seed)
            pixels = None if decode is None else decode(latents)
            seen = features(pixels) if features is not None and pixels is not None else None
            for n, key in enumerate(keys):
                made[key] = (
                    latents[n].clone(),
                    None if pixels is None else pixels[n].astype(np.float64),
                    None if seen is None else seen[n],
                )

        def compute(jobs: Sequence[Job]) -> np.ndarray:
            ends = [[(job.a, job.sample), (job.b, job.sample)] for job in jobs]
            needed = paths_of(jobs)
            prepare([key for key in needed if key not in made])
            rows = np.zeros((len(jobs), len(columns)))
            for n, (one, other) in enumerate(ends):
                (x, p, f), (y, q, g) = made[one], made[other]
                rows[n, 0] = squared_norm((x - y)[None])[0]
                if p is not None and q is not None:
                    rows[n, 1] = np.sum((p - q) ** 2)
                if f is not None and g is not None:
                    rows[n, 2] = 1 - float(f @ g)
            for key in needed:
                made.move_to_end(key)
            while len(made) > REMEMBERED:
                made.popitem(last=False)
            return rows

        jobs = all_jobs(pairs, k)
        with progress_bar("Direct output", None, shown=self.asked.progress) as bar:
            network.on_calls = bar.advance
            # Once in an order that brings common prompts together, then in that of the pairs.
            kept_values(
                folder, neighbours_first(jobs, TOGETHER // 2), len(columns), compute, TOGETHER,
                lambda missing: bar.expect(self._path_calls * len(paths_of(missing))),
            )  # fmt: skip
            found = kept_values(folder, jobs, len(columns), compute, TOGETHER)
        shaped = found.reshape(len(pairs), k, len(columns))
        return Measured({c: shaped[:, :, n] for n, c in enumerate(columns)}, network.calls, k)


def image_features(name: str, asked: Asked) -> Features:
    """An image encoder of transformers: CLIP's projected features, or the pooled output of others.

    Args:
        name: A hub id or a folder.
        asked: Device, and whether pickles may be read.

    Raises:
        ConjureError: It cannot be loaded, or is no image encoder.
    """
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModel

    safe = None if asked.allow_pickle else True
    try:
        processor = AutoImageProcessor.from_pretrained(name)
        model = AutoModel.from_pretrained(name, use_safetensors=safe).eval()
    except (OSError, ValueError, KeyError) as error:
        raise ConjureError(f"The image encoder {name!r} cannot be loaded: {error}") from error
    if asked.device is not None:
        model.to(asked.device)
    project = getattr(model, "get_image_features", None)

    @torch.inference_mode()
    def features(pictures: np.ndarray) -> np.ndarray:
        found = []
        for part in np.array_split(pictures, max(1, len(pictures) // 32)):
            images = [Image.fromarray((255 * picture).round().astype(np.uint8)) for picture in part]
            inputs = processor(images=images, return_tensors="pt").to(model.device)
            said: Any = project(**inputs) if project is not None else model(**inputs)
            pooled: Any = said if isinstance(said, Tensor) else said.pooler_output
            # Where there is none: the class token.
            found.append((said[0][:, 0] if pooled is None else pooled).double().cpu())
        every = torch.cat(found)
        return (every / every.norm(dim=1, keepdim=True)).numpy()

    return features


def build(asked: Asked, argument: str | None) -> DirectOutput:
    """The method ``direct-output`` or ``direct-output:IMAGE_ENCODER``."""
    if asked.process is None:
        raise ConjureError("direct-output needs a process.")
    name = "direct-output" if argument is None else f"direct-output:{argument}"
    return DirectOutput(asked, asked.process, argument, name)
