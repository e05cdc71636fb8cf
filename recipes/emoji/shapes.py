"""Which shape of denoiser learns most in the same time: the trial by which one was chosen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from recipes.common import write_json
from recipes.drawings.data import load_labels

from . import HERE
from .denoiser import SHAPE, SHAPES, load_denoiser, train_denoiser
from .evaluate import recognised, speed
from .export import assemble
from .learned import learned

TRIAL = HERE / "shapes.json"
FEW, ALL = 34, 1_059  # labels; a hundred drawings must be learned by heart within minutes


def try_shapes(work: Path, minutes: float, device: str = "cpu") -> None:
    """Train each shape so long on drawings alone, and the chosen one on a hundred of them.

    Prints, and writes to `shapes.json`: what it has learned, what the judge recognises, how large
    and how fast it is. A killed trial goes on.
    """
    table, found = load_labels(work), dict[str, Any]()
    for shape, labels in (*((shape, ALL) for shape in SHAPES), (SHAPE, FEW)):
        stage = f"shape-{shape}-{labels}"
        train_denoiser(work, minutes, device, shape, stage, labels)
        pipeline = assemble(work, load_denoiser(work, shape, stage))
        pipeline.set_progress_bar_config(disable=True)
        steps = json.loads((work / f"{stage}.jsonl").read_text().splitlines()[-1])["step"]
        row = {"shape": shape, "labels": labels, "minutes": minutes, "steps": steps}
        row["weights"] = sum(weight.numel() for weight in pipeline.unet.parameters())
        row["learned"] = learned(pipeline, table, work, labels)["drawings, label"]
        if labels == ALL:
            row["top"] = recognised(pipeline, table, work)["3"]["top"]
            row["speed"] = speed(pipeline)
        typer.echo(json.dumps(row))
        found[stage] = row
    write_json(TRIAL, found)
