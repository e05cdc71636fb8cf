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

from recipes.common import Budget, descend, seed_everything, train, write_atomically, write_json
from recipes.drawings.data import GENERATOR_STYLES, JUDGE_STYLES, load_labels, load_pictures
from recipes.drawings.render import on_white

HERE = Path(__file__).resolve().parent

WEIGHTS, LABELS = HERE / "judge.safetensors", HERE / "judge.json"
SIDE, WIDTH = 32, 128
FEWEST = 3  # drawings a label must have among the judge's: fewer are learned by heart
JUDGED = 500  # labels that it judges, chosen on one vendor's drawings and measured on another's
CHOSEN_ON, MEASURED_ON = "fluent-emoji", "noto"


def layer(inner: int, outer: int, stride: int, size: int = 3) -> nn.Sequential:
    """A convolution with batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(inner, outer, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(),
    )


class Skip(nn.Sequential):
    """Layers whose input is added to their output."""

    def forward(self, input: Tensor) -> Tensor:
        """Same shape in and out."""
        return input + super().forward(input)


def make_judge() -> nn.Sequential:
    """Pictures [N, 3, 32, 32] in [0, 1] to embeddings [N, 128]: what is drawn, whoever drew it."""
    return nn.Sequential(
        layer(3, 48, 2, 5), layer(48, 96, 2), Skip(layer(96, 96, 1)), layer(96, 192, 2),
        Skip(layer(192, 192, 1)), nn.Flatten(), nn.Dropout(0.2), nn.Linear(3072, 256),
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
    """The judge's vendors' drawings, [N, 4, 32, 32], premultiplied; and which are each label's.

    Of the labels that are `seen`, in their order.
    """
    places = np.cumsum([entry["seen"] for entry in load_labels(work)]) - 1
    seen = np.array([entry["seen"] for entry in load_labels(work)])
    pairs = [load_pictures(work, style) for style in JUDGE_STYLES]
    pairs = [(places[index[seen[index]]], pixels[seen[index]]) for index, pixels in pairs]
    rgba = np.concatenate([pixels for _, pixels in pairs]).transpose(0, 3, 1, 2)
    drawings: list[list[int]] = [[] for _ in range(int(seen.sum()))]
    for number, place in enumerate(np.concatenate([index for index, _ in pairs])):
        drawings[place].append(number)
    colours = torch.from_numpy(np.ascontiguousarray(rgba)).float() / 255
    premultiplied = torch.cat([colours[:, :3] * colours[:, 3:], colours[:, 3:]], 1)
    return functional.interpolate(premultiplied, (SIDE, SIDE), mode="area"), drawings


def two_drawings(drawings: list[int], rng: np.random.Generator) -> list[int]:
    """Two drawings of one label, or twice the one there is."""
    if len(drawings) == 1:
        return drawings * 2
    return rng.choice(drawings, 2, replace=False).tolist()


def train_judge(work: Path, minutes: float = 20.0, device: str = "cpu", batch: int = 128,
                peak_rate: float = 2e-3, seed: int = 0) -> None:  # fmt: skip
    """Learn to match two drawings of one thing among those of `batch` things.

    Telling 881 labels apart from a few drawings of each is learned by heart; finding another
    vendor's drawing of the same thing is what the judge is for. Weights, and the embedding of each
    drawing, are written in half precision beside this file.
    """
    seed_everything(seed)
    pictures, drawings = judge_pictures(work)
    table = [entry for entry in load_labels(work) if entry["seen"]]
    labels = list(range(len(table)))
    model = make_judge().to(device)
    scale = nn.ParameterList([torch.tensor(2.5, device=device)])
    optimizer = torch.optim.AdamW(
        [*model.parameters(), *scale], lr=peak_rate, weight_decay=0.05, fused=True
    )

    def learn(
        budget: Budget, random: torch.Generator, rng: np.random.Generator
    ) -> dict[str, float]:
        chosen = rng.choice(labels, batch, replace=False)
        sides = np.array([two_drawings(drawings[row], rng) for row in chosen])
        inputs = augment(pictures[torch.from_numpy(sides.T.reshape(-1).copy())], random)
        embedded = functional.normalize(model(inputs.to(device)), dim=-1)
        logits = embedded[:batch] @ embedded[batch:].T * scale[0].exp()
        truth = torch.arange(batch, device=device)
        loss = functional.cross_entropy(logits, truth) + functional.cross_entropy(logits.T, truth)
        descend(model, optimizer, loss, peak_rate * budget.share())
        return {"loss": loss.item()}

    parts = {"model": model, "scale": scale, "optimizer": optimizer}
    train(work, "judge", minutes, parts, learn, seed)
    model = model.cpu().eval()
    weights = {f"network.{name}": value for name, value in model.state_dict().items()}
    plain = pictures[:, :3] + 1 - pictures[:, 3:]
    weights["drawings"] = torch.cat([embed(model, part) for part in plain.split(256)])
    half = {name: value.half().contiguous() for name, value in weights.items()}
    write_atomically(WEIGHTS, lambda p: save_file(half, p))
    drawn = {e["label"]: found for e, found in zip(table, drawings, strict=True)}
    write_json(LABELS, {"drawings": drawn, "judged": []})
    choose_labels(work)


@torch.inference_mode()
def embed(model: nn.Module, pictures: Tensor) -> Tensor:
    """Pictures [N, 3, H, W] in [0, 1] as [N, 128] of length 1: the mean over fourteen views."""
    small = functional.interpolate(pictures, (SIDE, SIDE), mode="area")
    total = torch.zeros(len(small), WIDTH)
    for size, shift in ((1, 0), *((s, d) for s in (0.9, 1.1) for d in (-0.06, 0, 0.06))):
        theta = torch.tensor([[size, 0, shift], [0, size, 0.0]]).expand(len(small), 2, 3)
        grid = functional.affine_grid(theta, list(small.shape), align_corners=False)
        view = functional.grid_sample(small - 1, grid, align_corners=False) + 1  # white outside
        for mirrored in (view, view.flip(-1)):
            total += functional.normalize(model(mirrored), dim=-1)
    return functional.normalize(total, dim=-1)


class Judge:
    """The committed judge: says which of 20 labels a picture shows."""

    def __init__(self) -> None:
        """Load the weights that lie beside this file."""
        found = json.loads(LABELS.read_text(encoding="utf-8"))
        self.labels: list[str] = list(found["drawings"])
        self.drawings: list[list[int]] = list(found["drawings"].values())
        self.judged: list[int] = found["judged"]  # rows of the labels that it judges
        self.model = make_judge().eval()
        weights = {name: value.float() for name, value in load_file(WEIGHTS).items()}
        self.known = weights.pop("drawings")
        self.model.load_state_dict({n.removeprefix("network."): v for n, v in weights.items()})

    @property
    def drawn(self) -> list[int]:
        """Rows of the labels that it has seen enough drawings of."""
        return [row for row, found in enumerate(self.drawings) if len(found) >= FEWEST]

    @torch.inference_mode()
    def scores(self, pictures: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] → [N, labels]: cosine with the nearest drawing of each label."""
        cosines = torch.cat([embed(self.model, part) for part in pictures.split(256)])
        cosines = cosines @ self.known.T
        return torch.stack([cosines[:, found].amax(1) for found in self.drawings], dim=1)

    def hits(
        self, pictures: Tensor, rows: Sequence[int], choices: int = 20, seed: int = 0
    ) -> np.ndarray:
        """Whether the true label scores best among itself and `choices` − 1 random others."""
        scores, hits = self.scores(pictures), np.zeros(len(rows), dtype=bool)
        for number, (row, score) in enumerate(zip(rows, scores, strict=True)):
            rng = np.random.default_rng([seed, number])
            others = rng.choice(len(self.labels) - 1, choices - 1, replace=False)
            others = others + (others >= row)  # all labels but the true one
            hits[number] = bool(score[row] > score[torch.from_numpy(others)].max())
        return hits

    def top_of(self, pictures: Tensor, rows: Sequence[int], seed: int = 0) -> float:
        """How often it is, of 20."""
        return float(self.hits(pictures, rows, seed=seed).mean())


def drawings_of(
    judge: Judge, work: Path, style: str, rows: Sequence[int]
) -> tuple[Tensor, list[int]]:
    """One style's drawings of some of the judge's labels on white, [N, 3, 64, 64], and their rows.

    The table of labels may have grown since the judge learned: they are matched by name.
    """
    index, rgba = load_pictures(work, style)
    known = {label: row for row, label in enumerate(judge.labels)}
    own = np.array([known.get(entry["label"], -1) for entry in load_labels(work)])[index]
    chosen = np.isin(own, rows)
    white = torch.from_numpy(on_white(rgba[chosen]).transpose(0, 3, 1, 2).copy())
    return white, own[chosen].tolist()


def choose_labels(work: Path) -> None:
    """Write which labels are judged: those that the judge tells best in one vendor's drawings.

    Vendors draw some things too differently to be matched (a train, a hospital, a ticket). Which
    ones, Fluent's drawings say; how well the judge does on the others is measured on Noto's, which
    neither the judge nor this choice has seen.
    """
    judge = Judge()
    pictures, rows = drawings_of(judge, work, CHOSEN_ON, judge.drawn)
    scores = judge.scores(pictures).clone()
    places = torch.arange(len(rows)), torch.tensor(rows)
    own = scores[places]
    scores[places] = -2.0  # below any cosine
    rival = scores.topk(len(judge.labels) // 20, dim=1).values[:, -1]  # the best of about 19
    order = (own - rival).argsort(descending=True)[:JUDGED].tolist()
    found = json.loads(LABELS.read_text(encoding="utf-8"))
    write_json(LABELS, found | {"judged": sorted(rows[i] for i in order)})


def ceiling(work: Path, seed: int = 0) -> dict[str, float]:
    """The judge on real drawings by vendors that it never saw: top-1 of 20.

    Returns:
        ``ceiling``: the labels that it judges, as Noto draws them, which nothing was chosen on.
        And all labels of which it has seen three drawings or more, by style.
    """
    judge = Judge()
    pictures, rows = drawings_of(judge, work, MEASURED_ON, judge.judged)
    found = {"ceiling": judge.top_of(pictures, rows, seed=seed)}
    for style in GENERATOR_STYLES:
        pictures, rows = drawings_of(judge, work, style, judge.drawn)
        found[f"all labels with three drawings, {style}"] = judge.top_of(pictures, rows, seed=seed)
    return found
