"""How training went, thin enough to be kept beside the code: `curves.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from recipes.common import write_json

HERE = Path(__file__).resolve().parent

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
            rows = that_stand([row for row in map(json.loads, lines) if "loss" in row])
            parts = np.array_split(np.arange(len(rows)), min(POINTS, len(rows)))
            kept[stage] = {
                "minutes": [round(rows[part[-1]]["seconds"] / 60, 2) for part in parts],
                "steps": [rows[part[-1]]["step"] for part in parts],
                "loss": [round(float(np.mean([rows[i]["loss"] for i in p])), 5) for p in parts],
            }
    write_json(CURVES, kept)


def that_stand(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without those of steps that were lost with a kill, and made again from the last checkpoint.

    >>> log = [{"step": 1, "seconds": 5}, {"step": 2, "seconds": 9}, {"step": 2, "seconds": 8}]
    >>> [row["seconds"] for row in that_stand(log)]
    [5, 8]
    """
    kept: list[dict[str, Any]] = []
    for row in rows:
        while kept and (kept[-1]["step"] >= row["step"] or kept[-1]["seconds"] >= row["seconds"]):
            kept.pop()
        kept.append(row)
    return kept


def load_curves() -> dict[str, Any]:
    """By stage the minutes, steps and losses so far; nothing where none were kept."""
    return json.loads(CURVES.read_text(encoding="utf-8")) if CURVES.exists() else {}
