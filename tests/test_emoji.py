"""The embedded model, end to end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import each_sampler

import conjure
from benchmarks.naive import naive_distances
from conjure.loading import vary
from conjure.models import EMBEDDED
from conjure.process.pipeline import PipelineProcess

PROMPTS = ("snow leopard", "bengal tiger")


@pytest.fixture(scope="module")
def wide() -> PipelineProcess:
    """The model in float64, three steps."""
    return conjure.load("emoji", steps=3, dtype="float64")


@pytest.fixture(scope="module")
def narrow() -> PipelineProcess:
    """The model as everybody meets it, but for its number of steps."""
    return conjure.load(steps=6)


@each_sampler
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_equals_the_naive_loop(wide, sampler, eta, guidance):
    process = vary(wide, sampler=sampler, eta=eta, guidance=guidance)
    result = conjure.compare(*PROMPTS, process=process, samples=1, seed=2)
    naive, _ = naive_distances(process, *PROMPTS, samples=1, seed=2)
    for name, found in result.estimands.items():
        if found is not None:
            assert found.per_state.sum(1) / 2 == pytest.approx(naive[name], rel=1e-9), name


def test_float32_stays_close_to_float64(wide):
    found = conjure.compare(*PROMPTS, process=conjure.load(steps=3), samples=2)
    expected = conjure.compare(*PROMPTS, process=wide, samples=2)
    for name, exact in expected.estimands.items():
        estimate = found.estimands[name]
        assert exact is not None
        assert estimate is not None
        assert estimate.distance == pytest.approx(exact.distance, rel=1e-3), name


def test_batch_size_does_not_matter(narrow):
    expected = conjure.compare(*PROMPTS, process=narrow, samples=3)
    for batch_size in (1, 5):
        process = replace(narrow, batch_size=batch_size)
        found = conjure.compare(*PROMPTS, process=process, samples=3)
        assert found.distance == pytest.approx(expected.distance, rel=1e-4)


def test_near_is_nearer_than_far(narrow):
    def distance(a: str, b: str) -> float:
        return conjure.compare(a, b, process=narrow, samples=4).distance

    assert distance("tiger", "tiger") < 1e-6
    assert distance("tiger", "leopard") < distance("tiger", "airplane")
    assert distance("red apple", "green apple") < distance("red apple", "bicycle")


def test_the_default_process_is_the_documented_one():
    process = conjure.load()
    settings = process.describe()
    assert process.model == "emoji"
    assert settings["sampler"] == "ddim"
    assert settings["eta"] == 1.0
    assert settings["steps"] == 20
    assert settings["guidance"] == 1.0
    assert settings["dtype"] == "float32"
    assert process.is_sde


def test_pictures_are_pictures(narrow):
    result = conjure.compare(*PROMPTS, process=narrow, samples=1)
    figure = result.figure(columns=3)
    image = figure.axes[0].get_images()[0].get_array()
    assert image is not None
    assert image.shape == (64, 64, 3)
    assert 0 <= image.min() < image.max() <= 1


def test_the_package_is_small_and_safe():
    package = Path(conjure.__file__).parent
    files = [p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert sum(p.stat().st_size for p in files) <= 60e6
    weights = [p for p in EMBEDDED["emoji"].rglob("*") if p.stat().st_size > 1e6 and p.is_file()]
    assert weights
    assert all(p.suffix == ".safetensors" for p in weights)
