"""What a run is: what is hashed, and not where it lay or who built the libraries."""

from __future__ import annotations

import json
import re
import shutil
import warnings

import pytest
from safetensors.torch import save_file

import conjure
from conjure.errors import ConjureError, ConjureWarning, RunMismatchError
from conjure.loading.load import reload
from tests.test_weights import lora_of


@pytest.fixture
def loras(pipeline_folder, tmp_path):
    """One LoRA in two places, and another one."""
    first, other = tmp_path / "first.safetensors", tmp_path / "other.safetensors"
    layers = lora_of(pipeline_folder)
    save_file(layers, first)
    save_file({key: value * 2 for key, value in layers.items()}, other)
    second = shutil.copy(first, tmp_path / "second.safetensors")
    return first, second, other


def compared(folder, run, lora=None, scale=1.0):
    process = conjure.load(folder, steps=2, lora=f"{lora}:{scale}" if lora else ())
    found = conjure.compare_pairs([("cat", "dog")], process=process, samples=1, out=run)
    return [result.distance for result in found], found.calls


def test_a_lora_is_the_same_from_wherever_it_comes(pipeline_folder, loras, tmp_path):
    first, second, other = loras
    run = tmp_path / "run"
    distance, calls = compared(pipeline_folder, run, first)
    assert calls > 0
    assert compared(pipeline_folder, run, second) == (distance, 0)
    with pytest.raises(RunMismatchError, match="weights"):
        compared(pipeline_folder, run, other)
    with pytest.raises(RunMismatchError, match="loras"):
        compared(pipeline_folder, run, first, 0.5)


@pytest.mark.parametrize(
    ("library", "version"), [("torch", "2.13.0+cu130"), ("python", "3.11.99"), ("numpy", "9.9.9")]
)
def test_other_versions_are_told_and_go_on(pipeline_folder, tmp_path, library, version):
    run = tmp_path / "run"
    distance, _ = compared(pipeline_folder, run)
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["versions"][library] = version
    (run / "manifest.json").write_text(json.dumps(manifest))
    with pytest.warns(ConjureWarning, match=re.escape(f"\n  {library}: '{version}' in")):
        assert compared(pipeline_folder, run) == (distance, 0)


def test_the_same_versions_are_not_told(pipeline_folder, tmp_path):
    compared(pipeline_folder, tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConjureWarning)
        compared(pipeline_folder, tmp_path / "run")


def test_embeddings_find_their_model_elsewhere(copied, tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    process = conjure.load("model", steps=2)
    conjure.embed(["cat", "dog"], process=process).save("e.safetensors")
    copied.rename(tmp_path / "moved")
    code, out, err = run("nearest", "a bird", "--in", "e.safetensors", model=False)
    assert code == 2
    assert "if it is elsewhere now, say where" in " ".join(err.split())
    code, out, err = run("nearest", "bird", "--in", "e.safetensors", "--rerank", "2", model="moved")
    assert code == 0
    assert "cat" in out


def test_what_reopens_takes_where_things_are(pipeline_folder, loras):
    first, second, _ = loras
    process = conjure.load(pipeline_folder, steps=2, lora=str(first))
    first.unlink()
    about = {"model": "gone", "revision": None, "variant": None, "process": process.describe()}
    with pytest.raises(ConjureError, match="likewise lora"):
        reload(about)
    again = reload(about, model=str(pipeline_folder), lora=[str(second)])
    assert again.fingerprint() == process.fingerprint()
    assert again.describe() | {"loras": None} == process.describe() | {"loras": None}
