"""What a run directory's numbers depend on, and whether two such accounts agree."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

from conjure.process.base import Process

LIBRARIES = ("conjure", "torch", "diffusers", "transformers", "numpy")
FREE = frozenset({"device"})
"""Settings of a process that may change within a run: numbers agree up to rounding."""


def make_manifest(process: Process, seed: int, **more: Any) -> dict[str, Any]:
    """Everything that the samples of a run depend on, as JSON values.

    All estimands are sums over one sample's squares, so the choice among them is not part of it.

    Args:
        process: The process; its weights are hashed.
        seed: Of the noise.
        more: Whatever else a kind of run depends on.
    """
    settings = {k: v for k, v in process.describe().items() if k not in FREE}
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {
        "format": 1,
        "model": process.model,
        "weights": process.fingerprint(),
        "process": settings,
        "seed": seed,
        **more,
        "versions": {**versions, "python": platform.python_version()},
    }


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
