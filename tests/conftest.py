"""What the tests share: Gaussians with known answers, and tiny pipelines built from a seed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conjure import Gaussian, GaussianProcess, cli

os.environ["HF_HUB_OFFLINE"] = "1"

SAMPLERS = [
    ("ddim", 1.0),
    ("ddim", 0.0),
    ("ddim", 0.5),
    ("ddpm", None),
    ("euler", None),
    ("euler-ancestral", None),
    ("heun", None),
    ("dpm++", None),
    ("dpm++-sde", None),
    ("unipc", None),
    ("pndm", None),
    ("lcm", None),
]
each_sampler = pytest.mark.parametrize(
    ("sampler", "eta"), SAMPLERS, ids=[f"{s}-{e}" if e is not None else s for s, e in SAMPLERS]
)


def gaussians(kind: str, dimension: int = 3, seed: int = 0) -> dict[str, Gaussian]:
    """Meanings for the prompts a, b and the empty one, isotropic or with full covariances."""
    rng = np.random.default_rng(seed)
    meanings = {}
    for prompt in ("a", "b", ""):
        if kind == "isotropic":
            covariance = rng.uniform(0.2, 1.5) * np.eye(dimension)
        else:
            root = rng.normal(size=(dimension, dimension))
            covariance = root @ root.T / dimension + 0.1 * np.eye(dimension)
        meanings[prompt] = Gaussian(rng.normal(size=dimension), covariance)
    return meanings


@pytest.fixture
def oracle() -> GaussianProcess:
    """A small exact process with the default sampler."""
    return GaussianProcess.build(gaussians("full"))


def save_tokenizer(folder: Path, length: int = 16) -> None:
    """A CLIP tokenizer that spells: one token a letter, none merged."""
    letters = [chr(c) for c in range(33, 127)]
    tokens = [*letters, *(c + "</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    vocabulary = {token: i for i, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    from transformers import CLIPTokenizer

    CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=length
    ).save_pretrained(folder)


def tiny_pipeline(folder: Path, prediction_type: str = "epsilon", **scheduler: object) -> Path:
    """A StableDiffusionPipeline of a few thousand weights, saved to a folder."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
    from diffusers import UNet2DConditionModel as UNet
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    save_tokenizer(folder / "spelling")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "spelling")
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=16,
            projection_dim=16,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    unet = UNet(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8),  # pyright: ignore[reportArgumentType]
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,  # pyright: ignore[reportArgumentType]
        up_block_types=("UpDecoderBlock2D",) * 2,  # pyright: ignore[reportArgumentType]
        latent_channels=4,
        sample_size=16,
    )
    settings: dict[str, Any] = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
    }
    settings |= {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}
    settings |= {"prediction_type": prediction_type, **scheduler}
    parts: dict[str, Any] = {"vae": vae, "text_encoder": text_encoder, "tokenizer": tokenizer}
    parts |= {"unet": unet, "scheduler": DDIMScheduler(**settings)}
    parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipeline = StableDiffusionPipeline(**parts)
    pipeline.save_pretrained(folder / "pipeline", safe_serialization=True)
    return folder / "pipeline"


@pytest.fixture(scope="session")
def pipeline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ε-predicting pipeline."""
    return tiny_pipeline(tmp_path_factory.mktemp("epsilon"))


@pytest.fixture(scope="session")
def pipeline_folders(
    pipeline_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Tiny pipelines by prediction type, and one with zero terminal signal-to-noise."""
    make = tmp_path_factory.mktemp
    return {
        "epsilon": pipeline_folder,
        "v_prediction": tiny_pipeline(make("v"), "v_prediction"),
        "sample": tiny_pipeline(make("sample"), "sample"),
        "zero-snr": tiny_pipeline(
            make("zero"),
            "v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
        ),
    }


@pytest.fixture
def run(pipeline_folder, monkeypatch, capsys):
    """Run a command in this process: exit code, out, err. On the tiny pipeline, unless told."""

    def go(*arguments: str, model: str | bool | None = None) -> tuple[int, str, str]:
        named = [] if model is False else ["--model", str(model or pipeline_folder)]
        monkeypatch.setattr(sys, "argv", ["conjure", *arguments, *named])
        monkeypatch.setenv("COLUMNS", "200")
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return go
