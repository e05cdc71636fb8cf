"""Teach an encoder that has a denoiser already where captions put things, and nothing else.

The text stage does this from the start. An encoder that was trained before, and whose states a
denoiser has learned to read, goes on here: captions that put things somewhere learn to say so in
the slots of `layout`, and every other state is held to what it was.
"""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextModel

from .common import (
    LIKENED,
    STATES,
    Budget,
    descend,
    fast,
    forget,
    load_checkpoint,
    log_line,
    save_checkpoint,
    seed_everything,
)
from .corpus import SCENES
from .data import load_labels
from .layout import placed_states, sides
from .scenes import thing
from .text_encoder import LENGTH, encode, load_text_encoder, load_texts, pad
from .withheld import training_scenes

HELD_OUT = 256  # captions on which progress is read
USED = 4.0  # weight of a slot in use, which few positions are


def train_placing(work: Path, minutes: float = 10.0, device: str = "cpu", batch: int = 32,
                  peak_rate: float = 5e-4, seed: int = 0) -> None:  # fmt: skip
    """By wall clock, from the encoder in the work folder; its log ends with how well."""
    generator = seed_everything(seed + 1)
    tokenizer, model = load_text_encoder(work)
    model = model.to(device).train()
    before = copy.deepcopy(model).requires_grad_(False).eval()
    table = load_labels(work)
    scenes = [scene for scene in training_scenes(table, SCENES, seed) if sides(scene)]
    telling = {scene.caption for scene in scenes}
    others = [text for text in load_texts(work, seed) if text not in telling]
    random.Random(seed).shuffle(others)
    asked = [torch.tensor(t) for t in tokenizer([s.caption for s in scenes]).input_ids]
    kept = [torch.tensor(t) for t in tokenizer(others, truncation=True).input_ids]
    things = [thing(entry["label"]) for entry in table]
    alone = torch.cat([encode(things[i : i + 64], tokenizer, before)
                       for i in range(0, len(things), 64)])  # fmt: skip
    scale = alone.std()

    def loss_of(some: list[int], rows: list[int], width: int) -> tuple[Tensor, Tensor]:
        tokens = [asked[i] for i in some]
        with torch.no_grad():
            whole = states(before, tokens, width, device)
            same = states(before, [kept[i] for i in rows], width, device)
        lengths, shown = [len(t) for t in tokens], [scenes[i] for i in some]
        wanted, used = placed_states(whole, alone, lengths, shown, scale)
        off = (states(model, tokens, width, device) - wanted).square().mean(-1)
        weights = 1 + (USED - 1) * used.to(off)
        kept_off = functional.mse_loss(states(model, [kept[i] for i in rows], width, device), same)
        return (weights * off).sum() / weights.sum() / scale**2, kept_off / scale**2

    optimizer = torch.optim.AdamW(model.parameters(), lr=peak_rate, weight_decay=0.0, fused=True)
    budget, step = Budget(minutes), 0
    while budget.progress < 1:
        some = torch.randint(HELD_OUT, len(asked), (batch,), generator=generator).tolist()
        rows = torch.randint(len(kept), (batch,), generator=generator).tolist()
        longest = max(len(t) for t in [asked[i] for i in some] + [kept[i] for i in rows])
        far = float(torch.rand((), generator=generator)) ** 3  # far pads cost much, and are alike
        width = min(LENGTH, longest + 8 + int(far * LENGTH))
        told, moved = loss_of(some, rows, width)
        descend(model, optimizer, told + moved, budget.rate(peak_rate))
        step += 1
        if step % 25 == 0:
            log_line(work / "placing.jsonl", step=step, seconds=round(budget.spent),
                     told=float(told), moved=float(moved))  # fmt: skip
    model.eval()
    right = order_told(model, asked[:HELD_OUT], scenes[:HELD_OUT], alone, scale, device)
    log_line(work / "placing.jsonl", step=step, right=right)
    keep_encoder(work, model)
    forget(work, LIKENED)


def keep_encoder(work: Path, model: CLIPTextModel) -> None:
    """In place of the one in the work folder, whose clock goes on; its states are stale."""
    encoder = {f"model.{name}": value for name, value in model.cpu().state_dict().items()}
    found = load_checkpoint(work / "text_encoder.pt") or {}
    clock = {name: found[name] for name in ("step", "spent") if name in found}
    save_checkpoint(work / "text_encoder.pt", {"model": encoder, **clock})
    forget(work, *STATES)


def states(model: CLIPTextModel, tokens: list[Tensor], width: int, device: str) -> Tensor:
    """[N, width, 256]."""
    with fast(device):
        ids = pad(tokens, width, model.config.eos_token_id)
        return model(ids.to(device)).last_hidden_state.float()


@torch.inference_mode()
def order_told(model: Any, tokens: list[Tensor], scenes: list[Any], alone: Tensor,
               scale: float | Tensor, device: str) -> float:  # fmt: skip
    """Of captions with two things: how often the slots are nearer to these than to them swapped."""
    hits = []
    for ids, scene in zip(tokens, scenes, strict=True):
        if scene.kind != "relation":
            continue
        found = states(model, [ids], LENGTH, device)
        one, two = scene.items
        off = []
        for items in ((one, two), (two, one)):
            rows = [replace(i, row=j.row) for i, j in zip(scene.items, items, strict=True)]
            shown = replace(scene, items=tuple(rows))
            wanted, used = placed_states(found, alone, [len(ids)], [shown], scale)
            off.append(float((found - wanted)[used].square().sum()))
        hits.append(off[0] < off[1])
    return sum(hits) / len(hits)
