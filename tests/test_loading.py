"""Loading a model: what is accepted, and every bad input with its message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import conjure
from conjure.errors import (
    ConjureError,
    ModelError,
    PromptTooLongError,
    UnknownNameError,
    UnsafeWeightsError,
)


@pytest.mark.parametrize("guidance", [0, 0.99, -1, float("nan"), float("inf"), "much"])
def test_guidance_below_one_or_no_number_is_refused(pipeline_folder, guidance):
    with pytest.raises(ConjureError, match=r"guidance is (a number, )?at least 1"):
        conjure.load(pipeline_folder, guidance=guidance)


def test_no_guidance_is_one(pipeline_folder):
    assert conjure.load(pipeline_folder, guidance=None).guidance == 1.0


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("emojy", "Unknown model 'emojy'. Did you mean 'emoji'"),
        ("no/such/folder", "Unknown model"),
        ("nobody/nothing-here", "hub cannot be reached"),
        (__file__, "is a file"),
        ("", "name is empty"),
        (" ", "name is empty"),
        ("x" * 300, "is no model's name"),
        ("~nosuchuser/model", "is no model's name"),
        ("a\0b", "Unknown model|is no model's name"),
    ],
)
def test_unknown_models(model, message):
    with pytest.raises(ModelError, match=message):
        conjure.load(model)


def test_a_folder_without_a_pipeline(tmp_path):
    with pytest.raises(ModelError, match="no text-to-image pipeline: it has no model_index"):
        conjure.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "does not describe a pipeline"),
        ('{"_class_name": "AudioLDMPipeline"}', "AudioLDMPipeline.*Supported: StableDiffusion"),
        ('{"_class_name": "StableDiffusionPipeline"}', "cannot be loaded"),
    ],
)
def test_bad_indices(tmp_path, text, message):
    (tmp_path / "model_index.json").write_text(text)
    with pytest.raises(ModelError, match=message):
        conjure.load(tmp_path)


def pickle_weights(folder: Path) -> None:
    """Turn a component's safetensors into a pickle."""
    from safetensors.torch import load_file

    found = folder / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(found), found.with_suffix(".bin"))
    found.unlink()


def test_pickles_are_refused_unless_asked_for(copied):
    pickle_weights(copied / "unet")
    with pytest.raises(UnsafeWeightsError, match=r"'unet'.*allow_pickle"):
        conjure.load(copied)
    process = conjure.load(copied, steps=2, allow_pickle=True)
    assert conjure.compare("cat", "dog", process=process, samples=1).distance > 0


def test_missing_weights(copied):
    (copied / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError):
        conjure.load(copied)


def test_other_inputs_are_refused(copied):
    path = copied / "unet" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"time_cond_proj_dim": 8}))
    with pytest.raises(ModelError):
        conjure.load(copied)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampler": "dddim"}, "Unknown sampler 'dddim'. Did you mean 'ddim'"),
        ({"sampler": "euler", "eta": 1.0}, "euler has none"),
        ({"sampler": "ddpm", "eta": 0.0}, "ddpm has none"),
        ({"negative": "a\udcff"}, "negative prompt: .* half of a character"),
        ({"negative": 3}, "negative prompt: A prompt is a string, not int"),
        ({"eta": 1.5}, "eta lies between 0"),
        ({"eta": float("nan")}, "eta lies between 0"),
        ({"steps": 0}, "steps is a whole number, at least 1, not 0"),
        ({"steps": 2000}, "1000 timesteps"),
        ({"steps": 1000}, "ask for timestep 1000"),
        ({"dtype": "float8"}, "Unknown dtype"),
        ({"device": "abacus"}, "Unknown device 'abacus'"),
        ({"long": "cut"}, "Unknown choice for long prompts 'cut'"),
        ({"batch_size": 0}, "batch_size is a whole number"),
        ({"negative": "x" * 40}, "tokens"),
    ],
)
def test_bad_settings(pipeline_folder, arguments, message):
    with pytest.raises(ConjureError, match=message):
        conjure.load(pipeline_folder, **arguments)


def test_unknown_names_are_one_kind_of_error(pipeline_folder):
    with pytest.raises(UnknownNameError):
        conjure.load(pipeline_folder, sampler="plms")


@pytest.mark.parametrize("length", [15, 200])
def test_long_prompts_are_refused_with_their_length(pipeline_folder, length):
    process = conjure.load(pipeline_folder, steps=2)
    prompt = "x" * length
    with pytest.raises(PromptTooLongError, match=rf"{length + 2} tokens.*reads 16"):
        conjure.compare(prompt, "dog", process=process)
    with pytest.raises(PromptTooLongError):
        conjure.compare("dog", prompt, process=process)


def test_a_prompt_that_just_fits(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=2)
    assert conjure.compare("x" * 14, "dog", process=process, samples=1).distance > 0


def test_long_prompts_can_be_truncated(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=2, long="truncate")
    result = conjure.compare("x" * 20 + "a", "x" * 20 + "b", process=process, samples=1)
    assert result.distance < 1e-8


@pytest.mark.parametrize("dtype", ["bfloat16", "fp16", torch.float64])
def test_other_precisions_run(pipeline_folder, dtype):
    process = conjure.load(pipeline_folder, steps=2, dtype=dtype)
    reference = conjure.load(pipeline_folder, steps=2)
    found = conjure.compare("cat", "dog", process=process, samples=2)
    expected = conjure.compare("cat", "dog", process=reference, samples=2)
    assert found.to_dict()["process"]["dtype"] in ("bfloat16", "float16", "float64")
    assert found.distance == pytest.approx(expected.distance, rel=0.5)


def test_description_has_every_setting(pipeline_folder):
    process = conjure.load(
        pipeline_folder, steps=3, guidance=2, negative="fog", eta=0.5, long="truncate"
    )
    assert process.describe() == {
        "sampler": "ddim",
        "eta": 0.5,
        "clip": None,
        "steps": 3,
        "guidance": 2.0,
        "negative": "fog",
        "prediction": "epsilon",
        "shape": [4, 8, 8],
        "device": "cpu",
        "dtype": "float32",
        "long": "truncate",
    }


def test_the_public_face_is_complete():
    assert set(conjure.__all__) <= set(dir(conjure))
    for name in conjure.__all__:
        assert getattr(conjure, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = conjure.nothing  # pyright: ignore[reportAttributeAccessIssue]


def test_every_registered_entry_can_be_imported():
    from conjure.divergence import ESTIMANDS
    from conjure.process.families import FAMILIES
    from conjure.process.samplers import SAMPLERS

    for registry in (ESTIMANDS, SAMPLERS, FAMILIES):
        for name in registry:
            assert registry[name] is not None
    assert all(ESTIMANDS[name].name == name for name in ESTIMANDS)
    flow = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
    for name in SAMPLERS:
        config = flow if name in ("flow-stochastic", "own") else {}
        assert SAMPLERS[name](config, None).name == (name if name != "own" else "euler")
