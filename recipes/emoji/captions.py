"""Captions of the drawings, from their labels and tags."""

from __future__ import annotations

import random
from typing import Any

TEMPLATES = (
    "{a}{label}", "{a}{label}.", "the {label}", "a picture of {a}{label}", "an emoji of {a}{label}",
    "a drawing of {a}{label}.", "an image of {label}", "there is {a}{label}.", "{label}.",
    "this is {a}{label}.", "a small picture of {a}{label}",
)  # fmt: skip


def article(label: str) -> str:
    """The indefinite article and a space, or nothing before plurals."""
    head = label.split()[-1]
    if (head.endswith("s") and not head.endswith("ss")) or head.endswith("ing"):
        return ""
    return "an " if label[0] in "aeiou" else "a "


def captions(entry: dict[str, Any], count: int, seed: int) -> list[str]:
    """`count` captions of one label beside the bare label: three in five templates, then tags."""
    label, tags = entry["label"], entry["tags"]
    rng = random.Random(f"{seed} {label}")
    templates = rng.sample(TEMPLATES, min(len(TEMPLATES), round(count * 0.6)))
    chosen = [t.format(a=article(label), label=label) for t in templates]
    while len(chosen) < count:
        few = rng.sample(tags, min(len(tags), rng.choice((1, 1, 2))))
        if len(chosen) % 2 and len(few) > 1:
            chosen.append(", ".join(few))
        else:
            chosen.append(f"{label}, {', '.join(few)}" if few else label)
    return chosen
