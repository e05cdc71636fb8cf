"""Drawings put together: where, how large, in which colour, on which ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .render import SIZE

COLOURS = {
    "red": (222, 40, 40), "orange": (245, 140, 20), "yellow": (250, 212, 40),
    "green": (50, 160, 70), "blue": (45, 105, 225), "purple": (135, 70, 190),
    "pink": (245, 130, 185), "brown": (135, 85, 50),
}  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One drawing in a scene: the label's row, centre and side (of the picture's), a colour."""

    row: int
    x: float = 0.5
    y: float = 0.5
    side: float = 0.9
    colour: str | None = None


def tint(rgba: np.ndarray, colour: str) -> np.ndarray:
    """A drawing in shades of one colour: its lightness stays, its hue goes. [H, W, 4] uint8."""
    values = rgba[..., :3].astype(np.float32) / 255
    light = values @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    opaque = light[rgba[..., 3] > 128]
    low, high = np.quantile(opaque, (0.05, 0.95)) if len(opaque) else (0.0, 1.0)
    span = max(high - low, 0.15)  # a drawing of one lightness gets the colour itself
    light = np.clip((light - (low + high) / 2) / span + 0.5, 0, 1)[..., None]
    base = np.array(COLOURS[colour], dtype=np.float32) / 255
    dark, pale = base * 0.45, base + (1 - base) * 0.35
    shades = np.where(light < 0.5, dark + (base - dark) * 2 * light,
                      base + (pale - base) * (2 * light - 1))  # fmt: skip
    return np.concatenate([(shades * 255).round().astype(np.uint8), rgba[..., 3:]], axis=-1)


def paint(
    items: Sequence[Item], drawings: Sequence[np.ndarray], ground: str | None = None
) -> np.ndarray:
    """Drawings [SIZE, SIZE, 4] uint8, one for each item, on a ground: [SIZE, SIZE, 3] uint8."""
    behind = (255, 255, 255)
    if ground is not None:
        behind = tuple(round(0.75 * c + 0.25 * 255) for c in COLOURS[ground])
    canvas = Image.new("RGB", (SIZE, SIZE), behind)
    for item, rgba in zip(items, drawings, strict=True):
        side = max(4, round(item.side * SIZE / 0.906))  # the drawings have margins of their own
        image = Image.fromarray(tint(rgba, item.colour) if item.colour else rgba).convert("RGBa")
        small = image.resize((side, side), Image.Resampling.LANCZOS).convert("RGBA")
        corner = round(item.x * SIZE - side / 2), round(item.y * SIZE - side / 2)
        canvas.paste(small, corner, small)
    return np.asarray(canvas)
