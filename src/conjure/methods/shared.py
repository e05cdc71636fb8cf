"""What methods have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from conjure.engine.jobs import Pair
from conjure.errors import ConjureError, ModelError, NonFinitePredictionError
from conjure.levels import Floats
from conjure.loading.files import check_safetensors
from conjure.loading.sources import hung_up
from conjure.loading.weights import safe_and_whole
from conjure.methods.base import Request
from conjure.process.pipeline import PipelineProcess


def needs_pipeline(request: Request, method: str) -> PipelineProcess:
    """The process, if it is a loaded pipeline.

    Raises:
        ConjureError: It is not.
    """
    if not isinstance(request.process, PipelineProcess):
        raise ConjureError(f"{method} needs a diffusion pipeline: name one with --model.")
    return request.process


@contextmanager
def loading(
    kind: str, name: str, request: Request, unread: Callable[[str], bool] = lambda _: False
) -> Iterator[dict[str, Any]]:
    """While a method loads a model of its own: what every loader is told.

    Safetensors alone unless asked otherwise, no code of the model's, no weights that are not there.

    Args:
        kind: What it is, for messages.
        name: A hub id or a folder.
        request: Precision, and whether pickles and the hub may be read.
        unread: Whether a weight plays no part, given its key.

    Yields:
        Arguments for ``from_pretrained`` of any class of transformers.

    Raises:
        ModelError: It cannot be loaded, or is not whole.
    """
    told = {"local_files_only": request.offline, "trust_remote_code": False}
    try:
        for pattern in ("*.safetensors", "*/*.safetensors"):
            for file in sorted(Path(name).glob(pattern)):
                check_safetensors(file)
        with safe_and_whole(name, allow_pickle=request.allow_pickle, unread=unread):
            yield told
    except ConjureError:
        raise
    except Exception as error:  # the libraries check little of what they read
        hub = "the hub broke off, try again: " if hung_up(error) else ""
        raise ModelError(f"The {kind} {name!r} cannot be loaded: {hub}{error}") from error


def network_options(request: Request) -> dict[str, Any]:
    """What a network's loader is told besides."""
    safe = None if request.allow_pickle else True
    return {"use_safetensors": safe, "dtype": request.torch_dtype}


def cosine_distances(
    prompts: Sequence[str], pairs: Sequence[Pair], vectors: Mapping[str, np.ndarray]
) -> dict[str, Floats]:
    """1 − cosine of each pair, shape ``(P, 1)``, for each kind of vectors ``(N, d)``.

    Raises:
        NonFinitePredictionError: They are not finite.
    """
    rows = {prompt: row for row, prompt in enumerate(prompts)}
    a, b = (np.array([rows[pair[end]] for pair in pairs]) for end in (0, 1))
    found = {}
    for name, every in vectors.items():
        every = np.asarray(every, dtype=np.float64)
        unit = every / np.maximum(np.linalg.norm(every, axis=1, keepdims=True), 1e-30)
        gaps = 1 - (unit[a] * unit[b]).sum(1, keepdims=True)
        if not np.isfinite(gaps).all():
            pair = pairs[int(np.argmin(np.isfinite(gaps[:, 0])))]
            raise NonFinitePredictionError(
                f"The vectors of {pair[0][:60]!r} and {pair[1][:60]!r} are not finite. In half "
                "precision a network may overflow: take dtype='float32' (--dtype float32)."
            )
        found[name] = gaps
    return found


def short_name(argument: str) -> str:
    """A hub id, or a folder's name.

    >>> short_name("princeton-nlp/sup-simcse-bert-base-uncased"), short_name("/models/mine/")
    ('princeton-nlp/sup-simcse-bert-base-uncased', 'mine')
    """
    return Path(argument).name if Path(argument).is_absolute() or argument[:1] == "." else argument
