"""What the denoiser learns from: texts, and for each the pictures that it may mean.

Four sources, mixed by `SHARES`:

- `label`: a drawing and its label, its tags, a caption;
- `scene`: a composed scene and what is there;
- `near`: any text (a dictionary's word, gloss or example, a plain sentence) and the drawings of the
  labels nearest to it by the teacher, with probability softmax(cosine / TEMPERATURE): so that a
  text without a picture of its own means what lies around it, and texts of like meaning mean alike;
- `empty`: the empty prompt and anything, for guidance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .autoencoder import load_autoencoder
from .captions import captions
from .common import GENERATOR_STYLES, STATES, forget, write_atomically, write_json
from .data import load_labels, load_pictures
from .render import on_white
from .scenes import Scene, painted_scenes
from .synonyms import stems, synonyms, words_of
from .text_encoder import load_texts, teacher_embeddings
from .withheld import Withheld, drawn, training_scenes

SCENES = 72_000
VARIANTS = 8  # captions of a label beside the bare label
NEAR_TEXTS = 48_000
TEMPERATURE, NEAREST = 0.04, 24
SHARES = {"label": 0.38, "scene": 0.42, "near": 0.12, "empty": 0.08}
BARE = 0.6  # of a label's texts


@dataclass(frozen=True)
class Examples:
    """Pictures as latents, and which texts go with them.

    Args:
        latents: [P, 16, 8, 8], the drawings first, then the scenes.
        drawings: For each label row its numbers among the latents; none where it is held out.
        label_texts: [labels, 1 + VARIANTS] numbers of texts, the bare label first.
        scene_texts: [scenes].
        near_texts: [texts].
        near_rows: [texts, NEAREST] rows of labels.
        near_odds: Likewise, summing to one.
    """

    latents: Tensor
    drawings: list[list[int]]
    label_texts: np.ndarray
    scene_texts: np.ndarray
    near_texts: np.ndarray
    near_rows: np.ndarray
    near_odds: np.ndarray

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, np.ndarray]:
        """So many latents, and the numbers of their texts (0 is the empty prompt)."""
        labels = [row for row, found in enumerate(self.drawings) if found]
        first_scene = len(self.latents) - len(self.scene_texts)
        kinds = rng.choice(len(SHARES), count, p=list(SHARES.values()))
        pictures, texts = np.empty(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        for place, kind in enumerate(kinds):
            name = list(SHARES)[kind]
            if name == "scene" or (name == "empty" and rng.random() < 0.3):
                scene = int(rng.integers(len(self.scene_texts)))
                pictures[place] = first_scene + scene
                texts[place] = self.scene_texts[scene] if name == "scene" else 0
                continue
            row = int(rng.choice(labels))
            if name == "label":
                variant = 0 if rng.random() < BARE else int(rng.integers(1, 1 + VARIANTS))
                texts[place] = self.label_texts[row, variant]
            elif name == "near":
                text = int(rng.integers(len(self.near_texts)))
                texts[place] = self.near_texts[text]
                row = int(rng.choice(self.near_rows[text], p=self.near_odds[text]))
            pictures[place] = rng.choice(self.drawings[row])
        return self.latents[torch.from_numpy(pictures)], texts


def prepare_examples(work: Path, device: str = "cpu", seed: int = 0) -> None:
    """Paint and encode every picture, collect the texts: `examples.npz`, `captions.json`."""
    table = load_labels(work)
    scenes = training_scenes(table, SCENES, seed)
    texts: dict[str, int] = {"": 0}
    label_texts = np.zeros((len(table), 1 + VARIANTS), dtype=np.int64)
    rows = [row for row, entry in enumerate(table) if not entry["held_out"]]
    for row, entry in zip(rows, drawn(table), strict=True):
        own = (entry["label"], *captions(entry, VARIANTS, seed))
        label_texts[row] = [number(texts, text) for text in own]
    scene_texts = np.array([number(texts, scene.caption) for scene in scenes])
    near, rows, odds = near_labels(work, table, set(texts), device, seed)
    near_texts = np.array([number(texts, text) for text in near])
    latents, owners = drawing_latents(work, device)
    arrays = {
        "drawings": owners, "label_texts": label_texts, "scene_texts": scene_texts,
        "near_texts": near_texts, "near_rows": rows, "near_odds": odds,
        "latents": np.concatenate([latents, scene_latents(work, scenes, device, seed)]),
    }  # fmt: skip
    forget(work, *STATES)
    write_json(work / "captions.json", list(texts))
    write_atomically(work / "examples.npz", lambda p: np.savez(p, **arrays))


def load_examples(work: Path) -> Examples:
    """What `prepare_examples` wrote."""
    with np.load(work / "examples.npz") as arrays:
        found = {name: arrays[name] for name in arrays.files}
    table = load_labels(work)
    drawings: list[list[int]] = [[] for _ in table]
    for place, row in enumerate(found.pop("drawings")):
        if not table[row]["held_out"]:
            drawings[row].append(place)
    odds = found.pop("near_odds").astype(np.float64)
    return Examples(
        torch.from_numpy(found.pop("latents")).float(), drawings, **found,
        near_odds=odds / odds.sum(1, keepdims=True),
    )  # fmt: skip


def number(texts: dict[str, int], text: str) -> int:
    """A text's number; a new one where it is new."""
    return texts.setdefault(text, len(texts))


def near_labels(
    work: Path, table: Sequence[dict[str, Any]], known: set[str], device: str, seed: int
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Texts, and the labels nearest to each with their odds.

    A label is embedded as the mean of its own and its tags' embeddings. Texts that have pictures of
    their own (`known`), those that name a concept that is never drawn, and those with a word of the
    synonyms' examination in any form, stay out.
    """
    texts = load_texts(work, seed)
    secret = {w for word, _ in synonyms(table, work / "packages") for w in words_of(word)}
    rng = np.random.default_rng(seed)
    order = [int(i) for i in rng.permutation(len(texts))]
    chosen = [i for i in order if texts[i] not in known]
    withheld = Withheld(table)
    chosen = [i for i in chosen if not withheld.concept(texts[i])]
    chosen = [i for i in chosen if secret.isdisjoint(stems(texts[i]))]
    near = [texts[i] for i in chosen[:NEAR_TEXTS]]
    corpus = set(texts)
    tags = [[t.lower() for t in e["tags"] if t.lower() in corpus] for e in table]
    words = sorted({tag for own in tags for tag in own})
    where = {word: place for place, word in enumerate(words)}
    asked = [e["label"] for e in table] + words + near
    labels, named, vectors = np.split(
        teacher_embeddings(asked, device).numpy(), [len(table), len(table) + len(words)]
    )
    for row, own in enumerate(tags):
        if own:
            labels[row] += named[[where[tag] for tag in own]].mean(0)
    labels /= np.linalg.norm(labels, axis=1, keepdims=True)
    labels[[e["held_out"] for e in table]] = 0
    rows = np.empty((len(near), NEAREST), dtype=np.int64)
    odds = np.empty((len(near), NEAREST), dtype=np.float32)
    for start in range(0, len(near), 4096):
        part = slice(start, start + 4096)
        cosines = vectors[part] @ labels.T
        rows[part] = np.argsort(-cosines, axis=1)[:, :NEAREST]
        scores = np.take_along_axis(cosines, rows[part], 1) / TEMPERATURE
        weights = np.exp(scores - scores.max(1, keepdims=True))
        odds[part] = weights / weights.sum(1, keepdims=True)
    return near, rows, odds


def drawing_latents(work: Path, device: str) -> tuple[np.ndarray, np.ndarray]:
    """Every drawing of the generator's vendors as it is: half latents, and their label rows."""
    pairs = [load_pictures(work, style) for style in GENERATOR_STYLES]
    pixels = np.concatenate([on_white(rgba) for _, rgba in pairs]).transpose(0, 3, 1, 2)
    rows = np.concatenate([index for index, _ in pairs])
    return encode_pictures(work, torch.from_numpy(pixels.copy()) * 2 - 1, device), rows


def scene_latents(work: Path, scenes: Sequence[Scene], device: str, seed: int) -> np.ndarray:
    """Every scene, painted with one vendor's drawings: half latents."""
    found = []
    painted = painted_scenes(scenes, work, seed)
    for start in range(0, len(scenes), 512):
        pixels = np.stack([next(painted) for _ in scenes[start : start + 512]])
        pictures = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).float() / 127.5 - 1
        found.append(encode_pictures(work, pictures, device))
    return np.concatenate(found)


@torch.inference_mode()
def encode_pictures(work: Path, pictures: Tensor, device: str) -> np.ndarray:
    """[N, 3, SIZE, SIZE] in [−1, 1] to half latents."""
    model = load_autoencoder(work).to(device)
    parts = [model.encode(p.to(device), return_dict=False)[0] for p in pictures.split(64)]
    return torch.cat(parts).cpu().numpy().astype(np.float16)
