"""Models that no one would make, devices that hold nothing, a hub that hangs up: a sentence."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

import pytest

import conjure
from conjure.errors import ConjureError, ModelError
from conjure.loading.devices import check_device
from conjure.loading.sources import hung_up


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize(
    ("file", "key"),
    [
        ("unet/config.json", "sample_size"),
        ("unet/config.json", "in_channels"),
        ("unet/config.json", "layers_per_block"),
        ("unet/config.json", "attention_head_dim"),
        ("unet/config.json", "cross_attention_dim"),
        ("vae/config.json", "latent_channels"),
        ("text_encoder/config.json", "hidden_size"),
        ("text_encoder/config.json", "num_hidden_layers"),
        ("text_encoder/config.json", "num_attention_heads"),
        ("scheduler/scheduler_config.json", "num_train_timesteps"),
        ("scheduler/scheduler_config.json", "beta_start"),
    ],
)
@pytest.mark.parametrize("value", [-1, 10**6, 10**9, [8, -1], 1e30])
def test_a_size_that_no_model_has_is_refused_unbuilt(copied, monkeypatch, file, key, value):
    monkeypatch.setattr("conjure.loading.load._load_family", lambda *_: 1 / 0)
    change(copied / file, **{key: value})
    with pytest.raises(ModelError, match=rf"{file} of .* says {key} = .*no model has: it is from"):
        conjure.load(copied, steps=2)


@pytest.mark.parametrize("key", ["sample_size", "layers_per_block", "num_train_timesteps"])
def test_a_size_of_none_is_refused(copied, key):
    part = "scheduler/scheduler_config" if key == "num_train_timesteps" else "unet/config"
    change(copied / f"{part}.json", **{key: 0})
    with pytest.raises(ModelError, match="it is from 1 to"):
        conjure.load(copied, steps=2)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' + "9" * 5000 + "}", "[]", "", "\xff"])
@pytest.mark.parametrize("file", ["model_index.json", "unet/config.json"])
def test_a_configuration_that_cannot_be_read_is_named(copied, file, text):
    (copied / file).write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=f"The {Path(file).name} of .* (cannot be read|does not)"):
        conjure.load(copied, steps=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cross_attention_dim": "x"}, "cannot be loaded as a StableDiffusionPipeline"),
        ({"down_block_types": []}, "cannot be loaded as a StableDiffusionPipeline"),
        ({"sample_size": [8, 8, 8]}, "cannot be loaded as a StableDiffusionPipeline"),
        ({"sample_size": [8]}, "cannot be loaded as a StableDiffusionPipeline"),
    ],
)
def test_a_configuration_that_makes_no_network(copied, changes, message):
    change(copied / "unet" / "config.json", **changes)
    with pytest.raises(ModelError, match=message):
        conjure.load(copied, steps=2)


@pytest.mark.parametrize("size", [10**6, 16 * 10**9])
def test_a_picture_that_no_memory_holds(pipeline_folder, size):
    with pytest.raises(ModelError, match=r"would have the shape .*take a size"):
        conjure.load(pipeline_folder, steps=2, size=size)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pad_token": None}, "has no pad token.*as pad_token in its tokenizer_config.json"),
        ({"pad_token": "nosuch"}, "has the pad_token 'nosuch', which is none of the 190"),
        ({"eos_token": "nosuch"}, "has the eos_token 'nosuch', which is none of the 190"),
        ({"bos_token": None}, "cannot be loaded"),
        (None, "knows no words"),
    ],
)
def test_a_tokenizer_that_cannot_be_asked(copied, changes, message):
    folder = copied / "tokenizer"
    if changes is None:
        for file in folder.iterdir():
            file.unlink()
    else:
        change(folder / "tokenizer_config.json", **changes)
    with pytest.raises(ModelError, match=message):
        conjure.load(copied, steps=2)


@pytest.mark.parametrize("device", ["meta", "meta:0", "cpu:-1", "cuda:99", "mkldnn", "hpu", "abc"])
def test_a_device_that_computes_nothing(device):
    with pytest.raises(
        ConjureError, match=rf"device '{device}' cannot be used here: .*\. Try 'cpu'"
    ):
        check_device(device)


def test_a_folder_that_may_not_be_looked_into(copied, monkeypatch):
    def refuse(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied", "unet")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ModelError, match=r"cannot be read: .*Permission denied"):
        conjure.load(copied, steps=2)


def error_of(library: str, base: type[Exception] = Exception) -> Exception:
    made = type("ReadTimeout", (base,), {"__module__": f"{library}.exceptions"})
    return made("The read operation timed out, at model.safetensors.")


HANG_UPS = [
    ConnectionResetError("Connection reset by peer, at model.safetensors."),
    TimeoutError("timed out"),
    http.client.IncompleteRead(b"half"),
    error_of("httpx"),
    error_of("httpx2"),
    error_of("requests", OSError),
    error_of("urllib3"),
]


@pytest.mark.parametrize("error", HANG_UPS, ids=lambda error: type(error).__module__)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_hub_that_hangs_up(monkeypatch, error, wrapped):
    def hang_up(*_: Any, **__: Any) -> Any:
        if wrapped:
            raise OSError("it could not be had") from error
        raise error

    with monkeypatch.context() as first:
        first.setattr("huggingface_hub.hf_hub_download", hang_up)
        with pytest.raises(ModelError, match="The hub could not be asked for 'someone/model'"):
            conjure.load("someone/model")
    index = {"_class_name": "StableDiffusionPipeline"}
    monkeypatch.setattr("conjure.loading.load._read_index", lambda _: index)
    monkeypatch.setattr("diffusers.StableDiffusionPipeline.load_config", hang_up)
    with pytest.raises(ModelError, match=r"hub broke off while 'someone/model' .*Try again"):
        conjure.load("someone/model")


def test_not_every_error_is_the_hubs():
    assert not hung_up(ValueError("no"))
    assert not hung_up(FileNotFoundError("no"))
    assert not hung_up(None)
