"""The contracts of the house: what a process answers, what settings and sampling are made into."""

from __future__ import annotations

import copy
import inspect
import json
import os
import subprocess
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import gaussians

import conjure
from conjure import ConjureError, GaussianProcess, Process
from conjure.cli.options import SAMPLING
from conjure.cli.process_options import takes_process
from conjure.operations.costs import Plan
from conjure.operations.sampling import Sampling, SamplingOptions
from conjure.process.base import Defaults
from conjure.process.samplers.ddim import Ddim
from conjure.process.settings import Settings, about, arguments_from
from conjure.process.wrappers import Between, Blind, Nudged

NAMES = ["a", "b", ""]


def members(contract: type) -> list[str]:
    return [name for name in dir(contract) if not name.startswith("_")]


@pytest.mark.parametrize("make", [lambda p: p, Blind, Nudged, lambda p: Between(p, p)])
def test_a_process_answers_all_that_it_is_asked_for(oracle, pipeline_folder, make):
    for process in (oracle, conjure.load(pipeline_folder, steps=2)):
        made = make(process)
        for name in members(Process):
            assert hasattr(made, name), name


def test_a_process_of_ones_own_needs_only_what_is_its_own(oracle):
    needed = set(members(Process)) - set(members(Defaults)) - {"sampler", "grid"}
    assert needed == {
        "batch_size", "check", "describe", "fingerprint", "guidance", "model", "negative", "place",
        "predict", "prepare", "shape",
    }  # fmt: skip
    assert not oracle.has_pictures
    assert oracle.picture_fingerprint() is None
    assert oracle.calls_for(7) == 7
    with pytest.raises(ConjureError, match="no pictures"):
        oracle.decode(torch.zeros(1, 3))


def test_a_wrapper_can_be_copied(oracle):
    blind = copy.deepcopy(Blind(oracle))
    assert blind.levels.log_snr == pytest.approx(oracle.levels.log_snr)
    assert not blind.reads_prompts
    with pytest.raises(AttributeError):
        _ = blind.nothing_of_the_kind


def test_load_takes_the_settings_and_says_so():
    shown = inspect.signature(conjure.load).parameters
    assert list(shown) == [one.name for one in fields(Settings)]
    assert all(f"        {name}: " in (conjure.load.__doc__ or "") for name in shown)
    assert shown["model"].default == "emoji"


def test_a_command_has_an_option_for_each_setting():
    @takes_process
    def command(load: Any, own: int = 3) -> None:
        pass

    options = inspect.signature(command).parameters
    assert set(options) == {"own", *(one.name for one in fields(Settings))}


def test_a_process_is_loaded_again_from_its_description(pipeline_folder):
    changed: dict[str, Any] = {
        "sampler": "ddim", "eta": 0.5, "spacing": "trailing", "steps": 3, "guidance": 2.0,
        "negative": "blurry", "long": "truncate", "size": (16, 32), "dtype": "float64",
    }  # fmt: skip
    process = conjure.load(pipeline_folder, **changed)
    again = arguments_from(process.describe())
    assert {name: again.get(name) for name in changed} == changed | {"size": [16, 32]}
    assert conjure.load(pipeline_folder, **again).describe() == process.describe()
    untold = {one.name for one in fields(Settings) if not about(one).described_as}
    assert untold == {  # where weights were found, and what changes no number
        "model", "config", "revision", "variant", "offline", "device", "batch_size", "offload",
        "compiled", "allow_pickle", "unread",
    }  # fmt: skip


@dataclass(frozen=True)
class Mine(Ddim):
    """DDIM under another name."""

    @property
    def name(self) -> str:
        return "mine"


def build(config: Any, eta: float | None) -> Mine:
    return Mine(0.25 if eta is None else eta)


@pytest.fixture
def mine(monkeypatch):
    """A sampler that a package registers."""
    monkeypatch.setattr(conjure.SAMPLERS, "_places", dict(conjure.SAMPLERS._places))
    conjure.SAMPLERS.register("mine", "test_contract:build")


def test_a_registered_sampler_is_given_its_eta(mine, pipeline_folder, run):
    assert conjure.load(pipeline_folder, sampler="mine", steps=2).describe()["eta"] == 0.25
    process = conjure.load(pipeline_folder, sampler="mine", eta=0.75, steps=2)
    assert process.describe()["eta"] == 0.75
    assert conjure.vary(process, eta=0.5).describe()["eta"] == 0.5
    code, out, err = run("compare", "a", "b", "-T", "2", "-k", "1", "--sampler", "mine",
                         "--eta", "0.5")  # fmt: skip
    assert code == 0, err
    assert "eta 0.5" in " ".join(out.split())


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package that declares a method, an estimand, and a sampler whose name is taken."""
    (tmp_path / "lengths.py").write_text(LENGTHS)
    about = tmp_path / "lengths-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lengths\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[conjure.methods]\nlength = lengths:build\n[conjure.estimands]\n"
        "first-picture = lengths:ESTIMAND\n[conjure.samplers]\nddim = lengths:build\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [str(Path(sys.executable).with_name("conjure"))]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, check=False
        )

    return run


LENGTHS = """
from conjure.divergence.base import Estimand
from conjure.methods.base import CONTROL, Measured
import numpy as np


def terms(squares, levels):
    result = 0 * squares.picture
    result[..., 0] = squares.picture[..., 0]
    return result


ESTIMAND = Estimand("first-picture", terms)


class Length:
    name, group, settings = "length", CONTROL, {"method": "length"}

    def check(self, texts): ...

    def cost(self, pairs, folder):
        return 0

    def measure(self, pairs, folder):
        gaps = np.array([[abs(len(a) - len(b))] for a, b in pairs], dtype=float)
        return Measured({"letters": gaps}, calls=0, samples=0)


def build(request, argument):
    return Length()
"""


def test_what_an_installed_package_declares_is_known_to_every_command(
    installed, tmp_path, pipeline_folder
):
    data = tmp_path / "data"
    data.mkdir()
    (data / "mine.csv").write_text("sentence1,sentence2,score\na,b,3\na,bcd,1\nab,abc,2\n")
    evaluate = ("evaluate", "--data", str(data), "--tasks", "mine", "--json")
    found = installed(*evaluate, "--methods", "length")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["scores"][0]["method"] == "length"
    model = ("--model", str(pipeline_folder), "-T", "2", "-k", "1")
    found = installed("compare", "cat", "dog", *model, "--estimand", "first-picture", "--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["estimand"] == "first-picture"
    found = installed("evaluate", "--methods", "lengths", "--data", str(data), "--tasks", "mine")
    assert "Did you mean 'length'" in found.stderr
    assert "ddim', which there is already" in " ".join(found.stderr.split())
    assert "length" in installed("evaluate", "--help").stdout


@pytest.mark.parametrize("name", sorted(set(conjure.SAMPLERS) - {"ddim", "own"}))
def test_a_sampler_without_eta_refuses_one_before_any_model_is_read(name):
    with pytest.raises(ConjureError, match=f"eta is an option of the ddim sampler; .*{name[:4]}"):
        conjure.load("/there/is/no/such/folder", sampler=name, eta=0.5)


def test_the_options_of_sampling_are_written_alike():
    names = [one.name for one in fields(Sampling)]
    assert sorted(SamplingOptions.__annotations__) == sorted(names)
    assert sorted(SAMPLING) == sorted(names)
    for function in (
        conjure.compare_pairs, conjure.matrix, conjure.relative_pairs, conjure.compare_processes,
        conjure.drift,
    ):  # fmt: skip
        shown = inspect.signature(function).parameters
        assert set(names) < set(shown)
        assert all(f"        {name}: " in (function.__doc__ or "") for name in names)


def test_everything_announces_the_calls_that_it_makes(oracle, tmp_path):
    plans: list[Plan] = []
    found: Any = conjure.matrix(NAMES, process=oracle, samples=2, announce=plans.append)
    assert plans.pop().calls == found.calls == found.spent.calls
    found = conjure.embed(NAMES, process=oracle, announce=plans.append)
    assert plans.pop().calls == found.calls
    near = found.nearest(found.vectors[0], 2)
    found.rerank("a", near, process=oracle, samples=2, announce=plans.append)
    assert plans.pop().samples == 2
    guided = replace(oracle, guidance=2.0)
    found = conjure.drift(["a", "b"], oracle, guided, samples=2, announce=plans.append)
    assert plans.pop().calls == found.calls
    found = conjure.compare_processes(
        NAMES, {"one": oracle, "two": guided}, samples=2, announce=plans.append
    )
    assert [plan.name for plan in plans] == ["one", "two"]
    assert [plan.calls for plan in plans] == [one.calls for one in found.matrices]


def test_processes_can_be_compared_to_a_tolerance(oracle):
    ways = {"one": oracle, "two": replace(oracle, guidance=2.0)}
    found = conjure.compare_processes(NAMES, ways, tolerance=0.5, first_round=2, samples=64)
    assert all(one.samples.max() <= 64 for one in found.matrices)
    assert any(one.samples.max() < 64 for one in found.matrices)


def test_a_ratio_takes_no_tolerance(oracle):
    with pytest.raises(ConjureError, match="same samples"):
        conjure.relative_pairs([("a", "b")], process=oracle, tolerance=0.1)
    with pytest.raises(ConjureError, match="most changed"):
        conjure.drift(["a"], oracle, replace(oracle, guidance=2.0), top=1)


def test_a_run_that_is_closed_lets_go_of_its_files(oracle):
    run = conjure.compare_pairs([("a", "b"), ("a", "")], process=oracle, samples=2)
    folder = run._run.folder
    assert folder.is_dir()
    run.close()
    assert not folder.exists()
    run = conjure.compare_pairs([("a", "b"), ("a", "")], process=oracle, samples=2)
    assert next(run).samples == 2
    folder = run._run.folder
    run.close()
    assert not folder.exists()
    assert list(run) == []


def test_embedding_lets_go_of_its_run_on_errors(monkeypatch):
    process = GaussianProcess.build(gaussians("full"), steps=3)
    closed = []

    def fail(*_: Any) -> np.ndarray:
        raise ZeroDivisionError

    close = conjure.store.Run.close
    monkeypatch.setattr(conjure.store.Run, "close", lambda run: closed.append(1) or close(run))
    monkeypatch.setattr("conjure.operations.embedding.embeddings.embed_vectors", fail)
    with pytest.raises(ZeroDivisionError):
        conjure.embed(NAMES, process=process)
    assert closed == [1]
