"""The denoiser: a small UNet in latent space, v-prediction on a truncated cosine schedule."""

from __future__ import annotations

import math
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from torch.nn import functional

from recipes.common import Budget, fast, load_checkpoint, seed_everything, train
from recipes.optimizer import Optimizer

from .examples import load_captions, load_examples
from .texts import (
    MASKED,
    WIDTH,
    moments,
    pads_mask,
    prepare_states,
    times_kept,
    whitening,
)

STEPS = 1000
LOG_SNR, SHIFT = 10.0, -2.0
BATCH = 128
HOLD = 0.7  # of the budget: until then the rate stays, then it falls to nothing
SHOWN = 4096  # captions by whose states the first layer is made

SHAPE = "wide"
SHAPES: dict[str, dict[str, Any]] = {  # levels are 8, 4 and 2 pixels wide; all attend to themselves
    "wide": {  # and to the text at the two finer ones
        "block_out_channels": (160, 192, 256), "attention_head_dim": (5, 6, 8),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    },
    "narrow": {  # the second version's: at the two coarser ones
        "block_out_channels": (96, 192, 256), "attention_head_dim": (3, 6, 8),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    },
    "two levels": {
        "block_out_channels": (160, 256), "attention_head_dim": (5, 8),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    },
}  # fmt: skip


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


def make_denoiser(shape: str = SHAPE) -> UNet2DConditionModel:
    """A UNet in which a linear layer reads the text's states before attention does.

    A pooled vector of the whole text joins the time's and so reaches every block, at first not at
    all: what a picture is of is learned much sooner that way than by attention alone.
    """
    model = UNet2DConditionModel(
        sample_size=8, in_channels=16, out_channels=16, layers_per_block=1,
        cross_attention_dim=WIDTH, encoder_hid_dim=WIDTH, encoder_hid_dim_type="text_proj",
        addition_embed_type="text", addition_embed_type_num_heads=8, **SHAPES[shape],
    )  # fmt: skip
    nn.init.zeros_(model.add_embedding.norm2.weight)
    return model


@torch.no_grad()
def whiten(model: UNet2DConditionModel, states: Tensor, lengths: np.ndarray) -> None:
    """Let both ways in which text enters begin by what differs between these states of texts.

    Args:
        model: The network, before it has learned.
        states: Kept states of captions, [N, KEYS, WIDTH].
        lengths: How many are words, [N].
    """
    times = times_kept(lengths)
    weight, bias = whitening(*moments(states, times))
    first: Any = model.encoder_hid_proj
    first.weight.copy_(weight)
    first.bias.copy_(bias)
    mean, covariance = moments(functional.layer_norm(states, (WIDTH,)), times)
    scale = covariance.diag().rsqrt()
    model.add_embedding.norm1.weight.copy_(scale)
    model.add_embedding.norm1.bias.copy_(-mean * scale)


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


def noised(clean: Tensor, alphas: Tensor,
           random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Timesteps [N], noisy states and their v, of clean states [N, 16, 8, 8].

    Timesteps are stratified over the batch, so that every step sees all noise levels.
    """
    count = len(clean)
    points = torch.arange(count) + torch.rand(count, generator=random)
    times = (points * (STEPS / count)).long().clamp(max=STEPS - 1)
    at = alphas[times].view(-1, 1, 1, 1)
    drawn = torch.randn(clean.shape, generator=random)
    alpha, sigma = at.sqrt(), (1 - at).sqrt()
    return times, alpha * clean + sigma * drawn, alpha * drawn - sigma * clean


def train_denoiser(work: Path, minutes: float = 60.0, device: str = "cpu", shape: str = SHAPE,
                   stage: str = "denoiser", labels: int | None = None, batch: int = BATCH,
                   seed: int = 0) -> None:  # fmt: skip
    """Learn to denoise the examples, told what they are.

    Args:
        work: The work folder, with the examples.
        minutes: The budget.
        device: Where.
        shape: Of `SHAPES`.
        stage: What the checkpoint and the loss curve are called.
        labels: How many, with nothing but their drawings; None for all there is to be learned.
        batch: Pictures a step.
        seed: Of everything.
    """
    texts = load_captions(work)
    if not (work / "states.npy").exists():
        prepare_states(work, texts, device, seed)
    examples = load_examples(work, labels)
    states, lengths = (np.load(work / f"{name}.npy") for name in ("states", "lengths"))
    seed_everything(seed)
    model = make_denoiser(shape).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if not (work / f"{stage}.pt").exists():
        some = np.random.default_rng(seed).permutation(len(texts))[:SHOWN]
        whiten(model, torch.from_numpy(states[some]).float(), lengths[some])
    optimizer, alphas = Optimizer(model), make_scheduler().alphas_cumprod
    weigh_pads(model)
    model.set_attn_processor(AttnProcessor())  # plain attention learns faster at so few places

    def learn(
        budget: Budget, random: torch.Generator, rng: np.random.Generator
    ) -> dict[str, float]:
        clean, numbers = examples.draw(batch, rng, budget.progress)
        mask = pads_mask(lengths[numbers]).to(device)
        text = torch.from_numpy(states[numbers]).float().to(device)
        times, noisy, target = noised(clean, alphas, random)
        with fast(device):
            output = model(
                noisy.to(device, memory_format=torch.channels_last), times.to(device), text,
                encoder_attention_mask=mask, added_cond_kwargs={"mask": mask},
            ).sample.float()  # fmt: skip
        loss = functional.mse_loss(output, target.to(device))
        optimizer.step(loss, budget.share(hold=HOLD))
        return {"loss": loss.item()}

    train(work, stage, minutes, {"model": model, "optimizer": optimizer}, learn, seed)


def load_denoiser(work: Path, shape: str = SHAPE, stage: str = "denoiser") -> UNet2DConditionModel:
    """The trained weights.

    Raises:
        FileNotFoundError: Nothing is trained yet.
    """
    state = load_checkpoint(work / f"{stage}.pt")
    if state is None:
        raise FileNotFoundError("train the denoiser first")
    model = make_denoiser(shape)
    model.load_state_dict(state["model"])
    return model.eval()
