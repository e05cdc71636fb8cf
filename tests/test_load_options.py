"""What may be asked of a model beside its name: adapters, sizes, spacings, windows, places."""

from __future__ import annotations

import json
import shutil
from typing import Any

import diffusers
import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import save_file

import conjure
from conjure.errors import (
    ConjureError,
    ModelError,
    PromptTooLongError,
    UnknownNameError,
    UnsafeWeightsError,
)
from conjure.loading.load import vary
from conjure.loading.names import parse_lora


def distance(process: conjure.Process, a: str = "cat", b: str = "dog") -> float:
    return conjure.compare(a, b, process=process, samples=1).distance


def test_sizes(family_folder):
    folder = family_folder("stable-diffusion")
    assert conjure.load(folder, size=32).shape == (4, 16, 16)
    assert conjure.load(folder, size=(16, 48)).shape == (4, 8, 24)
    assert distance(conjure.load(family_folder("sdxl"), steps=2, size=32)) > 0
    with pytest.raises(ConjureError, match="multiples of 2, not 33×33"):
        conjure.load(folder, size=33)


@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_timestep_spacings_are_those_of_diffusers(pipeline_folder, spacing):
    process: Any = conjure.load(pipeline_folder, sampler="dpm++", steps=5, spacing=spacing)
    scheduler: Any = diffusers.DPMSolverMultistepScheduler.from_config(
        dict(process.family.pipeline.scheduler.config), timestep_spacing=spacing
    )
    scheduler.set_timesteps(5)
    np.testing.assert_array_equal(process.grid.timesteps, scheduler.timesteps.numpy())
    assert process.describe()["spacing"] == spacing


@pytest.mark.parametrize("spacing", ["leading", "trailing", "karras", "beta"])
@pytest.mark.parametrize("sampler", ["ddim", "euler"])
def test_a_spacing_counts_where_the_schedulers_file_is_silent(
    pipeline_folder, tmp_path, sampler, spacing
):
    folder = shutil.copytree(pipeline_folder, tmp_path / "sparse")
    file = folder / "scheduler" / "scheduler_config.json"
    said = json.loads(file.read_text())
    kept = ("_class_name", "beta_schedule", "num_train_timesteps", "prediction_type")
    file.write_text(json.dumps({k: v for k, v in said.items() if k in kept}))
    if sampler == "ddim" and spacing in ("karras", "beta"):
        with pytest.raises(ConjureError, match=f"no {spacing} spacing"):
            conjure.load(folder, sampler=sampler, steps=5, spacing=spacing)
        return
    sparse: Any = conjure.load(folder, sampler=sampler, steps=5, spacing=spacing)
    plain: Any = conjure.load(folder, sampler=sampler, steps=5)
    kind = {"ddim": diffusers.DDIMScheduler, "euler": diffusers.EulerDiscreteScheduler}[sampler]
    config = dict(sparse.family.pipeline.scheduler.config)
    wanted: Any = (
        {"timestep_spacing": spacing}
        if spacing in ("leading", "trailing")
        else {f"use_{spacing}_sigmas": True}
    )
    for process, changes in ((sparse, wanted), (plain, {})):
        scheduler: Any = kind.from_config(config, **changes)
        scheduler.set_timesteps(5)
        np.testing.assert_allclose(process.grid.timesteps, scheduler.timesteps.numpy(), atol=1e-3)


def test_a_shift_counts_where_the_schedulers_file_is_silent(family_folder):
    pipeline: Any = diffusers.StableDiffusion3Pipeline.from_pretrained(family_folder("sd3"))
    pipeline.scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    levels = [conjure.load(pipeline, steps=4, shift=s).levels.sigma for s in (1.0, 3.0)]
    assert np.abs(levels[0] - levels[1]).max() > 0.05


def test_an_lcms_own_sampler_has_its_own_spacing(family_folder):
    with pytest.raises(ConjureError, match="lcm has a spacing of its own"):
        conjure.load(family_folder("lcm"), sampler="own", spacing="trailing")


@pytest.mark.parametrize("spacing", ["karras", "exponential", "beta"])
@pytest.mark.parametrize("sampler", ["euler", "heun", "dpm++", "dpm++-sde", "unipc"])
def test_level_spacings_are_those_of_diffusers(pipeline_folder, sampler, spacing):
    process: Any = conjure.load(pipeline_folder, sampler=sampler, steps=5, spacing=spacing)
    plain = conjure.load(pipeline_folder, sampler=sampler, steps=5)
    assert np.abs(process.levels.log_snr - plain.levels.log_snr).max() > 0.1
    scheduler: Any = diffusers.EulerDiscreteScheduler.from_config(
        dict(process.family.pipeline.scheduler.config), **{f"use_{spacing}_sigmas": True}
    )
    scheduler.set_timesteps(5)
    if sampler == "euler":
        ratio = np.exp(-process.levels.log_snr / 2)
        np.testing.assert_allclose(ratio, scheduler.sigmas[:-1].numpy(), rtol=1e-4)
    assert distance(process) > 0


def test_spacings_that_a_sampler_lacks_are_refused(pipeline_folder, family_folder):
    with pytest.raises(ConjureError, match="no karras spacing"):
        conjure.load(pipeline_folder, spacing="karras")
    with pytest.raises(UnknownNameError, match="Did you mean 'karras'"):
        conjure.load(pipeline_folder, spacing="karas")
    with pytest.raises(ConjureError, match="no trailing spacing"):
        conjure.load(family_folder("sd3"), spacing="trailing")


def test_a_shift_moves_a_flows_levels(family_folder, pipeline_folder):
    folder = family_folder("sd3")
    usual, more = (conjure.load(folder, steps=4, shift=shift) for shift in (3.0, 6.0))
    assert np.all(more.levels.log_snr[1:] < usual.levels.log_snr[1:])
    s = 0.5
    assert 6 * s / (1 + 5 * s) == pytest.approx(6 / 7)  # what a shift of 6 makes of the middle
    flux = conjure.load(family_folder("flux"), steps=4, shift=2.0, size=16)
    plain = np.linspace(1, 1 / 4, 4)
    shifted = 2 * plain / (1 + plain)
    alpha = (1 - shifted) / np.hypot(1 - shifted, shifted)
    np.testing.assert_allclose(flux.levels.alpha, alpha, atol=1e-6)
    with pytest.raises(ConjureError, match="this model is none"):
        conjure.load(pipeline_folder, shift=3.0)
    with pytest.raises(ConjureError, match="above 0"):
        conjure.load(folder, shift=-1.0)


@pytest.mark.parametrize("family", ["stable-diffusion", "sdxl", "masking"])
def test_windows_tell_long_prompts_apart(family_folder, family):
    folder = family_folder(family)
    long = "x" * (13 if family == "masking" else 14)  # a window of this tokenizer
    with pytest.raises(PromptTooLongError, match="--long chunk"):
        distance(conjure.load(folder, steps=2), long + "a", long + "b")
    cut = conjure.load(folder, steps=2, long="truncate")
    assert distance(cut, long + "a", long + "b") < 1e-8
    windows = conjure.load(folder, steps=2, long="chunk")
    assert distance(windows, long + "a", long + "b") > 1e-6
    # A prompt that fits is what it always was, also beside one that does not, and guided by one.
    assert distance(windows) == pytest.approx(distance(conjure.load(folder, steps=2)), rel=1e-5)
    guided = conjure.load(folder, steps=2, long="chunk", guidance=3.0)
    assert distance(guided, long + "a", "dog") > 0
    many = conjure.compare_pairs(
        [("cat", "dog"), (long + "a", "dog"), ("cat", long * 3)], process=windows, samples=1
    )
    singly = [distance(windows, *result.prompts) for result in many]
    again = conjure.compare_pairs(
        [("cat", "dog"), (long + "a", "dog"), ("cat", long * 3)], process=windows, samples=1
    )
    assert [result.distance for result in again] == pytest.approx(singly, rel=1e-4)


def test_windows_need_an_architecture_for_them(family_folder):
    with pytest.raises(ConjureError, match="does not read prompts in windows"):
        conjure.load(family_folder("sd3"), long="chunk")


def test_a_lora_changes_what_prompts_mean(family_folder, tmp_path):
    from peft import LoraConfig

    folder = family_folder("stable-diffusion")
    pipeline: Any = diffusers.StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    pipeline.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_k", "to_v"]))
    torch.manual_seed(1)
    for name, weight in pipeline.unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    from peft.utils import get_peft_model_state_dict

    layers: Any = get_peft_model_state_dict(pipeline.unet)
    diffusers.StableDiffusionPipeline.save_lora_weights(tmp_path, unet_lora_layers=layers)
    file = tmp_path / "pytorch_lora_weights.safetensors"
    plain = conjure.load(folder, steps=2)
    with_it = conjure.load(folder, steps=2, lora=str(file))
    half = conjure.load(folder, steps=2, lora=[f"{file}:0.5"])
    none = conjure.load(folder, steps=2, lora=[f"{tmp_path}:0"])
    assert len({plain.fingerprint(), with_it.fingerprint(), half.fingerprint()}) == 3
    assert distance(with_it) != pytest.approx(distance(plain), rel=1e-3)
    assert distance(none) == pytest.approx(distance(plain), rel=1e-5)
    assert half.describe()["loras"] == [[str(file), 0.5]]
    assert "loras" not in plain.describe()
    with pytest.raises(ModelError, match="cannot be put on"):
        conjure.load(folder, lora="nowhere/nothing", offline=True)
    assert parse_lora("a/b") == ("a/b", 1.0)
    assert parse_lora("a/b/c/d.safetensors:2") == ("a/b/c/d.safetensors", 2.0)


def test_passes_of_a_compiled_network_are_of_few_sizes(pipeline_folder, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **how: compiled.append(how))
    process: Any = conjure.load(pipeline_folder, steps=3, compiled=True, batch_size=8)
    assert compiled == [{"dynamic": False}]
    rows = []
    network = process.family.pipeline.unet
    network.register_forward_pre_hook(lambda module, inputs: rows.append(len(inputs[0])))
    found = conjure.compare("cat", "dog", process=process, samples=3)
    assert all(count & (count - 1) == 0 for count in rows)  # of few sizes: powers of two
    plain = conjure.compare("cat", "dog", process=conjure.load(pipeline_folder, steps=3), samples=3)
    assert found.distance == pytest.approx(plain.distance, rel=1e-4)
    assert found.calls == plain.calls


def test_offload_is_for_devices(pipeline_folder):
    with pytest.raises(ConjureError, match="runs on the CPU anyway"):
        conjure.load(pipeline_folder, device="cpu", offload=True)


def test_a_single_file_is_read_as_its_configuration_says(pipeline_folder, tmp_path, monkeypatch):
    file = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(1)}, file)
    asked: dict[str, Any] = {}

    def from_single_file(path: str, **how: Any) -> Any:
        asked.update(how, path=path)
        return diffusers.StableDiffusionPipeline.from_pretrained(
            pipeline_folder, safety_checker=None
        )

    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "from_single_file", from_single_file)
    process = conjure.load(file, config=pipeline_folder, steps=2, offline=True)
    assert distance(process) > 0
    assert asked["path"] == str(file)
    assert asked["config"] == str(pipeline_folder)
    assert asked["local_files_only"] is True
    with pytest.raises(ModelError, match="--config"):
        conjure.load(file, offline=True)
    other = tmp_path / "model.ckpt"
    save_file({"a": torch.ones(1)}, other)
    with pytest.raises(ModelError, match=r"no \.safetensors checkpoint"):
        conjure.load(other)


def test_a_missing_component_is_named(pipeline_folder, tmp_path):
    shutil.copytree(pipeline_folder, tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "vae")
    with pytest.raises(ModelError, match="vae"):
        conjure.load(tmp_path / "model")


def test_offline_says_so():
    with pytest.raises(ModelError, match=r"may not be asked \(offline\)"):
        conjure.load("nobody/nothing", offline=True)


def test_too_little_memory_is_said(pipeline_folder, monkeypatch):
    def exhausted(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "from_pretrained", exhausted)
    with pytest.raises(ModelError, match="--offload"):
        conjure.load(pipeline_folder)


def test_half_precision_that_overflows_is_said(pipeline_folder, tmp_path):
    shutil.copytree(pipeline_folder, tmp_path / "model")
    pipeline: Any = diffusers.StableDiffusionPipeline.from_pretrained(
        tmp_path / "model", safety_checker=None
    )
    pipeline.unet.conv_in.weight.data.mul_(1e6)
    pipeline.unet.save_pretrained(tmp_path / "model" / "unet")
    process = conjure.load(tmp_path / "model", steps=2, dtype="float16")
    with pytest.raises(ConjureError, match=r"float16 overflows.*float32"):
        distance(process)


def test_an_unknown_pipeline_is_refused_with_what_is_supported(tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "KandinskyPipeline"}')
    with pytest.raises(ModelError, match=r"KandinskyPipeline.*StableDiffusionXLPipeline"):
        conjure.load(tmp_path)


def test_the_pipelines_own_sampler(family_folder):
    own = {
        "stable-diffusion": ("ddim", 0.0),
        "lcm": ("lcm", None),
        "sdxl": ("euler", None),
        "sd3": ("euler", None),
        "pixart-alpha": ("dpm++", None),
        "deepfloyd": ("ddpm", None),
    }
    for family, (sampler, eta) in own.items():
        about = conjure.load(family_folder(family), sampler="own").describe()
        assert (about["sampler"], about["eta"]) == (sampler, eta)


def test_an_own_sampler_that_is_not_ours_is_refused(tmp_path):
    torch.manual_seed(0)
    made = tiny.stable_diffusion(tmp_path / "work")
    made.scheduler = diffusers.DEISMultistepScheduler.from_config(dict(made.scheduler.config))
    made.save_pretrained(tmp_path / "model")
    with pytest.raises(ConjureError, match=r"DEISMultistepScheduler.*Choose another: ddim"):
        conjure.load(tmp_path / "model", sampler="own")


def test_a_pipeline_in_memory_is_a_model(pipeline_folder):
    pipeline: Any = diffusers.StableDiffusionPipeline.from_pretrained(
        pipeline_folder, safety_checker=None
    )
    process = conjure.load(pipeline, steps=3)
    assert process.model == str(pipeline_folder)
    assert distance(process) == pytest.approx(
        distance(conjure.load(pipeline_folder, steps=3)), rel=1e-5
    )
    assert not pipeline.unet.training
    assert all(weight.requires_grad for weight in pipeline.unet.parameters())
    for change in ({"dtype": "bfloat16"}, {"lora": "a/b"}, {"compiled": True}, {"offload": True}):
        with pytest.raises(ConjureError, match="would change the pipeline"):
            conjure.load(pipeline, **change)  # pyright: ignore[reportArgumentType]
    pipeline.to(torch.bfloat16)
    assert conjure.load(pipeline, steps=3).dtype == torch.bfloat16
    pipeline.text_encoder.to(torch.float32)
    pipeline.vae.to(torch.float32)
    mixed = conjure.load(pipeline, steps=3)
    assert mixed.dtype == torch.bfloat16
    assert distance(mixed) > 0
    assert pipeline.text_encoder.dtype == pipeline.vae.dtype == torch.float32  # as it was
    other: Any = type("KandinskyPipeline", (), {"name_or_path": "", "dtype": torch.float32})()
    with pytest.raises(ModelError, match="is a KandinskyPipeline"):
        conjure.load(other)


@pytest.mark.parametrize("through_data", [False, True])
@pytest.mark.parametrize("how", ["compare", "embed"])
def test_an_encoder_that_was_trained_meanwhile_is_asked_anew(pipeline_folder, how, through_data):
    def measured(process):
        if how == "compare":
            return distance(process)
        a, b = conjure.embed(["cat", "dog"], process=process).vectors
        return float(((a - b) ** 2).sum())

    pipeline: Any = diffusers.StableDiffusionPipeline.from_pretrained(
        pipeline_folder, safety_checker=None
    )
    process = conjure.load(pipeline, steps=3)
    before = measured(process)
    with torch.no_grad():
        for weight in pipeline.text_encoder.parameters():
            (weight.data if through_data else weight).mul_(1.1)
    after = measured(process)
    assert after != pytest.approx(before, rel=1e-4)
    assert after == measured(conjure.load(pipeline, steps=3))


def test_a_tokenizer_and_a_configuration_are_part_of_the_fingerprint(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=2)
    seen = [process.fingerprint()]
    distance(process)
    assert process.fingerprint() == seen[0]  # of what it is, not of what it was asked
    process.family.pipeline.tokenizer.add_tokens(["unheard"])
    seen.append(process.fingerprint())
    process.family.pipeline.text_encoder.config.hidden_act = "relu"
    seen.append(process.fingerprint())
    assert len(set(seen)) == 3


def test_an_adapter_that_is_switched_off_is_another_model(family_folder):
    from peft import LoraConfig

    pipeline: Any = diffusers.StableDiffusionPipeline.from_pretrained(
        family_folder("stable-diffusion"), safety_checker=None
    )
    pipeline.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q"]))
    process = conjure.load(pipeline, steps=2)
    on = process.fingerprint()
    pipeline.unet.disable_adapters()
    assert process.fingerprint() != on


def test_other_processes_on_the_same_weights(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=3, eta=0.5)
    other = vary(process, guidance=3.0, sampler="ddpm", steps=4)
    assert other.family is process.family
    assert (
        other.describe()
        == conjure.load(pipeline_folder, guidance=3.0, sampler="ddpm", steps=4).describe()
    )
    assert vary(process, steps=4).describe()["eta"] == 0.5
    with pytest.raises(ConjureError, match="cannot be varied on loaded weights"):
        vary(process, dtype="float16")
    with pytest.raises(ConjureError, match="at least 1"):
        vary(process, guidance=0.5)


def test_what_would_be_ignored_is_refused(pipeline_folder, family_folder):
    for name in ("config", "revision"):
        with pytest.raises(ConjureError, match=f"{name} says nothing about"):
            conjure.load(pipeline_folder, **{name: str(pipeline_folder)})  # pyright: ignore
    with pytest.raises(ConjureError, match="spacing of its own"):
        conjure.load(family_folder("lcm"), sampler="lcm", spacing="trailing")
    for size in ((16,), (16, 16, 16), 0, (16.0, 16.0), "large"):
        with pytest.raises(ConjureError, match="size is"):
            conjure.load(pipeline_folder, size=size)  # pyright: ignore[reportArgumentType]
    for sampler in ("dpm++", "unipc"):
        with pytest.raises(ConjureError, match="no karras spacing for flows"):
            conjure.load(family_folder("sd3"), sampler=sampler, spacing="karras")
    karras = conjure.load(family_folder("sd3"), sampler="euler", spacing="karras", steps=4)
    assert np.all(np.diff(karras.levels.log_snr) > 0)


def test_loras_that_cannot_be_are_refused(pipeline_folder, tmp_path):
    with pytest.raises(UnsafeWeightsError, match=r"no \.safetensors file"):
        conjure.load(pipeline_folder, lora="style.bin")
    with pytest.raises(ConjureError, match="no LoRA"):
        conjure.load(pipeline_folder, lora="./style.safetensors")
    with pytest.raises(ConjureError, match="is a number"):
        conjure.load(pipeline_folder, lora="a/b:nan")
    stranger = {
        f"unet.nowhere.attn.to_q.lora_{name}.weight": torch.ones(*shape)
        for name, shape in (("A", (2, 4)), ("B", (4, 2)))
    }
    save_file(stranger, tmp_path / "stranger.safetensors")
    with pytest.raises(ModelError, match="cannot be put on"):
        conjure.load(pipeline_folder, lora=str(tmp_path / "stranger.safetensors"))


def test_a_long_negative_prompt_is_read_in_windows_too(family_folder):
    long = "x" * 14
    folder = family_folder("sdxl")
    found = [
        distance(conjure.load(folder, steps=2, guidance=4.0, long="chunk", negative=long + end))
        for end in "ab"
    ]
    assert found[0] != found[1]


def test_a_lora_reaches_every_part_that_it_has_layers_for(family_folder, tmp_path):
    """Flux fuses its transformer's alone unless it is told otherwise."""
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig, get_peft_model_state_dict

    folder = family_folder("flux")
    pipeline: Any = diffusers.FluxPipeline.from_pretrained(folder)
    pipeline.text_encoder.add_adapter(LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    torch.manual_seed(0)
    for name, value in pipeline.text_encoder.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value)
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipeline.text_encoder))
    diffusers.FluxPipeline.save_lora_weights(tmp_path, text_encoder_lora_layers=layers)
    plain = conjure.load(folder, steps=2, size=16)
    tuned = conjure.load(folder, steps=2, size=16, lora=str(tmp_path))
    names = [name for name, _ in plain.family.pipeline.text_encoder.named_parameters()]
    before, after = (
        dict(p.family.pipeline.text_encoder.named_parameters()) for p in (plain, tuned)
    )
    moved = {name for name in names if not torch.equal(before[name], after[name])}
    assert moved == {name for name in names if name.endswith(("q_proj.weight", "v_proj.weight"))}


def test_a_pipeline_that_is_offloaded_stays_so_or_is_refused(pipeline_folder):
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        pipeline_folder, safety_checker=None
    )
    pipeline.unet.to("meta")
    with pytest.raises(ModelError, match="offloaded layer by layer"):
        conjure.load(pipeline)


def test_a_network_of_another_preconditioning_is_refused(pipeline_folder):
    """Its scheduler's file says nothing of betas: a linear schedule would be taken, wrongly."""
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        pipeline_folder, safety_checker=None
    )
    pipeline.scheduler = diffusers.EDMEulerScheduler()
    with pytest.raises(ModelError, match="EDMEulerScheduler"):
        conjure.load(pipeline)


def test_a_checkpoint_that_may_predict_either_needs_to_be_told(tmp_path, monkeypatch):
    from diffusers.loaders import single_file_utils

    file = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(1)}, file)
    known = {"pretrained_model_name_or_path": "stabilityai/stable-diffusion-xl-base-1.0"}
    keys = {"v_pred": torch.zeros(0)}
    monkeypatch.setattr(single_file_utils, "load_single_file_checkpoint", lambda path: keys)
    monkeypatch.setattr(single_file_utils, "fetch_diffusers_config", lambda checkpoint: known)
    with pytest.raises(ModelError, match="'v_pred' says that it predicts v"):
        conjure.load(file)
    keys.clear()
    known["pretrained_model_name_or_path"] = "stabilityai/stable-diffusion-2-1"
    with pytest.raises(ModelError, match="may predict ε or v"):
        conjure.load(file)


def test_part_of_a_model_is_told_from_a_whole_one(pipeline_folder, tmp_path, monkeypatch):
    from diffusers.loaders.single_file_utils import SingleFileComponentError

    def partial(path: str, **how: Any) -> Any:
        raise SingleFileComponentError("Failed to load CLIPTextModel.")

    file = tmp_path / "transformer.safetensors"
    save_file({"a": torch.ones(1)}, file)
    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "from_single_file", partial)
    with pytest.raises(ModelError, match="is not a whole model"):
        conjure.load(file, config=pipeline_folder)


def test_aura_flow_draws_the_size_that_diffusers_does(family_folder):
    """Not that of its file, as far as its grid of positions reaches: here 8 × 8 patches."""
    assert conjure.load(family_folder("aura-flow"), steps=2).shape == (4, 16, 16)
