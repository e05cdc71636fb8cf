"""What the denoiser has learned of the very pictures that it was trained on, and how they look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recipes.drawings.data import GENERATOR_STYLES, all_drawings, load_pictures
from recipes.drawings.render import on_white
from recipes.judge.judge import Judge, embed

from .autoencoder import encoded
from .examples import learned_rows
from .scenes import painted_scenes
from .sheets import generate
from .withheld import training_scenes

LOG_SNRS = (0.9, -0.6, -1.7, -2.6, -3.7)
COUNT = 256


def noisy(clean: Tensor, log_snr: float, seed: int) -> tuple[Tensor, float, float]:
    """States at a noise level, and α and σ there."""
    alpha, sigma = (float(torch.tensor(s * log_snr).sigmoid().sqrt()) for s in (1, -1))
    drawn = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    return alpha * clean + sigma * drawn, alpha, sigma


@torch.inference_mode()
def off(pipeline: Any, clean: Tensor, texts: Sequence[str], log_snr: float,
        seed: int = 0) -> float:  # fmt: skip
    """Mean square of x̂₀ − x₀, by the timestep that is nearest to a log-SNR."""
    alphas = pipeline.scheduler.alphas_cumprod.double()
    levels = torch.log(alphas / (1 - alphas))
    step = int((levels - log_snr).abs().argmin())
    states, alpha, sigma = noisy(clean, float(levels[step]), seed)
    total = 0.0
    for part in torch.arange(len(clean)).split(64):
        text, _ = pipeline.encode_prompt([texts[i] for i in part.tolist()], "cpu", 1, False)
        v = pipeline.unet(states[part], step, text).sample
        total += float((alpha * states[part] - sigma * v - clean[part]).square().sum())
    return total / clean.numel()


def remembered(clean: Tensor, known: Tensor, log_snr: float, seed: int = 0) -> float:
    """The same of whoever knows a picture's alternatives [N, K, 16, 8, 8] and weighs them."""
    states, alpha, sigma = noisy(clean, log_snr, seed)
    fit = (states[:, None] - alpha * known).square().flatten(2).sum(2) / -(2 * sigma**2)
    guess = torch.einsum("nk,nkchw->nchw", fit.softmax(1), known)
    return float((guess - clean).square().mean())


def learned(pipeline: Any, table: list[dict[str, Any]], work: Path,
            labels: int | None = None) -> dict[str, Any]:  # fmt: skip
    """x̂₀'s error over the variance of drawings' latents, of pictures that it was trained on.

    Args:
        pipeline: The model.
        table: The labels.
        work: The work folder.
        labels: How many it was trained on; None for all.

    Returns:
        By row and picture a figure for each of `LOG_SNRS`. ``mean``: of the label's drawings,
        without a look at the state; ``remembered``: these, weighed by how well they explain it.
    """
    pictures, rows = map(torch.from_numpy, all_drawings(work))
    latents = encoded(pipeline.vae, pictures)
    shown = torch.isin(rows, torch.tensor(learned_rows(table, labels)))
    variance = float(latents[shown].var())
    order = torch.randperm(int(shown.sum()), generator=torch.Generator().manual_seed(1))[:COUNT]
    chosen = shown.nonzero().flatten()[order]
    own = [(rows == row).nonzero().flatten() for row in rows[chosen].tolist()]
    known = torch.stack([latents[places[:3]] for places in own])  # one by each style
    clean, names = latents[chosen], [table[row]["label"] for row in rows[chosen].tolist()]
    scenes = training_scenes(table, COUNT)
    pixels = np.stack(list(painted_scenes(scenes, work, 0)))
    painted = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).float() / 255
    composed, captions = encoded(pipeline.vae, painted), [scene.caption for scene in scenes]
    nothing = [""] * len(clean)
    found = {
        "drawings, label": [off(pipeline, clean, names, at) for at in LOG_SNRS],
        "drawings, empty prompt": [off(pipeline, clean, nothing, at) for at in LOG_SNRS],
        "drawings, mean": [float((known.mean(1) - clean).square().mean()) for _ in LOG_SNRS],
        "drawings, remembered": [remembered(clean, known, at) for at in LOG_SNRS],
        "scenes, caption": [off(pipeline, composed, captions, at) for at in LOG_SNRS],
        "scenes, empty prompt": [off(pipeline, composed, [""] * COUNT, at) for at in LOG_SNRS],
    }
    return {name: [value / variance for value in values] for name, values in found.items()}


def gradient(pictures: Tensor) -> float:
    """Mean absolute difference of neighbouring pixels."""
    return float(sum(pictures.diff(dim=axis).abs().mean() for axis in (-1, -2)) / 2)


@torch.inference_mode()
def sharpness(pipeline: Any, pictures: Tensor, labels: Sequence[str],
              table: list[dict[str, Any]], work: Path) -> float:  # fmt: skip
    """`gradient` of pictures over that of real drawings of their labels, through the codec."""
    drawings, rows = map(torch.from_numpy, all_drawings(work))
    wanted = {table[row]["label"]: row for row in range(len(table))}
    chosen = torch.isin(rows, torch.tensor([wanted[label] for label in labels]))
    latents = encoded(pipeline.vae, drawings[chosen])
    parts = [pipeline.vae.decode(part, return_dict=False)[0] for part in latents.split(64)]
    return gradient(pictures) / gradient((torch.cat(parts) / 2 + 0.5).clamp(0, 1))


def told(pictures: Tensor, labels: Sequence[str], table: list[dict[str, Any]],
         work: Path) -> np.ndarray:  # fmt: skip
    """Of each picture whether the nearest of all real drawings, to the judge, is of its label."""
    drawings, rows = map(torch.from_numpy, all_drawings(work))
    model = Judge().model
    near = embed(model, pictures) @ torch.cat([embed(model, p) for p in drawings.split(256)]).T
    found = rows[near.argmax(1)].tolist()
    return np.array([table[row]["label"] == own for row, own in zip(found, labels, strict=True)])


def diversity(pipeline: Any, table: list[dict[str, Any]], work: Path, guidance: float,
              count: int = 60, each: int = 4) -> dict[str, Any]:  # fmt: skip
    """Do samples of one prompt differ: the styles whose drawing of it they are nearest to.

    Returns:
        ``styles``: shares of all samples; ``several``: of the prompts, those whose samples are
        nearest to drawings of two vendors or more (the Fluent styles are one vendor's).
    """
    rows = [row for row, entry in enumerate(table) if entry["seen"]]
    chosen = np.random.default_rng(0).permutation(rows)[:count].repeat(each)
    pictures = generate(pipeline, [table[row]["label"] for row in chosen], guidance=guidance)
    off = []
    for style in GENERATOR_STYLES:
        drawn = dict(zip(*load_pictures(work, style), strict=True))
        white = np.stack([on_white(drawn[row]).transpose(2, 0, 1) for row in chosen])
        off.append((pictures - torch.from_numpy(white)).square().flatten(1).mean(1))
    nearest = torch.stack(off).argmin(0).tolist()
    makers = [GENERATOR_STYLES[number].removesuffix("-flat") for number in nearest]
    groups = [set(makers[start : start + each]) for start in range(0, len(makers), each)]
    shares = {s: nearest.count(n) / len(nearest) for n, s in enumerate(GENERATOR_STYLES)}
    several = sum(len(group) > 1 for group in groups) / count
    return {"styles": shares, "prompts": count, "samples": each, "several": several}
