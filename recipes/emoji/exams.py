"""What the model is asked beside similarity: compositions, new words, neighbours, styles."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest
from torch import Tensor
from torch.nn import functional

import conjure
from conjure.divergence.girsanov import trapezoid_weights
from conjure.process.base import Process
from recipes.drawings.data import GENERATOR_STYLES, load_pictures
from recipes.drawings.render import on_white

from .scenes import alternatives, painted_scenes
from .synonyms import synonyms
from .texts import mean_embeddings

CHOICES = 20


def rate(hits: np.ndarray) -> list[float]:
    """How often, and the ends of Wilson's 95% interval over what was asked."""
    found = binomtest(int(hits.sum()), len(hits)).proportion_ci(method="wilson")
    return [float(hits.mean()), float(found.low), float(found.high)]


@torch.inference_mode()
def misfit(process: Process, latents: Tensor, texts: Sequence[Sequence[str]], noises: int = 2,
           seed: int = 0) -> np.ndarray:  # fmt: skip
    """How badly each text explains each picture: the model's own bound on −log p(picture | text).

    The integral over log-SNR of ½‖ε − ε̂‖², by the trapezoid rule on the process' grid, up to a
    constant; all texts of a picture meet the same noise. (The classifier of Li et al. 2023.)

    Args:
        process: Without guidance.
        latents: One clean state a picture, shape ``(N, *state)``.
        texts: C of them a picture.
        noises: Monte Carlo samples.
        seed: Of the noise.

    Returns:
        Shape ``(N, C)``.
    """
    random = torch.Generator().manual_seed(seed)
    weights = trapezoid_weights(process.levels.log_snr)
    found = np.zeros((len(latents), len(texts[0])))
    process.prepare(dict.fromkeys(text for row in texts for text in row))
    for step, (alpha, sigma) in enumerate(
        zip(process.levels.alpha, process.levels.sigma, strict=True)
    ):
        for _ in range(noises):
            noise = torch.randn(latents.shape, generator=random)
            states = float(alpha) * latents + float(sigma) * noise
            for choice in range(found.shape[1]):
                for part in torch.arange(len(latents)).split(process.batch_size):
                    prompts = [texts[i][choice] for i in part.tolist()]
                    guess = process.predict(states[part].double(), step, prompts).noise
                    off = (noise[part] - guess).square().flatten(1).sum(1)
                    found[part.numpy(), choice] += weights[step] / 2 / noises * off.numpy()
    if not np.isfinite(found).all():
        raise FloatingPointError("the model's predictions are not finite")
    return found


def compositions(process: Process, encode: Any, table: list[dict[str, Any]], work: Path,
                 count: int = 200) -> dict[str, list[float]]:  # fmt: skip
    """How often a held-out composition is told from its hard alternatives, by kind."""
    found = {}
    for kind in ("count", "colour", "relation"):
        lists = alternatives(kind, table, count)
        pixels = np.stack(list(painted_scenes([scenes[0] for scenes in lists], work, 7)))
        latents = encode(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).float() / 255)
        texts = [[scene.caption for scene in scenes] for scenes in lists]
        found[kind] = rate(misfit(process, latents, texts).argmin(1) == 0)
    return found


def concepts(process: Process, encode: Any, table: list[dict[str, Any]], work: Path,
             seed: int = 0) -> list[float]:  # fmt: skip
    """How often a concept that was never drawn for the model is told, in a drawing, by its name.

    The interval is a bootstrap over concepts, whose drawings by several vendors are alike.
    """
    rng = np.random.default_rng(seed)
    kept_out = {row for row, entry in enumerate(table) if entry["held_out"]}
    pictures, texts, shown = [], [], []
    for style in GENERATOR_STYLES:
        index, rgba = load_pictures(work, style)
        for row, drawing in zip(index.tolist(), rgba, strict=True):
            if row in kept_out:
                pictures.append(on_white(drawing).transpose(2, 0, 1))
                shown.append(row)
                others = [r for r in rng.permutation(len(table)) if r != row][: CHOICES - 1]
                texts.append([table[r]["label"] for r in (row, *others)])
    latents = encode(torch.from_numpy(np.stack(pictures)))
    hits = misfit(process, latents, texts).argmin(1) == 0
    each = np.array([hits[np.array(shown) == row].mean() for row in sorted(set(shown))])
    again = each[rng.integers(len(each), size=(1000, len(each)))].mean(1)
    return [float(each.mean()), *map(float, np.quantile(again, (0.025, 0.975)))]


def triples(table: list[dict[str, Any]], count: int = 300,
            seed: int = 0) -> list[tuple[str, str, str]]:  # fmt: skip
    """(a, b, c): a and b of one CLDR subgroup, c of another group; the first version's labels."""
    rng, known = np.random.default_rng([seed, 1]), [entry for entry in table if entry["seen"]]
    found = list[tuple[str, str, str]]()
    while len(found) < count:
        first = known[rng.integers(len(known))]
        near = [e for e in known if e["subgroup"] == first["subgroup"] and e is not first]
        far = [e for e in known if e["group"] != first["group"]]
        if near:
            second, third = near[rng.integers(len(near))], far[rng.integers(len(far))]
            found.append((first["label"], second["label"], third["label"]))
    return found


def apart(process: Process, pairs: Sequence[tuple[str, str]], samples: int = 1,
          seed: int = 0) -> np.ndarray:  # fmt: skip
    """Distances of pairs by `girsanov`, [N]."""
    run = conjure.compare_pairs(
        pairs, process=process, samples=samples, seed=seed, estimand="girsanov"
    )
    return np.array([result.distance for result in run])


def text_distances(pipeline: Any, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    """1 − cosine of the text encoder's vectors, as its authors pool them, [N]."""
    names = sorted(set(chain.from_iterable(pairs)))
    space = functional.normalize(mean_embeddings(names, pipeline), dim=-1)
    at = {name: number for number, name in enumerate(names)}
    return np.array([float(1 - space[at[a]] @ space[at[b]]) for a, b in pairs])


def neighbours(process: Process, pipeline: Any, table: list[dict[str, Any]], work: Path,
               count: int = 300) -> dict[str, list[float]]:  # fmt: skip
    """How often b is nearer to a than c, over triples of the first version's labels.

    Returns:
        ``conjuring``; ``text encoder``, what the text can tell; ``pixels``, what pictures alone
        would, where a style has all three drawings.
    """
    chosen = triples(table, count)
    pairs = [pair for a, b, c in chosen for pair in ((a, b), (a, c))]
    ways = {"conjuring": apart(process, pairs), "text encoder": text_distances(pipeline, pairs)}
    nearer = {way: d.reshape(-1, 2) for way, d in ways.items()}
    rows, hits = {entry["label"]: row for row, entry in enumerate(table)}, []
    for style in GENERATOR_STYLES:
        index, rgba = load_pictures(work, style)
        white = dict(zip(index.tolist(), (on_white(drawing) for drawing in rgba), strict=True))
        for triple in chosen:
            a, b, c = (white.get(rows[name]) for name in triple)
            if a is not None and b is not None and c is not None:
                hits.append(np.square(a - b).mean() < np.square(a - c).mean())
    found = {way: rate(d[:, 0] < d[:, 1]) for way, d in nearer.items()}
    return found | {"pixels": rate(np.array(hits))}


def synonyms_found(process: Process, pipeline: Any, table: list[dict[str, Any]], work: Path,
                   seed: int = 0) -> dict[str, list[float]]:  # fmt: skip
    """How often a word that no caption has is nearest to its synonym's label among 20 labels.

    Returns:
        ``conjuring``; ``text encoder``.
    """
    rng, pairs = np.random.default_rng([seed, 2]), []
    labels = [entry["label"] for entry in table if not entry["held_out"]]
    for word, label in synonyms(table, work / "packages"):
        others = [o for o in rng.permutation(labels).tolist() if o != label][: CHOICES - 1]
        pairs += [(word, one) for one in (label, *others)]
    ways = {"conjuring": apart(process, pairs), "text encoder": text_distances(pipeline, pairs)}
    return {way: rate(d.reshape(-1, CHOICES).argmin(1) == 0) for way, d in ways.items()}
