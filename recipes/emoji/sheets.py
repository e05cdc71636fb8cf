"""Sheets of samples for the model's page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from torch import Tensor

from recipes.common import write_atomically
from recipes.drawings.data import GENERATOR_STYLES, load_pictures
from recipes.drawings.render import on_white

from . import HERE
from .scenes import alternatives
from .synonyms import synonyms

STEPS = 20
IMAGES = HERE.parents[1] / "docs" / "images"
COLUMNS, EACH = 10, 5  # of a sheet; samples of a prompt on that of styles
STYLES = ("cat", "car", "rose", "house", "guitar", "pizza")
SHEET = (
    "red apple", "banana", "strawberry", "pizza", "hamburger", "hot beverage", "cat face",
    "dog face", "tiger face", "leopard", "elephant", "penguin", "owl", "frog", "fish", "butterfly",
    "rose", "sunflower", "cactus", "deciduous tree", "house", "castle", "sun", "full moon",
    "rainbow", "snowflake", "fire", "automobile", "bus", "bicycle", "airplane", "rocket",
    "sailboat", "soccer ball", "guitar", "umbrella", "key", "scissors", "light bulb", "red heart",
)  # fmt: skip


def generate(pipeline: StableDiffusionPipeline, prompts: Sequence[str], seed: int = 0,
             guidance: float = 3.0, batch: int = 50) -> Tensor:  # fmt: skip
    """One picture a prompt, [N, 3, 64, 64] in [0, 1]; picture n depends on (seed, n) alone."""
    parts = []
    for start in range(0, len(prompts), batch):
        some = list(prompts[start : start + batch])
        seeds = range(seed * 100_003 + start, seed * 100_003 + start + len(some))
        noise = [torch.Generator().manual_seed(s) for s in seeds]
        pictures: Any = pipeline(
            some, num_inference_steps=STEPS, guidance_scale=guidance, generator=noise,
            output_type="pt",
        ).images  # fmt: skip
        parts.append(pictures.float().clamp(0, 1))
    return torch.cat(parts)


def mosaic(pictures: Tensor, path: Path, columns: int = COLUMNS) -> None:
    """Pictures [N, 3, H, W] side by side, as PNG; white where the last row ends early."""
    blank = torch.ones(-len(pictures) % columns, *pictures.shape[1:])
    pictures = torch.cat([pictures, blank])
    rows = [torch.cat(list(row), -1) for row in pictures.split(columns)]
    pixels = (torch.cat(rows, -2).permute(1, 2, 0) * 255).round().byte().numpy()
    write_atomically(path, lambda p: Image.fromarray(pixels).save(p, optimize=True))


def beside_drawings(pictures: Tensor, table: list[dict[str, Any]], work: Path) -> Tensor:
    """Of each label of `SHEET` a picture, and one vendor's drawing after it, vendors in turn."""
    rows, found = {entry["label"]: row for row, entry in enumerate(table)}, []
    drawings = [dict(zip(*load_pictures(work, style), strict=True)) for style in GENERATOR_STYLES]
    for number, label in enumerate(SHEET):
        drawing = on_white(drawings[number % len(drawings)][rows[label]])
        found += [pictures[number], torch.from_numpy(drawing.transpose(2, 0, 1).copy())]
    return torch.stack(found)


def draw_sheets(
    pipeline: StableDiffusionPipeline, table: list[dict[str, Any]], work: Path, guidance: float,
    missed: Tensor, names: list[str],
) -> dict[str, list[str]]:  # fmt: skip
    """Labels, the same beside drawings, styles, held-out compositions, new words, failures.

    Args:
        pipeline: The model.
        table: The labels.
        work: The work folder.
        guidance: Of the pictures.
        missed: Pictures that were not recognised, [N, 3, 64, 64].
        names: Their labels.

    Returns:
        The captions of the compositions, ten of each kind, the words, and `names` as far as shown.
    """

    def draw(name: str, prompts: Sequence[str], strength: float = guidance) -> Tensor:
        pictures = generate(pipeline, prompts, 1, strength)
        mosaic(pictures, IMAGES / f"{name}.png")
        return pictures

    labels = draw("emoji", SHEET)
    mosaic(beside_drawings(labels, table, work), IMAGES / "emoji-drawings.png")
    draw("emoji-unguided", SHEET, 1.0)
    draw("emoji-styles", [prompt for prompt in STYLES for _ in range(EACH)])
    kinds = ("count", "colour", "relation")
    scenes = [s[0].caption for kind in kinds for s in alternatives(kind, table, 10)]
    draw("emoji-scenes", scenes)
    words = [word for word, _ in synonyms(table, work / "packages")[:20]]
    draw("emoji-words", words)
    mosaic(missed[: 2 * COLUMNS], IMAGES / "emoji-missed.png")
    return {"compositions": scenes, "words": words, "missed": names[: 2 * COLUMNS]}
