"""The boundary: our paths are diffusers' own paths, and every parametrisation says the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from conftest import each_sampler, gaussians
from hypothesis import given
from hypothesis import strategies as st

import conjure
from conjure import ESTIMANDS, ConjureError, GaussianProcess
from conjure.divergence.estimate import estimate
from conjure.engine.noise import standard_normal
from conjure.engine.oracle import expected_squares
from conjure.errors import ModelError, NonFinitePredictionError
from conjure.levels import NoiseLevels
from conjure.process.base import check_finite
from conjure.process.parametrization import to_prediction
from conjure.process.prediction import Prediction, guide, scored_visits
from conjure.process.samplers import SAMPLERS
from conjure.process.samplers.schedules import lay_out

SCHEDULERS = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-ancestral": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "dpm++-sde": "DPMSolverMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
    "pndm": "PNDMScheduler",
    "lcm": "LCMScheduler",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "dpm++-sde": {"algorithm_type": "sde-dpmsolver++"},
    "pndm": {"skip_prk_steps": True},
}
SCALED = ("euler", "euler-ancestral", "heun")  # latents in units of x/α


def diffusers_path(process, prompt, eta, monkeypatch) -> list[torch.Tensor]:
    """The latents after each step of diffusers' own pipeline, fed with our noise."""
    pipeline = process.family.pipeline
    sampler = process.describe()["sampler"]
    scheduler: Any = getattr(diffusers, SCHEDULERS[sampler])
    before = pipeline.scheduler
    settings = dict(before.config) | OPTIONS.get(sampler, {})
    pipeline.scheduler = scheduler.from_config(settings)
    steps = iter(range(1, 1000))

    def ours(*args: Any, **kwargs: Any) -> torch.Tensor:
        return standard_normal(0, 0, next(steps), process.shape)[None]

    module = __import__(scheduler.__module__, fromlist=["randn_tensor"])
    if hasattr(module, "randn_tensor"):
        monkeypatch.setattr(module, "randn_tensor", ours)
    path = []

    def keep(pipe: Any, i: int, t: Any, tensors: dict[str, torch.Tensor]) -> dict:
        path.append(tensors["latents"].clone())
        return {}

    try:
        pipeline.set_progress_bar_config(disable=True)
        pipeline(
            prompt,
            negative_prompt=process.negative,
            num_inference_steps=len(process.levels),
            guidance_scale=process.guidance,
            eta=eta or 0.0,
            latents=standard_normal(0, 0, 0, process.shape)[None],
            output_type="latent",
            callback_on_step_end=keep,
        )
    finally:
        pipeline.scheduler = before
    return path


def our_path(process, prompt) -> list[torch.Tensor]:
    """Our states after each step, in variance-preserving units, with the last map."""
    x = process.prior(process.place(standard_normal(0, 0, 0, process.shape))[None])
    path = []
    memory = None
    for i in range(len(process.visits)):
        prediction = process.predict(x, i, [prompt])
        if process.guidance > 1:
            free = process.predict(x, i, [process.negative])
            prediction = guide(prediction, free, process.guidance)
        noise = process.place(standard_normal(0, 0, i + 1, process.shape))[None]
        move = process.transition(x, i, prediction, memory)
        x, memory = move.draw(noise), move.memory
        path.append(x)
    return path


@each_sampler
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_paths_are_those_of_diffusers(pipeline_folders, sampler, eta, kind, guidance, monkeypatch):
    process = conjure.load(
        pipeline_folders[kind],
        sampler=sampler,
        eta=eta,
        steps=5,
        guidance=guidance,
        negative="fog",
    )
    theirs = diffusers_path(process, "cat", eta, monkeypatch)
    ours = our_path(process, "cat")
    assert len(ours) == len(theirs) == len(process.visits)
    for i, (x, y) in enumerate(zip(ours, theirs, strict=True)):
        scale = process.grid.at(i + 1)[0] if sampler in SCALED else 1.0
        torch.testing.assert_close(x.float(), scale * y, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize(
    ("sampler", "eta"),
    [("ddim", 1.0), ("ddim", 0.0), ("ddpm", None), ("heun", None), ("lcm", None)],
)
def test_clipped_paths_are_those_of_diffusers(pipeline_folder, sampler, eta, monkeypatch):
    free = conjure.load(pipeline_folder, sampler=sampler, eta=eta, steps=5)
    bounds = {"clip_sample": True, "clip_sample_range": 0.5}
    made = conjure.SAMPLERS[sampler]({**free.family.scheduler_config, **bounds}, eta)
    process = replace(free, sampler=made)
    pipeline = process.family.pipeline
    before = dict(pipeline.scheduler.config)  # as the pipeline left it, which turns clipping off
    pipeline.scheduler = type(pipeline.scheduler).from_config(before | bounds)
    theirs, ours = diffusers_path(process, "cat", eta, monkeypatch), our_path(process, "cat")
    for i, (x, y) in enumerate(zip(ours, theirs, strict=True)):
        scale = process.grid.at(i + 1)[0] if sampler in SCALED else 1.0
        torch.testing.assert_close(x.float(), scale * y, rtol=2e-3, atol=2e-4)
    assert not torch.allclose(ours[-1], our_path(free, "cat")[-1], rtol=0.05)


def test_zero_terminal_snr_path_is_that_of_diffusers(pipeline_folders, monkeypatch):
    process = conjure.load(pipeline_folders["zero-snr"], steps=5)
    assert process.levels.alpha[0] == 0
    theirs = diffusers_path(process, "cat", 1.0, monkeypatch)
    for x, y in zip(our_path(process, "cat"), theirs, strict=True):
        torch.testing.assert_close(x.float(), y, rtol=2e-3, atol=2e-4)


def test_zero_terminal_snr_gives_finite_distances(pipeline_folders):
    result = conjure.compare(
        "cat", "dog", process=conjure.load(pipeline_folders["zero-snr"], steps=5), samples=2
    )
    record = result.to_dict()
    assert record["profile"][0]["log_snr"] is None
    assert record["process"]["log_snr"][0] is None
    for name, found in result.estimands.items():
        if name != "ancestral":
            assert found is not None
            assert np.isfinite(found.distance), name


def test_an_epsilon_model_without_signal_is_refused():
    x = torch.zeros(1, 4)
    with pytest.raises(ModelError, match="zero signal-to-noise"):
        to_prediction("epsilon", x, x, 0.0, 1.0)


@given(
    alpha=st.floats(0.01, 0.999),
    x0=st.floats(-3, 3),
    noise=st.floats(-3, 3),
)
def test_every_parametrisation_says_the_same(alpha, x0, noise):
    sigma = (1 - alpha**2) ** 0.5
    clean, eps = torch.tensor([x0], dtype=torch.float64), torch.tensor([noise]).double()
    x = alpha * clean + sigma * eps
    outputs = {"epsilon": eps, "sample": clean, "v_prediction": alpha * eps - sigma * clean}
    for kind, output in outputs.items():
        found = to_prediction(kind, output, x, alpha, sigma)
        torch.testing.assert_close(found.noise, eps, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(found.picture, clean, rtol=1e-6, atol=1e-6)


def test_unknown_prediction_type_is_refused():
    x = torch.zeros(1)
    with pytest.raises(ModelError, match="'flow'"):
        to_prediction("flow", x, x, 0.5, 0.75**0.5)


@pytest.mark.parametrize(
    ("sampler", "eta"), [("ddim", 1.0), ("ddpm", None), ("euler-ancestral", None)]
)
def test_ancestral_weights_are_ratios_of_snr(sampler, eta):
    """For the reverse SDE's one-step samplers ‖Δμ‖²/σ̃² = (e^(λ′ − λ) − 1)‖Δε̂‖²."""
    process = conjure.GaussianProcess.build(gaussians("full"), sampler=sampler, eta=eta, steps=6)
    squares = conjure.compare("a", "b", process=process, samples=3).squares
    weights = np.expm1(np.diff(process.levels.log_snr))
    np.testing.assert_allclose(squares.step[..., :-1], squares.noise[..., :-1] * weights, rtol=1e-5)


def test_kl_is_declared_where_it_holds():
    def declared(sampler: str, eta: float | None = None, **config: Any) -> tuple[bool, bool]:
        base = {"timestep_spacing": "trailing"}
        process = conjure.GaussianProcess.build(
            gaussians("full"), sampler=sampler, eta=eta, config=base | config
        )
        return process.is_sde, process.draws_noise

    assert declared("ddim", 1.0) == (True, True)
    assert declared("ddim", 0.5) == (False, True)
    assert declared("ddim", 0.0) == (False, False)
    assert declared("ddpm") == (True, True)
    assert declared("euler") == (False, False)
    assert declared("euler-ancestral") == (True, True)
    assert declared("ddim", 1.0, clip_sample=True) == (False, True)
    assert declared("ddpm", clip_sample=True) == (False, True)
    assert declared("ddim", 1.0, thresholding=True) == (False, True)
    assert declared("ddpm", variance_type="learned_range") == (False, True)
    assert declared("heun") == (False, False)
    assert declared("dpm++") == (False, False)
    assert declared("dpm++-sde") == (True, True)
    assert declared("dpm++-sde", thresholding=True) == (False, True)
    assert declared("unipc") == (False, False)
    assert declared("pndm") == (False, False)
    assert declared("lcm") == (False, True)  # fresh noise: a chain, but no SDE in the limit
    flow = "FlowMatchEulerDiscreteScheduler"
    assert declared("ddim", 1.0, _class_name=flow) == (True, True)
    assert declared("euler", _class_name=flow) == (False, False)
    assert declared("flow-stochastic", _class_name=flow) == (False, True)


def test_noise_levels_know_their_units():
    levels = NoiseLevels.from_log_snr(np.array([-2.0, 0.0, 3.0]))
    np.testing.assert_allclose(levels.log_snr, [-2, 0, 3])
    np.testing.assert_allclose(levels.snr, np.exp([-2, 0, 3]))
    with pytest.raises(ValueError, match="noisiest to the cleanest"):
        NoiseLevels(levels.alpha[::-1], levels.sigma[::-1])
    with pytest.raises(ValueError, match="variance-preserving"):
        NoiseLevels(np.array([1.0]), np.array([1.0]))
    with pytest.raises(ValueError, match="one length"):
        NoiseLevels(np.array([1.0]), np.array([1.0, 2.0]))


def test_prompts_are_encoded_once(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=3, guidance=2.0)
    encoded = []
    original = process.family.encode
    watched = replace(process.family, encode=lambda some: encoded.append(some) or original(some))
    process = replace(process, family=watched)
    conjure.compare("cat", "dog", process=process, samples=5)
    conjure.compare("cat", "owl", process=process, samples=2)
    assert sorted(prompt for some in encoded for prompt in some) == ["", "cat", "dog", "owl"]


def test_a_prompt_that_is_used_again_holds_no_more_than_itself(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=3)
    process.prepare(["cat", "dog", "owl"])
    x = process.place(torch.ones(1, *process.shape, dtype=torch.float64))
    before = process.predict(x, 0, ["cat"]).noise
    process.prepare(["cat", "fox"])
    (row,) = process._prompts.conditions(["cat"])[0].values()
    assert row.untyped_storage().nbytes() == row.nbytes
    assert torch.equal(process.predict(x, 0, ["cat"]).noise, before)


def test_an_empty_prompt_is_good_input(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=3, guidance=2.0)
    assert conjure.compare("cat", "", process=process, samples=2).distance > 0


SD = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


@pytest.mark.parametrize("sampler", list(SCHEDULERS))
def test_there_are_as_many_levels_as_steps(sampler):
    """With 61 steps diffusers' trailing spacing has 62, the last of them timestep −1."""
    config = {**SD, "timestep_spacing": "trailing"}
    levels = 61 if sampler != "lcm" else 50  # LCM has a spacing of its own
    grid = lay_out(SAMPLERS[sampler](config, None), config, levels, {})
    assert len(grid.levels) == levels
    assert len(grid.timesteps) == len(grid.visits) == scored_visits(grid.visits)[-1] + 1
    assert grid.timesteps.min() >= 0
    if sampler == "ddim":
        assert np.array_equal(grid.timesteps, np.round(1000 - np.arange(61) * 1000 / 61) - 1)


def test_steps_that_fit_no_schedule_are_refused_in_words():
    with pytest.raises(ConjureError, match=r"dpm\+\+ cannot lay out 1000 steps.*Take fewer"):
        lay_out(SAMPLERS["dpm++"](SD, None), SD, 1000, {})


def exact(config, sampler, steps):
    """`girsanov` of two Gaussians."""
    process = GaussianProcess.build(gaussians("full"), config=config, sampler=sampler, steps=steps)
    squares = expected_squares(process, "a", "b")
    return estimate(ESTIMANDS["girsanov"], squares, process.levels, kl=True).distance


def test_a_flow_begins_at_noise_whatever_its_shift():
    """In single precision diffusers' s is 1 but for its last digits, above or below."""
    flow = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
    for shift in np.linspace(0.2, 4, 39):
        config = {**flow, "shift": float(shift)}
        assert lay_out(SAMPLERS["ddim"](config, None), config, 4, {}).levels.alpha[0] == 0
    values = [exact({**flow, "shift": shift}, "ddim", 4) for shift in (1.17, 1.18, 1.19)]
    assert values[0] == pytest.approx(values[1], rel=0.02)
    assert values[1] == pytest.approx(values[2], rel=0.02)


def test_a_stand_in_for_no_signal_is_no_signal():
    """diffusers' ᾱ of 2⁻²⁴, so that its solvers can divide by α, makes no wide first cell."""
    config = {
        **SD, "prediction_type": "v_prediction", "rescale_betas_zero_snr": True,
        "timestep_spacing": "trailing",
    }  # fmt: skip
    for sampler in ("ddim", "ddpm", "euler-ancestral", "dpm++-sde", "unipc"):
        grid = lay_out(SAMPLERS[sampler](config, None), config, 5, {})
        assert grid.levels.pure_noise, sampler
    assert exact(config, "euler-ancestral", 5) == pytest.approx(exact(config, "ddim", 5), rel=0.01)
    assert not lay_out(SAMPLERS["euler"](SD, None), SD, 5, {}).levels.pure_noise


def test_a_solvers_path_begins_with_noise_in_the_flows_own_units():
    config = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 0.3}
    grid = lay_out(SAMPLERS["dpm++"](config, None), config, 5, {})
    alpha, sigma = grid.at(0)
    assert grid.prior_scale == pytest.approx(alpha + sigma)
    assert abs(grid.prior_scale - 1) > 1e-3


def test_a_learned_variance_must_be_finite():
    good = torch.zeros(1, 2)
    process = GaussianProcess.build(gaussians("full"))
    check_finite(Prediction(good, good, good), 0, process)
    with pytest.raises(NonFinitePredictionError, match="step 1 of"):
        check_finite(Prediction(good, good, good + torch.inf), 0, process)
