"""What the tests share: Gaussians with known answers, and tiny pipelines built from a seed."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's library is first imported
os.environ["COLUMNS"] = "200"  # and when a console is made, by whichever test comes first
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # a core for each of those that test side by side

import numpy as np
import pytest
import tiny
import torch

from conjure import Gaussian, GaussianProcess, cli

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


@pytest.fixture(scope="session", autouse=True)
def _no_cache_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["CONJURE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def oracle() -> GaussianProcess:
    """A small exact process with the default sampler."""
    return GaussianProcess.build(gaussians("full"))


def tiny_pipeline(folder: Path, prediction_type: str = "epsilon", **scheduler: Any) -> Path:
    """A StableDiffusionPipeline of a few thousand weights, saved to a folder."""
    torch.manual_seed(0)
    made = tiny.stable_diffusion(folder / "spelling", prediction_type, **scheduler)
    made.save_pretrained(folder / "pipeline", safe_serialization=True)
    return folder / "pipeline"


@pytest.fixture(scope="session")
def pipeline_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ε-predicting pipeline."""
    return tiny_pipeline(tmp_path_factory.mktemp("epsilon"))


@pytest.fixture
def copied(pipeline_folder, tmp_path) -> Path:
    """A pipeline that a test may damage."""
    return Path(shutil.copytree(pipeline_folder, tmp_path / "model"))


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


@pytest.fixture(scope="session")
def family_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny pipeline of any family, built when first asked for."""

    @functools.cache
    def folder(name: str) -> Path:
        return tiny.build(name, tmp_path_factory.mktemp(name))

    return folder


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
