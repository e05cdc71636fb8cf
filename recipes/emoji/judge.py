"""The judge: matches pictures to labels, trained only on vendors that the generator never sees."""

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
    log_line,
    seed_everything,
    write_atomically,
    write_json,
)
from .data import load_labels, load_pictures
from .render import on_white

WEIGHTS, LABELS = HERE / "judge.safetensors", HERE / "judge.json"
SIDE, WIDTH = 32, 128


def layer(inner: int, outer: int, stride: int, size: int = 3) -> nn.Sequential:
    """A convolution with batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(inner, outer, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(),
    )


def make_judge() -> nn.Sequential:
    """Pictures [N, 3, 32, 32] in [0, 1] to embeddings [N, 128]: what is drawn, whoever drew it."""
    return nn.Sequential(
        layer(3, 32, 2, 5), layer(32, 64, 2), layer(64, 64, 1), layer(64, 128, 2),
        layer(128, 128, 1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(2048, 256),
        nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, WIDTH),
    )  # fmt: skip


def augment(rgba: Tensor, random: torch.Generator) -> Tensor:
    """Move, turn, mirror; change the colours; blur; put on a random ground: [N, 3, 32, 32]."""
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
    moved = functional.grid_sample(rgba, grid, align_corners=False)
    plain = torch.rand(count, 1, 1, 1, generator=random) < 0.7
    ground = torch.where(plain, torch.ones(()), torch.rand(count, 3, 1, 1, generator=random))
    picture = moved[:, :3] + (1 - moved[:, 3:]) * ground
    mixing = torch.eye(3) * (1 + 0.12 * normal(count, 1, 1)) + 0.06 * normal(count, 3, 3)
    mixed = torch.einsum("nij,njhw->nihw", mixing, picture - 1) + 1
    gamma = (0.25 * normal(count, 1, 1, 1)).exp()
    picture = mixed.clamp(1e-3, 1) ** gamma
    if torch.rand((), generator=random) < 0.4:
        soft = functional.avg_pool2d(functional.pad(picture, (1, 1, 1, 1), mode="replicate"), 3, 1)
        picture = picture + torch.rand(count, 1, 1, 1, generator=random) * (soft - picture)
    return (picture + 0.03 * normal(*picture.shape)).clamp(0, 1)


def judge_pictures(work: Path) -> tuple[Tensor, list[list[int]]]:
    """The judge's vendors' drawings, [N, 4, 32, 32], premultiplied; and which are each label's."""
    pairs = [load_pictures(work, style) for style in JUDGE_STYLES]
    rgba = np.concatenate([pixels for _, pixels in pairs]).transpose(0, 3, 1, 2)
    drawings: list[list[int]] = [[] for _ in load_labels(work)]
    for number, row in enumerate(np.concatenate([index for index, _ in pairs])):
        drawings[row].append(number)
    colours = torch.from_numpy(np.ascontiguousarray(rgba)).float() / 255
    premultiplied = torch.cat([colours[:, :3] * colours[:, 3:], colours[:, 3:]], 1)
    return functional.interpolate(premultiplied, (SIDE, SIDE), mode="area"), drawings


def two_drawings(drawings: list[int], rng: np.random.Generator) -> list[int]:
    """Two vendors' drawings of one label, or twice the one there is."""
    if len(drawings) == 1:
        return drawings * 2
    return rng.choice(drawings, 2, replace=False).tolist()


def train_judge(work: Path, minutes: float = 6.0, device: str = "cpu", batch: int = 128,
                peak_rate: float = 2e-3, seed: int = 0) -> None:  # fmt: skip
    """Learn to match two vendors' drawings of one thing among those of `batch` things.

    Telling 881 labels apart from two or three drawings of each is learned by heart; finding the
    other vendor's drawing of the same thing is what the judge is for. Weights, and a prototype of
    each label, are written in half precision beside this file.
    """
    random, rng = seed_everything(seed), np.random.default_rng(seed)
    pictures, drawings = judge_pictures(work)
    labels = [row for row, found in enumerate(drawings) if found]
    model = make_judge().to(device)
    scale = nn.Parameter(torch.tensor(2.5, device=device))
    optimizer = torch.optim.AdamW(
        [*model.parameters(), scale], lr=peak_rate, weight_decay=0.05, fused=True
    )
    budget, step = Budget(minutes), 0
    while budget.progress < 1:
        chosen = rng.choice(labels, batch, replace=False)
        sides = np.array([two_drawings(drawings[row], rng) for row in chosen])
        inputs = augment(pictures[torch.from_numpy(sides.T.reshape(-1).copy())], random)
        embedded = functional.normalize(model(inputs.to(device)), dim=-1)
        logits = embedded[:batch] @ embedded[batch:].T * scale.exp()
        truth = torch.arange(batch, device=device)
        loss = functional.cross_entropy(logits, truth) + functional.cross_entropy(logits.T, truth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = budget.rate(peak_rate)
        optimizer.step()
        step += 1
        if step % 20 == 0:
            log_line(work / "judge.jsonl", step=step, seconds=round(budget.spent), loss=loss.item())
    weights = {f"network.{name}": value for name, value in model.eval().state_dict().items()}
    weights["prototypes"] = prototypes(model, pictures, drawings)
    half = {name: value.half().contiguous().cpu() for name, value in weights.items()}
    write_atomically(WEIGHTS, lambda p: save_file(half, p))
    write_json(LABELS, [entry["label"] for entry in load_labels(work)])


@torch.inference_mode()
def prototypes(model: nn.Module, rgba: Tensor, drawings: list[list[int]]) -> Tensor:
    """The mean embedding of each label's drawings on white, [labels, 128], of length 1."""
    plain = rgba[:, :3] + 1 - rgba[:, 3:]
    embedded = torch.cat([embed(model, part) for part in plain.split(256)])
    means = torch.stack([embedded[found].mean(0) for found in drawings])
    return functional.normalize(means, dim=-1)


@torch.inference_mode()
def embed(model: nn.Module, pictures: Tensor) -> Tensor:
    """Pictures [N, 3, H, W] in [0, 1] and their mirror images, averaged: [N, 128], of length 1."""
    small = functional.interpolate(pictures, (SIDE, SIDE), mode="area")
    views = [functional.normalize(model(view), dim=-1) for view in (small, small.flip(-1))]
    return functional.normalize(torch.stack(views).mean(0), dim=-1)


class Judge:
    """The committed judge: says which of 20 labels a picture shows."""

    def __init__(self) -> None:
        """Load the weights that lie beside this file."""
        self.labels: list[str] = json.loads(LABELS.read_text(encoding="utf-8"))
        self.model = make_judge().eval()
        weights = {name: value.float() for name, value in load_file(WEIGHTS).items()}
        self.prototypes = weights.pop("prototypes")
        self.model.load_state_dict({n.removeprefix("network."): v for n, v in weights.items()})

    @torch.inference_mode()
    def scores(self, pictures: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] → [N, labels]: cosine with each label's prototype."""
        return embed(self.model, pictures) @ self.prototypes.T

    def top_of(
        self, pictures: Tensor, rows: Sequence[int], choices: int = 20, seed: int = 0
    ) -> float:
        """How often the true label scores best among itself and `choices` − 1 random others."""
        scores = self.scores(pictures)
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
