"""The denoiser: a small UNet in latent space, v-prediction on a truncated cosine schedule."""

from __future__ import annotations

import copy
import json
import math
import random as python_random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional

from .captions import captions
from .common import (
    Budget,
    load_checkpoint,
    log_line,
    save_checkpoint,
    seed_everything,
    write_atomically,
    write_json,
)
from .data import load_labels
from .text_encoder import LENGTH, WIDTH, encode, load_text_encoder

STEPS = 1000
LOG_SNR = 10.0
VARIANTS = 8  # captions of a label beside the bare label
BARE, EMPTY = 0.55, 0.10
KEYS = 24


def make_scheduler() -> DDIMScheduler:
    """λ(u) = −2·log tan(a + u(b − a)) from +10 to −10: the cosine schedule with sound ends."""
    first, last = math.atan(math.exp(-LOG_SNR / 2)), math.atan(math.exp(LOG_SNR / 2))
    angles = np.linspace(first, last, STEPS)
    alphas = np.cos(angles) ** 2
    betas = 1 - alphas / np.concatenate([[1.0], alphas[:-1]])
    return DDIMScheduler(
        num_train_timesteps=STEPS, trained_betas=betas.tolist(), prediction_type="v_prediction",
        clip_sample=False, set_alpha_to_one=False, timestep_spacing="trailing",
    )  # fmt: skip


def make_denoiser() -> UNet2DConditionModel:
    """Three levels (8, 4 and 2 pixels wide); text is attended to at the two lower ones."""
    return UNet2DConditionModel(
        sample_size=8, in_channels=16, out_channels=16, layers_per_block=1,
        block_out_channels=(96, 192, 256), attention_head_dim=(3, 6, 8), cross_attention_dim=WIDTH,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip


def prepare_states(work: Path, seed: int = 0) -> None:
    """Encode every caption once: `states.npy` [C, 77, 256] (half), row 0 the empty prompt.

    Label i has the rows 1 + i·(VARIANTS + 1) onwards, the bare label first.
    """
    tokenizer, model = load_text_encoder(work)
    texts = [""]
    for entry in load_labels(work):
        texts += [entry["label"], *captions(entry, VARIANTS, seed)]
    lengths = [len(ids) for ids in tokenizer(texts, truncation=True).input_ids]
    unique = list(dict.fromkeys(texts))
    where = {text: row for row, text in enumerate(unique)}
    parts = [
        encode(unique[start : start + 64], tokenizer, model).half()
        for start in range(0, len(unique), 64)
    ]
    states = torch.cat(parts).numpy()
    write_json(work / "captions.json", {"texts": texts, "lengths": lengths})
    rows = np.array([where[text] for text in texts])
    write_atomically(work / "caption_rows.npy", lambda p: np.save(p, rows))
    write_atomically(work / "states.npy", lambda p: np.save(p, states))


def choose_captions(rows: list[int], rng: python_random.Random) -> list[int]:
    """A caption's number for each label row: mostly the bare label, at times the empty prompt."""
    chosen = []
    for row in rows:
        draw = rng.random()
        variant = 0 if draw < EMPTY + BARE * (1 - EMPTY) else rng.randint(1, VARIANTS)
        chosen.append(0 if draw < EMPTY else 1 + row * (VARIANTS + 1) + variant)
    return chosen


def thin_pads(
    states: Tensor, lengths: list[int], rng: python_random.Random
) -> tuple[Tensor, Tensor]:
    """Keep `KEYS` of 77 states: all words, and some pads that stand for all of them.

    Captions are short, so most states are pads and nearly alike. A kept pad's attention logit
    gains log(pads / kept pads), which makes the softmax an estimate of the one over all 77 states
    at a third of its cost. diffusers adds −10⁴(1 − mask) to the logits: hence this mask.
    """
    keep = torch.empty(len(lengths), KEYS, dtype=torch.long)
    mask = torch.ones(len(lengths), KEYS)
    for row, length in enumerate(lengths):
        words = min(length, KEYS - 4)
        kept = KEYS - words
        keep[row] = torch.tensor([*range(words), *rng.sample(range(words, LENGTH), kept)])
        mask[row, words:] += math.log((LENGTH - words) / kept) / 1e4
    return states.gather(1, keep.unsqueeze(-1).expand(-1, -1, states.shape[-1])), mask


def training_state(work: Path, device: str, peak_rate: float) -> dict[str, Any]:
    """The model, its moving average and the optimizer, from the last checkpoint if there is one."""
    model = make_denoiser()
    average = copy.deepcopy(model).requires_grad_(False)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=peak_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    found = load_checkpoint(work / "denoiser.pt") or {"step": 0, "spent": 0.0}
    if "model" in found:
        model.load_state_dict(found["model"])
        average.load_state_dict(found["average"])
    if "optimizer" in found:
        optimizer.load_state_dict(found["optimizer"])
    return {"model": model, "average": average.to(device), "optimizer": optimizer,
            "step": found["step"], "spent": found["spent"]}  # fmt: skip


def train_denoiser(work: Path, minutes: float = 60.0, device: str = "cpu", batch: int = 48,
                   peak_rate: float = 8e-4, full_from: float = 0.96,
                   seed: int = 0) -> None:  # fmt: skip
    """Train by wall clock; pads are thinned until the fraction `full_from` of the budget.

    The network is compiled while they are: on two CPU cores it trains 1.6 times as fast.
    """
    if not (work / "states.npy").exists():
        prepare_states(work, seed)
    with np.load(work / "latents.npz") as arrays:
        latents, rows = torch.from_numpy(arrays["latents"]), torch.from_numpy(arrays["rows"])
    states = torch.from_numpy(np.load(work / "states.npy", mmap_mode="r+"))
    state_rows = torch.from_numpy(np.load(work / "caption_rows.npy"))
    lengths = caption_lengths(work)
    alphas = make_scheduler().alphas_cumprod.double()
    run = training_state(work, device, peak_rate)
    model, average, optimizer, step = run["model"], run["average"], run["optimizer"], run["step"]
    random, rng = seed_everything(seed + step), python_random.Random(seed + step)
    compiled: Any = torch.compile(model, dynamic=False)
    budget, saved, queue = Budget(minutes, run["spent"]), run["spent"], []
    while budget.progress < 1:
        if len(queue) == 0:
            whole = len(latents) // batch * batch  # batches of one size: compiled once
            queue = list(torch.randperm(len(latents), generator=random)[:whole].split(batch))
        chosen = queue.pop()
        numbers = choose_captions(rows[chosen].tolist(), rng)
        text, mask, network = states[state_rows[numbers]].float(), None, model
        if budget.progress < full_from:
            network = compiled
            text, mask = thin_pads(text, [lengths[n] for n in numbers], rng)
            mask = mask.to(device)
        # Stratified over the batch, so that every step sees all noise levels.
        places = torch.arange(len(chosen)) + torch.rand(len(chosen), generator=random)
        times = (places * (STEPS / len(chosen))).long().clamp(max=STEPS - 1)
        alpha = alphas[times].sqrt().float().view(-1, 1, 1, 1)
        sigma = (1 - alphas[times]).sqrt().float().view(-1, 1, 1, 1)
        clean = latents[chosen]
        noise = torch.randn(clean.shape, generator=random)
        noisy = (alpha * clean + sigma * noise).to(device, memory_format=torch.channels_last)
        target = (alpha * noise - sigma * clean).to(device)
        output = network(
            noisy, times.to(device), text.to(device), encoder_attention_mask=mask
        ).sample
        loss = functional.mse_loss(output, target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = budget.rate(peak_rate, hold=0.45)
        optimizer.step()
        step += 1
        decay = min(0.999, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
        if step % 20 == 0:
            log_line(work / "denoiser.jsonl", step=step, seconds=round(budget.spent),
                     loss=loss.item())  # fmt: skip
        if budget.spent - saved > 240 or budget.progress >= 1:
            saved = budget.spent
            save_checkpoint(
                work / "denoiser.pt",
                {"model": model.state_dict(), "average": average.state_dict(), "step": step,
                 "optimizer": optimizer.state_dict(), "spent": saved},
            )  # fmt: skip


def caption_lengths(work: Path) -> list[int]:
    """Tokens of each caption, start and end included."""
    return json.loads((work / "captions.json").read_text(encoding="utf-8"))["lengths"]


def load_denoiser(work: Path) -> UNet2DConditionModel:
    """The moving average of the trained weights, or random ones where nothing is trained yet."""
    model = make_denoiser()
    state = load_checkpoint(work / "denoiser.pt")
    if state is not None:
        model.load_state_dict(state["average"])
    return model.eval()
