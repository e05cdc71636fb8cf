"""What the model is asked beside similarity: compositions, new words, neighbours, styles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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

from .common import GENERATOR_STYLES
from .data import load_pictures
from .render import on_white
from .scenes import alternatives, painted_scenes
from .synonyms import synonyms
from .text_encoder import encode, teacher_embeddings

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


def triples(table: list[dict[str, Any]], count: int, seed: int) -> Iterable[tuple[str, str, str]]:
    """(a, b, c): a and b of one CLDR subgroup, c of another group."""
    rng = np.random.default_rng([seed, 1])
    while count:
        first = table[rng.integers(len(table))]
        near = [e for e in table if e["subgroup"] == first["subgroup"] and e is not first]
        far = [e for e in table if e["group"] != first["group"]]
        if near:
            second, third = near[rng.integers(len(near))], far[rng.integers(len(far))]
            yield first["label"], second["label"], third["label"]
            count -= 1


def known_triples(table: list[dict[str, Any]], count: int = 300,
                  seed: int = 0) -> list[tuple[str, str, str]]:  # fmt: skip
    """Triples of the first version's labels."""
    return list(triples([entry for entry in table if entry["seen"]], count, seed))


def apart(process: Process, pairs: Sequence[tuple[str, str]], samples: int,
          seed: int) -> dict[str, np.ndarray]:  # fmt: skip
    """Distances of pairs, [N]: `girsanov`, and `score` over how much both texts say."""
    run = conjure.relative_pairs(
        pairs, process=process, samples=samples, seed=seed, estimand="score"
    )
    found = list(run)
    plain = [estimate.distance for r in found if (estimate := r.pair.estimands["girsanov"])]
    return {"girsanov": np.array(plain), "relative": np.array([r.distance for r in found])}


def neighbours(process: Process, table: list[dict[str, Any]], count: int = 300,
               samples: int = 1, seed: int = 0) -> dict[str, list[float]]:  # fmt: skip
    """How often conjure finds b nearer to a than c, over the first version's labels, as `apart`."""
    pairs = [p for a, b, c in known_triples(table, count, seed) for p in ((a, b), (a, c))]
    found = apart(process, pairs, samples, seed)
    nearer = {way: d.reshape(count, 2) for way, d in found.items()}
    return {way: rate(d[:, 0] < d[:, 1]) for way, d in nearer.items()}


def text_spaces(pipeline: Any, names: list[str]) -> dict[str, dict[str, Tensor]]:
    """Unit vectors of texts by the teacher, and by what its student says at their ends."""
    tokenizer, model = pipeline.tokenizer, pipeline.text_encoder
    ends = [len(ids) - 1 for ids in tokenizer(names).input_ids]
    spaces = {
        "teacher": teacher_embeddings(names),
        "text encoder": encode(names, tokenizer, model)[torch.arange(len(names)), ends],
    }
    return {
        way: dict(zip(names, functional.normalize(space, dim=-1), strict=True))
        for way, space in spaces.items()
    }


def neighbours_elsewhere(pipeline: Any, table: list[dict[str, Any]],
                         work: Path) -> dict[str, list[float]]:  # fmt: skip
    """What others find of the same triples: the teacher, its student, and real drawings' pixels.

    The first two say what the text can tell at most; the last what pictures alone would. Where a
    style lacks one of the three drawings, a triple is left out.
    """
    chosen = known_triples(table)
    names = sorted({name for triple in chosen for name in triple})
    found = {}
    for way, space in text_spaces(pipeline, names).items():
        hits = [bool(space[a] @ space[b] > space[a] @ space[c]) for a, b, c in chosen]
        found[way] = rate(np.array(hits))
    rows, hits = {entry["label"]: row for row, entry in enumerate(table)}, []
    for style in GENERATOR_STYLES:
        index, rgba = load_pictures(work, style)
        white = dict(zip(index.tolist(), (on_white(drawing) for drawing in rgba), strict=True))
        for triple in chosen:
            a, b, c = (white.get(rows[name]) for name in triple)
            if a is not None and b is not None and c is not None:
                hits.append(np.square(a - b).mean() < np.square(a - c).mean())
    return found | {"pixels": rate(np.array(hits))}


def synonym_choices(table: list[dict[str, Any]], packages: Path,
                    seed: int = 0) -> list[tuple[str, list[str]]]:  # fmt: skip
    """Each word with its synonym's label and 19 random ones."""
    rng = np.random.default_rng([seed, 2])
    labels = [entry["label"] for entry in table if not entry["held_out"]]
    chosen = []
    for word, label in synonyms(table, packages):
        others = [o for o in rng.permutation(labels).tolist() if o != label][: CHOICES - 1]
        chosen.append((word, [label, *others]))
    return chosen


def synonyms_found(process: Process, table: list[dict[str, Any]], packages: Path,
                   samples: int = 1, seed: int = 0) -> dict[str, list[float]]:  # fmt: skip
    """How often a word that no caption has is nearest to its synonym's label of 20, as `apart`."""
    chosen = synonym_choices(table, packages, seed)
    pairs = [(word, label) for word, labels in chosen for label in labels]
    found = apart(process, pairs, samples, seed)
    return {way: rate(d.reshape(-1, CHOICES).argmin(1) == 0) for way, d in found.items()}


def synonyms_elsewhere(pipeline: Any, table: list[dict[str, Any]],
                       packages: Path, seed: int = 0) -> dict[str, list[float]]:  # fmt: skip
    """What the teacher's cosine and its student's find of the same: what texts can tell at most."""
    chosen = synonym_choices(table, packages, seed)
    names = sorted({name for word, labels in chosen for name in (word, *labels)})
    found = {}
    for way, space in text_spaces(pipeline, names).items():
        near = [torch.stack([space[w] @ space[o] for o in labels]) for w, labels in chosen]
        found[way] = rate(torch.stack(near).argmax(1).numpy() == 0)
    return found


def styles(pictures: Tensor, rows: Sequence[int], work: Path) -> list[str]:
    """Which vendor's drawing of its label each picture is nearest to, by squared error.

    Args:
        pictures: [N, 3, H, W] in [0, 1].
        rows: Their labels.
        work: The work folder.
    """
    off = []
    for style in GENERATOR_STYLES:
        index, rgba = load_pictures(work, style)
        drawn = dict(zip(index.tolist(), rgba, strict=True))
        white = np.stack([on_white(drawn[row]).transpose(2, 0, 1) for row in rows])
        off.append((pictures - torch.from_numpy(white)).square().flatten(1).mean(1))
    return [GENERATOR_STYLES[i] for i in torch.stack(off).argmin(0).tolist()]
