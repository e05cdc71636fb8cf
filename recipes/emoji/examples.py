"""What the denoiser learns from: texts, and for each the pictures that it may mean.

Three sources, mixed by `SHARES`, single drawings first:

- `label`: a drawing and its label, its tags, a caption;
- `scene`: a composed scene and what is there;
- `empty`: the empty prompt and a drawing, for guidance.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recipes.common import forget, write_atomically, write_json
from recipes.drawings.data import all_drawings, load_labels

from .autoencoder import encoded, load_autoencoder
from .captions import captions
from .scenes import Scene, painted_scenes
from .withheld import drawn, training_scenes

SCENES = 72_000
VARIANTS = 8  # captions of a label beside the bare label
SHARES = {"label": (0.8, 0.55), "scene": (0.1, 0.35), "empty": (0.1, 0.1)}
DRAWINGS_FIRST = 0.35  # of the budget: until then the first shares
BARE = 0.6  # of a label's texts


@dataclass(frozen=True)
class Examples:
    """Pictures as latents, and which texts go with them.

    Args:
        latents: [P, 16, 8, 8], the drawings first, then the scenes.
        drawings: For each label row its numbers among the latents; none where it is held out.
        label_texts: [labels, 1 + VARIANTS] numbers of texts, the bare label first.
        scene_texts: [scenes].
    """

    latents: Tensor
    drawings: list[list[int]]
    label_texts: np.ndarray
    scene_texts: np.ndarray

    @property
    def first_scene(self) -> int:
        """Its number among the latents."""
        return len(self.latents) - len(self.scene_texts)

    @cached_property
    def meanings(self) -> dict[int, tuple[Tensor, Tensor]]:
        """Of each text of drawings those that it may mean, and log how often it does."""
        found: dict[int, Counter[int]] = defaultdict(Counter)
        shares = (BARE, *VARIANTS * [(1 - BARE) / VARIANTS])
        for row, drawings in enumerate(self.drawings):
            for text, share in (
                (0, 1.0),
                *zip(self.label_texts[row].tolist(), shares, strict=True),
            ):
                for drawing in drawings:
                    found[text][drawing] += share / len(drawings)
        return {
            text: (torch.tensor(list(each)), torch.tensor(list(each.values())).log())
            for text, each in found.items()
        }

    def draw(self, count: int, rng: np.random.Generator,
             progress: float) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
        """The numbers of so many latents, and of their texts (0 is the empty prompt)."""
        labels = [row for row, found in enumerate(self.drawings) if found]
        stage = int(progress >= DRAWINGS_FIRST)
        shares = np.array([each[stage] for each in SHARES.values()])
        shares[1] *= len(self.scene_texts) > 0
        kinds = rng.choice(len(SHARES), count, p=shares / shares.sum())
        pictures, texts = np.empty(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        for place, kind in enumerate(kinds):
            name = list(SHARES)[kind]
            if name == "scene":
                scene = int(rng.integers(len(self.scene_texts)))
                pictures[place], texts[place] = self.first_scene + scene, self.scene_texts[scene]
                continue
            row = int(rng.choice(labels))
            if name == "label":
                variant = 0 if rng.random() < BARE else int(rng.integers(1, 1 + VARIANTS))
                texts[place] = self.label_texts[row, variant]
            pictures[place] = rng.choice(self.drawings[row])
        return pictures, texts

    def expected(self, noisy: Tensor, alpha: Tensor, sigma: Tensor, pictures: np.ndarray,
                 texts: np.ndarray) -> Tensor:  # fmt: skip
        """The mean of the drawings that a text may mean, given a noisy state of one: latents.

        The gradient is on average as by that one drawing, with less noise (stable targets, Xu et
        al., 2023). A scene stands for itself.
        """
        found = self.latents[torch.from_numpy(pictures)]
        for place in np.flatnonzero(pictures < self.first_scene):
            drawings, often = self.meanings[int(texts[place])]
            known = self.latents[drawings].flatten(1)
            signal = alpha[place] / sigma[place] ** 2
            fit = known @ noisy[place].flatten() - alpha[place] / 2 * known.square().sum(1)
            found[place] = ((signal * fit + often).softmax(0) @ known).view_as(found[place])
        return found


def prepare_examples(work: Path, device: str = "cpu", seed: int = 0) -> None:
    """Paint and encode every picture, collect the texts: `examples.npz`, `captions.json`."""
    table = load_labels(work)
    scenes = training_scenes(table, SCENES, seed)
    texts: dict[str, int] = {"": 0}
    label_texts = np.zeros((len(table), 1 + VARIANTS), dtype=np.int64)
    for row, entry in zip(learned_rows(table), drawn(table), strict=True):
        own = (entry["label"], *captions(entry, VARIANTS, seed))
        label_texts[row] = [texts.setdefault(text, len(texts)) for text in own]
    scene_texts = np.array([texts.setdefault(scene.caption, len(texts)) for scene in scenes])
    pixels, owners = all_drawings(work)
    vae = load_autoencoder(work).to(device)
    latents = encoded(vae, torch.from_numpy(pixels)).half().numpy()
    arrays = {
        "drawings": owners, "label_texts": label_texts, "scene_texts": scene_texts,
        "latents": np.concatenate([latents, scene_latents(work, vae, scenes, seed)]),
    }  # fmt: skip
    forget(work, "states.npy", "lengths.npy")
    write_json(work / "captions.json", list(texts))
    write_atomically(work / "examples.npz", lambda p: np.savez(p, **arrays))


def load_captions(work: Path) -> list[str]:
    """The texts of the examples, in the order of their numbers."""
    return json.loads((work / "captions.json").read_text(encoding="utf-8"))


def learned_rows(table: Sequence[dict[str, Any]], labels: int | None = None) -> list[int]:
    """Rows of the labels that are not held out; or of so many of them, from all over the table."""
    rows = [row for row, entry in enumerate(table) if not entry["held_out"]]
    return rows if labels is None else rows[:: max(1, len(rows) // labels)][:labels]


def load_examples(work: Path, labels: int | None = None) -> Examples:
    """What `prepare_examples` wrote; or drawings alone, of so many labels."""
    with np.load(work / "examples.npz") as arrays:
        found = {name: arrays[name] for name in arrays.files}
    table = load_labels(work)
    shown, drawings = set(learned_rows(table, labels)), [list[int]() for _ in table]
    for place, row in enumerate(found.pop("drawings")):
        if row in shown:
            drawings[row].append(place)
    if labels is not None:
        found["scene_texts"] = found["scene_texts"][:0]
    return Examples(torch.from_numpy(found.pop("latents")).float(), drawings, **found)


def scene_latents(work: Path, vae: Any, scenes: Sequence[Scene], seed: int) -> np.ndarray:
    """Every scene, painted with one vendor's drawings: half latents."""
    found = []
    painted = painted_scenes(scenes, work, seed)
    for start in range(0, len(scenes), 512):
        pixels = np.stack([next(painted) for _ in scenes[start : start + 512]])
        pictures = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).float() / 255
        found.append(encoded(vae, pictures).half().numpy())
    return np.concatenate(found)
