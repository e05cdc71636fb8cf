"""Composed scenes: several drawings, or a coloured or displaced one, and what to say of them.

A scene is decided without its drawings, so that one caption has many pictures. Compositions are
held out by what they compose: no picture of a held-out one is ever trained on.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from .captions import article
from .common import SIZE

COLOURS = {
    "red": (218, 38, 38), "orange": (243, 138, 20), "yellow": (250, 212, 42),
    "green": (52, 160, 62), "blue": (38, 98, 220), "purple": (138, 58, 188),
    "pink": (246, 128, 178), "brown": (128, 78, 44),
}  # fmt: skip
NUMBERS = ("", "one", "two", "three", "four")
KINDS = {
    "count": 0.26, "colour": 0.26, "relation": 0.26, "size": 0.06, "place": 0.06, "ground": 0.05,
    "absence": 0.05,
}  # fmt: skip
HELD_OUT = 10
"""One composition in so many is never trained on."""

COLOUR_WORDS = (*COLOURS, "black", "white", "grey", "gold", "silver")
IRREGULAR = {
    "mouse": "mice", "goose": "geese", "fish": "fish", "sheep": "sheep", "deer": "deer",
    "person": "people", "child": "children", "man": "men", "woman": "women", "knife": "knives",
    "leaf": "leaves", "wolf": "wolves", "ox": "oxen", "tooth": "teeth", "foot": "feet",
    "shrimp": "shrimp", "bison": "bison", "squid": "squid", "loaf": "loaves", "scarf": "scarves",
}  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """One drawing in a scene.

    Args:
        label: Row in the table of labels.
        x: Centre, in pixels.
        y: Likewise.
        size: Of its longer side.
        colour: That it is tinted with, or None for its own.
    """

    label: int
    x: float
    y: float
    size: float
    colour: str | None = None


@dataclass(frozen=True)
class Scene:
    """What is to be seen.

    Args:
        kind: One of :data:`KINDS`.
        things: In the order in which they are drawn.
        ground: Colour of the background, or None for white.
        caption: One way to say it.
        key: What is composed, the same for all captions and pictures of one composition.
        others: Captions of hard alternatives: the same objects, another count, colour or place.
    """

    kind: str
    things: tuple[Thing, ...]
    ground: str | None
    caption: str
    key: str
    others: tuple[str, ...] = field(default=())

    @property
    def held_out(self) -> bool:
        """Whether it is kept from training."""
        digest = hashlib.blake2b(self.key.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") % HELD_OUT == 0


GROUPS = ("animals-nature", "food-drink", "travel-places", "objects", "activities")
SCENERY = ("sky", "place-geo", "place-map", "time", "emotion")
UNFIT = frozenset(
    ("face", "with", "and", "of", "medal", "person", "paw", "prints", "foggy", "wedding", "oden")
)


def composable(table: Sequence[Mapping[str, Any]]) -> list[int]:
    """Rows of things that can stand in a scene: one or two plain words for one thing."""
    return [row for row, entry in enumerate(table) if _is_thing(entry)]


def _is_thing(entry: Mapping[str, Any]) -> bool:
    label, words = entry["label"], entry["label"].split()
    last = words[-1]
    several = last.endswith(("ing", "pants", "glasses")) or (
        last.endswith("s") and not last.endswith(("ss", "us", "os"))
    )
    return (
        entry["group"] in GROUPS
        and label.replace(" ", "").replace("-", "").isalpha()
        and len(words) <= 2
        and not several
        and not entry["subgroup"].startswith(SCENERY)
        and not UNFIT & set(words)
    )


def plural(label: str) -> str:
    """Of its last word."""
    *before, word = label.split()
    if word in IRREGULAR:
        word = IRREGULAR[word]
    elif word.endswith(("s", "x", "ch", "sh", "z")):
        word += "" if word.endswith("s") and not word.endswith(("ss", "us")) else "es"
    elif word.endswith("y") and word[-2] not in "aeiou":
        word = word[:-1] + "ies"
    elif word.endswith(("potato", "tomato", "mango", "volcano")):
        word += "es"
    else:
        word += "s"
    return " ".join([*before, word])


def one(label: str) -> str:
    """With its article."""
    return article(label) + label


def make_scene(kind: str, names: Sequence[str], rows: Sequence[int], rng: random.Random) -> Scene:
    """A random scene of one kind.

    Args:
        kind: Of :data:`KINDS`.
        names: Labels by row.
        rows: Those that may stand in it.
        rng: Whose choices it is made of.
    """
    first = rng.choice(rows)
    name = names[first]
    if kind == "count":
        count = rng.randint(1, 4)
        captions = [_counted(name, n, rng) for n in range(1, 5)]
        return Scene(
            kind, _spread(first, count, rng), None, captions[count - 1], f"count {name} {count}",
            tuple(c for n, c in enumerate(captions, 1) if n != count),
        )  # fmt: skip
    if kind == "colour":
        while set(name.split()) & set(COLOUR_WORDS):
            first = rng.choice(rows)
            name = names[first]
        colour = rng.choice(list(COLOURS))
        form = rng.choice(("{a}", "{a}.", "a picture of {a}", "the {c} {n}", "there is {a}"))
        captions = {c: form.format(a=one(f"{c} {name}"), c=c, n=name) for c in COLOURS}
        thing = Thing(first, *_near(SIZE / 2, SIZE / 2, 3, rng), rng.uniform(44, 58), colour)
        return Scene(
            kind, (thing,), None, captions[colour], f"colour {name} {colour}",
            tuple(c for key, c in captions.items() if key != colour),
        )  # fmt: skip
    if kind == "relation":
        second = rng.choice([row for row in rows if row != first])
        return _related(first, second, names, rng)
    if kind == "size":
        small = rng.random() < 0.5
        words = ("small", "little", "tiny") if small else ("big", "large", "huge")
        side = rng.uniform(16, 26) if small else rng.uniform(58, 64)
        thing = Thing(first, *_near(SIZE / 2, SIZE / 2, 10 if small else 1, rng), side)
        return Scene(kind, (thing,), None, one(f"{rng.choice(words)} {name}"),
                     f"size {name} {small}")  # fmt: skip
    if kind == "place":
        x, y = rng.choice((-1, 0, 1)), rng.choice((-1, 0, 1))
        across, down = ("left", "", "right")[x + 1], ("top", "", "bottom")[y + 1]
        where = f"the {down} {across} corner" if across and down else ""
        where = where or (f"the {across or down}" if across or down else "the middle")
        told = "in" if "corner" in where or "middle" in where else "at" if down else "on"
        at = (SIZE / 2 + 17 * x, SIZE / 2 + 17 * y)
        thing = Thing(first, *_near(*at, 2, rng), rng.uniform(22, 29))
        return Scene(kind, (thing,), None, f"{one(name)} {told} {where}", f"place {name} {x} {y}")
    if kind == "ground":
        colour = rng.choice(list(COLOURS))
        form = rng.choice(("{a} on a {c} background", "{a} before a {c} wall", "{a} on {c}"))
        thing = Thing(first, *_near(SIZE / 2, SIZE / 2, 3, rng), rng.uniform(38, 50))
        caption = form.format(a=one(name), c=colour).replace("a orange", "an orange")
        return Scene(kind, (thing,), colour, caption, f"ground {name} {colour}")
    if rng.random() < 0.2:
        said = rng.choice(("nothing", "an empty picture", "nothing at all", "a blank page"))
        return Scene("absence", (), None, said, "absence")
    second = rng.choice([row for row in rows if row != first])
    form = rng.choice(("{a} and no {b}", "{a} without {b}", "{a} but no {b}", "{a}, no {b}"))
    caption = form.format(a=one(name), b=names[second])
    thing = Thing(first, *_near(SIZE / 2, SIZE / 2, 4, rng), rng.uniform(40, 56))
    return Scene("absence", (thing,), None, caption, f"absence {name} {names[second]}")


def _counted(name: str, count: int, rng: random.Random) -> str:
    several = plural(name)
    word = NUMBERS[count] if rng.random() < 0.85 else str(count)
    if count == 1:
        return rng.choice((f"one {name}", f"{one(name)}", f"a single {name}"))
    return rng.choice((f"{word} {several}", f"{word} {several}.", f"there are {word} {several}",
                       f"a picture of {word} {several}"))  # fmt: skip


def _near(x: float, y: float, off: float, rng: random.Random) -> tuple[float, float]:
    return x + rng.uniform(-off, off), y + rng.uniform(-off, off)


def _spread(label: int, count: int, rng: random.Random) -> tuple[Thing, ...]:
    """So many of one thing, apart."""
    if count == 1:
        return (Thing(label, *_near(32, 32, 6, rng), rng.uniform(30, 44)),)
    corners = [(17, 17), (47, 17), (17, 47), (47, 47)]
    layouts = {
        2: [[(17, 32), (47, 32)], [(32, 17), (32, 47)], [(17, 17), (47, 47)], [(47, 17), (17, 47)]],
        3: [[(17, 17), (47, 17), (32, 47)], [(32, 17), (17, 47), (47, 47)],
            *([c for c in corners if c != left] for left in corners)],
        4: [corners],
    }  # fmt: skip
    size = rng.uniform(24, 28)
    return tuple(Thing(label, *_near(x, y, 1.5, rng), size) for x, y in rng.choice(layouts[count]))


def _related(first: int, second: int, names: Sequence[str], rng: random.Random) -> Scene:
    """The first left of, right of, above or below the second."""
    a, b = one(names[first]), one(names[second])
    beside = rng.random() < 0.5
    forms = (
        ("{a} to the left of {b}", "{a} left of {b}", "{a} on the left and {b} on the right")
        if beside
        else ("{a} above {b}", "{a} over {b}", "{a} at the top and {b} at the bottom")
    )
    turned = (
        ("{b} to the right of {a}", "{b} right of {a}", "{b} on the right and {a} on the left")
        if beside
        else ("{b} below {a}", "{b} under {a}", "{b} at the bottom and {a} at the top")
    )
    number = rng.randrange(3)
    form = rng.choice((forms, turned))[number]
    places = [(17, 32), (47, 32)] if beside else [(32, 17), (32, 47)]
    size = rng.uniform(25, 30)
    swapped = rng.random() < 0.5  # which of the two stands first in the picture
    order = (second, first) if swapped else (first, second)
    said = (b, a) if swapped else (a, b)
    things = tuple(
        Thing(label, *_near(x, y, 2, rng), size)
        for label, (x, y) in zip(order, places, strict=True)
    )
    low, high = sorted((names[first], names[second]))
    axis = "beside" if beside else "above"
    return Scene(
        "relation", things, None, form.format(a=said[0], b=said[1]),
        f"relation {axis} {low} {high}", (form.format(a=said[1], b=said[0]),),
    )  # fmt: skip


def draw_scene(scene: Scene, drawings: Mapping[int, np.ndarray]) -> np.ndarray:
    """The picture of a scene: ``(SIZE, SIZE, 3)`` uint8.

    Args:
        scene: What is to be seen.
        drawings: RGBA rasters by row of the table of labels, of one style.
    """
    ground = (255, 255, 255)
    if scene.ground is not None:
        ground = tuple(int(0.5 * c + 127) for c in COLOURS[scene.ground])
    canvas = Image.new("RGB", (SIZE, SIZE), ground)
    for thing in scene.things:
        rgba = drawings[thing.label]
        if thing.colour is not None:
            rgba = tint(rgba, COLOURS[thing.colour])
        picture = Image.fromarray(rgba)
        box = picture.getchannel("A").point(lambda a: 255 * (a > 16)).getbbox()
        cut = picture.crop(box)
        scale = thing.size / max(cut.size)
        size = (max(1, round(cut.width * scale)), max(1, round(cut.height * scale)))
        small = cut.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
        corner = (round(thing.x - size[0] / 2), round(thing.y - size[1] / 2))
        canvas.paste(small, corner, small)
    return np.asarray(canvas)


def tint(rgba: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """A drawing in one colour, its light and shade kept."""
    values = rgba.astype(np.float32) / 255
    light = values[..., :3] @ np.array([0.3, 0.59, 0.11], np.float32)
    inside = light[values[..., 3] > 0.5]
    low, high = np.quantile(inside, [0.05, 0.95]) if inside.size else (0.0, 1.0)
    shade = np.clip((light - low) / max(high - low, 0.15), 0, 1)[..., None]
    base = np.array(colour, np.float32) / 255
    dark, bright = 0.55 * base, base + 0.35 * (1 - base)
    tinted = np.where(shade < 0.6, dark + (base - dark) * shade / 0.6,
                      base + (bright - base) * (shade - 0.6) / 0.4)  # fmt: skip
    out = np.concatenate([tinted, values[..., 3:]], -1)
    return (255 * np.clip(out, 0, 1)).round().astype(np.uint8)


def random_kind(rng: random.Random) -> str:
    """One of the kinds, by its share."""
    return rng.choices(list(KINDS), list(KINDS.values()))[0]
