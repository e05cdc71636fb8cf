"""The three trained networks as one StableDiffusionPipeline folder, in half precision."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

from .autoencoder import load_autoencoder
from .common import LIKENED, STATES, forget, save_checkpoint
from .curves import restore
from .denoiser import load_denoiser, make_scheduler
from .text_encoder import load_text_encoder


def assemble(work: Path) -> StableDiffusionPipeline:
    """The pipeline, in float32."""
    tokenizer, text_encoder = load_text_encoder(work)
    return StableDiffusionPipeline(
        vae=load_autoencoder(work), text_encoder=text_encoder, tokenizer=tokenizer,
        unet=load_denoiser(work), scheduler=make_scheduler(), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def export(work: Path, folder: Path) -> None:
    """Write the pipeline beside `folder`, then move its parts into place.

    Files that are not the pipeline's (the model card) stay.
    """
    pipeline = assemble(work).to(dtype=torch.float16)
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    pipeline.save_pretrained(temporary, safe_serialization=True)
    folder.mkdir(parents=True, exist_ok=True)
    for part in sorted(temporary.iterdir()):
        target = folder / part.name
        if target.is_dir():
            shutil.rmtree(target)
        part.replace(target)
    temporary.rmdir()


def unpack(work: Path, folder: Path) -> None:
    """Take a pipeline's folder apart into checkpoints, to go on from where its training ended.

    Steps and clocks go on where `curves.json` says that they ended; the optimizers' moments, which
    are not kept, start anew.

    Raises:
        FileNotFoundError: It is no pipeline's folder.
    """
    if not (folder / "model_index.json").is_file():
        raise FileNotFoundError(f"{folder} is no pipeline's folder: it has no model_index.json")
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, local_files_only=True, dtype=torch.float32, safety_checker=None
    )
    forget(work, "teacher.npz", "examples.npz", LIKENED, *STATES)
    pipeline.tokenizer.save_pretrained(work / "tokenizer")
    encoder = {f"model.{k}": v for k, v in pipeline.text_encoder.state_dict().items()}
    for name, state in {
        "autoencoder": {"model": pipeline.vae.state_dict()},
        "text_encoder": {"model": encoder},
        "denoiser": {"model": pipeline.unet.state_dict()},
    }.items():
        save_checkpoint(work / f"{name}.pt", {**state, **restore(work, name)})
    for stage in ("likening", "attuning"):
        restore(work, stage)
