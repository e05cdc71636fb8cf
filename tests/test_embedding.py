"""Landmark embeddings: against the sum they stand for, and as a thing to keep and search."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from conftest import each_sampler, gaussians

import conjure
from conjure import ConjureError, Embeddings, Gaussian, GaussianProcess
from conjure.divergence.girsanov import trapezoid_weights
from conjure.engine.network import Network
from conjure.errors import EstimandUnavailableError, RunMismatchError
from conjure.operations.embedding.landmarks import draw_landmarks
from conjure.operations.embedding.projection import project, projection_error
from conjure.process.prediction import scored_visits

NAMES = ["a", "b", "c"]


def build(**settings):
    meanings = gaussians("full", dimension=4) | {"c": gaussians("full", 4, seed=1)["a"]}
    return GaussianProcess.build(meanings, **settings)


@each_sampler
@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_distances_are_the_weighted_sum_at_the_landmarks(sampler, eta, guidance):
    process = build(sampler=sampler, eta=eta, steps=6, guidance=guidance)
    found = conjure.embed(NAMES, process=process, paths=3, dimensions=None, seed=7)
    marks = draw_landmarks(process, Network(process), 3, seed=7, origin="")
    weights = trapezoid_weights(process.levels.log_snr)
    expected = np.zeros((3, 3))
    for i, weight in enumerate(weights):
        visit = scored_visits(process.visits)[i]
        said = [process.predict(marks.states[i], visit, [name] * 3).noise for name in NAMES]
        for row, one in enumerate(said):
            for column, other in enumerate(said):
                gap = float((one - other).square().sum()) * guidance**2 / 3
                expected[row, column] += weight * gap
    np.testing.assert_allclose(found.distances(), expected, rtol=1e-5, atol=1e-6)
    assert found.calls == 3 * (6 * 3 + len(process.visits))


def test_a_query_joins_at_the_same_landmarks():
    process = build()
    found = conjure.embed(["", "a"], process=process, dimensions=None)
    query = found.embed(["b"], process=process)
    assert query.space == found.space
    by_vector = found.nearest(query.vectors[0])
    assert found.nearest(query) == by_vector
    assert (
        by_vector
        == conjure.embed(["", "a", "b"], process=process, dimensions=None).nearest(query)[1:]
    )
    other = conjure.embed(["b"], process=process, dimensions=None, estimand="epsilon")
    with pytest.raises(ConjureError, match="one prompt at the same landmarks"):
        found.nearest(other)
    with pytest.raises(ConjureError, match="one prompt at the same landmarks"):
        found.nearest(found)


def test_the_negative_prompt_is_the_origin():
    found = conjure.embed(["", "a"], process=build(), dimensions=None)
    assert np.abs(found.vectors[0]).max() < 1e-6
    assert np.abs(found.vectors[1]).max() > 1e-2


@pytest.mark.parametrize("estimand", ["epsilon", "score", "picture"])
def test_other_estimands_weigh_otherwise(estimand):
    process = build(steps=5)
    found = conjure.embed(NAMES, process=process, dimensions=None, estimand=estimand)
    marks = draw_landmarks(process, Network(process), 2, seed=0, origin="")
    expected = 0.0
    for i in range(5):
        one, two = (process.predict(marks.states[i], i, [n] * 2) for n in "ab")
        kind = "picture" if estimand == "picture" else "noise"
        weight = 1 / 5 / (float(process.levels.sigma[i]) ** 2 if estimand == "score" else 1)
        gap = getattr(one, kind) - getattr(two, kind)
        expected += weight * float(gap.square().sum()) / 2
    assert found.distances()[0, 1] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("estimand", ["ancestral", "as-printed"])
def test_what_is_no_sum_at_fixed_states_is_refused(estimand):
    with pytest.raises(EstimandUnavailableError, match="Use girsanov"):
        conjure.embed(NAMES, process=build(), estimand=estimand)


def test_zero_signal_at_the_start_uses_the_picture(pipeline_folders):
    process = conjure.load(pipeline_folders["zero-snr"], steps=4)
    found = conjure.embed(["cat", "dog"], process=process, paths=1)
    assert np.isfinite(found.vectors).all()
    assert found.distances()[0, 1] > 0


def test_projected_lengths_are_unbiased_with_the_stated_error():
    rows = torch.randn(4, 2000, generator=torch.Generator().manual_seed(0)).double()
    exact = rows.square().sum(1)
    ratios = torch.stack(
        [project(rows, 128, seed, 0).square().sum(1) / exact for seed in range(300)]
    )
    error = ratios.std() / ratios.numel() ** 0.5
    assert abs(ratios.mean() - 1) < 4 * error
    assert float(ratios.std()) == pytest.approx(projection_error(128), rel=0.1)


def test_a_prompt_does_not_mind_its_neighbours(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=3, dtype="float64")
    few = conjure.load(pipeline_folder, steps=3, dtype="float64", batch_size=3)
    together = conjure.embed(["cat", "dog", "cat", "red"], process=process)
    alone = conjure.embed(["red"], process=few)
    np.testing.assert_allclose(together.vectors[3], alone.vectors[0], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(together.vectors[0], together.vectors[2])


def test_it_can_be_kept_and_searched(tmp_path):
    places = {f"p{n}": float(n) for n in range(12)}
    meanings = {name: Gaussian(np.full(2, at), np.eye(2)) for name, at in places.items()}
    process = GaussianProcess.build(meanings | {"": meanings["p0"]}, steps=5)
    made = conjure.embed(list(places), process=process, dimensions=64)
    made.save(tmp_path / "e.safetensors")
    found = Embeddings.load(tmp_path / "e.safetensors")
    assert found.prompts == made.prompts
    assert found.manifest == json.loads(json.dumps(made.manifest))
    np.testing.assert_array_equal(found.vectors, made.vectors)
    assert torch.equal(found.landmarks.states, made.landmarks.states)

    near = found.nearest(found.vectors[5], 3)
    assert near[0].prompt == "p5"
    assert near[0].distance == 0
    assert {n.prompt for n in near[1:]} == {"p4", "p6"}
    again = conjure.embed(["p5"], process=process, dimensions=64, landmarks=found.landmarks)
    np.testing.assert_allclose(again.vectors[0], found.vectors[5], rtol=1e-6)
    assert again.calls == 2 * 5

    exact = found.rerank("p5", near[::-1], process=process, samples=4)
    assert [n.distance for n in exact] == sorted(n.distance for n in exact)
    alone = conjure.compare("p5", "p6", process=process, samples=4)
    assert exact[0].prompt == "p5"
    by_name = {n.prompt: n for n in exact}
    assert by_name["p6"].distance == pytest.approx(alone.distance)
    assert by_name["p6"].standard_error == pytest.approx(alone.standard_error)
    other = GaussianProcess.build(process.meanings, steps=6)
    with pytest.raises(ConjureError, match=r"not the process that was embedded:\n.*steps"):
        found.rerank("p5", near, process=other)


def test_an_approximate_index_finds_the_same(tmp_path):
    pytest.importorskip("faiss")
    meanings = {f"p{n}": Gaussian(np.full(2, float(n)), np.eye(2)) for n in range(40)}
    process = GaussianProcess.build(meanings | {"": meanings["p0"]}, steps=3)
    found = conjure.embed(list(meanings), process=process, dimensions=32)
    index = found.index()
    exact, near = (found.nearest(found.vectors[7], 5, index=i) for i in (None, index))
    assert [n.prompt for n in near] == [n.prompt for n in exact]


def test_an_index_without_faiss_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(ConjureError, match=r"pip install 'conjure\[index\]'"):
        conjure.embed(NAMES, process=build()).index()


def test_a_run_goes_on_where_it_stopped(tmp_path):
    process = build(steps=4)
    first = conjure.embed(["a"], process=process, out=tmp_path / "run")
    second = conjure.embed(NAMES, process=process, out=tmp_path / "run")
    assert first.calls == 2 * 4 * 2
    assert second.calls == 2 * 4 * 2  # two prompts; the landmarks are in the run
    whole = conjure.embed(NAMES, process=process)
    np.testing.assert_array_equal(second.vectors, whole.vectors)
    with pytest.raises(RunMismatchError, match=r"embedding\.paths: 2 in the run, 3 now"):
        conjure.embed(NAMES, process=process, paths=3, out=tmp_path / "run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"paths": 0}, "paths is a whole number"),
        ({"dimensions": 1}, "dimensions is a whole number, at least 2"),
        ({"seed": -1}, "seed is a whole number"),
        ({"estimand": "girsanow"}, "Did you mean 'girsanov'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ConjureError, match=message):
        conjure.embed(NAMES, process=build(), **arguments)


def test_landmarks_are_those_of_one_process():
    process = build(steps=4)
    made = conjure.embed(["a"], process=process, seed=7, paths=3)
    joined = conjure.embed(["b"], process=process, landmarks=made.landmarks)
    whole = conjure.embed(["a", "b"], process=process, seed=7, paths=3)
    assert joined.manifest == whole.manifest
    np.testing.assert_allclose(made.distances(joined)[0, 0], whole.distances()[0, 1], rtol=1e-5)
    with pytest.raises(ConjureError, match="have seed 7, not 1: leave seed out"):
        conjure.embed(["b"], process=process, landmarks=made.landmarks, seed=1)
    with pytest.raises(ConjureError, match="drawn by another process"):
        conjure.embed(["b"], process=build(steps=5), landmarks=made.landmarks)
    with pytest.raises(ConjureError, match="not at the same landmarks"):
        made.distances(conjure.embed(["b"], process=process))


def test_bad_files_are_refused(tmp_path):
    found = conjure.embed(NAMES, process=build())
    with pytest.raises(ConjureError, match=r"a \.safetensors file"):
        found.save(tmp_path / "e.npz")
    with pytest.raises(ConjureError, match="does not exist"):
        found.save(tmp_path / "no" / "e.safetensors")
    with pytest.raises(ConjureError, match="no file"):
        Embeddings.load(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors here")
    with pytest.raises(ConjureError, match="does not hold embeddings"):
        Embeddings.load(tmp_path / "bad.safetensors")
    with pytest.raises(ConjureError, match="no prompt to embed"):
        conjure.embed([], process=build())
    with pytest.raises(ConjureError, match="embed it with the same"):
        found.nearest(np.zeros(3))


def test_no_prompt_is_lost_where_memory_runs_out():
    class Small(GaussianProcess):
        def predict(self, x, step, prompts):
            if len(prompts) > 5:
                raise torch.OutOfMemoryError("full")
            return super().predict(x, step, prompts)

    meanings = {f"w{n}": Gaussian(n * np.ones(2), np.eye(2)) for n in range(20)}
    meanings[""] = meanings["w0"]
    process = GaussianProcess.build(meanings, steps=3)
    names = list(meanings)
    small = Small(process.meanings, process.sampler, process.grid)
    expected = conjure.embed(names, process=process)
    found = conjure.embed(names, process=small)
    assert found.prompts == expected.prompts
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-5)


def test_landmarks_of_a_run_that_never_began_are_drawn_anew(tmp_path, monkeypatch):
    meanings = {name: Gaussian(n * np.ones(2), np.eye(2)) for n, name in enumerate(["", "a", "b"])}
    process = GaussianProcess.build(meanings, steps=3)
    with monkeypatch.context() as broken:
        place = "conjure.operations.embedding.embeddings.embed_vectors"
        broken.setattr(place, lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            conjure.embed(["a", "b"], process=process, seed=1, out=tmp_path / "run")
    assert (tmp_path / "run" / "landmarks.safetensors").exists()
    found = conjure.embed(["a", "b"], process=process, seed=2, out=tmp_path / "run")
    expected = conjure.embed(["a", "b"], process=process, seed=2)
    assert found.landmarks.seed == 2
    np.testing.assert_array_equal(found.vectors, expected.vectors)
