"""Embeddings in one safetensors file: vectors, landmarks, prompts and manifest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from conjure.errors import ConjureError
from conjure.io.files import check_embeddings_path, written_whole
from conjure.operations.embedding.landmarks import Landmarks
from conjure.store.manifest import process_digest


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
    """
    if not Path(path).is_file():
        raise ConjureError(f"There is no file {str(path)!r}.")
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            manifest = json.loads(about["manifest"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            marks = [tensors[f"landmarks.{n}"] for n in ("states", "noise", "picture")]
            prompts = json.loads(tensors["prompts"].numpy().tobytes())
            vectors = tensors["vectors"].numpy()
    except (SafetensorError, KeyError, ValueError, OSError, RecursionError) as error:
        raise ConjureError(f"{str(path)!r} does not hold embeddings: {error}") from error
    landmarks = Landmarks(*marks, seed=manifest["seed"], origin=process_digest(manifest))
    return Saved(tuple(prompts), vectors, landmarks, manifest)
