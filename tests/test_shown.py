"""How objects show themselves: in a line, whatever they hold."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from conftest import gaussians

import conjure
from conjure import GaussianProcess
from conjure.errors import ConjureWarning
from conjure.process.wrappers import Between, Blind, Nudged

LONG = "a very long prompt " * 12


@pytest.fixture(scope="module")
def process(pipeline_folder):
    return conjure.load(pipeline_folder, steps=2)


@pytest.fixture(scope="module")
def shown(process, tmp_path_factory):
    """Every public object, by the name of its kind."""
    names = [f"t{n}" for n in range(40)]
    short = conjure.vary(process, long="truncate")
    comparison = conjure.compare("cat", LONG, process=short, samples=2)
    vary = {"one": process, "two": conjure.vary(process, guidance=2)}
    run = conjure.compare_pairs([("cat", "dog")], process=process, samples=2)
    folder = tmp_path_factory.mktemp("data")
    (folder / "mine.csv").write_text("sentence1,sentence2,score\na,b,3\na,bcd,1\nab,abc,2\n")
    return {
        "PipelineProcess": process,
        "GaussianProcess": GaussianProcess.build(gaussians("full")),
        "Gaussian": gaussians("full")["a"],
        "Comparison": comparison,
        "Description": pickle.loads(pickle.dumps(process)),
        "Estimate": comparison.estimate,
        "Relative": next(conjure.relative_pairs([("cat", "dog")], process=process, samples=2)),
        "Matrix": conjure.matrix(names[:6], process=process, samples=1),
        "Drift": conjure.drift(names, *vary.values(), samples=2),
        "Processes": conjure.compare_processes(names[:4], vary, samples=1),
        "Embeddings": conjure.embed(names, process=process, dimensions=16),
        "Landmarks": conjure.embed(["cat"], process=process, dimensions=16).landmarks,
        "PairRun": run,
        "Between": Between(*vary.values()),
        "Blind": Blind(process),
        "Nudged": Nudged(process),
        "Trace": comparison.paths(),
        "Squares": comparison.squares,
        "Evaluation": conjure.evaluate.evaluate(
            ["mine"], ["text-encoder"], process=process, data=folder
        ),
    }


def test_every_object_shows_itself_in_a_line(shown):
    for kind, value in shown.items():
        text = repr(value)
        assert kind in text, text
        assert len(text) < 400, f"{kind}: {len(text)} characters"
        assert "\n" not in text


def test_nothing_is_heard_of_libraries(pipeline_folder, capfd):
    process = conjure.load(pipeline_folder, steps=2, long="truncate")
    with pytest.warns(ConjureWarning):
        conjure.compare(LONG, LONG + "and more", process=process, samples=1)
    assert capfd.readouterr() == ("", "")


def test_what_is_shown_is_what_one_wants_to_know(shown, process):
    found = shown["Comparison"]
    assert f"{found.distance:.4g} ± {found.standard_error:.2g} nats" in repr(found)
    assert "'cat', 'a very long prompt a very l...'" in repr(found)
    assert f"ddim, 2 steps, guidance 1, float32 on {process.device}" in repr(process)
    assert "'t0', 't1', 't2' … (40)" in repr(shown["Embeddings"])
    assert np.isfinite(shown["Matrix"].distances).all()
