"""Plain sentences by a small grammar, in families that differ by a word, an order or a negation.

A dictionary's examples are literary; people also write "a tired girl in a hat is feeding two
goats". What the sentences have to teach is how much a change of one part changes the whole, which
the teacher says of each.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .scenes import COLOURS, NUMBERS, plural, thing

PEOPLE = (
    "man", "woman", "boy", "girl", "child", "baby", "person", "lady", "guy", "kid", "teacher",
    "doctor", "nurse", "farmer", "soldier", "dancer", "singer", "player", "worker", "student",
    "cook", "driver", "artist", "king", "queen", "police officer", "scientist", "athlete",
    "musician", "couple", "crowd", "team", "mother", "father", "friend", "group of people",
)  # fmt: skip
ADJECTIVES = (
    "young", "old", "small", "big", "happy", "sad", "tired", "angry", "beautiful", "little",
    "tall", "thin", "fat", "dirty", "clean", "wet", "white", "black", "hungry", "funny", "new",
    "broken", "wooden", "golden", "empty", "strange", "quiet", "loud", "fast", "slow", "heavy",
)  # fmt: skip
ALONE = (
    "sleeping", "running", "dancing", "sitting", "standing", "singing", "swimming", "jumping",
    "walking", "smiling", "crying", "talking", "climbing", "working", "waiting", "laughing",
    "fighting", "falling", "resting", "shouting", "thinking", "hiding", "skating", "exercising",
)  # fmt: skip
WITH = {
    "eating": "food", "slicing": "food", "cooking": "food", "peeling": "food", "chopping": "food",
    "mixing": "food", "drinking": "drink", "pouring": "drink", "playing": "music",
    "riding": "ride", "driving": "vehicle", "repairing": "vehicle", "parking": "vehicle",
    "holding": "any", "washing": "any", "looking at": "any", "carrying": "any", "throwing": "any",
    "pointing at": "any", "drawing": "any", "painting": "any", "buying": "any", "selling": "any",
    "taking a picture of": "any", "chasing": "animal", "feeding": "animal", "petting": "animal",
    "watching": "animal", "wearing": "clothes", "folding": "clothes", "kicking": "ball",
    "catching": "ball", "opening": "any", "moving": "any", "cleaning": "any", "dreaming of": "any",
}  # fmt: skip
KINDS = {
    "food": ("food-",), "drink": ("drink",), "music": ("musical-instrument", "game"),
    "ride": ("animal-mammal", "transport-ground"), "vehicle": ("transport-",),
    "animal": ("animal-",), "clothes": ("clothing",), "ball": ("sport",),
    "any": ("animal-", "food-", "household", "tool", "book-paper", "plant-", "phone", "computer",
            "clothing", "transport-", "musical-instrument", "place-building"),
}  # fmt: skip
PLACES = (
    "in the park", "on the beach", "in the street", "in the kitchen", "at home", "in the snow",
    "on the grass", "in the water", "near a house", "under a tree", "on stage", "in the city",
    "in the forest", "at night", "in a field", "at school", "in the rain", "on a table",
    "beside a river", "in the mountains", "at the market", "behind a fence", "in the garden",
)  # fmt: skip


@dataclass(frozen=True)
class Sentence:
    """The parts of a sentence."""

    subject: str
    quality: str | None
    number: int
    verb: str
    object: str | None
    colour: str | None
    place: str | None
    denied: bool = False
    past: bool = False


def say(s: Sentence) -> str:
    """The sentence in words."""
    name = f"{s.quality} {s.subject}" if s.quality else s.subject
    many = s.number > 1
    who = f"{NUMBERS[s.number - 1]} {plural(name)}" if many else thing(name)
    be = ("were" if many else "was") if s.past else ("are" if many else "is")
    words = [who, be + (" not" if s.denied else ""), s.verb]
    if s.object:
        words.append(thing(s.object, s.colour))
    if s.place:
        words.append(s.place)
    return " ".join(words)


def write(text: str, rng: random.Random) -> str:
    """With or without a capital and a full stop."""
    draw = rng.random()
    return text[0].upper() + text[1:] + "." if draw < 0.6 else text + "." if draw < 0.7 else text


def _things(table: Sequence[dict[str, Any]], subgroups: tuple[str, ...]) -> list[str]:
    """What the drawings of some subgroups show, in one or two plain words."""
    chosen = [e for e in table if e["subgroup"].startswith(subgroups) and not e["held_out"]]
    names = [e["label"].removesuffix(" face") for e in chosen]
    return list(dict.fromkeys(name for name in names if re.fullmatch("[a-z]+( [a-z]+)?", name)))


class Grammar:
    """Draws sentences about the things that have drawings, and about people."""

    def __init__(self, table: Sequence[dict[str, Any]], seed: int = 0) -> None:
        """Sort the labels by what can be done with them."""
        self.rng = random.Random(f"sentences {seed}")
        self.objects = {kind: _things(table, subgroups) for kind, subgroups in KINDS.items()}
        self.verbs = [(verb, kind) for verb, kind in WITH.items() if self.objects[kind]]

    def draw(self) -> Sentence:
        """A sentence at random."""
        rng = self.rng
        people = rng.random() < 0.7
        subject = rng.choice(PEOPLE if people else self.objects["animal"])
        verb, kind = rng.choice(self.verbs)
        alone = rng.random() < (0.35 if people else 0.6)
        return Sentence(
            subject, rng.choice(ADJECTIVES) if rng.random() < 0.5 else None,
            rng.choices((1, 2, 3), (8, 1, 1))[0],
            rng.choice(ALONE) if alone else verb,
            None if alone else rng.choice(self.objects[kind]),
            rng.choice(list(COLOURS)) if rng.random() < 0.2 else None,
            rng.choice(PLACES) if rng.random() < 0.6 else None,
            rng.random() < 0.08, rng.random() < 0.2,
        )  # fmt: skip

    def change(self, s: Sentence) -> Sentence:
        """One part of it otherwise."""
        other = self.draw()
        draw = self.rng.random()
        if draw < 0.2:
            return replace(s, subject=other.subject)
        if draw < 0.45:
            return replace(s, verb=other.verb, object=other.object, colour=other.colour)
        if draw < 0.6 and s.object:
            kinds = [k for k, names in self.objects.items() if s.object in names]
            return replace(s, object=self.rng.choice(self.objects[self.rng.choice(kinds)]))
        if draw < 0.72:
            return replace(s, place=other.place)
        if draw < 0.82:
            return replace(s, quality=other.quality)
        if draw < 0.88:
            return replace(s, number=other.number)
        return replace(s, denied=not s.denied) if draw < 0.94 else replace(s, past=not s.past)

    def family(self) -> list[str]:
        """Eight sentences: one, and others one, two or three changes away from it."""
        base = self.draw()
        found = [base]
        for changes in (1, 1, 1, 2, 2, 3, 3):
            changed = base
            for _ in range(changes):
                changed = self.change(changed)
            found.append(changed)
        return [write(say(s), self.rng) for s in found]


def sentences(table: Sequence[dict[str, Any]], families: int, seed: int = 0) -> Iterator[str]:
    """So many families, one after the other."""
    grammar = Grammar(table, seed)
    for _ in range(families):
        yield from grammar.family()
