"""The judge: a classifier of labels, trained only on vendors that the generator never sees."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from .common import (
    GENERATOR_STYLES,
    HERE,
    JUDGE_STYLES,
    Budget,
    load_checkpoint,
    log_line,
    save_checkpoint,
    seed_everything,
    write_atomically,
    write_json,
)
from .data import load_labels, load_pictures
from .render import on_white

WEIGHTS, LABELS = HERE / "judge.safetensors", HERE / "judge.json"
SIDE = 48


def block(inner: int, outer: int, stride: int) -> nn.Sequential:
    """Two convolutions with group normalisation."""
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.GroupNorm(8, outer), nn.SiLU(),
        nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.GroupNorm(8, outer), nn.SiLU(),
    )  # fmt: skip


def make_judge(labels: int) -> nn.Sequential:
    """Pictures [N, 3, 48, 48] in [0, 1] to logits [N, labels]."""
    return nn.Sequential(
        nn.Conv2d(3, 24, 5, 2, 2), nn.GroupNorm(8, 24), nn.SiLU(),
        block(24, 48, 2), block(48, 96, 2), block(96, 160, 2),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(640, 256), nn.SiLU(),
        nn.Linear(256, labels),
    )  # fmt: skip


def augment(rgba: Tensor, random: torch.Generator) -> Tensor:
    """Move, turn, mirror; change the colours; blur; put on a random ground: [N, 3, 48, 48]."""
    count = len(rgba)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    angle, size = 0.15 * normal(count), (1 + 0.12 * normal(count)).clamp(0.7, 1.4)
    stretch, shear = 1 + 0.1 * normal(count), 0.1 * normal(count)
    mirror = torch.where(torch.rand(count, generator=random) < 0.4, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = mirror * angle.cos() * size * stretch
    theta[:, 0, 1] = -angle.sin() * size + shear
    theta[:, 1, 0] = mirror * angle.sin() * size
    theta[:, 1, 1] = angle.cos() * size / stretch
    theta[:, :, 2] = 0.08 * normal(count, 2)
    grid = functional.affine_grid(theta, [count, 4, SIDE, SIDE], align_corners=False)
    premultiplied = torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], 1)
    moved = functional.grid_sample(premultiplied, grid, align_corners=False)
    plain = torch.rand(count, 1, 1, 1, generator=random) < 0.7
    ground = torch.where(plain, torch.ones(()), torch.rand(count, 3, 1, 1, generator=random))
    picture = moved[:, :3] + (1 - moved[:, 3:]) * ground
    mixing = torch.eye(3) * (1 + 0.15 * normal(count, 1, 1)) + 0.08 * normal(count, 3, 3)
    mixed = torch.einsum("nij,njhw->nihw", mixing, picture - 1) + 1
    gamma = (0.25 * normal(count, 1, 1, 1)).exp()
    picture = mixed.clamp(1e-3, 1) ** gamma
    if torch.rand((), generator=random) < 0.4:
        soft = functional.avg_pool2d(functional.pad(picture, (1, 1, 1, 1), mode="replicate"), 3, 1)
        picture = picture + torch.rand(count, 1, 1, 1, generator=random) * (soft - picture)
    return (picture + 0.03 * normal(*picture.shape)).clamp(0, 1)


def judge_pictures(work: Path) -> tuple[Tensor, Tensor]:
    """The judge's vendors' drawings: [N, 4, 64, 64] RGBA in [0, 1] and their label rows."""
    pairs = [load_pictures(work, style) for style in JUDGE_STYLES]
    rgba = np.concatenate([pixels for _, pixels in pairs]).transpose(0, 3, 1, 2)
    rows = np.concatenate([index for index, _ in pairs])
    return torch.from_numpy(np.ascontiguousarray(rgba)).float() / 255, torch.from_numpy(rows)


def train_judge(work: Path, minutes: float = 10.0, device: str = "cpu", batch: int = 64,
                peak_rate: float = 2e-3, seed: int = 0) -> None:  # fmt: skip
    """Train by wall clock and write the weights (half precision) beside this file."""
    random = seed_everything(seed)
    pictures, rows = judge_pictures(work)
    labels = [entry["label"] for entry in load_labels(work)]
    model = make_judge(len(labels)).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak_rate, weight_decay=0.05, fused=True)
    path, step, spent = work / "judge.pt", 0, 0.0
    if (state := load_checkpoint(path)) is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, spent = state["step"], state["spent"]
    budget, saved, queue = Budget(minutes, spent), spent, []
    while budget.progress < 1:
        queue = queue or list(torch.randperm(len(rows), generator=random).split(batch))
        chosen = queue.pop()
        inputs = augment(pictures[chosen], random)
        logits = model(inputs.to(device).contiguous(memory_format=torch.channels_last))
        loss = functional.cross_entropy(logits, rows[chosen].to(device), label_smoothing=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = budget.rate(peak_rate)
        optimizer.step()
        step += 1
        if step % 50 == 0:
            log_line(work / "judge.jsonl", step=step, seconds=round(budget.spent), loss=loss.item())
        if budget.spent - saved > 120 or budget.progress >= 1:
            saved = budget.spent
            save_checkpoint(path, {"model": model.state_dict(), "step": step, "spent": saved,
                                   "optimizer": optimizer.state_dict()})  # fmt: skip
    weights = {name: value.half().contiguous().cpu() for name, value in model.state_dict().items()}
    write_atomically(WEIGHTS, lambda p: save_file(weights, p))
    write_json(LABELS, labels)


class Judge:
    """The committed judge: says which of 20 labels a picture shows."""

    def __init__(self) -> None:
        """Load the weights that lie beside this file."""
        self.labels: list[str] = json.loads(LABELS.read_text(encoding="utf-8"))
        self.model = make_judge(len(self.labels)).eval()
        weights = {name: value.float() for name, value in load_file(WEIGHTS).items()}
        self.model.load_state_dict(weights)

    @torch.inference_mode()
    def log_probabilities(self, pictures: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] → [N, labels], averaged over the picture and its mirror image."""
        small = functional.interpolate(pictures, (SIDE, SIDE), mode="area")
        views = [functional.log_softmax(self.model(v), -1) for v in (small, small.flip(-1))]
        return torch.stack(views).mean(0)

    def top_of(
        self, pictures: Tensor, rows: Sequence[int], choices: int = 20, seed: int = 0
    ) -> float:
        """How often the true label scores best among itself and `choices` − 1 random others."""
        scores = self.log_probabilities(pictures)
        hits = 0
        for number, (row, score) in enumerate(zip(rows, scores, strict=True)):
            rng = np.random.default_rng([seed, number])
            others = rng.choice(len(self.labels) - 1, choices - 1, replace=False)
            others = others + (others >= row)  # all labels but the true one
            hits += bool(score[row] > score[torch.from_numpy(others)].max())
        return hits / len(rows)


def ceiling(work: Path, seed: int = 0) -> dict[str, float]:
    """The judge on real drawings of vendors it never saw: top-1 of 20, by vendor and all."""
    judge = Judge()
    row_of = {label: row for row, label in enumerate(judge.labels)}
    table, found, total = load_labels(work), {}, 0
    for style in GENERATOR_STYLES:
        index, rgba = load_pictures(work, style)
        pictures = torch.from_numpy(on_white(rgba).transpose(0, 3, 1, 2).copy())
        rows = [row_of[table[i]["label"]] for i in index]
        found[style] = judge.top_of(pictures, rows, seed=seed)
        total += found[style] * len(rows)
    count = sum(len(load_pictures(work, style)[0]) for style in GENERATOR_STYLES)
    return {**found, "all": total / count}
