"""The autoencoder: 64×64×3 pictures to 8×8×16 latents of zero mean and unit variance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from torch import Tensor
from torch.nn import functional

from recipes.common import Budget, descend, fast, forget, load_checkpoint, train
from recipes.drawings.data import all_drawings, load_labels

from .scenes import painted_scenes
from .withheld import training_scenes

LATENT_CHANNELS = 16
SPREAD_WEIGHT = 0.02
CROPPED_UNTIL = 0.75  # of the budget: cheap steps on windows first, then whole pictures


def make_autoencoder() -> AutoencoderTiny:
    """Four stages, so that a StableDiffusionPipeline finds its factor of 8."""
    return AutoencoderTiny(
        latent_channels=LATENT_CHANNELS,
        encoder_block_out_channels=(48, 48, 48, 48),
        decoder_block_out_channels=(48, 48, 48, 48),
        num_encoder_blocks=(0, 1, 2, 3),  # none at full size, where a block costs the most
        num_decoder_blocks=(3, 2, 1, 0),
        scaling_factor=1.0,
    )


def codec_pictures(work: Path, scenes: int = 8000) -> Tensor:
    """The drawings of the generator's vendors, and scenes: [N, 3, 64, 64] uint8."""
    table, (drawings, rows) = load_labels(work), all_drawings(work)
    shown = np.array([not entry["held_out"] for entry in table])[rows]
    pixels = [(drawings[shown] * 255).round().astype(np.uint8)]
    painted = np.stack(list(painted_scenes(training_scenes(table, scenes, 1), work, 1)))
    pixels.append(painted.transpose(0, 3, 1, 2))
    return torch.from_numpy(np.concatenate(pixels))


def jitter(pictures: Tensor, random: torch.Generator) -> Tensor:
    """Flip, shift and mix the colour channels: a codec should not know the drawings by heart."""
    count = len(pictures)
    if torch.rand((), generator=random) < 0.5:
        pictures = pictures.flip(-1)
    scale = 1 + 0.1 * torch.randn(count, 1, 1, generator=random)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = scale[:, 0, 0]
    theta[:, :, 2] = 0.1 * torch.randn(count, 2, generator=random)
    grid = functional.affine_grid(theta, list(pictures.shape), align_corners=False)
    moved = functional.grid_sample(pictures - 1, grid, align_corners=False) + 1  # white outside
    mixing = torch.eye(3) + 0.05 * torch.randn(count, 3, 3, generator=random)
    ink = torch.einsum("bij,bjhw->bihw", mixing, moved - 1)  # white stays white
    return (ink + 1).clamp(-1, 1)


def crop(pictures: Tensor, size: int, random: torch.Generator) -> Tensor:
    """A window of `size` pixels, the same for the whole batch: convolutions learn as well there."""
    top, left = torch.randint(pictures.shape[-1] - size + 1, (2,), generator=random).tolist()
    return pictures[..., top : top + size, left : left + size]


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 on pixels and their differences (edges), and squares, which mend wrong colours first."""
    loss = functional.l1_loss(output, target) + 4 * functional.mse_loss(output, target)
    for axis in (-1, -2):
        loss = loss + 0.5 * functional.l1_loss(output.diff(dim=axis), target.diff(dim=axis))
    return loss


def train_autoencoder(work: Path, minutes: float = 10.0, device: str = "cpu", batch: int = 16,
                      peak_rate: float = 2e-3, seed: int = 0) -> None:  # fmt: skip
    """Train by wall clock, then make the latents' channels zero-mean and unit-variance."""
    pictures = codec_pictures(work)
    model = make_autoencoder().to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak_rate, betas=(0.9, 0.98), fused=True)

    def learn(
        budget: Budget, random: torch.Generator, rng: np.random.Generator
    ) -> dict[str, float]:
        rows = torch.randint(len(pictures), (batch,), generator=random)
        target = jitter(pictures[rows].float() / 127.5 - 1, random)
        if budget.progress < CROPPED_UNTIL:
            target = crop(target, 32, random)
        target = target.to(device).contiguous(memory_format=torch.channels_last)
        with fast(device):
            latents = model.encode(target, return_dict=False)[0].float()
            noisy = latents + 0.05 * torch.randn(latents.shape, generator=random).to(device)
            output = model.decode(noisy, return_dict=False)[0].float()
        loss = reconstruction_loss(output, target)
        # Pull channels to mean 0 and variance 1, where the decoder's tanh(x/3)·3 is nearly linear.
        flat = latents.transpose(0, 1).flatten(1)
        spread = flat.mean(1).square().mean() + (flat.std(1) - 1).square().mean()
        descend(model, optimizer, loss + SPREAD_WEIGHT * spread, peak_rate * budget.share())
        off = functional.l1_loss(output, target).item()
        return {"loss": loss.item(), "l1": off, "spread": spread.item()}

    if not (work / "autoencoder.pt").exists():
        forget(work, "examples.npz")
    train(work, "autoencoder", minutes, {"model": model, "optimizer": optimizer}, learn, seed)


def load_autoencoder(work: Path) -> AutoencoderTiny:
    """The trained codec. Its latents have unit variance by training, so no scale is needed."""
    state = load_checkpoint(work / "autoencoder.pt")
    if state is None:
        raise FileNotFoundError("train the autoencoder first")
    model = make_autoencoder()
    model.load_state_dict(state["model"])
    return model.eval()


@torch.inference_mode()
def encoded(model: AutoencoderTiny, pictures: Tensor) -> Tensor:
    """[N, 3, SIZE, SIZE] in [0, 1] to latents."""
    parts = [2 * part.to(model.device) - 1 for part in pictures.split(64)]
    return torch.cat([model.encode(part, return_dict=False)[0].cpu() for part in parts])
