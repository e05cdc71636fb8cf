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
    WIDTH,
    moments,
    pads_mask,
    prepare_states,
    times_kept,
    whitening,
    words_direction,
)

STEPS = 1000
LOG_SNR, SHIFT = 10.0, -2.0
BATCH = 192
HOLD = 0.7  # of the budget: until then the rate stays, then it falls to nothing
SHOWN = 4096  # captions by whose states the layers that read text are made
HEADS = 8
GAIN, OFFSET = 1.0, 3.0  # of the pooled text at first: SiLU is nearly linear around 3
UNREAD = 0.9  # of drawings: only the pooled text says what they are, so that it learns to

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
    """A UNet to which a text comes twice: as its words, by attention, and as one pooled vector.

    A frozen linear layer reads the words. The pooled vector joins the time's and so reaches every
    block: what a picture is of is learned much sooner that way than by attention alone.
    """
    model = UNet2DConditionModel(
        sample_size=8, in_channels=16, out_channels=16, layers_per_block=1,
        cross_attention_dim=WIDTH, encoder_hid_dim=WIDTH, encoder_hid_dim_type="text_proj",
        addition_embed_type="text", addition_embed_type_num_heads=HEADS, time_embedding_dim=1024,
        **SHAPES[shape],
    )  # fmt: skip
    for name, parameter in model.named_parameters():
        if name.startswith(("encoder_hid_proj", "add_embedding")) and "norm2" not in name:
            parameter.requires_grad_(False)
    return model


@torch.no_grad()
def let_read(model: UNet2DConditionModel, states: Tensor, lengths: np.ndarray) -> None:
    """Make the frozen layers that read text, by these kept states [N, KEYS, WIDTH] of captions.

    The pooled vector is the mean over a text's words, centred and normalised, as the encoder's
    authors compare texts: so the pictures of texts lie apart as the texts do. Learned, it keeps
    what tells labels apart and little else. Attention finds the words, for a pad's state is told
    from a word's by a linear map.
    """
    times = times_kept(lengths)
    reads: Any = model.encoder_hid_proj
    weight, bias = whitening(*moments(states, times))
    reads.weight.copy_(weight)
    reads.bias.copy_(bias)
    pool, last = model.add_embedding.pool, model.add_embedding.proj
    size = math.sqrt(pool.dim_per_head)
    for each in (pool.positional_embedding, pool.q_proj.weight, pool.q_proj.bias,
                 pool.k_proj.weight, pool.k_proj.bias, last.bias):  # fmt: skip
        each.zero_()
    pool.q_proj.bias[:: pool.dim_per_head] = 1
    pool.k_proj.weight[:: pool.dim_per_head] = size * words_direction(states, times)
    pool.v_proj.weight.copy_(torch.eye(WIDTH))
    pool.v_proj.bias.zero_()
    means = pooled(model, states, lengths)
    weight, bias = whitening(means.double().mean(0), torch.cov(means.double().T), least=1.0)
    pool.v_proj.weight.copy_(weight)
    pool.v_proj.bias.copy_(bias)
    nn.init.orthogonal_(last.weight)
    last.weight.mul_(math.sqrt(len(last.weight) / WIDTH))
    nn.init.constant_(model.add_embedding.norm2.weight, GAIN)
    nn.init.constant_(model.add_embedding.norm2.bias, OFFSET)


def pooled(model: UNet2DConditionModel, states: Tensor, lengths: np.ndarray) -> Tensor:
    """What attention pools of kept states, each counted for those it stands for: [N, WIDTH]."""
    pool = model.add_embedding.pool
    normed = functional.layer_norm(states, (WIDTH,))
    logits = normed @ pool.k_proj.weight[0] / math.sqrt(pool.dim_per_head)
    shares = torch.softmax(logits + times_kept(lengths).log().float(), 1)
    return pool.v_proj(torch.einsum("nk,nkd->nd", shares, normed))


def take_pooled(model: UNet2DConditionModel) -> None:
    """Let it be given what `pooled` says, which never changes, instead of pooling each time."""

    def embedded(self: Any, added_cond_kwargs: dict[str, Tensor], **_: Any) -> Tensor:
        return self.add_embedding.norm2(self.add_embedding.proj(added_cond_kwargs["pooled"]))

    model.get_aug_embed = types.MethodType(embedded, model)  # type: ignore[method-assign]


def noised(clean: Tensor, alphas: Tensor,
           random: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Timesteps [N], noisy states, and α and σ [N, 1, 1, 1], of clean states [N, 16, 8, 8].

    Timesteps are stratified over the batch, so that every step sees all noise levels.
    """
    count = len(clean)
    points = torch.arange(count) + torch.rand(count, generator=random)
    times = (points * (STEPS / count)).long().clamp(max=STEPS - 1)
    at = alphas[times].view(-1, 1, 1, 1)
    alpha, sigma = at.sqrt(), (1 - at).sqrt()
    return times, alpha * clean + sigma * torch.randn(clean.shape, generator=random), alpha, sigma


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
    some = np.random.default_rng(seed).permutation(len(texts))[:SHOWN]
    let_read(model, torch.from_numpy(states[some]).float(), lengths[some])
    whole = torch.cat([
        pooled(model, torch.from_numpy(states[part]).float(), lengths[part])
        for part in np.array_split(np.arange(len(texts)), 1 + len(texts) // SHOWN)
    ]).detach()  # fmt: skip
    optimizer, alphas = Optimizer(model), make_scheduler().alphas_cumprod
    take_pooled(model)
    model.set_attn_processor(AttnProcessor())  # plain attention learns faster at so few places

    def learn(
        budget: Budget, random: torch.Generator, rng: np.random.Generator
    ) -> dict[str, float]:
        pictures, numbers = examples.draw(batch, rng, budget.progress)
        single = pictures < examples.first_scene
        read = np.where(single & (rng.random(batch) < UNREAD), 0, numbers)
        text = torch.from_numpy(states[read]).float().to(device)
        clean = examples.latents[torch.from_numpy(pictures)]
        times, noisy, alpha, sigma = noised(clean, alphas, random)
        clean = examples.expected(noisy, alpha.flatten(), sigma.flatten(), pictures, numbers)
        target = (alpha * noisy - clean) / sigma  # v
        with fast(device):
            output = model(
                noisy.to(device, memory_format=torch.channels_last), times.to(device), text,
                encoder_attention_mask=pads_mask(lengths[read]).to(device),
                added_cond_kwargs={"pooled": whole[torch.from_numpy(numbers)].to(device)},
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
