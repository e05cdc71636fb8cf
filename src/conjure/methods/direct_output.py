"""A weaker diffusion baseline of the paper: the finished pictures of both prompts, compared."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjure.engine.ends import finished_pictures
from conjure.engine.jobs import Job, Pair, PathKey, all_jobs, paths_of
from conjure.engine.network import Network
from conjure.engine.plan import neighbours_first
from conjure.engine.scoring import squared_norm
from conjure.errors import ConjureError
from conjure.io.progress import progress_bar
from conjure.methods.base import DIFFUSION, Measured, Request
from conjure.methods.shared import loading, network_options
from conjure.operations.arguments import check_texts
from conjure.process.base import Process
from conjure.process.fingerprint import hash_config, hash_weights
from conjure.store.manifest import make_manifest
from conjure.store.values import kept_values, missing_values

TOGETHER = 128
"""Pairs whose pictures are made and compared at a time."""

REMEMBERED = 2**28
"""Bytes of finished pictures that are kept for pairs to come."""


@dataclass(frozen=True)
class DirectOutput:
    """Columns: 1 − cosine of an image encoder, if one was named; of latents and of pixels, squared.

    Both prompts start from the same noise and meet the same noise at every step. T calls (2T with
    guidance) for each prompt and sample, more where a prompt returns after many others.
    """

    request: Request
    process: Process
    encoder: ImageEncoder | None
    name: str
    group: str = DIFFUSION

    @property
    def settings(self) -> dict[str, Any]:
        """The process, what makes its last state a picture, and the image encoder."""
        manifest = make_manifest(self.process, self.request.seed)
        settings = {"method": "direct-output", "encoder": None, **manifest}
        if self.encoder is not None:
            weights = hash_weights({"encoder": self.encoder.model})
            settings |= {"encoder": weights, "processor": hash_config(self.encoder.processor)}
        pictures = self.process.picture_fingerprint()
        return settings if pictures is None else {**settings, "pictures": pictures}

    def check(self, texts: Iterable[str]) -> None:
        """By the length that the text encoder reads."""
        check_texts(self.process, texts)

    def cost(self, pairs: Sequence[Pair], folder: Path | None) -> int:
        """T a text and sample, and as many again with guidance.

        More where a text returns after its picture was forgotten.
        """
        missing = missing_values(folder, all_jobs(pairs, self.request.samples))
        return self._path_calls * len(paths_of(missing))

    @property
    def _path_calls(self) -> int:
        return len(self.process.visits) * (2 if self.process.guidance > 1 else 1)

    def measure(self, pairs: Sequence[Pair], folder: Path) -> Measured:
        """Pairs with common prompts go together."""
        decode = self.process.decode if self.process.has_pictures else None
        columns = ["latents"] if decode is None else ["latents", "pixels"]
        features = self.encoder
        if features is not None:
            columns.append("features")
        network, k = Network(self.process), self.request.samples
        made: OrderedDict[PathKey, tuple[Tensor, np.ndarray | None, np.ndarray | None]] = (
            OrderedDict()
        )

        def prepare(keys: Sequence[PathKey]) -> None:
            latents = finished_pictures(self.process, network, keys, self.request.seed)
            pixels = None if decode is None else decode(latents)
            seen = features(pixels) if features is not None and pixels is not None else None
            for n, key in enumerate(keys):
                made[key] = (
                    latents[n].clone(),
                    None if pixels is None else pixels[n].copy(),
                    None if seen is None else seen[n],
                )

        def compute(jobs: Sequence[Job]) -> np.ndarray:
            ends = [[(job.a, job.sample), (job.b, job.sample)] for job in jobs]
            needed = paths_of(jobs)
            if missing := [key for key in needed if key not in made]:
                prepare(missing)
            rows = np.zeros((len(jobs), len(columns)))
            for n, (one, other) in enumerate(ends):
                (x, p, f), (y, q, g) = made[one], made[other]
                rows[n, 0] = squared_norm((x - y)[None])[0]
                if p is not None and q is not None:
                    rows[n, 1] = np.sum((p.astype(np.float64) - q) ** 2)
                if f is not None and g is not None:
                    rows[n, 2] = 1 - float(f @ g)
            for key in needed:
                made.move_to_end(key)
            x, p, _ = made[needed[0]]
            each = 8 * x.numel() + (0 if p is None else p.nbytes)
            while len(made) > max(1, REMEMBERED // each):
                made.popitem(last=False)
            return rows

        jobs = all_jobs(pairs, k)
        # The encoder that was named is what the table shows.
        shown = sorted(columns, key=lambda column: column != "features")
        with progress_bar("Direct output", None, shown=self.request.progress) as bar:
            network.on_calls = bar.advance
            # Once in an order that brings common prompts together, then in that of the pairs.
            kept_values(
                folder, neighbours_first(jobs, TOGETHER // 2), len(columns), compute, TOGETHER,
                lambda missing: bar.expect(self._path_calls * len(paths_of(missing))),
            )  # fmt: skip
            found = kept_values(folder, jobs, len(columns), compute, TOGETHER)
        shaped = found.reshape(len(pairs), k, len(columns))
        found = {column: shaped[:, :, columns.index(column)] for column in shown}
        return Measured(found, network.calls, k)


@dataclass(frozen=True)
class ImageEncoder:
    """CLIP's projected features, or the pooled output (else the class token) of other encoders.

    Args:
        model: Of transformers.
        processor: Its image processor.
        pooled: Whether the checkpoint has a pooler of its own.
    """

    model: Any
    processor: Any
    pooled: bool

    @torch.inference_mode()
    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures ``(n, height, width, 3)`` in [0, 1] → unit features ``(n, d)``."""
        from PIL import Image

        project = getattr(self.model, "get_image_features", None)
        found = []
        for part in np.array_split(pictures, max(1, len(pictures) // 32)):
            images = [Image.fromarray((255 * picture).round().astype(np.uint8)) for picture in part]
            inputs = self.processor(images=images, return_tensors="pt")
            inputs = inputs.to(self.model.device, self.model.dtype)
            output: Any = project(**inputs) if project is not None else self.model(**inputs)
            if isinstance(output, Tensor):
                found.append(output)
            elif self.pooled or project is not None:
                found.append(output.pooler_output)
            else:
                found.append(output[0][:, 0])
        every = torch.cat(found).double().cpu()
        return (every / every.norm(dim=1, keepdim=True)).numpy()


def load_encoder(name: str, request: Request) -> ImageEncoder:
    """An image encoder of transformers.

    Raises:
        ConjureError: It cannot be loaded.
    """
    from transformers import AutoImageProcessor, AutoModel

    with loading("image encoder", name, request, lambda key: "pooler" in key) as told:
        processor = AutoImageProcessor.from_pretrained(name, **told)
        model, about = AutoModel.from_pretrained(
            name, output_loading_info=True, **told, **network_options(request)
        )
    # A pooler that the checkpoint lacks is drawn at random: its output is not looked at.
    pooled = not about["missing_keys"]
    model.to(request.torch_device)
    return ImageEncoder(model.eval(), processor, pooled=pooled)


def build(request: Request, argument: str | None) -> DirectOutput:
    """The method ``direct-output`` or ``direct-output:IMAGE_ENCODER``."""
    name = "direct-output" if argument is None else f"direct-output:{argument}"
    if argument is not None and not request.process.has_pictures:
        raise ConjureError("This process has no pictures for an image encoder to look at.")
    encoder = None if argument is None else load_encoder(argument, request)
    return DirectOutput(request, request.process, encoder, name)
