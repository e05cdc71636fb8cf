"""What no text that the model learns from may say: a rule, and a list of hashes.

Benchmarks: `withheld.npy` holds 32-bit hashes of their sentences, so that a caption that is one can
be left out without the data being here. Their single words are words of any dictionary and stay.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recipes.common import write_atomically
from recipes.drawings.data import held_out

from . import HERE
from .scenes import (
    COLOURS,
    KINDS,
    NUMBERS,
    WEIGHTS,
    Scene,
    colour_key,
    composable,
    count_key,
    keys,
    pair_key,
    plan,
    plural,
)

HASHES = HERE / "withheld.npy"
SHORTEST = 3  # words of a sentence
COUNTED = {word: n for n, word in enumerate(NUMBERS, 1)} | {str(n): n for n in range(1, 7)}


def words_of(text: str) -> list[str]:
    """Lower-case words and digits."""
    return re.findall(r"[a-z]+|\d+", text.lower())


def fingerprint(text: str) -> int:
    """A 32-bit hash of a text's words, whatever its capitals and punctuation."""
    return int(hashlib.sha256(" ".join(words_of(text)).encode()).hexdigest()[:8], 16)


def write_hashes(data: Path) -> int:
    """Hash every sentence of the benchmarks in a folder into `withheld.npy`; how many there are."""
    found = set()
    for path in sorted(data.rglob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            texts = [row[name] for name in ("sentence1", "sentence2") if name in row]
            found |= {fingerprint(t) for t in texts if len(words_of(t)) >= SHORTEST}
    hashes = np.array(sorted(found), dtype=np.uint32)
    write_atomically(HASHES, lambda p: np.save(p, hashes))
    return len(hashes)


class Withheld:
    """Which texts name what is kept back, given the table of labels.

    The rule is wider than the compositions: a text that names both parts of one that is held out (a
    thing and a number, a thing and a colour, two things) is refused, whatever it says of them.
    """

    def __init__(self, table: Sequence[dict[str, Any]]) -> None:
        """Collect the names."""
        self.things: dict[str, str] = {}
        for row in composable(table):
            label = table[row]["label"]
            self.things |= {label: label, plural(label): label}
        concepts = [e["label"] for e in table if e["held_out"]]
        self.concepts = {" ".join(words_of(n)) for c in concepts for n in (c, plural(c))}
        self.longest = max((len(name.split()) for name in self.concepts), default=0)
        self.hashes = set(np.load(HASHES).tolist()) if HASHES.exists() else set()

    def concept(self, text: str) -> bool:
        """Whether a text names a concept that is never drawn."""
        return any(part in self.concepts for part in _runs(words_of(text), self.longest))

    def composition(self, text: str) -> bool:
        """Whether a text names both parts of a composition that is held out."""
        words = words_of(text)
        things = sorted({self.things[part] for part in _runs(words, 2) if part in self.things})
        keys = [pair_key(a, b) for i, a in enumerate(things) for b in things[i + 1 :]]
        for thing in things:
            keys += [colour_key(thing, word) for word in words if word in COLOURS]
            keys += [count_key(thing, COUNTED[word]) for word in words if COUNTED.get(word, 1) > 1]
        return any(map(held_out, keys))

    def benchmark(self, text: str) -> bool:
        """Whether a text is a sentence of a benchmark."""
        return len(words_of(text)) >= SHORTEST and fingerprint(text) in self.hashes

    def says(self, text: str) -> bool:
        """Whether a caption says anything that is kept back."""
        return self.composition(text) or self.concept(text) or self.benchmark(text)


def training_scenes(table: Sequence[dict[str, Any]], count: int, seed: int = 0) -> list[Scene]:
    """Scenes that neither show nor name what is held out, kinds in fixed shares."""
    rng, rows, withheld = random.Random(f"scenes {seed}"), composable(table), Withheld(table)
    found: list[Scene] = []
    while len(found) < count:
        scene = plan(rng.choices(KINDS, WEIGHTS)[0], table, rows, rng)
        shown = any(map(held_out, keys(scene, table)))
        if not (shown or withheld.says(scene.caption)):
            found.append(scene)
    return found


def drawn(table: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries that have pictures, without the tags that name a concept that has none."""
    withheld = Withheld(table)
    return [
        entry | {"tags": [tag for tag in entry["tags"] if not withheld.concept(tag)]}
        for entry in table
        if not entry["held_out"]
    ]


def _runs(words: list[str], longest: int) -> Iterable[str]:
    for size in range(1, longest + 1):
        for start in range(len(words) - size + 1):
            yield " ".join(words[start : start + size])
