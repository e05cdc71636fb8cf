"""Settings of a process as people write them: ``guidance=1,3``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KINDS: dict[str, type] = {
    "guidance": float, "steps": int, "sampler": str, "eta": float, "spacing": str, "shift": float,
    "embedded_guidance": float, "model": str, "lora": str, "revision": str, "variant": str,
    "config": str, "negative": str, "dtype": str,
}  # fmt: skip
"""Arguments of ``conjure.load`` that can be varied."""

WEIGHTS = ("model", "revision", "variant", "config", "lora", "dtype", "embedded_guidance")
"""Those that decide which weights are loaded, and how."""


WITH_ETA = ("ddim", "own")
"""Samplers that take an η; ``own`` does where the pipeline's is DDIM."""


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


def load_arguments(said: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``conjure.load`` for the process that gave this description of itself.

    >>> load_arguments({"sampler": "ddim", "steps": 5, "shift": None, "loras": [["a/b", 0.5]]})
    {'sampler': 'ddim', 'steps': 5, 'lora': ['a/b:0.5']}
    >>> load_arguments({"size": [64, 32]})
    {'size': (64, 32)}
    """
    names = (
        "sampler", "eta", "steps", "guidance", "negative", "dtype", "long", "spacing", "shift",
        "embedded_guidance",
    )  # fmt: skip
    found = {name: said[name] for name in names if said.get(name) is not None}
    if said.get("size"):
        found["size"] = tuple(said["size"])
    if said.get("loras"):
        found["lora"] = [f"{name}:{scale:g}" for name, scale in said["loras"]]
    return found
