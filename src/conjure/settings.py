"""Settings of a process as people write them: ``guidance=1,3``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from conjure.errors import ConjureError

KINDS: dict[str, type] = {
    "guidance": float, "steps": int, "sampler": str, "eta": float, "spacing": str, "shift": float,
    "embedded_guidance": float, "model": str, "lora": str, "revision": str, "variant": str,
    "config": str, "negative": str, "dtype": str,
}  # fmt: skip
"""Arguments of ``conjure.load`` that can be varied."""

WEIGHTS = ("model", "revision", "variant", "config", "lora", "dtype", "embedded_guidance")
"""Those that decide which weights are loaded, and how."""

WHOLE = ("negative",)
"""Those whose values have commas of their own: one value a time, and as often as there are any."""

WITH_ETA = ("ddim", "own")
"""Samplers that take an η; ``own`` does where the pipeline's is DDIM."""

SAMPLES = {"samples": int}
"""What else an evaluation can vary."""

PROMPT = {"prompt": str}
"""What else a comparison of processes can vary: ``read`` or ``ignored``."""


def parse_vary(options: Sequence[str], also: dict[str, type] | None = None) -> dict[str, list[Any]]:
    """``guidance=1,3`` and the like as names and values.

    Args:
        options: As they were written.
        also: What can be varied beside the settings of a process.

    Raises:
        ConjureError: It is not of that form, or names nothing that can be varied.

    >>> parse_vary(["guidance=1,3", "steps=5,10"])
    {'guidance': [1.0, 3.0], 'steps': [5, 10]}
    >>> parse_vary(["negative=", "negative=ugly, blurry"])
    {'negative': ['', 'ugly, blurry']}
    """
    kinds = KINDS | (also or {})
    found: dict[str, list[Any]] = {}
    for option in options:
        name, values = _split(option, kinds, "--vary is NAME=VALUES")
        if name in found and name not in WHOLE:
            raise ConjureError(f"{name} is varied twice: give all its values at once.")
        parts = [values] if name in WHOLE else values.split(",")
        found.setdefault(name, []).extend(
            _value(name, part.strip(), kinds[name], option) for part in parts
        )
        if not (values or name in WHOLE) or len(set(found[name])) < len(found[name]):
            raise ConjureError(f"{option!r} has no values, or one of them twice.")
    return found


def parse_changes(options: Sequence[str]) -> dict[str, Any]:
    """``guidance=3`` and the like as names and one value each.

    Raises:
        ConjureError: It is not of that form, or names no setting.

    >>> parse_changes(["dtype=bfloat16", "guidance=3"])
    {'dtype': 'bfloat16', 'guidance': 3.0}
    """
    found: dict[str, Any] = {}
    for option in options:
        name, value = _split(option, KINDS, "--change is NAME=VALUE")
        if name in found:
            raise ConjureError(f"{name} is changed twice.")
        found[name] = _value(name, value, KINDS[name], option)
    return found


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


def _split(option: str, known: Collection[str], form: str) -> tuple[str, str]:
    name, sign, rest = option.partition("=")
    name = name.strip().replace("-", "_")
    if not sign or name not in known:
        raise ConjureError(f"{form} with a NAME of {', '.join(known)}, unlike {option!r}.")
    return name, rest


def _value(name: str, text: str, kind: type, option: str) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        raise ConjureError(f"The values of {name} in {option!r} are no numbers.") from error
