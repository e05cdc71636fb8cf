"""Figures from papers, for comparison, and the settings they were made with as far as is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from conjure.evaluate.results import AVERAGE

SOURCE = "Liu & Soatto, Conjuring Semantic Similarity, ICLR 2026"


@dataclass(frozen=True)
class Published:
    """A row of the paper's table: Spearman × 100.

    Args:
        group: Its heading.
        name: The method.
        figures: By task.
    """

    group: str
    name: str
    figures: dict[str, float]


def _row(group: str, name: str, sts_b: float, sick_r: float, average: float) -> Published:
    return Published(group, name, {"STS-B": sts_b, "SICK-R": sick_r, AVERAGE: average})


PUBLISHED = (
    _row("Contrastive embeddings", "SimCSE-BERT", 68.4, 72.2, 76.3),
    _row("Autoregressive language models", "LLaMA-33B, trajectories", 71.5, 73.0, 66.6),
    _row("Text-conditioned diffusion", "initial timestep, Stable Diffusion v1.4", 55.8, 56.0, 53.0),
    _row("Text-conditioned diffusion", "direct output, Stable Diffusion v1.4", 57.0, 53.5, 51.3),
    _row("Text-conditioned diffusion", "conjuring, Stable Diffusion v1.4", 70.3, 66.0, 65.4),
)


@dataclass(frozen=True)
class Setting:
    """One setting of a preset.

    Args:
        name: Of the option.
        value: What the preset gives it.
        known: Whether the paper says so; else it is a guess of ours.
        why: Where it is from, or why it was guessed.
    """

    name: str
    value: Any
    known: bool
    why: str


PAPER = (
    Setting("model", "CompVis/stable-diffusion-v1-4", True, "the paper's model"),
    Setting("guidance", 7.5, True, "the paper's guidance"),
    Setting("steps", 10, True, "the paper's T"),
    Setting("estimand", "epsilon", True, "g = 1 on the noise prediction, as reported"),
    Setting("sampler", "ddim", False, "silent; a first-order sampler on the model's schedule"),
    Setting("eta", 1.0, False, "silent; 1 makes the paths those of the SDE"),
    Setting("spacing", None, False, "silent; the sampler's own"),
    Setting("samples", 1, False, "silent on k"),
    Setting("negative", "", False, "silent; the empty prompt"),
    Setting("full_stop", False, False, "silent; texts as they are"),
    Setting("pooling", "all", False, "silent; over the whole split, as SimCSE does"),
    Setting("template", "a photo of a {}", False, "silent; of single words"),
    Setting("long", "truncate", False, "silent; diffusers cuts at 77 tokens"),
)
"""``--preset paper``: what is known of the paper, and what it leaves open."""
