"""Near or far: where a distance stands among those of pairs that everybody has a picture of."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from conjure.engine.jobs import Pair
from conjure.errors import ConjureError
from conjure.io.files import written_whole
from conjure.io.ours import Schema, parse_ours, read_ours
from conjure.models import EMBEDDED
from conjure.process.base import Description, Process
from conjure.store.manifest import FREE, hash_levels, identity

PAIRS: tuple[Pair, ...] = (
    ("cat", "kitten"), ("cat", "tiger"), ("cat", "dog"), ("guitar", "violin"),
    ("apple", "strawberry"), ("a red car", "a blue car"), ("cat", "car"), ("tree", "guitar"),
)  # fmt: skip
"""From what any text-to-image model has seen, and from near to far."""

FAR: Pair = ("cat", "car")
"""To which a distance is held: two things with nothing in common but their size in a picture."""

ALIKE = 1.15
"""Within this factor two distances are told as the same."""

REMEDY = "Delete it, and measure the reference pairs again with conjure scale."


class Scale(Schema):
    """Distances of the reference pairs under one process.

    Attributes:
        process: What it was made of, see ``settings_of``.
        weights: A hash of them.
        samples: Of each pair.
        seed: Of the noise.
        pairs: Of prompts.
        distances: By estimand, one a pair.
    """

    process: dict[str, Any]
    weights: str
    samples: int
    seed: int
    pairs: list[list[str]]
    distances: dict[str, list[float]]

    def ranked(self, estimand: str) -> list[tuple[float, str]]:
        """Each distance and its pair as words, the nearest first; empty where there are none."""
        names = [" and ".join(pair) for pair in self.pairs]
        return sorted(zip(self.distances.get(estimand, []), names, strict=False))

    def place(self, distance: float, estimand: str) -> str | None:
        """A sentence's worth: which pair is as far apart, or which two lie around.

        >>> pairs = [["cat", "kitten"], ["cat", "car"]]
        >>> scale = Scale(process={}, weights="", samples=2, seed=0, pairs=pairs,
        ...               distances={"girsanov": [8.0, 40.0]})
        >>> scale.place(8.5, "girsanov"), scale.place(20, "girsanov")
        ('like cat and kitten',
         'between cat and kitten and cat and car, 0.5 times as far as cat and car')
        >>> scale.place(2, "girsanov"), scale.place(0, "girsanov")
        ('nearer than cat and kitten, 0.05 times as far as cat and car', None)
        """
        ranked = self.ranked(estimand)
        if not ranked or distance <= 0 or ranked[0][0] <= 0:
            return None
        off = [(max(distance, known) / min(distance, known), name) for known, name in ranked]
        below = [name for known, name in ranked if known < distance]
        above = [name for known, name in ranked if known >= distance]
        factor, alike = min(off)
        if factor <= ALIKE:
            text = f"like {alike}"
        elif not below:
            text = f"nearer than {above[0]}"
        elif not above:
            text = f"further than {below[-1]}"
        else:
            text = f"between {below[-1]} and {above[0]}"
        far = {name: known for known, name in ranked}.get(" and ".join(FAR))
        if far is None or factor <= ALIKE:
            return text
        return f"{text}, {distance / far:.1g} times as far as {' and '.join(FAR)}"


def settings_of(process: Process) -> dict[str, Any]:
    """What a scale depends on beside the weights: all that decides a prediction, and the levels."""
    said = {key: value for key, value in process.describe().items() if key not in FREE}
    return {**identity({"process": said}), "levels": hash_levels(process)}


def known_scale(process: Process) -> Scale | None:
    """That of a process, shipped or measured before; None where nobody has measured it."""
    if isinstance(process, Description):
        return None
    for path in (shipped_place(process), kept_place(process)):
        if path is None or not path.exists():
            continue
        try:
            scale = parse_ours(read_ours(path, REMEDY), _SCALE, str(path), REMEDY).value
        except ConjureError:
            continue  # whatever it was, it says nothing
        if scale.process == settings_of(process) and scale.weights == process.fingerprint():
            return scale
    return None


def keep_scale(scale: Scale, path: Path) -> None:
    """Write one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(scale.model_dump(), indent=1, ensure_ascii=False) + "\n"
    with written_whole(path) as draft:
        draft.write_text(text, encoding="utf-8")


def shipped_place(process: Process) -> Path | None:
    """Where a model that ships with the package has its scale."""
    folder = EMBEDDED.get(process.model)
    return None if folder is None else folder / "scale.json"


def kept_place(process: Process) -> Path:
    """Where that of a process is kept on this machine: under ``CONJURE_CACHE``, or the cache."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "conjure"
    folder = Path(os.environ.get("CONJURE_CACHE") or usual) / "scales"
    key = json.dumps([process.model, settings_of(process)], sort_keys=True, default=str)
    return folder / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.json"


def standing(process: Process, distance: float, estimand: str) -> str | None:
    """Where a distance stands among the reference pairs of its process, in words."""
    scale = known_scale(process)
    return None if scale is None else scale.place(distance, estimand)


_SCALE = TypeAdapter(Scale)
