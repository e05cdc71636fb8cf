"""The denoiser: a small UNet in latent space, v-prediction on a truncated cosine schedule."""

from __future__ import annotations

import json
import math
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from torch.nn import functional

from .common import (
    Budget,
    descend,
    fast,
    load_checkpoint,
    log_line,
    save_checkpoint,
    seed_everything,
    write_atomically,
)
from .examples import load_examples
from .kernels import speed_up
from .routing import misrouted, sides_used, slots_used, watch
from .text_encoder import LENGTH, WIDTH, encode, load_text_encoder

STEPS = 1000
LOG_SNR, SHIFT = 10.0, -2.0
KEYS, PADS = 24, 4
ROUTED = 0.1  # weight of attention that looks at the wrong side's pads, beside the loss
MASKED = 1e4  # what diffusers takes off the logit of a state that is masked


def make_scheduler() -> DDIMScheduler:
    """λ(u) = −2·log tan(a + u(b − a)) + SHIFT from +10 to −10: the cosine schedule, moved.

    At 8×8 latents what a picture shows is decided between log-SNR −5 and −2: there few states of a
    cosine schedule lie, and there prompts differ most.
    """
    first, last = (math.atan(math.exp(-(end - SHIFT) / 2)) for end in (LOG_SNR, -LOG_SNR))
    log_snr = -2 * np.log(np.tan(np.linspace(first, last, STEPS))) + SHIFT
    alphas = 1 / (1 + np.exp(-log_snr))
    betas = 1 - alphas / np.concatenate([[1.0], alphas[:-1]])
    return DDIMScheduler(
        num_train_timesteps=STEPS, trained_betas=betas.tolist(), prediction_type="v_prediction",
        clip_sample=False, set_alpha_to_one=False, timestep_spacing="trailing",
    )  # fmt: skip


def make_denoiser() -> UNet2DConditionModel:
    """Three levels (8, 4 and 2 pixels wide); text is attended to at the two lower ones.

    A pooled vector of the whole text joins the time's and so reaches every block, at first not at
    all: what a picture is of is learned much sooner that way than by attention alone.
    """
    model = UNet2DConditionModel(
        sample_size=8, in_channels=16, out_channels=16, layers_per_block=1,
        block_out_channels=(96, 192, 256), attention_head_dim=(3, 6, 8), cross_attention_dim=WIDTH,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        addition_embed_type="text", addition_embed_type_num_heads=8,
    )  # fmt: skip
    torch.nn.init.zeros_(model.add_embedding.norm2.weight)
    return model


def weigh_pads(model: UNet2DConditionModel) -> None:
    """Let the pooled text, too, count kept pads for all: see ``pads_mask``."""
    model.get_aug_embed = types.MethodType(_pooled, model)  # type: ignore[method-assign]


def _pooled(
    self: Any, emb: Tensor, encoder_hidden_states: Tensor, added_cond_kwargs: Any
) -> Tensor:
    text = encoder_hidden_states
    if not added_cond_kwargs:
        return self.add_embedding(text)
    part, pool = self.add_embedding, self.add_embedding.pool
    gain = (added_cond_kwargs["mask"] - 1) * MASKED
    x = part.norm1(text)
    share = torch.softmax(gain, 1).to(x.dtype)
    token = (share.unsqueeze(-1) * x).sum(1, keepdim=True) + pool.positional_embedding.to(x.dtype)
    x = torch.cat([token, x], 1)
    q, k, v = (
        layer(y).unflatten(-1, (pool.num_heads, pool.dim_per_head)).transpose(1, 2)
        for layer, y in ((pool.q_proj, token), (pool.k_proj, x), (pool.v_proj, x))
    )
    logits = (q @ k.transpose(-1, -2)).float() / math.sqrt(pool.dim_per_head)
    logits = logits + functional.pad(gain, (1, 0))[:, None, None]
    pooled = (torch.softmax(logits, -1).to(v.dtype) @ v).flatten(1)
    return part.norm2(part.proj(pooled))


def kept_states(length: int, rng: np.random.Generator) -> list[int]:
    """Which `KEYS` of 77 positions stand for all: the words, the end, and some of the pads."""
    if length >= KEYS:
        return [*range(KEYS - PADS - 1), length - 1, *_pads(length, PADS, rng)]
    words = min(length, KEYS - PADS)
    ends = [*range(words - 1), length - 1]
    return [*ends, *_pads(length, KEYS - words, rng)]


def _pads(length: int, count: int, rng: np.random.Generator) -> list[int]:
    pads = np.arange(length, LENGTH) if length < LENGTH else np.array([LENGTH - 1])
    return sorted(rng.choice(pads, count, replace=len(pads) < count).tolist())


def prepare_states(work: Path, device: str = "cpu", seed: int = 0) -> None:
    """Encode every caption once: `states.npy` [C, KEYS, 256] (half), row 0 the empty prompt.

    Captions are short, so most of 77 states are pads and nearly alike; some of them are kept.
    `lengths.npy` says how many are words, `places.npy` which ones were kept.
    """
    tokenizer, model = load_text_encoder(work)
    model, texts = model.to(device), load_captions(work)
    lengths = np.array([len(ids) for ids in tokenizer(texts, truncation=True).input_ids])
    rng = np.random.default_rng(seed)
    states = np.empty((len(texts), KEYS, WIDTH), dtype=np.float16)
    places = np.array([kept_states(int(n), rng) for n in lengths], dtype=np.uint8)
    for start in range(0, len(texts), 128):
        part = slice(start, start + 128)
        with fast(device):
            full = encode(texts[part], tokenizer, model).float().cpu()
        keep = torch.from_numpy(places[part].astype(np.int64))
        states[part] = full.gather(1, keep.unsqueeze(-1).expand(-1, -1, WIDTH)).half().numpy()
    write_atomically(work / "lengths.npy", lambda p: np.save(p, lengths))
    write_atomically(work / "places.npy", lambda p: np.save(p, places))
    write_atomically(work / "states.npy", lambda p: np.save(p, states))


def pads_mask(lengths: np.ndarray) -> Tensor:
    """The attention mask of kept states: [N, KEYS].

    A kept pad's attention logit gains log(pads / kept pads), which makes the softmax an estimate
    of the one over all 77 states at a third of its cost. diffusers adds −10⁴(1 − mask) to the
    logits: hence this mask.
    """
    words = np.minimum(lengths, KEYS - PADS)[:, None]
    gain = np.log(np.maximum(LENGTH - lengths[:, None], 1) / (KEYS - words)) / MASKED
    return torch.from_numpy(1 + gain * (np.arange(KEYS) >= words)).float()


def training_state(work: Path, device: str, peak_rate: float, minutes: float) -> dict[str, Any]:
    """The model and the optimizer, from the last checkpoint if there is one, and the clock.

    A sitting is what has one budget: a killed one goes on, with its rate as it was; more minutes
    make another one, whose rate goes up and down again.
    """
    model = make_denoiser()
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=peak_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    found = load_checkpoint(work / "denoiser.pt") or {"step": 0, "spent": 0.0}
    if "model" in found:
        model.load_state_dict(found["model"])
    if "optimizer" in found:
        optimizer.load_state_dict(found["optimizer"])
    begun = found["begun"] if found.get("minutes") == minutes else found["spent"]
    return {"model": model, "optimizer": optimizer, "step": found["step"],
            "spent": found["spent"], "begun": begun}  # fmt: skip


def train_denoiser(work: Path, minutes: float = 60.0, device: str = "cpu", batch: int = 96,
                   peak_rate: float = 1.4e-3, full_from: float = 0.96,
                   seed: int = 0) -> None:  # fmt: skip
    """Train by wall clock; pads are thinned until the fraction `full_from` of the sitting.

    The network is compiled while they are, and its backward pass is ours on a CPU (`speed_up`):
    with tiles for bfloat16 each makes two cores train 1.6 times as fast.
    """
    if not (work / "examples.npz").exists():
        raise FileNotFoundError("make the examples first")
    if not (work / "states.npy").exists():
        prepare_states(work, device, seed)
    examples, texts = load_examples(work), load_captions(work)
    states, lengths, places = (np.load(work / f"{n}.npy") for n in ("states", "lengths", "places"))
    used = sides_used(work, examples.scene_texts, len(texts), seed)
    tokenizer, encoder = load_text_encoder(work)
    encoder = encoder.to(device)
    alphas = make_scheduler().alphas_cumprod.double()
    run = training_state(work, device, peak_rate, minutes)
    if run["spent"] >= 60 * minutes:
        return
    model, optimizer, step, begun = run["model"], run["optimizer"], run["step"], run["begun"]
    random, rng = seed_everything(seed + step), np.random.default_rng([seed, step])
    if device == "cpu":
        speed_up(model)
    watched = watch(model)
    weigh_pads(model)
    compiled: Any = torch.compile(model, dynamic=False)
    budget, saved = Budget(minutes - begun / 60, run["spent"] - begun), run["spent"]
    losses: dict[str, list[float]] = {"loss": [], "routing": []}
    while budget.progress < 1:
        clean, numbers = examples.draw(batch, rng)
        if budget.progress < full_from:
            network, mask = compiled, pads_mask(lengths[numbers]).to(device)
            text, kept = torch.from_numpy(states[numbers]).float(), places[numbers]
        else:
            network, mask = model, None
            text = encode([texts[n] for n in numbers], tokenizer, encoder).clone()
            kept = np.tile(np.arange(LENGTH), (batch, 1))
        slots = slots_used(used[numbers], lengths[numbers], kept).to(device)
        # Stratified over the batch, so that every step sees all noise levels.
        points = torch.arange(batch) + torch.rand(batch, generator=random)
        times = (points * (STEPS / batch)).long().clamp(max=STEPS - 1)
        alpha = alphas[times].sqrt().float().view(-1, 1, 1, 1)
        sigma = (1 - alphas[times]).sqrt().float().view(-1, 1, 1, 1)
        noise = torch.randn(clean.shape, generator=random)
        noisy = (alpha * clean + sigma * noise).to(device, memory_format=torch.channels_last)
        target = (alpha * noise - sigma * clean).to(device)
        with fast(device):
            output = network(
                noisy, times.to(device), text.to(device), encoder_attention_mask=mask,
                added_cond_kwargs=None if mask is None else {"mask": mask},
            ).sample.float()  # fmt: skip
        loss = functional.mse_loss(output, target)
        routing = misrouted([layer.seen for layer in watched], slots)
        descend(model, optimizer, loss + ROUTED * routing, budget.rate(peak_rate, hold=0.45))
        step += 1
        losses["loss"].append(loss.item())
        losses["routing"].append(routing.item())
        spent = begun + budget.spent
        if step % 50 == 0:
            means = {name: float(np.mean(found)) for name, found in losses.items()}
            log_line(work / "denoiser.jsonl", step=step, seconds=round(spent), **means)
            losses = {name: [] for name in losses}
        if spent - saved > 240 or budget.progress >= 1:
            saved = spent
            save_checkpoint(
                work / "denoiser.pt",
                {"model": model.state_dict(), "step": step, "optimizer": optimizer.state_dict(),
                 "spent": spent, "begun": begun, "minutes": minutes},
            )  # fmt: skip


def load_captions(work: Path) -> list[str]:
    """The texts of the examples, in the order of their numbers."""
    return json.loads((work / "captions.json").read_text(encoding="utf-8"))


def load_denoiser(work: Path) -> UNet2DConditionModel:
    """The trained weights, or random ones where nothing is trained yet."""
    model = make_denoiser()
    state = load_checkpoint(work / "denoiser.pt")
    if state is not None:
        model.load_state_dict(state["model"])
    return model.eval()
