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

import conjure
from conjure.errors import ConjureError, ModelError, UnsafeWeightsError
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


@pytest.fixture
def copied(pipeline_folder, tmp_path) -> Path:
    """A pipeline that a test may damage."""
    return Path(shutil.copytree(pipeline_folder, tmp_path / "model"))


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


def language_model(folder: Path) -> Path:
    """A tiny one, with its tokenizer."""
    from tokenizers import Tokenizer, models
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"<end>": 0, "cat": 1}, unk_token="<end>"))
    PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>").save_pretrained(folder)
    config = GPT2Config(vocab_size=2, n_positions=32, n_embd=8, n_layer=1, n_head=1)
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def image_encoder(folder: Path) -> Path:
    """A tiny one, with its processor."""
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    config = ViTConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        image_size=16, patch_size=8,
    )  # fmt: skip
    ViTModel(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def sentence_encoder(folder: Path) -> Path:
    """A tiny one, with a layer of the library's own after its pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, BertTokenizer

    config = BertConfig(
        vocab_size=6, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=16,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder / "bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat"]
    BertTokenizer(vocab={word: n for n, word in enumerate(words)}).save_pretrained(folder / "bert")
    parts = [Transformer(str(folder / "bert")), Pooling(8), Dense(8, 4)]
    SentenceTransformer(modules=parts, device="cpu").save(str(folder / "whole"))
    return folder / "whole"


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
