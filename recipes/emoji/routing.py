"""From where to look at which pads: the denoiser's attention, told so while it learns.

The slots of `layout` say what a caption puts on which side. That the left of a picture has to look
at the left side's slots, the denoising loss says too faintly: two things drawn the wrong way round
are nearly as good a guess at a noisy state as the right way round. So where a caption puts things
on two opposite sides, attention itself is asked to tell them apart: of what a place in the picture
gives to both sides' slots, its own side's are to have all. (A loss on attention maps, with things'
outlines for sides, is TokenCompose's, Wang et al., CVPR 2024.)
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .data import load_labels
from .layout import PERIOD, SIDES, sides
from .withheld import training_scenes

OPPOSITE = ((0, 1), (2, 3))  # left and right; top and bottom
FLOOR = 0.3  # of a place's attention, averaged over heads, that its own side's slots should have
NONE = -1


class Watched:
    """Attention, all of it in the open: `seen` is the last one to text, averaged over heads."""

    seen: Tensor

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor,
                 attention_mask: Tensor | None = None) -> Tensor:  # fmt: skip
        """Places [N, Q, C] and text [N, K, C'] to [N, Q, C]."""
        count, text = len(hidden_states), encoder_hidden_states
        if attention_mask is not None:
            attention_mask = attn.prepare_attention_mask(attention_mask, text.shape[1], count)
        parts = attn.to_q(hidden_states), attn.to_k(text), attn.to_v(text)
        query, key, value = (attn.head_to_batch_dim(part) for part in parts)
        given = attn.get_attention_scores(query, key, attention_mask)
        self.seen = given.unflatten(0, (count, attn.heads)).float().mean(1)
        project, dropout = attn.to_out
        return dropout(project(attn.batch_to_head_dim(given @ value)))


def watch(model: Any) -> list[Watched]:
    """Let a UNet's attention to text be watched."""
    watched = {
        name: Watched() for name in model.attn_processors if name.endswith("attn2.processor")
    }
    model.set_attn_processor({**model.attn_processors, **watched})
    return list(watched.values())


def sides_used(work: Path, scene_texts: np.ndarray, texts: int, seed: int = 0) -> np.ndarray:
    """Which sides each text puts something on: [texts, SIDES]."""
    used = np.zeros((texts, SIDES), dtype=bool)
    scenes = training_scenes(load_labels(work), len(scene_texts), seed)
    for number, scene in zip(scene_texts.tolist(), scenes, strict=True):
        used[number, [side for side, _ in sides(scene)]] = True
    return used


def slots_used(used: np.ndarray, lengths: np.ndarray, places: np.ndarray) -> Tensor:
    """The side that each state speaks for, NONE where it is none's: [N, positions].

    Args:
        used: Of each text the sides that it puts something on, [N, SIDES].
        lengths: Its tokens, [N].
        places: Positions of its states among all 77, [N, positions].
    """
    side = places % PERIOD
    speaks = np.take_along_axis(used, np.minimum(side, SIDES - 1), 1)
    speaks &= (side < SIDES) & (places >= lengths[:, None])
    return torch.from_numpy(np.where(speaks, side, NONE))


def misrouted(maps: list[Tensor], slots: Tensor) -> Tensor:
    """How badly attention tells opposite sides apart, in nats; zero where no text speaks of two.

    Args:
        maps: Attention of each layer, [N, places of a square picture, positions].
        slots: See `slots_used`.
    """
    off = []
    for axis, pair in enumerate(OPPOSITE):
        first, second = (slots == side for side in pair)
        rows = (first.any(1) & second.any(1)).nonzero().flatten()
        if len(rows) == 0:
            continue
        first, second = first[rows, None], second[rows, None]
        for given in maps:
            size = math.isqrt(given.shape[1])
            where = torch.arange(size * size, device=given.device)
            near = (where % size if axis == 0 else where // size) < size // 2
            a, b = ((given[rows] * side).sum(-1).clamp(min=1e-6) for side in (first, second))
            own = torch.where(near, a, b)
            off.append((torch.log((a + b) / own) + (FLOOR / own).log().clamp(min=0)).mean())
    return torch.stack(off).mean() if off else maps[0].new_zeros(())
