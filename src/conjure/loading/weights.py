"""Weights are read from safetensors alone, whole or not at all, and without code of their own.

What a network's files lack is drawn at random by the libraries that load it, with a line in a log
at most; what is no safetensors file is a pickle to them, which can run any code; and of a model
with code in its folder they ask on standard input whether to run it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from conjure.errors import ModelError, UnsafeWeightsError

_LOCK = threading.RLock()
"""The libraries' loaders are watched by one load at a time."""

SHOWN = 3
"""Names of weights in a message."""


@contextmanager
def safe_and_whole(
    name: str, *, allow_pickle: bool, unread: Callable[[str], bool] = lambda _: False
) -> Iterator[None]:
    """While this thread loads a model, refuse pickles, and networks whose files are not whole.

    Whether code of the model's may be run is not asked: it may not.

    Args:
        name: Of the model, for messages.
        allow_pickle: Whether pickles were asked for.
        unread: Whether a weight plays no part in what is computed, given its key.

    Raises:
        UnsafeWeightsError: A pickle was about to be read.
        ModelError: A network lacks weights, or has some of other shapes: with the keys.
    """
    from diffusers import ModelMixin
    from transformers import PreTrainedModel, dynamic_module_utils

    with _LOCK, ExitStack() as stack:
        # No time to answer: an error at once.
        stack.enter_context(patch.object(dynamic_module_utils, "TIME_OUT_REMOTE_CODE", 0))
        if not allow_pickle:
            stack.enter_context(_without_pickles(name))
        for kind in (PreTrainedModel, ModelMixin):
            stack.enter_context(_watched(kind, name, unread))
        yield


def _without_pickles(name: str) -> Any:
    """``torch.load`` refuses to, in this thread."""
    read, ours = torch.load, threading.get_ident()

    def refuse(file: Any, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != ours:
            return read(file, *args, **kwargs)
        where = Path(file).name if isinstance(file, str | Path) else "a file"
        raise UnsafeWeightsError(
            f"{name!r} has weights in {where!r} that are no safetensors: they are read as a "
            "pickle, which can run any code. Convert them to safetensors, or, if you trust their "
            "maker, load with allow_pickle=True (--allow-pickle)."
        )

    return patch.object(torch, "load", refuse)


def _watched(kind: Any, name: str, unread: Callable[[str], bool]) -> Any:
    """A class of networks that looks, in this thread, at what its files lack."""
    original, ours = kind.from_pretrained.__func__, threading.get_ident()

    def from_pretrained(cls: Any, place: Any, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != ours:
            return original(cls, place, *args, **kwargs)
        told = kwargs.pop("output_loading_info", False)
        kwargs["ignore_mismatched_sizes"] = True  # or the library's own words would tell
        model, info = original(cls, place, *args, output_loading_info=True, **kwargs)
        if reason := what_lacks(info, unread):
            part = kwargs.get("subfolder") or Path(str(place)).name
            raise ModelError(
                f"{name!r} is not whole: {part} ({cls.__name__}) {reason}. They would be drawn at "
                "random: restore the files, or save the model again."
            )
        return (model, info) if told else model

    return patch.object(kind, "from_pretrained", classmethod(from_pretrained))


def what_lacks(
    info: Mapping[str, Any], unread: Callable[[str], bool] = lambda _: False
) -> str | None:
    """What a loader says that a network's files lack, in words; None where they are whole.

    Args:
        info: As ``output_loading_info`` gives it.
        unread: Whether a weight plays no part, given its key.

    >>> what_lacks({"missing_keys": ["a", "b"], "mismatched_keys": [("c", (2,), (3,))]})
    'lacks 2 weights (a, b), has 1 of another shape (c)'
    >>> what_lacks({"missing_keys": ["pooler.bias"]}, lambda key: "pooler" in key)
    """
    missing = sorted(key for key in info.get("missing_keys") or () if not unread(key))
    other = sorted(
        str(key[0] if isinstance(key, tuple | list) else key)
        for key in info.get("mismatched_keys") or ()
    )
    parts = []
    if missing:
        many = "weight" if len(missing) == 1 else "weights"
        parts.append(f"lacks {len(missing)} {many} ({_some(missing)})")
    if other:
        parts.append(f"has {len(other)} of another shape ({_some(other)})")
    return ", ".join(parts) or None


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:SHOWN]) + (", …" if len(keys) > SHOWN else "")
