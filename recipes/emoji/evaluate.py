"""What the shipped model is worth: judged pictures, the judge's own ceiling, and neighbours."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import typer
from diffusers import StableDiffusionPipeline
from PIL import Image
from torch import Tensor

from .common import HERE, SIZE, write_atomically, write_json
from .data import load_labels
from .judge import Judge, ceiling

REPORT = HERE / "report.json"
SAMPLES = HERE.parents[1] / "docs" / "images" / "emoji.png"
SHEET = (
    "red apple", "banana", "strawberry", "pizza", "hamburger", "hot beverage", "cat face",
    "dog face", "tiger face", "leopard", "elephant", "penguin", "owl", "frog", "fish", "butterfly",
    "rose", "sunflower", "cactus", "deciduous tree", "house", "castle", "sun", "full moon",
    "rainbow", "snowflake", "fire", "automobile", "bus", "bicycle", "airplane", "rocket",
    "sailboat", "soccer ball", "guitar", "umbrella", "key", "scissors", "light bulb", "red heart",
)  # fmt: skip


def load_pipeline(folder: Path) -> StableDiffusionPipeline:
    """The folder as any user of diffusers would load it."""
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, local_files_only=True, torch_dtype=torch.float32, safety_checker=None
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def generate(pipeline: StableDiffusionPipeline, prompts: list[str], seed: int = 0,
             guidance: float = 3.0, steps: int = 20, batch: int = 50) -> Tensor:  # fmt: skip
    """One picture a prompt, [N, 3, 64, 64] in [0, 1]; picture n depends on (seed, n) alone."""
    parts = []
    for start in range(0, len(prompts), batch):
        some = prompts[start : start + batch]
        seeds = range(seed * 100_003 + start, seed * 100_003 + start + len(some))
        noise = [torch.Generator().manual_seed(s) for s in seeds]
        pictures = pipeline(
            some, height=SIZE, width=SIZE, num_inference_steps=steps, guidance_scale=guidance,
            generator=noise, output_type="pt",
        ).images  # fmt: skip
        parts.append(pictures.float().clamp(0, 1))
    return torch.cat(parts)


def judged(pipeline: StableDiffusionPipeline, count: int = 500, seed: int = 0,
           guidance: float = 3.0) -> float:  # fmt: skip
    """Top-1 of 20 by the judge, over `count` seeded labels that it can judge, one picture each."""
    judge = Judge()
    rows = np.random.default_rng(seed).permutation(judge.judged)[:count].tolist()
    pictures = generate(pipeline, [judge.labels[row] for row in rows], seed, guidance)
    return judge.top_of(pictures, rows, seed=seed)


def triples(table: list[dict[str, Any]], count: int, seed: int) -> Iterable[tuple[str, str, str]]:
    """(a, b, c): a and b of one CLDR subgroup, c of another group."""
    rng = np.random.default_rng([seed, 1])
    while count:
        first = table[rng.integers(len(table))]
        near = [e for e in table if e["subgroup"] == first["subgroup"] and e is not first]
        far = [e for e in table if e["group"] != first["group"]]
        if near:
            second, third = near[rng.integers(len(near))], far[rng.integers(len(far))]
            yield first["label"], second["label"], third["label"]
            count -= 1


def neighbours(folder: Path, table: list[dict[str, Any]], count: int = 300, seed: int = 0) -> float:
    """How often conjure finds b nearer to a than c: girsanov, 10 states, 1 sample, no guidance."""
    import conjure

    process = conjure.load(folder, steps=10, guidance=1.0, device="cpu")
    pairs = [pair for a, b, c in triples(table, count, seed) for pair in ((a, b), (a, c))]
    run = conjure.compare_pairs(pairs, process=process, samples=1, seed=seed)
    distances = np.array([result.distance for result in run]).reshape(count, 2)
    return float(np.mean(distances[:, 0] < distances[:, 1]))


def sheet(pipeline: StableDiffusionPipeline, path: Path, prompts: tuple[str, ...] = SHEET,
          columns: int = 10, seed: int = 1, guidance: float = 3.0) -> None:  # fmt: skip
    """A sheet of samples, as PNG."""
    pictures = generate(pipeline, list(prompts), seed, guidance)
    rows = [torch.cat(list(row), -1) for row in pictures.split(columns)]
    pixels = (torch.cat(rows, -2).permute(1, 2, 0) * 255).round().byte().numpy()
    write_atomically(path, lambda p: Image.fromarray(pixels).save(p, optimize=True))


def evaluate(work: Path, folder: Path, guidance: float = 3.0) -> dict[str, Any]:
    """Print every figure; write them to `report.json`, and a sheet of samples for the docs."""
    pipeline = load_pipeline(folder)
    figures: dict[str, Any] = {"judge_ceiling": ceiling(work)}
    for name, value in figures["judge_ceiling"].items():
        typer.echo(f"judge on real drawings, {name}, top-1 of 20: {value:.3f}")
    for w in (1.0, guidance):
        figures[f"generator_top1_of_20_guidance_{w:g}"] = judged(pipeline, guidance=w)
        typer.echo(f"generator, top-1 of 20 at guidance {w:g}: {list(figures.values())[-1]:.3f}")
    figures["neighbours"] = neighbours(folder, load_labels(work))
    typer.echo(f"neighbours, b nearer than c: {figures['neighbours']:.3f}")
    sheet(pipeline, SAMPLES, guidance=guidance)
    write_json(REPORT, figures)
    return figures
