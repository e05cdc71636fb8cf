"""What every stage shares: the work folder, atomic files, seeds, wall-clock budgets."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

SIZE = 64
GENERATOR_STYLES = ("noto", "fluent-emoji", "fluent-emoji-flat")
JUDGE_STYLES = ("twemoji", "emojione", "fxemoji", "streamline-emojis")
STATES = ("states.npy", "lengths.npy", "places.npy")  # what the texts' encoder made of them
LIKENED = "likened.pt"  # the encoder as it was before it was attuned
HERE = Path(__file__).resolve().parent


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and PyTorch, and return a generator for what is drawn explicitly."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def fast(device: str) -> torch.autocast:
    """Autocast to bfloat16 where that is faster: on GPUs, and on some processors."""
    halves = device != "cpu" or halves_pay()
    return torch.autocast(torch.device(device).type, torch.bfloat16, halves)


@cache
def halves_pay(rows: int = 2048, width: int = 512, repeats: int = 5) -> bool:
    """Whether this processor multiplies matrices at least a half faster in bfloat16, by trying.

    That it has instructions for it does not say so: some are no faster than those for float32.
    """
    best = []
    for dtype in (torch.float32, torch.bfloat16):
        a, b = torch.ones(rows, width, dtype=dtype), torch.ones(width, width, dtype=dtype)
        times = []
        for _ in range(repeats):
            started = time.perf_counter()
            torch.mm(a, b)
            times.append(time.perf_counter() - started)
        best.append(min(times))
    return best[0] > 1.5 * best[1]


def held_out(key: str, one_in: int = 10) -> bool:
    """Whether a composition, or a concept, is kept from training: by a hash of what it is."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % one_in == 0


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a neighbour of `path`, then move it there: never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    write(temporary)
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, readable by people."""
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, lambda p: p.write_text(text, encoding="utf-8"))


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Save a checkpoint atomically."""
    write_atomically(path, lambda p: torch.save(state, p))


def forget(work: Path, *names: str) -> None:
    """Remove what a stage that is run again makes stale, so that it is made anew."""
    for name in names:
        (work / name).unlink(missing_ok=True)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Load a checkpoint, or None where there is none yet."""
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None


def log_line(path: Path, **values: Any) -> None:
    """Append one JSON line to a loss curve."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")


def unfinished_log(work: Path, stage: str) -> Path:
    """Where a stage that is not resumed logs until it is done; what a killed one left is gone."""
    path = work / f"{stage}.part.jsonl"
    forget(work, path.name)
    return path


def finish_log(work: Path, stage: str) -> None:
    """Its log gets its name, by which the stage is known to be done."""
    (work / f"{stage}.part.jsonl").replace(work / f"{stage}.jsonl")


def descend(
    model: nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor, rate: float
) -> None:
    """One step of an optimizer down a loss, at this learning rate, gradients clipped to norm 1."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()


class Budget:
    """A wall-clock budget that survives restarts: `progress` goes from 0 to 1 as it is spent.

    Learning rates follow it instead of a step count, so that a run ends annealed on any machine.
    """

    def __init__(self, minutes: float, spent_seconds: float = 0.0) -> None:
        """Start the clock, `spent_seconds` of the budget being gone already."""
        self.total = minutes * 60
        self.start = time.monotonic() - spent_seconds

    @property
    def spent(self) -> float:
        """Seconds gone."""
        return time.monotonic() - self.start

    @property
    def progress(self) -> float:
        """Fraction of the budget gone, at most 1."""
        return min(1.0, self.spent / self.total)

    def rate(self, peak: float, warmup: float = 0.02, hold: float = 0.0) -> float:
        """Learning rate now: a linear warm-up, `peak` held until `hold`, a cosine down to 0."""
        done = self.progress
        if done < warmup:
            return peak * (done + 1e-3) / (warmup + 1e-3)
        if done < hold:
            return peak
        start = max(warmup, hold)
        return float(peak * 0.5 * (1 + np.cos(np.pi * (done - start) / (1 - start))))
