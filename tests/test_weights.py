"""Weights: safetensors alone, whole or not at all, and no code of a model's is ever run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import image_encoder, language_model, sentence_encoder

import conjure
from conjure.errors import ConjureError, ConjureWarning, ModelError, UnsafeWeightsError
from conjure.loading.names import parse_lora
from conjure.methods import METHODS
from conjure.methods.base import Request

EVIL = """
from pathlib import Path
Path({canary!r}).touch()
from transformers import PretrainedConfig, PreTrainedModel
class Config(PretrainedConfig):
    model_type = "evil"
class Model(PreTrainedModel):
    config_class = Config
class Part:
    pass
"""


def change(file: Path, how: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Rewrite the weights of a file."""
    save_file(how(load_file(file)), file, metadata={"format": "pt"})


def first_weight(file: Path) -> str:
    """The key of a matrix that a file has."""
    found = load_file(file)
    return min(key for key in found if key.endswith(".weight") and found[key].ndim > 1)


@pytest.mark.parametrize(
    ("family", "component"),
    [
        ("stable-diffusion", "unet"),
        ("stable-diffusion", "text_encoder"),
        ("stable-diffusion", "vae"),
        ("sd3", "transformer"),
        ("sd3", "text_encoder_2"),
        ("sd3", "text_encoder_3"),
        ("flux", "text_encoder_2"),
    ],
)
@pytest.mark.parametrize("damage", ["missing", "renamed", "reshaped"])
def test_weights_that_are_not_there_are_an_error(
    family_folder, tmp_path, family, component, damage
):
    folder = Path(shutil.copytree(family_folder(family), tmp_path / "model"))
    (file,) = (folder / component).glob("*.safetensors")
    key = first_weight(file)
    if damage == "missing":
        change(file, lambda found: {k: v for k, v in found.items() if k != key})
    elif damage == "renamed":
        change(file, lambda found: {("x." + k if k == key else k): v for k, v in found.items()})
    else:
        change(file, lambda found: {**found, key: torch.cat([found[key]] * 2).contiguous()})
    with pytest.raises(ModelError, match=rf"not whole: {component} .*{key}"):
        conjure.load(folder)


KINDS = {
    "trajectories": language_model,
    "trajectories+prompt": language_model,
    "direct-output": image_encoder,
    "sentence-transformers": sentence_encoder,
}


def build(kind: str, folder: Path, pipeline_folder: Path) -> Any:
    request = Request(lambda: conjure.load(pipeline_folder, steps=2), samples=1)
    return METHODS[kind](request, str(folder))


@pytest.mark.parametrize("kind", KINDS)
def test_a_methods_model_is_whole_too(pipeline_folder, tmp_path, kind):
    folder = KINDS[kind](tmp_path / "made")
    build(kind, folder, pipeline_folder)
    file = next(folder.glob("*.safetensors"))
    key = next(key for key in sorted(load_file(file)) if "pooler" not in key)
    change(file, lambda found: {k: v for k, v in found.items() if k != key})
    with pytest.raises(ModelError, match=r"is not whole: .*lacks 1 weight"):
        build(kind, folder, pipeline_folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", ["y\n", "yes\n", "1\n"])
def test_code_in_a_methods_model_never_runs(pipeline_folder, tmp_path, monkeypatch, kind, answer):
    import io

    folder, canary = KINDS[kind](tmp_path / "made"), tmp_path / "canary"
    (folder / "evil.py").write_text(EVIL.format(canary=str(canary)))
    automatic = {
        name: "evil.Config" if name == "AutoConfig" else "evil.Model"
        for name in ("AutoConfig", "AutoModel", "AutoModelForCausalLM")
    }
    configuration = {"model_type": "evil", "architectures": ["Model"], "auto_map": automatic}
    (folder / "config.json").write_text(json.dumps(configuration))
    tokens = {"tokenizer_class": "Part", "auto_map": {"AutoTokenizer": ["evil.Part", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokens))
    pictures = {"image_processor_type": "Part", "auto_map": {"AutoImageProcessor": "evil.Part"}}
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures))
    monkeypatch.setattr("sys.stdin", io.StringIO(answer * 20))
    with pytest.raises(ModelError, match="cannot be loaded"):
        build(kind, folder, pipeline_folder)
    assert not canary.exists()


@pytest.mark.parametrize("component", ["tokenizer", "text_encoder", "unet", "scheduler"])
def test_code_in_a_component_never_runs(copied, tmp_path, monkeypatch, component):
    import io

    canary = tmp_path / "canary"
    for folder in (copied, copied / component):
        (folder / "evil.py").write_text(EVIL.format(canary=str(canary)))
    for file in (copied / component).glob("*config.json"):
        automatic = {
            "AutoTokenizer": ["evil.Part", None], "AutoConfig": "evil.Config",
            "AutoModel": "evil.Model",
        }  # fmt: skip
        text = json.loads(file.read_text()) | {"auto_map": automatic}
        file.write_text(json.dumps(text))
    index = json.loads((copied / "model_index.json").read_text())
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 20))
    with suppress(ConjureError):
        conjure.load(copied)
    assert not canary.exists()
    index[component] = ["evil", "Model"]
    (copied / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError):
        conjure.load(copied)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["style.bin", "style.PT", "style.Bin", "style.dat", "style"])
def test_only_safetensors_are_a_lora(copied, tmp_path, name):
    file = tmp_path / name
    torch.save({"a": torch.ones(1)}, file)
    with pytest.raises(UnsafeWeightsError, match=r"no .safetensors file.*--allow-pickle"):
        conjure.load(copied, lora=str(file))


def test_a_pickle_inside_a_loras_folder_is_not_read(copied, tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    torch.save({"a": torch.ones(1)}, folder / "pytorch_lora_weights.bin")
    with pytest.raises(ConjureError):
        conjure.load(copied, lora=str(folder))


def test_safetensors_in_capitals_are_a_lora(family_folder, tmp_path):
    file = tmp_path / "STYLE.SAFETENSORS"
    save_file({"a": torch.ones(1)}, file)
    with pytest.raises(ModelError, match="cannot be put on"):  # as any file that is no LoRA
        conjure.load(family_folder("stable-diffusion"), lora=str(file))


def test_a_sentence_encoders_other_modules_are_no_pickles(pipeline_folder, tmp_path):
    folder = sentence_encoder(tmp_path / "made")
    (dense,) = folder.glob("*_Dense")
    torch.save(load_file(dense / "model.safetensors"), dense / "pytorch_model.bin")
    (dense / "model.safetensors").unlink()
    with pytest.raises(UnsafeWeightsError, match=r"'pytorch_model.bin'.*--allow-pickle"):
        build("sentence-transformers", folder, pipeline_folder)
    request = Request(lambda: conjure.load(pipeline_folder), allow_pickle=True)
    METHODS["sentence-transformers"](request, str(folder))


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize("component", ["unet", "text_encoder", "vae"])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "is cut short"),
        (lambda data: data[:20], "is cut short"),
        (lambda data: data[:-4], "is cut short"),
        (lambda _: b"", "is empty"),
        (lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS"),
        (lambda _: b"<!DOCTYPE html><html></html>", "is a web page"),
        (lambda _: b"PK\x03\x04" + b"0" * 50, "is a pickle"),
    ],
    ids=["half", "head", "tail", "empty", "pointer", "page", "pickle"],
)
def test_damaged_weights_are_named(copied, component, damage, said):
    (file,) = (copied / component).glob("*.safetensors")
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ModelError, match=said) as refused:
        conjure.load(copied)
    assert f"{component}/{file.name}" in str(refused.value)
    assert "pickle" in said or "allow" not in str(refused.value)


def test_a_damaged_lora_is_blamed_and_not_the_model(copied, tmp_path):
    file = tmp_path / "style.safetensors"
    file.write_text("<html>404</html>")
    with pytest.raises(ModelError, match=r"style.safetensors' is a web page"):
        conjure.load(copied, lora=str(file))


def test_what_will_not_be_read_does_not_matter(copied):
    """Of a training folder and a variant that was not asked for."""
    unread = copied / "checkpoint-500" / "unet"
    unread.mkdir(parents=True)
    for name in ("optimizer.bin", "scheduler.bin", "random_states_0.pkl"):
        (copied / "checkpoint-500" / name).write_text("x")
    (copied / "text_encoder" / "optimizer.bin").write_text("x")
    (copied / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_text("x")
    (copied / "tokenizer" / "vocabulary.bin").write_text("x")
    conjure.load(copied)
    with pytest.raises(ModelError, match=r"fp16.safetensors' is"):
        conjure.load(copied, variant="fp16")


def lora_layers(block: int) -> dict[str, torch.Tensor]:
    """Of one attention, as the scripts of kohya write them."""
    name = f"lora_unet_down_blocks_{block}_attentions_0_transformer_blocks_0_attn1_to_q"
    return {
        f"{name}.lora_down.weight": torch.full((2, 8), 0.1),
        f"{name}.lora_up.weight": torch.full((8, 2), 0.1),
        f"{name}.alpha": torch.tensor(2.0),
    }


def lora_of(folder: Path) -> dict[str, torch.Tensor]:
    """For the first attention that a tiny network has."""
    unet = conjure.load(folder).family.networks["unet"]
    weights = {name: tuple(value.shape) for name, value in unet.named_parameters()}
    name = next(n for n in weights if n.startswith("down_") and n.endswith("attn1.to_q.weight"))
    width = weights[name][1]
    return {
        key: torch.full([width if side == 8 else side for side in value.shape], 0.1)
        if value.ndim
        else value
        for key, value in lora_layers(int(name.split(".")[1])).items()
    }


def test_a_lora_fits_whole_or_is_refused(pipeline_folder, tmp_path):
    layers = lora_of(pipeline_folder)
    save_file(layers, tmp_path / "whole.safetensors")
    plain = conjure.load(pipeline_folder)
    tuned = conjure.load(pipeline_folder, lora=str(tmp_path / "whole.safetensors"))
    assert plain.fingerprint() != tuned.fingerprint()
    foreign = {k: v for n in (7, 8, 9) for k, v in lora_layers(n).items()}
    save_file({**layers, **foreign}, tmp_path / "part.safetensors")
    with pytest.raises(ModelError, match="1 of its 4 layers are the model's"):
        conjure.load(pipeline_folder, lora=str(tmp_path / "part.safetensors"))
    with pytest.warns(ConjureWarning, match="1 of its 4 layers are the model's"):
        part = conjure.load(
            pipeline_folder, lora=str(tmp_path / "part.safetensors"), partial_lora=True
        )
    assert part.fingerprint() == tuned.fingerprint()
    assert part.describe()["partial_lora"] is True
    assert "partial_lora" not in tuned.describe()
    save_file(foreign, tmp_path / "none.safetensors")
    none = str(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match=r"cannot be put on .* not found in the base model"):
        conjure.load(pipeline_folder, lora=none, partial_lora=True)


def test_what_is_no_lora_of_diffusers_is_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "peft").mkdir()
    (tmp_path / "peft" / "adapter_config.json").write_text("{}")
    with pytest.raises(ConjureError, match="an adapter as PEFT saves it"):
        parse_lora("peft")
    for name in ("loras/misspelt.safetensors", "misspelt.safetensors"):
        with pytest.raises(ConjureError, match=f"There is no LoRA '{name}' here"):
            parse_lora(name)
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(ConjureError, match="There is no LoRA"):
        parse_lora("a/b/misspelt.safetensors")


@pytest.mark.parametrize("part", ["text_encoder", "vae", "tokenizer", "unet"])
def test_a_part_that_is_null_is_named(copied, part):
    import diffusers

    pipeline: Any = diffusers.StableDiffusionPipeline.from_pretrained(copied, safety_checker=None)
    setattr(pipeline, part, None)
    with pytest.raises(ModelError, match=rf"has no {part} \(it is null\)"):
        conjure.load(pipeline)
    index = json.loads((copied / "model_index.json").read_text())
    index[part] = [None, None]
    (copied / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=rf"has no {part} \(it is null\)"):
        conjure.load(copied)


def test_a_part_that_a_family_can_do_without(family_folder, tmp_path):
    folder = Path(shutil.copytree(family_folder("sd3"), tmp_path / "model"))
    index = json.loads((folder / "model_index.json").read_text())
    for part in ("text_encoder_3", "tokenizer_3"):
        shutil.rmtree(folder / part)
        with pytest.raises(ModelError, match=f"lacks its component '{part}'"):
            conjure.load(folder)
        index[part] = [None, None]
        (folder / "model_index.json").write_text(json.dumps(index))
    process = conjure.load(folder, steps=2)
    assert conjure.compare("cat", "dog", process=process, samples=1).distance > 0


def test_a_tokenizer_without_a_length_has_its_encoders(copied):
    file = copied / "tokenizer" / "tokenizer_config.json"
    before = conjure.load(copied, steps=2)
    text = json.loads(file.read_text())
    text.pop("model_max_length")
    file.write_text(json.dumps(text))
    after = conjure.load(copied, steps=2)
    assert after.family.max_tokens == before.family.max_tokens
    found = [conjure.compare("cat", "dog", process=p, samples=1).distance for p in (before, after)]
    assert found[0] == pytest.approx(found[1], rel=1e-6)


@pytest.mark.parametrize("long", ["refuse", "truncate", "chunk"])
def test_a_textual_inversion_counts_as_it_is_encoded(copied, long):
    import diffusers

    pipeline: Any = diffusers.StableDiffusionPipeline.from_pretrained(copied, safety_checker=None)
    torch.manual_seed(0)
    width = pipeline.text_encoder.config.hidden_size
    pipeline.load_textual_inversion(torch.randn(6, width), token="<mine>")
    process = conjure.load(pipeline, steps=2, long=long)
    room = process.family.max_tokens - 2 - 6
    fits, over = "<mine>" + "a" * room, "<mine>" + "a" * room + "b"
    real = pipeline.tokenizer(pipeline.maybe_convert_prompt(over, pipeline.tokenizer)).input_ids
    assert process.count_tokens(over) == len(real) == process.family.max_tokens + 1
    assert process.count_tokens(fits) == process.family.max_tokens
    if long == "refuse":
        with pytest.raises(ConjureError, match="has 17 tokens"):
            process.check(over)
        return
    other = over[:-1] + "c"
    distance = conjure.compare(over, other, process=process, samples=1).distance
    assert (distance == 0) == (long == "truncate")
    features = process.text_features([fits, "a" * room])["mean"]
    assert not torch.equal(torch.tensor(features[0]), torch.tensor(features[1]))
