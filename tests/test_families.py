"""Every family at the boundary: our paths are those of diffusers' own pipelines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import tiny
import torch
from test_process import OPTIONS, SCALED, SCHEDULERS, our_path

import conjure
from benchmarks.naive import naive_distances
from conjure.engine.noise import standard_normal
from conjure.errors import ConjureError
from conjure.process.samplers.schedules import is_flow
from conjure.process.settings import arguments_from

STEPS = 4
LEARNED = ("ddpm", "dpm++", "dpm++-sde")  # schedulers that know of a learned variance
STRIDING = ("ddim", "ddpm", "pndm")
FLOW_SCHEDULERS = {
    "euler": "FlowMatchEulerDiscreteScheduler",
    "heun": "FlowMatchHeunDiscreteScheduler",
    "flow-stochastic": "FlowMatchEulerDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "dpm++-sde": "DPMSolverMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
}
CASES = [
    (family, sampler)
    for family, one in tiny.FAMILIES.items()
    for sampler in one.only or (FLOW_SCHEDULERS if one.flow else SCHEDULERS)
    if sampler not in one.without
]


def load(folder: Path, family: str, sampler: str, guidance: float, **more: Any):
    size = tiny.FAMILIES[family].pixels
    return conjure.load(folder, sampler=sampler, steps=STEPS, guidance=guidance, size=size, **more)


def diffusers_path(process, family: str, prompt: str, monkeypatch) -> list[torch.Tensor]:
    """The latents after each step of diffusers' own pipeline, fed with our noise."""
    pipeline = process.family.pipeline
    sampler = process.describe()["sampler"]
    flow = is_flow(process.family.scheduler_config)
    scheduler: Any = getattr(diffusers, (FLOW_SCHEDULERS if flow else SCHEDULERS)[sampler])
    settings = {k: v for k, v in process.family.scheduler_config.items() if k != "_class_name"}
    settings |= OPTIONS.get(sampler, {})
    if process.settings.spacing is not None:
        settings["timestep_spacing"] = process.settings.spacing
    settings.setdefault("clip_sample", False)  # a latent is not clipped, whatever DDIM's default
    if flow:
        shift = settings.get("flow_shift", settings.get("shift", 1.0))
        settings |= {"shift": shift, "flow_shift": shift, "prediction_type": "flow_prediction"}
        settings |= {"use_flow_sigmas": not scheduler.__name__.startswith("Flow")}
        settings |= {"stochastic_sampling": sampler == "flow-stochastic"}
    elif sampler not in LEARNED or settings.get("variance_type") is None:
        settings["variance_type"] = "fixed_small"  # or the pipeline would hand it the variance
    before, pipeline.scheduler = pipeline.scheduler, scheduler.from_config(settings)
    draws = iter(range(1, 1000))

    def ours(shape: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        noise = standard_normal(0, 0, next(draws), process.shape)[None]
        return pipeline._pack_latents(noise, *noise.shape) if family.startswith("flux") else noise

    module = __import__(scheduler.__module__, fromlist=["randn_tensor"])
    if hasattr(module, "randn_tensor"):
        monkeypatch.setattr(module, "randn_tensor", ours)
    start = standard_normal(0, 0, 0, process.shape)[None]
    height, width = (side * pixels_by(pipeline, family) for side in process.shape[1:])
    call: dict[str, Any] = {
        "prompt": prompt, "num_inference_steps": STEPS, "height": height, "width": width,
        "output_type": "latent", "guidance_scale": process.guidance,
        **tiny.FAMILIES[family].call,
    }  # fmt: skip
    if family != "lcm" and str(process.negative):
        call["negative_prompt"] = str(process.negative)
    if family.startswith("flux"):
        channels, h, w = process.shape
        start = pipeline._pack_latents(start, 1, channels, h, w)
        call |= {"true_cfg_scale": process.guidance, "guidance_scale": 3.5}
    if family == "lcm":
        call["guidance_scale"] = process.family.embedded_guidance
    if family == "deepfloyd":
        place = __import__(type(pipeline).__module__, fromlist=["randn_tensor"])
        monkeypatch.setattr(place, "randn_tensor", lambda *a, **k: start)
        call["output_type"] = "pt"
    else:
        call["latents"] = start.clone()
    path: list[torch.Tensor] = []
    step = pipeline.scheduler.step

    def keep(*args: Any, **kwargs: Any) -> Any:
        found = step(*args, **kwargs)
        path.append(found[0].clone())
        return found

    monkeypatch.setattr(pipeline.scheduler, "step", keep)
    keep_signature(keep, step)
    try:
        pipeline.set_progress_bar_config(disable=True)
        with torch.no_grad():
            pipeline(**call)
    finally:
        pipeline.scheduler = before
    if family.startswith("flux"):
        path = [pipeline._unpack_latents(x, height, width, 2) for x in path]
    return path


def keep_signature(function: Any, of: Any) -> None:
    """Pipelines look at what a scheduler's step takes."""
    import inspect

    function.__signature__ = inspect.signature(of)


def pixels_by(pipeline: Any, family: str) -> int:
    """Pixels a state's side is worth."""
    return 1 if family == "deepfloyd" else pipeline.vae_scale_factor


@pytest.mark.parametrize(("family", "sampler"), CASES)
@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_paths_are_those_of_diffusers(family_folder, family, sampler, guidance, monkeypatch):
    negative = "fog" if guidance > 1 else ""
    assert_is_diffusers_path(
        family_folder(family), family, sampler, guidance, negative, monkeypatch
    )


@pytest.mark.parametrize("family", ["stable-diffusion", "sdxl", "sana", "sd3", "hunyuan"])
def test_no_negative_prompt_is_what_it_is_in_diffusers(family_folder, family, monkeypatch):
    assert_is_diffusers_path(family_folder(family), family, "euler", 5.0, "", monkeypatch)


def assert_is_diffusers_path(folder, family, sampler, guidance, negative, monkeypatch):
    """Step by step, in the units of diffusers' scheduler. LCM's guidance is an input instead."""
    more: dict[str, Any] = {"eta": 0.0} if sampler == "ddim" else {}
    if sampler in STRIDING:  # where diffusers supposes even strides, even where they are not
        more["spacing"] = "leading"
    if family == "lcm":
        guidance, more["embedded_guidance"] = 1.0, 8.5 if guidance == 1 else guidance
    process = load(folder, family, sampler, guidance, negative=negative, **more)
    theirs = diffusers_path(process, family, "cat", monkeypatch)
    ours = our_path(process, "cat")
    assert len(ours) == len(theirs) == len(process.visits)
    flow = is_flow(process.family.scheduler_config)
    for i, (x, y) in enumerate(zip(ours, theirs, strict=True)):
        alpha, sigma = process.grid.at(i + 1)
        scale = alpha + sigma if flow else alpha if sampler in SCALED else 1.0
        size = float(y.abs().max()) * scale
        torch.testing.assert_close(x.float(), scale * y.float(), rtol=1e-3, atol=2e-4 * size)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_compares_prompts_draws_and_counts(family_folder, family):
    process = load(family_folder(family), family, "own", 1.0)
    result = conjure.compare("cat", "dog", process=process, samples=1)
    assert result.distance > 0
    assert conjure.compare("cat", "cat", process=process, samples=1).distance == 0
    pictures = process.decode(torch.zeros(1, *process.shape))
    assert pictures.shape[0] == 1
    assert pictures.shape[-1] == 3
    features = process.text_features(["cat", "a much larger dog"])
    assert all(len(rows) == 2 for rows in features.values())


def test_a_guidance_input_is_told_and_only_where_there_is_one(family_folder):
    for family in ("lcm", "flux"):
        folder = family_folder(family)
        usual, other = (
            load(folder, family, "own", 1.0, embedded_guidance=told) for told in (None, 2.0)
        )
        assert usual.describe()["embedded_guidance"] in (8.5, 3.5)
        assert other.describe()["embedded_guidance"] == 2.0
        none = load(folder, family, "own", 1.0, embedded_guidance=0.0).describe()
        assert arguments_from(none)["embedded_guidance"] == 0.0
        first, second = (
            conjure.compare("cat", "dog", process=p, samples=1) for p in (usual, other)
        )
        assert first.distance != second.distance
    with pytest.raises(ConjureError, match="distilled"):
        load(family_folder("lcm"), "lcm", "own", 3.0)
    with pytest.raises(ConjureError, match="no guidance as an input"):
        load(family_folder("sd3"), "sd3", "own", 1.0, embedded_guidance=3.0)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_states_are_decoded_as_diffusers_does(family_folder, family):
    process = load(family_folder(family), family, "own", 1.0)
    pipeline = process.family.pipeline
    torch.manual_seed(0)
    states = torch.randn(2, *process.shape)
    if family == "deepfloyd":
        expected = states
    else:
        vae = pipeline.vae
        if family.startswith(("sd3", "flux")):
            assert vae.config.shift_factor
        latents = states / vae.config.scaling_factor + (vae.config.get("shift_factor") or 0)
        with torch.no_grad():
            expected = vae.decode(latents, return_dict=False)[0]
    pictures = pipeline.image_processor.postprocess(expected, output_type="np") if hasattr(
        pipeline, "image_processor"
    ) else (expected / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()  # fmt: skip
    assert np.std(pictures) > 0.01
    np.testing.assert_allclose(process.decode(states.double()), pictures, atol=1e-4)


def test_a_vaes_own_mean_and_spread_count(family_folder):
    process = load(family_folder("sdxl"), "sdxl", "own", 1.0)
    vae = process.family.pipeline.vae
    mean, spread = [0.1, -0.2, 0.3, 0.0], [0.5, 1.5, 1.0, 2.0]
    vae.register_to_config(latents_mean=mean, latents_std=spread)
    states = torch.randn(1, *process.shape)
    by_channel = (torch.tensor(v).view(1, -1, 1, 1) for v in (spread, mean))
    scale, shift = by_channel
    with torch.no_grad():
        pixels = vae.decode(states * scale / vae.config.scaling_factor + shift).sample
    expected = (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(process.decode(states.double()), expected, atol=1e-4)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_every_network_is_part_of_the_fingerprint(family_folder, family):
    process = load(family_folder(family), family, "own", 1.0)
    seen = [process.fingerprint()]
    for name, part in process.family.pipeline.components.items():
        if not isinstance(part, torch.nn.Module) or name in UNSEEN:
            continue
        with torch.no_grad():
            next(iter(part.parameters())).add_(0.1)
        seen.append(process.fingerprint())
    assert len(seen) > 2
    assert len(set(seen)) == len(seen)


UNSEEN = ("vae", "image_encoder", "safety_checker", "watermarker")  # no prompt's meaning is there


def test_the_reverse_sde_of_a_flow_is_a_kl(family_folder):
    process = load(family_folder("sd3"), "sd3", "ddim", 1.0)
    assert process.is_sde
    assert not load(family_folder("sd3"), "sd3", "euler", 1.0).is_sde


class Oracle:
    """Stands in for a family's network: exact predictions of Gaussian pictures, N(m, v), as it
    would put them: from the timestep that it is told and the state in its own units.
    """  # fmt: skip

    mean, variance = 0.7, 0.4

    def __init__(self, process: Any, family: str) -> None:
        self.kind = process.family.prediction_type
        self.doubled = family.startswith(("pixart", "hunyuan", "deepfloyd"))
        self.scale = 1000 if family.startswith(("flux", "aura")) else 1
        if self.kind != "flow_prediction":
            config = {k: v for k, v in process.family.scheduler_config.items() if k[0] != "_"}
            scheduler: Any = diffusers.DDIMScheduler.from_config(config)
            self.alphas = scheduler.alphas_cumprod.double()

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor]:
        x = (args[0] if args else kwargs["hidden_states"]).double()
        told = args[1] if len(args) > 1 else kwargs["timestep"]
        t = float(told.flatten()[0]) * self.scale
        if self.kind == "flow_prediction":
            alpha, sigma = 1 - t / 1000, t / 1000
        else:
            alpha, sigma = (float(v) for v in (self.alphas[int(t)].sqrt(),
                                               (1 - self.alphas[int(t)]).sqrt()))  # fmt: skip
        spread = alpha**2 * self.variance + sigma**2
        noise = sigma / spread * (x - alpha * self.mean)
        picture = self.mean + alpha * self.variance / spread * (x - alpha * self.mean)
        output = {
            "epsilon": noise,
            "v_prediction": alpha * noise - sigma * picture,
            "flow_prediction": noise - picture,
        }[self.kind]
        if self.doubled:
            output = torch.cat([output, torch.zeros_like(output)], 1)
        return (output,)


@pytest.mark.parametrize("sampler", ["ddim", "euler"])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_gaussian_in_a_familys_parametrisation_is_understood(
    family_folder, family, sampler, monkeypatch
):
    process = load(family_folder(family), family, sampler, 1.0, dtype="float64")
    network: Any = next(iter(process.family.networks.values()))
    monkeypatch.setattr(network, "forward", Oracle(process, family))
    torch.manual_seed(0)
    x = torch.randn(2, *process.shape).double()
    mean, variance = Oracle.mean, Oracle.variance
    for i in range(STEPS):
        said = process.predict(x, i, ["cat", "dog"])
        alpha, sigma = process.grid.at(i)
        spread = alpha**2 * variance + sigma**2
        noise = sigma / spread * (x - alpha * mean)
        picture = mean + alpha * variance / spread * (x - alpha * mean)
        # Schedulers keep their levels in float32, and Euler interpolates between timesteps.
        torch.testing.assert_close(said.noise, noise, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(said.picture, picture, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_a_variance_of_the_prompt_is_compared_as_such(family_folder, guidance):
    """DeepFloyd's steps differ in variance too: the general KL of two Gaussians."""
    process = load(family_folder("deepfloyd"), "deepfloyd", "ddpm", guidance, dtype="float64")
    assert process.draws_noise
    assert not process.is_sde
    result = conjure.compare("cat", "dog", process=process, samples=2, seed=3)
    naive, _ = naive_distances(process, "cat", "dog", samples=2, seed=3)
    found = result.estimands["ancestral"]
    assert found is not None
    halves = found.per_state.sum(1) / 2
    assert halves == pytest.approx(naive["ancestral"], rel=1e-9)
    fixed = load(family_folder("deepfloyd"), "deepfloyd", "ddim", guidance, dtype="float64")
    other = conjure.compare("cat", "dog", process=fixed, samples=2, seed=3).estimands["ancestral"]
    assert other is not None
    assert other.distance != found.distance
    # Paths that were kept for other pairs remember the variance that the network said there.
    pairs = [("cat", "dog"), ("cat", "owl"), ("dog", "owl")]
    run = list(conjure.compare_pairs(pairs, process=replace(process, batch_size=2), samples=1))
    alone = conjure.compare("dog", "owl", process=process, samples=1).estimands["ancestral"]
    assert alone is not None
    kept = run[2].estimands["ancestral"]
    assert kept is not None
    assert kept.distance == pytest.approx(alone.distance, rel=1e-9)
