"""What every recipe shares: atomic files, seeds, precision, training by wall clock."""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

LOGGED, SAVED = 50, 240.0  # steps between lines of a loss curve; seconds between checkpoints


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


def forget_lines(path: Path, step: int) -> None:
    """Drop a loss curve's lines after a step: a kill undid them, and they are made again."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = "".join(line for line in lines if json.loads(line)["step"] <= step)
        write_atomically(path, lambda p: p.write_text(kept, encoding="utf-8"))


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


def train(work: Path, stage: str, minutes: float, parts: Mapping[str, Any],
          learn: Callable[[Budget, torch.Generator, np.random.Generator], Mapping[str, float]],
          seed: int = 0) -> None:  # fmt: skip
    """Take steps until the budget is spent, from the last checkpoint if there is one.

    Args:
        work: Where `STAGE.pt` and the loss curve `STAGE.jsonl` are.
        stage: Its name.
        minutes: Of the budget.
        parts: What the checkpoint keeps: models and optimizers.
        learn: One step, which returns its losses by name.
        seed: Of the generators that it is given, which differ with each start.
    """
    found = load_checkpoint(work / f"{stage}.pt") or {"step": 0, "spent": 0.0}
    for name, part in parts.items():
        if name in found:
            part.load_state_dict(found[name])
    step, budget = found["step"], Budget(minutes, found["spent"])
    forget_lines(work / f"{stage}.jsonl", step)
    random, rng = seed_everything(seed + step), np.random.default_rng([seed, step])
    saved, losses = budget.spent, defaultdict[str, list[float]](list)
    while budget.progress < 1:
        for name, value in learn(budget, random, rng).items():
            losses[name].append(value)
        step += 1
        if step % LOGGED == 0:
            means = {name: float(np.mean(values)) for name, values in losses.items()}
            log_line(work / f"{stage}.jsonl", step=step, seconds=round(budget.spent), **means)
            losses.clear()
        if budget.spent - saved > SAVED or budget.progress >= 1:
            saved = budget.spent
            kept = {name: part.state_dict() for name, part in parts.items()}
            save_checkpoint(work / f"{stage}.pt", {**kept, "step": step, "spent": saved})


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

    def share(self, warmup: float = 0.01, hold: float = 0.0) -> float:
        """Of the highest rate now: a linear warm-up, 1 until `hold`, a cosine down to 0."""
        done = self.progress
        if done < warmup:
            return (done + 1e-3) / (warmup + 1e-3)
        if done < hold:
            return 1.0
        start = max(warmup, hold)
        return float(0.5 * (1 + np.cos(np.pi * (done - start) / (1 - start))))
