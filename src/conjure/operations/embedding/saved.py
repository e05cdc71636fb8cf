"""Embeddings in one safetensors file: vectors, landmarks, prompts and manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pydantic import PositiveInt, TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from conjure.errors import ConjureError, DamagedError
from conjure.io.files import check_embeddings_path, check_file, written_whole
from conjure.io.ours import Schema, parse_ours
from conjure.operations.embedding.landmarks import PARTS, Landmarks, check_parts
from conjure.store.manifest import Manifest, process_digest


class _Embedding(Schema):
    paths: PositiveInt
    dimensions: int | None
    estimand: str


class _Manifest(Manifest):
    embedding: _Embedding


_MANIFEST, _PROMPTS = TypeAdapter(_Manifest), TypeAdapter(list[str])


class Saved(NamedTuple):
    """What the file holds."""

    prompts: Sequence[str]
    vectors: np.ndarray
    landmarks: Landmarks
    manifest: dict[str, Any]


def write(path: str | Path, saved: Saved) -> None:
    """Write it whole or not at all.

    Raises:
        ConjureError: The ending is not .safetensors, or the folder does not exist.
    """
    target = check_embeddings_path(path)
    listed = bytearray(json.dumps(saved.prompts), "utf-8")
    tensors = {
        "vectors": torch.from_numpy(np.ascontiguousarray(saved.vectors)),
        # As a tensor: a safetensors header holds no more than 100 MB.
        "prompts": torch.frombuffer(listed, dtype=torch.uint8),
        **{f"landmarks.{name}": part for name, part in saved.landmarks.tensors().items()},
    }
    about = {"manifest": json.dumps(saved.manifest)}
    with written_whole(target) as draft:
        save_file(tensors, draft, metadata=about)


def read(path: str | Path) -> Saved:
    """Read what ``write`` wrote.

    Raises:
        ConjureError: There is no such file, or it is something else.
        DamagedError: It is not as it was written.
    """
    place = check_file(path)
    name, remedy = repr(str(place)), "Make it again with conjure embed, or restore it."
    try:
        with safe_open(place, "pt") as file:
            about = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        text, vectors = about["manifest"].encode(), tensors["vectors"]
        listed = tensors["prompts"].numpy().tobytes()
        marks = [tensors[f"landmarks.{part}"] for part in PARTS]
    except (SafetensorError, KeyError, OSError, TypeError) as error:
        raise ConjureError(f"{name} does not hold embeddings: {error}. {remedy}") from error
    manifest = parse_ours(text, _MANIFEST, f"The manifest in {name}", remedy)
    prompts = parse_ours(listed, _PROMPTS, f"The list of prompts in {name}", remedy).value
    if reason := _why_unfit(manifest.value.embedding, prompts, vectors, marks):
        raise DamagedError(f"{name} is damaged: {reason}. {remedy}")
    origin = process_digest(manifest.raw)
    landmarks = Landmarks(*marks, seed=manifest.value.seed, origin=origin)
    return Saved(tuple(prompts), vectors.numpy(), landmarks, manifest.raw)


def _why_unfit(
    said: _Embedding, prompts: Sequence[str], vectors: Tensor, marks: Sequence[Tensor]
) -> str | None:
    """Why tensors are not what the manifest says; None if they are."""
    try:
        check_parts(marks)
    except ValueError as error:
        return f"landmarks.{error}"
    shape = tuple(vectors.shape)
    if len(shape) != 2 or len(prompts) != shape[0] or not all(shape):
        return f"vectors has the shape {shape}, and there are {len(prompts)} prompts"
    if said.dimensions not in (None, shape[1]):
        return f"vectors has {shape[1]} dimensions, and the manifest says {said.dimensions}"
    if vectors.dtype != torch.float32 or not vectors.isfinite().all():
        return "vectors holds what is no number"
    if marks[0].shape[1] != said.paths:
        return f"landmarks.states has {marks[0].shape[1]} paths, and the manifest {said.paths}"
    return None
