"""Settings of one process and those of another: what changes with a model, and with a sampler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def other_weights(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``conjure.load`` for other weights than a command's own.

    What was said of the one model (its revision, its adapters) does not hold for another. ``none``
    is no LoRA.

    >>> other_weights({"model": "b"})
    {'revision': None, 'variant': None, 'config': None, 'lora': [], 'model': 'b'}
    >>> other_weights({"lora": "none"})
    {'lora': []}
    """
    found: dict[str, Any] = {}
    if "model" in changes:
        found = {"revision": None, "variant": None, "config": None, "lora": []}
    found |= changes
    if isinstance(found.get("lora"), str):
        found["lora"] = [] if found["lora"] == "none" else [found["lora"]]
    return found


def without_old_eta(changes: Mapping[str, Any], sampler: str) -> dict[str, Any]:
    """An η is that of its sampler, and not carried over to another.

    >>> without_old_eta({"sampler": "ddpm"}, "ddim"), without_old_eta({"sampler": "ddim"}, "ddim")
    ({'eta': None, 'sampler': 'ddpm'}, {'sampler': 'ddim'})
    """
    moved = changes.get("sampler", sampler) != sampler
    return {**({"eta": None} if moved else {}), **changes}
