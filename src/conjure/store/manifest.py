"""What a run directory's numbers depend on, and whether two such accounts agree."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np
from pydantic import NonNegativeInt

from conjure.divergence.base import FIELDS
from conjure.io.ours import Schema
from conjure.process.base import Process

FIRST_FIELDS = ("noise", "picture", "step", "printed")
"""The squares that runs of format 3 hold of a sample. Those of 2 took paths for identity, and those
of 1 had no checksums."""

LIBRARIES = ("conjure", "torch", "diffusers", "transformers", "numpy")
FREE = frozenset({"device"})
"""Settings of a process that may change within a run: numbers agree up to rounding."""

NAMES = frozenset({"model", "revision", "variant", "versions"})
"""Where weights were found, which does not matter as long as they are the same; and libraries,
which move the last digits."""


class Manifest(Schema):
    """The schema of what ``make_manifest`` gives."""

    format: int
    model: str
    revision: str | None
    variant: str | None
    weights: str
    process: dict[str, Any]
    levels: str
    seed: NonNegativeInt
    versions: dict[str, str]


def make_manifest(process: Process, seed: int, **more: Any) -> dict[str, Any]:
    """Everything that the samples of a run depend on, as JSON values.

    All estimands are sums over one sample's squares, so the choice among them is not part of it.

    Args:
        process: The process; its weights are hashed.
        seed: Of the noise.
        more: Whatever else a kind of run depends on.
    """
    settings = {k: v for k, v in process.describe().items() if k not in FREE}
    return {
        "format": format_of(FIELDS),
        "model": process.model,
        "revision": process.revision,
        "variant": process.variant,
        "weights": process.fingerprint(),
        "process": settings,
        "levels": hash_levels(process),
        "seed": seed,
        **more,
        "versions": versions(),
    }


def format_of(fields: Sequence[str]) -> int:
    """The number of what runs hold of a sample: another one by itself where the squares change.

    >>> format_of(FIRST_FIELDS), format_of((*FIRST_FIELDS, "more")) > 3
    (3, True)
    """
    return 3 if tuple(fields) == FIRST_FIELDS else 4 + crc32(" ".join(fields).encode())


def versions() -> dict[str, str]:
    """Of the libraries that decide numbers, and of Python."""
    found = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {**found, "python": platform.python_version()}


def hash_levels(process: Process) -> str:
    """A hash of the noise levels that are scored: of the schedule and its spacing."""
    levels = np.stack([process.levels.alpha, process.levels.sigma])
    rounded = np.round(levels, 9) + 0.0  # no negative zeros
    return hashlib.blake2b(rounded.astype("<f8").tobytes(), digest_size=8).hexdigest()


def process_digest(manifest: Mapping[str, Any]) -> str:
    """A hash of what a manifest says of the process: of all that decides a prediction."""
    said = {key: manifest[key] for key in ("weights", "process", "levels")}
    text = json.dumps(identity(said), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def settings_key(manifest: dict[str, Any]) -> str:
    """A hash of everything by which the numbers of two runs may differ."""
    text = json.dumps(identity(manifest), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def identity(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says that makes a run what it is.

    Of adapters, the scale: their weights are hashed with the model's, from wherever they came.

    >>> identity({"model": "here", "weights": "1f", "process": {"loras": [["a/b", 0.5]]}})
    {'weights': '1f', 'process': {'loras': [0.5]}}
    """

    def kept(key: str, value: Any) -> Any:
        if key == "loras":
            return [scale for _, scale in value]
        if isinstance(value, Mapping):
            return {inner: kept(inner, found) for inner, found in value.items()}
        return value

    return {key: kept(key, value) for key, value in manifest.items() if key not in NAMES}


def disagreements(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """One line for each value of two manifests by which their numbers differ."""
    return differences(identity(there), identity(here))


def moved(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """One line for each library of two manifests that is not the same."""
    return differences(there.get("versions", {}), here.get("versions", {}))


def differences(there: Any, here: Any, name: str = "") -> list[str]:
    """One line for each value that is not the same, the deepest name first.

    >>> differences({"process": {"steps": 10}, "seed": 0}, {"process": {"steps": 20}, "seed": 0})
    ['process.steps: 10 in the run, 20 now']
    """
    if isinstance(there, dict) and isinstance(here, dict):
        found = []
        for key in dict.fromkeys([*there, *here]):
            inner = f"{name}.{key}" if name else str(key)
            found += differences(there.get(key), here.get(key), inner)
        return found
    return [] if there == here else [f"{name}: {there!r} in the run, {here!r} now"]
