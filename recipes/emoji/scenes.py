"""Composed scenes: drawings put together, and captions that say what is there.

A scene is a plan first (`Scene`: which drawing goes where, in which colour, on which ground), so
that alternatives to it can be planned too, and painted later in any vendor's drawings.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from recipes.drawings.data import GENERATOR_STYLES, held_out, load_pictures
from recipes.drawings.paint import COLOURS, Item, paint

from .captions import article

NUMBERS = ("one", "two", "three", "four", "five", "six")
RELATIONS = {
    "left": ("{a} to the left of {b}", "{a} on the left of {b}", "{a} left of {b}",
             "{a} on the left and {b} on the right"),
    "above": ("{a} above {b}", "{a} over {b}", "{a} at the top and {b} at the bottom"),
    "right": ("{a} to the right of {b}", "{a} on the right of {b}", "{a} right of {b}",
              "{a} on the right and {b} on the left"),
    "below": ("{a} below {b}", "{a} under {b}", "{a} at the bottom and {b} at the top"),
}  # fmt: skip
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}
PLACES = {
    "on the left": (0.25, 0.5), "on the right": (0.75, 0.5), "at the top": (0.5, 0.25),
    "at the bottom": (0.5, 0.75), "in the top left corner": (0.25, 0.25),
    "in the top right corner": (0.75, 0.25), "in the bottom left corner": (0.25, 0.75),
    "in the bottom right corner": (0.75, 0.75),
}  # fmt: skip
NEAR = ("{a} and {b}", "{a} next to {b}", "{a} beside {b}", "{a} with {b}", "{a} near {b}")
GRIDS = {
    1: ((0.5, 0.5),),
    2: ((0.27, 0.5), (0.73, 0.5)),
    3: ((0.5, 0.27), (0.27, 0.73), (0.73, 0.73)),
    4: ((0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73)),
    5: ((0.2, 0.2), (0.8, 0.2), (0.5, 0.5), (0.2, 0.8), (0.8, 0.8)),
    6: ((0.18, 0.3), (0.5, 0.3), (0.82, 0.3), (0.18, 0.7), (0.5, 0.7), (0.82, 0.7)),
}
SIDES = {1: 0.9, 2: 0.44, 3: 0.43, 4: 0.42, 5: 0.33, 6: 0.31}
SUBGROUPS = (
    "animal-", "plant-", "food-", "drink", "dishware", "transport-", "clothing", "sport", "game",
    "music", "musical-instrument", "household", "tool", "sound", "computer", "book-paper",
    "place-building", "place-other", "phone", "light-video", "arts-crafts", "office", "hotel",
)  # fmt: skip
MANY, OFTEN = range(1, 7), (2, 4, 4, 4, 1, 1)  # how often there are one to six of a thing
KINDS = ("count", "colour", "relation", "near", "place", "size", "ground", "absence", "both")
WEIGHTS = (0.14, 0.14, 0.3, 0.08, 0.1, 0.06, 0.05, 0.05, 0.08)  # relations are learned last


@dataclass(frozen=True)
class Scene:
    """What is drawn, and what is said of it."""

    kind: str
    caption: str
    items: tuple[Item, ...]
    ground: str | None = None


def count_key(label: str, number: int) -> str:
    """By which so many of one thing are held out or not."""
    return f"count {label} {number}"


def colour_key(label: str, colour: str) -> str:
    """By which a thing in a colour is held out or not."""
    return f"colour {label} {colour}"


def pair_key(a: str, b: str) -> str:
    """By which two things together are held out or not."""
    return f"relation {min(a, b)} {max(a, b)}"


def keys(scene: Scene, table: Sequence[dict[str, Any]]) -> set[str]:
    """Every composition that a scene shows, whatever its caption says of it."""
    labels = [table[item.row]["label"] for item in scene.items]
    found = {pair_key(a, b) for a, b in combinations(sorted(set(labels)), 2)}
    found |= {count_key(label, n) for label, n in Counter(labels).items() if n > 1}
    for label, item in zip(labels, scene.items, strict=True):
        if item.colour:
            found.add(colour_key(label, item.colour))
    return found


def plural(label: str) -> str:
    """The plural of a label's last word."""
    for one, many in (("mouse", "mice"), ("man", "men"), ("leaf", "leaves"), ("knife", "knives"),
                      ("person", "people"), ("child", "children"), ("tooth", "teeth"),
                      ("foot", "feet"), ("goose", "geese")):  # fmt: skip
        if label.endswith(one):
            return label[: -len(one)] + many
    if re.search(r"(fish|sheep|deer|bison|shrimp|squid|sushi|bread|rice)$", label):
        return label
    if re.search(r"(s|x|z|ch|sh)$", label):
        return label + "es"
    if re.search(r"[^aeiou]y$", label):
        return label[:-1] + "ies"
    return label + ("es" if label.endswith(("tomato", "potato", "mango")) else "s")


def composable(table: Sequence[dict[str, Any]]) -> list[int]:
    """Rows of the labels that can be counted, tinted and put beside each other: plain nouns."""
    colours = re.compile(rf"\b({'|'.join(COLOURS)}|black|white|grey|gray|rainbow|golden)\b")
    rows = []
    for row, entry in enumerate(table):
        label = entry["label"]
        plain = re.fullmatch(r"[a-z]+( [a-z]+)?", label) and not colours.search(label)
        counted = not re.search(r"([^s]s| face|ing|broken|light|food|cooking)$", label)
        thing = entry["subgroup"].startswith(SUBGROUPS)
        if plain and counted and thing and not entry["held_out"]:
            rows.append(row)
    return rows


def thing(label: str, colour: str | None = None) -> str:
    """`a cat`, `an orange car`."""
    name = f"{colour} {label}" if colour else label
    return article(name) + name


def plan(
    kind: str, table: Sequence[dict[str, Any]], rows: Sequence[int], rng: random.Random
) -> Scene:
    """A scene of a kind, at random."""
    one, two = rng.sample(rows, 2)
    a, b = table[one]["label"], table[two]["label"]
    return PLANS[kind](one, a, two, b, rng=rng)


def count_scene(one: int, a: str, number: int, rng: random.Random,
                colour: str | None = None) -> Scene:  # fmt: skip
    """So many of one thing."""
    said = rng.choice((NUMBERS[number - 1], str(number)))
    name = f"{colour} {a}" if colour else a
    what = f"{said} {name if number == 1 else plural(name)}"
    verb = "is" if number == 1 else "are"
    caption = rng.choice((what, what, f"there {verb} {what}", f"a picture of {what}"))
    items = grid(one, number, rng, colour)
    return Scene("count", caption, items)


def grid(one: int, number: int, rng: random.Random, colour: str | None = None) -> tuple[Item, ...]:
    """The places of so many things, slightly moved."""
    side = SIDES[number] * rng.uniform(0.88, 1.0)
    wobble = 0.02 if number > 1 else 0.03
    return tuple(
        Item(one, x + rng.uniform(-wobble, wobble), y + rng.uniform(-wobble, wobble), side, colour)
        for x, y in GRIDS[number]
    )


def colour_scene(one: int, a: str, colour: str, rng: random.Random) -> Scene:
    """One thing in a colour."""
    said = thing(a, colour)
    caption = rng.choice(
        (said, said, f"the {a} is {colour}", f"{thing(a)} that is {colour}", f"{colour} {a}")
    )
    return Scene("colour", caption, (Item(one, colour=colour),))


def relation_scene(one: int, a: str, two: int, b: str, relation: str,
                   rng: random.Random) -> Scene:  # fmt: skip
    """Two things, one of them to the left of, above … the other."""
    near, far = rng.uniform(0.24, 0.28), rng.uniform(0.72, 0.76)
    first = {"left": (near, 0.5), "right": (far, 0.5), "above": (0.5, near), "below": (0.5, far)}
    side = rng.uniform(0.4, 0.46)
    places = first[relation], first[OPPOSITE[relation]]
    items = tuple(Item(r, x, y, side) for r, (x, y) in zip((one, two), places, strict=True))
    caption = rng.choice(RELATIONS[relation]).format(a=thing(a), b=thing(b))
    return Scene("relation", caption, items)


def _near(one: int, a: str, two: int, b: str, rng: random.Random) -> Scene:
    scene = relation_scene(one, a, two, b, rng.choice(("left", "right")), rng)
    names = [thing(a), thing(b)]
    rng.shuffle(names)
    return replace(scene, kind="near", caption=rng.choice(NEAR).format(a=names[0], b=names[1]))


def _place(one: int, a: str, two: int, b: str, rng: random.Random) -> Scene:
    place, (x, y) = rng.choice(list(PLACES.items()))
    item = Item(one, x, y, rng.uniform(0.4, 0.46))
    return Scene("place", f"{thing(a)} {place}", (item,))


def _size(one: int, a: str, two: int, b: str, rng: random.Random) -> Scene:
    big, small = rng.choice(("big", "large", "huge")), rng.choice(("small", "little", "tiny"))
    if rng.random() < 0.5:
        item = Item(one, 0.5, 0.5, rng.uniform(0.24, 0.32))
        return Scene("size", f"a {small} {a}", (item,))
    items = (Item(one, 0.34, 0.45, 0.62), Item(two, 0.82, 0.75, 0.28))
    caption = f"a {big} {a} and a {small} {b}"
    return Scene("size", caption, items)


def _ground(one: int, a: str, two: int, b: str, rng: random.Random) -> Scene:
    colour = rng.choice(list(COLOURS))
    said = rng.choice(("on a {} background", "in front of a {} wall", "against a {} background"))
    said = said.replace("a {}", thing(colour).replace(colour, "") + "{}").format(colour)
    item = Item(one, 0.5, 0.5, rng.uniform(0.6, 0.85))
    return Scene("ground", f"{thing(a)} {said}", (item,), colour)


def _absence(one: int, a: str, two: int, b: str, rng: random.Random) -> Scene:
    draw = rng.random()
    if draw < 0.2:
        said = rng.choice(("nothing", "an empty picture", "a blank page", "there is nothing here",
                           f"there is no {a}", f"there are no {plural(a)}"))  # fmt: skip
        return Scene("absence", said, ())
    said = rng.choice((f"{thing(a)} without {thing(b)}", f"{thing(a)} but no {b}",
                       f"no {b}, only {thing(a)}"))  # fmt: skip
    return Scene("absence", said, (Item(one),))


def _both(one: int, a: str, two: int, b: str, rng: random.Random) -> Scene:
    first, second = rng.sample(list(COLOURS), 2)
    if rng.random() < 0.4:
        number = rng.randint(2, 4)
        return replace(count_scene(one, a, number, rng, first), kind="both")
    scene = relation_scene(one, a, two, b, rng.choice(list(RELATIONS)), rng)
    relation = rng.choice(NEAR[:3])
    items = (replace(scene.items[0], colour=first), replace(scene.items[1], colour=second))
    caption = relation.format(a=thing(a, first), b=thing(b, second))
    return Scene("both", caption, items)


PLANS: dict[str, Callable[..., Scene]] = {
    "count": lambda one, a, _, b, rng: count_scene(one, a, rng.choices(MANY, OFTEN)[0], rng),
    "colour": lambda one, a, _, b, rng: colour_scene(one, a, rng.choice(list(COLOURS)), rng),
    "relation": lambda *ab, rng: relation_scene(*ab, rng.choice(list(RELATIONS)), rng),
    "near": _near, "place": _place, "size": _size, "ground": _ground, "absence": _absence,
    "both": _both,
}  # fmt: skip


def alternatives(kind: str, table: Sequence[dict[str, Any]], count: int,
                 seed: int = 1) -> list[list[Scene]]:  # fmt: skip
    """At most `count` held-out compositions, each followed by those it is hardest to tell from.

    The same thing 2 to 4 times, or once (which is not held out, and never the truth); in each of
    the eight colours; the same two things the other way round. The captions of a list differ by
    that alone, and no composition comes twice.

    Raises:
        ValueError: There are too few things for any composition to be held out.
    """
    rng, rows = random.Random(f"{kind} {seed}"), composable(table)
    found: dict[str, list[Scene]] = {}
    for _ in range(100 * count):
        if len(found) == count:
            break
        one, two = rng.sample(rows, 2)
        a, b = table[one]["label"], table[two]["label"]
        wording = rng.randrange(1 << 30)
        if kind == "count":
            number = rng.randint(2, 4)
            order = [number, *(n for n in range(1, 5) if n != number)]
            scenes = [count_scene(one, a, n, random.Random(wording)) for n in order]
        elif kind == "colour":
            colour = rng.choice(list(COLOURS))
            order = [colour, *(c for c in COLOURS if c != colour)]
            scenes = [colour_scene(one, a, c, random.Random(wording)) for c in order]
        else:
            relation = rng.choice(list(RELATIONS))
            scenes = [relation_scene(one, a, two, b, r, random.Random(wording))
                      for r in (relation, OPPOSITE[relation])]  # fmt: skip
        (key,) = keys(scenes[0], table)
        if held_out(key):
            found.setdefault(key, scenes)
    if not found:
        raise ValueError(f"no composition of the kind {kind} is held out")
    return list(found.values())


def painted_scenes(scenes: Sequence[Scene], work: Path, seed: int) -> Iterator[np.ndarray]:
    """Each scene's pixels, [SIZE, SIZE, 3] uint8, in one vendor's drawings, drawn by the seed."""
    drawings = []
    for style in GENERATOR_STYLES:
        index, rgba = load_pictures(work, style)
        drawings.append(dict(zip(index.tolist(), rgba, strict=True)))
    for place, scene in enumerate(scenes):
        own = drawings[np.random.default_rng([seed, place]).integers(len(drawings))]
        yield paint(scene.items, [own[item.row] for item in scene.items], scene.ground)
