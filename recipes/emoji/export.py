"""The three networks as one StableDiffusionPipeline folder, in half precision."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel

from recipes.common import write_json
from recipes.drawings.data import load_labels

from .autoencoder import load_autoencoder
from .denoiser import load_denoiser, make_scheduler
from .texts import load_text_encoder, reading_emoji


def assemble(work: Path, denoiser: UNet2DConditionModel) -> StableDiffusionPipeline:
    """The pipeline, in float32."""
    tokenizer, text_encoder = load_text_encoder()
    tokenizer = reading_emoji(tokenizer, load_labels(work))
    return StableDiffusionPipeline(
        vae=load_autoencoder(work), text_encoder=text_encoder, tokenizer=tokenizer,
        unet=denoiser, scheduler=make_scheduler(), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def export(work: Path, folder: Path) -> None:
    """Write the pipeline beside `folder`, then move its parts into place.

    The text encoder's settings say float32, or transformers would load it as it is stored, and
    half would meet float in plain diffusers. Files that are not the pipeline's (the card) stay.
    """
    pipeline = assemble(work, load_denoiser(work)).to(dtype=torch.float16)
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    pipeline.save_pretrained(temporary, safe_serialization=True)
    settings = temporary / "text_encoder" / "config.json"
    write_json(settings, json.loads(settings.read_text(encoding="utf-8")) | {"dtype": "float32"})
    folder.mkdir(parents=True, exist_ok=True)
    for part in sorted(temporary.iterdir()):
        target = folder / part.name
        if target.is_dir():
            shutil.rmtree(target)
        part.replace(target)
    temporary.rmdir()
