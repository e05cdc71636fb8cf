"""How training went, thin enough to be kept beside the code: `curves.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from recipes.common import write_json

from . import HERE

CURVES = HERE / "curves.json"
STAGES = ("autoencoder", "denoiser")
POINTS = 200  # of a curve


def keep_curves(work: Path) -> None:
    """Thin the work folder's loss curves; those of stages that have none there stay."""
    kept = load_curves()
    for stage in STAGES:
        path = work / f"{stage}.jsonl"
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            rows = [json.loads(line) for line in lines]
            parts = np.array_split(np.arange(len(rows)), min(POINTS, len(rows)))
            kept[stage] = {
                "minutes": [round(rows[part[-1]]["seconds"] / 60, 2) for part in parts],
                "steps": [rows[part[-1]]["step"] for part in parts],
                "loss": [round(float(np.mean([rows[i]["loss"] for i in p])), 5) for p in parts],
            }
    write_json(CURVES, kept)


def load_curves() -> dict[str, Any]:
    """By stage the minutes, steps and losses so far; nothing where none were kept."""
    found = json.loads(CURVES.read_text(encoding="utf-8")) if CURVES.exists() else {}
    return {stage: curve for stage, curve in found.items() if stage in STAGES}
