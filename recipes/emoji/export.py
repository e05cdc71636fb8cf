"""The three trained networks as one StableDiffusionPipeline folder, in half precision."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel

from recipes.common import write_json

from .autoencoder import load_autoencoder
from .denoiser import load_denoiser, make_scheduler
from .texts import load_text_encoder

SETTINGS: dict[str, dict[str, Any]] = {
    "text_encoder/config.json": {"dtype": "float32"},
    "tokenizer/tokenizer_config.json": {"is_local": None, "local_files_only": None},
}


def assemble(work: Path, denoiser: UNet2DConditionModel) -> StableDiffusionPipeline:
    """The pipeline, in float32."""
    tokenizer, text_encoder = load_text_encoder()
    return StableDiffusionPipeline(
        vae=load_autoencoder(work), text_encoder=text_encoder, tokenizer=tokenizer,
        unet=denoiser, scheduler=make_scheduler(), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def export(work: Path, folder: Path) -> None:
    """Write the pipeline beside `folder`, then move its parts into place.

    The text encoder's settings say float32, or transformers would load it as it is stored, and
    half would meet float in plain diffusers.

    Files that are not the pipeline's (the model card) stay.
    """
    pipeline = assemble(work, load_denoiser(work)).to(dtype=torch.float16)
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    pipeline.save_pretrained(temporary, safe_serialization=True)
    for part, changes in SETTINGS.items():
        settings = json.loads((temporary / part).read_text(encoding="utf-8")) | changes
        kept = {name: value for name, value in settings.items() if value is not None}
        write_json(temporary / part, kept)
    folder.mkdir(parents=True, exist_ok=True)
    for part in sorted(temporary.iterdir()):
        target = folder / part.name
        if target.is_dir():
            shutil.rmtree(target)
        part.replace(target)
    temporary.rmdir()
