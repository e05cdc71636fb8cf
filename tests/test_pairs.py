"""Many pairs: equal to each on its own, at the stated cost, and nothing lost."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import gaussians
from hypothesis import given, settings
from hypothesis import strategies as st

import conjure
from conjure import ConjureError, Gaussian, GaussianProcess
from conjure.divergence.estimate import estimate
from conjure.engine.jobs import Job
from conjure.engine.oracle import expected_squares
from conjure.engine.paths import PathCache
from conjure.engine.speed import measure_speed
from conjure.errors import RunMismatchError
from conjure.store.manifest import make_manifest
from conjure.store.opening import open_run
from conjure.store.run import Run
from conjure.store.sealed import seal

NAMES = "abcdef"


@pytest.fixture
def process():
    meanings = {name: gaussians("full", seed=n)["a"] for n, name in enumerate(NAMES)}
    return GaussianProcess.build(meanings | {"": meanings["a"]}, steps=5)


@settings(max_examples=25, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=9),
    guidance=st.sampled_from([1.0, 2.5]),
    samples=st.integers(1, 3),
    window=st.sampled_from([None, 1, 2]),
    as_stream=st.booleans(),
    ordered=st.booleans(),
    batch=st.sampled_from([1, 2, 7, 4096]),
)
def test_every_pair_is_what_it_is_alone(
    pairs, guidance, samples, window, as_stream, ordered, batch
):
    meanings = {name: gaussians("full", seed=n)["a"] for n, name in enumerate(NAMES)}
    process = GaussianProcess.build(meanings | {"": meanings["a"]}, steps=4, guidance=guidance)
    process = replace(process, batch_size=batch)
    run = conjure.compare_pairs(
        iter(pairs) if as_stream else pairs,
        process=process, samples=samples, window=window, ordered=ordered,
    )  # fmt: skip
    results = list(run)
    found = [result.prompts for result in results]
    assert found == pairs if ordered else sorted(found) == sorted(pairs)
    if not as_stream:
        assert run.calls <= run.planned
    for result in results:
        alone = conjure.compare(*result.prompts, process=process, samples=samples)
        assert result.distance == pytest.approx(alone.distance, rel=1e-9, abs=1e-15)
        assert result.kl_forward == pytest.approx(alone.kl_forward, rel=1e-9, abs=1e-15)
        for name, expected in alone.estimands.items():
            other = result.estimands[name]
            assert (other is None) == (expected is None)
            if other and expected:
                assert other.distance == pytest.approx(expected.distance, rel=1e-9, abs=1e-15)


def test_shared_prompts_and_repeated_pairs_cost_nothing_more(process):
    T, k = 5, 3
    pairs = [("a", "b"), ("b", "a"), ("a", "b"), ("b", "c"), ("c", "c")]
    run = conjure.compare_pairs(pairs, process=process, samples=k)
    list(run)
    # Three prompts walk, two pairs are crossed.
    assert run.calls == run.planned == (3 * T + 2 * 2 * (T - 1)) * k
    assert run.rewalked == 0


def test_a_path_that_is_walked_again_is_counted(process):
    run = conjure.compare_pairs([("a", "b"), ("a", "c")], process=process, samples=2, window=1)
    list(run)
    assert run.rewalked == 2


def test_matrix_is_all_pairs_at_the_stated_cost(process):
    found = conjure.matrix(list(NAMES), process=process, samples=2)
    T, k, n = 5, 2, len(NAMES)
    assert found.calls == n**2 * (T - 1) * k + n * k
    assert found.kl is not None
    for (i, a), (j, b) in combinations(enumerate(NAMES), 2):
        alone = conjure.compare(a, b, process=process, samples=2)
        assert found.distances[i, j] == found.distances[j, i] == pytest.approx(alone.distance)
        assert found.kl[i, j] == pytest.approx(alone.kl_forward)
        assert found.kl[j, i] == pytest.approx(alone.kl_reverse)
        assert found.errors[i, j] == pytest.approx(alone.standard_error)
    assert np.all(np.diag(found.distances) == 0)
    json.dumps(found.to_dict(), allow_nan=False)


def test_matrix_puts_neighbours_together(tmp_path):
    places = {"a1": 0.0, "b1": 4.0, "a2": 0.2, "b2": 4.2, "a3": 0.1}
    meanings = {name: Gaussian(np.full(2, at), np.eye(2)) for name, at in places.items()}
    process = GaussianProcess.build(meanings, steps=4)
    found = conjure.matrix(list(places), process=process, samples=2)
    order = "".join(found.prompts[i][0] for i in found.order())
    assert order in ("aaabb", "bbaaa")
    found.figure(tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 1000


def test_matrix_refuses_what_it_cannot_do(process):
    with pytest.raises(ConjureError, match="'a' stands twice"):
        conjure.matrix(["a", "b", "a"], process=process)
    with pytest.raises(ConjureError, match="at least one"):
        conjure.matrix([], process=process)
    with pytest.raises(ConjureError, match="at least two"):
        conjure.matrix(["a"], process=process, samples=1).figure()


def test_more_samples_add_to_those_there(process, tmp_path):
    pairs = [("a", "b"), ("c", "b")]
    few = conjure.compare_pairs(pairs, process=process, samples=3, out=tmp_path / "run")
    list(few)
    more = conjure.compare_pairs(pairs, process=process, samples=5, out=tmp_path / "run")
    results = list(more)
    assert few.calls + more.calls == (3 * 5 + 2 * 2 * 4) * 5
    again = conjure.compare_pairs(pairs, process=process, samples=4, out=tmp_path / "run")
    assert [r.samples for r in again] == [4, 4]
    assert again.calls == again.planned == 0
    for result in results:
        alone = conjure.compare(*result.prompts, process=process, samples=5)
        assert result.distance == pytest.approx(alone.distance, rel=1e-9)


def test_other_settings_are_refused_with_the_difference(process, tmp_path):
    list(conjure.compare_pairs([("a", "b")], process=process, samples=1, out=tmp_path / "run"))
    other = GaussianProcess.build(process.meanings, steps=7)
    with pytest.raises(RunMismatchError, match=r"process\.steps: 5 in the run, 7 now"):
        conjure.compare_pairs([("a", "b")], process=other, out=tmp_path / "run")
    with pytest.raises(RunMismatchError, match="seed: 0 in the run, 1 now"):
        conjure.compare_pairs([("a", "b")], process=process, seed=1, out=tmp_path / "run")
    moved = GaussianProcess.build(
        process.meanings | {"a": Gaussian(np.ones(3), np.eye(3))}, steps=5
    )
    with pytest.raises(RunMismatchError, match="weights"):
        conjure.compare_pairs([("a", "b")], process=moved, out=tmp_path / "run")


def test_weights_make_the_fingerprint(pipeline_folder):
    one, two = (conjure.load(pipeline_folder, steps=2) for _ in range(2))
    assert one.fingerprint() == two.fingerprint()
    with torch.no_grad():
        next(two.family.networks["unet"].parameters()).add_(1e-3)
    assert one.fingerprint() != two.fingerprint()


def test_a_folder_that_is_no_run_is_refused(process, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    (tmp_path / "file").touch()
    for place, message in {
        "photos": "it is no run",
        "file": "is a file",
        "no/such/folder": "does not exist",
    }.items():
        with pytest.raises(ConjureError, match=message):
            conjure.compare_pairs([("a", "b")], process=process, out=tmp_path / place)


@pytest.mark.parametrize("text", ['{"name": "my app"}', "[]", "no JSON"])
def test_a_manifest_of_another_program_stays(process, tmp_path, text):
    file = tmp_path / "manifest.json"
    file.write_text(text)
    with pytest.raises(ConjureError, match="is not a run's"):
        conjure.compare_pairs([("a", "b")], process=process, out=tmp_path)
    assert file.read_text() == text
    assert list(tmp_path.iterdir()) == [file]


def test_a_run_needs_no_hard_links(process, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("not permitted")

    monkeypatch.setattr("os.link", refuse)
    for calls in (True, False):
        run = conjure.compare_pairs([("a", "b")], process=process, samples=1, out=tmp_path / "r")
        assert len(list(run)) == 1
        assert bool(run.calls) == calls


def test_a_nearly_full_disk_keeps_room_for_the_run(monkeypatch):
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage(1000))
    assert PathCache().reserve([("a", 0), ("b", 0)], 300) == [("a", 0)]

    def refuse(**how):
        raise OSError("no room")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    cache = PathCache()
    cache.reserve([("a", 0)], 300)
    cache.write([("a", 0)], 0, 1, np.zeros((1, 2, 3)))
    assert ("a", 0) not in cache
    assert cache.reserve([("c", 0)], 300) == []


def test_who_claims_a_run_writes_its_manifest(process, tmp_path):
    """Before another can claim it: else its samples would stand under settings not its own."""
    folder = tmp_path / "run"
    open_run(folder, make_manifest(process, 1)).close()
    written = []
    run = open_run(folder, make_manifest(process, 2))
    run.close()
    assert json.loads((folder / "manifest.json").read_text())["seed"] == 2
    other = Run(folder, settings="other")
    other.claim(lambda: written.append(other._base._connection.in_transaction))
    assert written == [True]
    other.close()


def test_two_writers_keep_each_sample_once(process, tmp_path):
    manifest = make_manifest(process, 0)
    one, two = open_run(tmp_path / "run", manifest), open_run(tmp_path / "run", manifest)
    result = conjure.compare("a", "b", process=process, samples=4)
    jobs = [Job("a", "b", j) for j in range(4)]
    assert one.add(jobs, result.squares) == 4
    assert two.add(jobs, result.squares) == 0
    assert two.count() == (1, 4)
    swapped = two.squares("b", "a", [1])
    back = conjure.compare("b", "a", process=process, samples=4).squares
    for name in ("noise", "picture", "step", "printed"):
        expected = getattr(back, name)[1:2]
        np.testing.assert_allclose(getattr(swapped, name), expected, rtol=1e-9)


def test_a_failed_block_leaves_no_half(process, tmp_path):
    run = Run(tmp_path)
    squares = conjure.compare("a", "b", process=process, samples=1).squares
    with pytest.raises(IndexError):
        run.add([Job("a", "b", 0), Job("a", "b", 1)], squares)
    assert run.count() == (0, 0)
    with sqlite3.connect(tmp_path / "samples.sqlite") as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_file_that_is_no_database_is_named(process, tmp_path):
    list(conjure.compare_pairs([("a", "b")], process=process, samples=1, out=tmp_path / "run"))
    for path in (tmp_path / "run").glob("samples.sqlite*"):
        path.write_bytes(b"no database" * 100)
    with pytest.raises(ConjureError, match=r"samples\.sqlite' could not be read or written"):
        conjure.compare_pairs([("a", "b")], process=process, samples=1, out=tmp_path / "run")


def test_a_full_disk_is_said_and_leaves_what_was_there(process, tmp_path):
    asked = {"process": process, "out": tmp_path / "run"}
    list(conjure.compare_pairs([("a", "b")], **asked, samples=1))
    run = conjure.compare_pairs([("a", "b")], **asked, samples=600)
    run._run._base.execute("PRAGMA max_page_count = 1")  # as large as it is, and no larger
    with pytest.raises(ConjureError, match="disk is full"):
        list(run)
    assert [r.samples for r in conjure.compare_pairs([("a", "b")], **asked, samples=2)] == [2]


def test_squares_are_stored_in_the_documented_order(process, tmp_path):
    """A file is read as it was written by any version of format 2."""
    asked = {"process": process, "out": tmp_path / "run"}
    list(conjure.compare_pairs([("a", "b")], **asked, samples=1))
    values = np.arange(4 * 2 * 5, dtype="<f8").reshape(4, 2, 5)
    with sqlite3.connect(tmp_path / "run" / "samples.sqlite") as base:
        base.execute("UPDATE samples SET squares = ?", (seal(values, "a", "b", 0),))
    (found,) = conjure.compare_pairs([("a", "b")], **asked, samples=1)
    for number, name in enumerate(("noise", "picture", "step", "printed")):
        np.testing.assert_array_equal(getattr(found.squares, name)[0], values[number])
    (back,) = conjure.compare_pairs([("b", "a")], **asked, samples=1)
    np.testing.assert_array_equal(back.squares.noise[0], values[0, ::-1])
    np.testing.assert_array_equal(back.squares.printed[0], values[3])


@pytest.mark.parametrize("name", conjure.ESTIMANDS)
def test_the_estimand_that_was_asked_for_is_the_one_reported(process, name):
    asked = {"process": process, "samples": 2, "estimand": name}
    alone = conjure.compare("a", "b", **asked)
    value = alone.estimands[name]
    assert value is not None
    assert alone.distance == value.distance
    assert len({v.distance for v in alone.estimands.values() if v is not None}) == 6
    (pair,) = conjure.compare_pairs([("a", "b")], **asked)
    assert pair.distance == pytest.approx(value.distance, rel=1e-9)
    found = conjure.matrix(["a", "b", "c"], **asked)
    assert found.distances[0, 1] == pytest.approx(value.distance, rel=1e-9)
    if alone.is_kl:
        half = sum(row["forward"] for row in alone.profile)
        assert half == pytest.approx(alone.kl_forward)
        assert found.kl is not None


def test_tolerance_stops_where_it_is_reached(process):
    pairs = [*combinations(NAMES, 2), ("a", "a")]
    run = conjure.compare_pairs(pairs, process=process, samples=200, tolerance=0.1, first_round=8)
    taken = {}
    for result in run:
        error = result.standard_error
        assert error is not None
        assert error <= 0.1 * result.distance or result.samples == 200
        taken[result.prompts] = result.samples
    assert taken["a", "a"] == 8  # an error of 0 is small enough
    assert len(set(taken.values())) > 1
    assert run.calls < run.planned
    assert run.imprecise == 0


def test_pairs_that_miss_their_tolerance_are_counted(process):
    run = conjure.compare_pairs(
        combinations(NAMES, 2), process=process, samples=4, tolerance=1e-4, first_round=2
    )
    missed = [r for r in run if r.standard_error and r.standard_error > 1e-4 * r.distance]
    assert run.imprecise == len(missed) > 0


def test_top_spends_its_samples_on_the_nearest(process):
    pairs = list(combinations(NAMES, 2))
    run = conjure.compare_pairs(pairs, process=process, samples=64, top=3, first_round=16)
    taken = {result.prompts: result.samples for result in run}
    everything = conjure.compare_pairs(pairs, process=process, samples=64)
    distances = {result.prompts: result.distance for result in everything}
    nearest = sorted(distances, key=lambda pair: distances[pair])[:3]
    assert all(taken[pair] == 64 for pair in nearest)
    assert sorted(taken.values()) == [16] * 7 + [32] * 4 + [64] * 4
    assert run.calls < everything.calls


def test_max_calls_takes_fewer_samples(process):
    pairs = [("a", "b"), ("c", "d")]
    each = 2 * (4 * 5 - 2)
    run = conjure.compare_pairs(pairs, process=process, samples=16, max_calls=5 * each + 7)
    assert [result.samples for result in run] == [5, 5]
    assert run.calls == run.planned == 5 * each
    with pytest.raises(ConjureError, match=f"takes {each} network calls, and max_calls is 7"):
        conjure.compare_pairs(pairs, process=process, max_calls=7)


def test_max_calls_ends_rounds(process):
    pairs = list(combinations(NAMES, 2))
    asked = {"process": process, "samples": 64, "tolerance": 0.02, "first_round": 4}
    first = 6**2 * 4 * 4 + 6 * 4  # N²(T − 1)k + Nk
    free = conjure.compare_pairs(pairs, **asked)
    list(free)
    for allowed in (first, 3 * first, free.calls):
        run = conjure.compare_pairs(pairs, **asked, max_calls=allowed)
        taken = [result.samples for result in run]
        assert first <= run.calls <= allowed
        assert (run.unfinished > 0) == (allowed < free.calls)
        assert min(taken) >= 4
    with pytest.raises(ConjureError, match="The first 4 samples of each"):
        conjure.compare_pairs(pairs, **asked, max_calls=first - 1)


def test_a_refused_run_does_not_spoil_its_folder(process, tmp_path):
    with pytest.raises(ConjureError, match="max_calls is 3"):
        conjure.compare_pairs([("a", "b")], process=process, out=tmp_path / "run", max_calls=3)
    other = GaussianProcess.build(process.meanings, steps=7)
    list(conjure.compare_pairs([("a", "b")], process=other, samples=1, out=tmp_path / "run"))


def test_the_schedule_is_part_of_the_manifest(process, tmp_path):
    spaced = {
        name: GaussianProcess.build(process.meanings, steps=5, config={"timestep_spacing": name})
        for name in ("leading", "trailing")
    }
    run = {"samples": 1, "out": tmp_path / "run"}
    list(conjure.compare_pairs([("a", "b")], process=spaced["leading"], **run))
    with pytest.raises(RunMismatchError, match="levels"):
        conjure.compare_pairs([("a", "b")], process=spaced["trailing"], **run)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 0}, "samples is a whole number"),
        ({"tolerance": 1.5}, "tolerance is a fraction"),
        ({"top": 0}, "top is a whole number"),
        ({"top": 1, "tolerance": 0.1}, "two ways to stop"),
        ({"tolerance": 0.1, "first_round": 1}, "first_round is a whole number, at least 2"),
        ({"first_round": 4}, "first_round goes with"),
        ({"tolerance": 0.1, "first_round": 0}, "first_round is a whole number, at least 2"),
        ({"top": 2, "window": 2}, "it takes no window"),
        ({"tolerance": 0.1, "samples": 12}, "first looked at after 12 samples"),
        ({"top": 1, "first_round": 16}, "first halved after 16 samples"),
        ({"tolerance": 0.1, "samples": 16, "antithetic": True}, "looked at after 24 samples"),
        ({"max_calls": 0}, "max_calls is a whole number"),
        ({"window": 0}, "window is a whole number"),
        ({"estimand": "girsanow"}, "Did you mean 'girsanov'"),
    ],
)
def test_bad_arguments_are_refused_at_once(process, arguments, message):
    with pytest.raises(ConjureError, match=message):
        conjure.compare_pairs([("a", "b")], process=process, **arguments)


@pytest.mark.parametrize(
    "pairs",
    [["ab"], [("a",)], [("a", 3)], [("a", "unheard of")], [1], [{"a": 1, "b": 2}], [{"a", "b"}],
     [("a", "\ud83d")]],
)  # fmt: skip
def test_what_is_no_pair_is_refused_before_any_work(process, pairs):
    with pytest.raises(ConjureError, match=r"is not two prompts|not 'unheard of'|half of a char"):
        conjure.compare_pairs([("a", "b"), *pairs], process=process)


def test_the_figure_of_a_pair_walks_its_first_sample_again(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=3)
    (result,) = conjure.compare_pairs([("cat", "dog")], process=process, samples=2)
    expected = conjure.compare("cat", "dog", process=process, samples=2).paths()
    assert result.trace is None
    np.testing.assert_allclose(result.paths().states, expected.states, atol=1e-4)


def test_results_come_as_soon_as_their_samples_are_there():
    meanings = {f"{n}": Gaussian(n * np.ones(2), np.eye(2)) for n in range(40)}
    process = replace(GaussianProcess.build(meanings, steps=3), batch_size=4)
    pairs = [(f"{n}", f"{n + 1}") for n in range(0, 40, 2)]
    run = conjure.compare_pairs(pairs, process=process, samples=2, ordered=False)
    made = [run.calls for _ in run]
    assert len(made) == len(pairs)
    assert made[0] < made[10] < made[-1]


@pytest.mark.parametrize("budget", [{"tolerance": 0.3, "first_round": 2}, {"top": 1}, {}])
def test_the_order_of_results_does_not_change_them(process, budget):
    pairs = [("a", "b"), ("c", "d"), ("b", "a"), ("a", "c"), ("a", "a"), ("a", "b")]
    asked = {"process": process, "samples": 16, **budget}
    ordered = list(conjure.compare_pairs(pairs, **asked))
    free = list(conjure.compare_pairs(pairs, **asked, ordered=False))
    assert [r.prompts for r in ordered] == pairs

    def said(results):
        return sorted((r.prompts, r.samples, r.distance) for r in results)

    assert said(free) == said(ordered)


def test_a_stream_says_what_its_windows_take(process):
    stream = iter([("a", "b"), ("c", "d"), ("b", "c")])
    run = conjure.compare_pairs(stream, process=process, samples=2, window=2)
    assert run.planned == 0
    next(run)
    assert run.planned == 2 * 2 * (4 * len(process.levels) - 2)
    assert sum(1 for _ in run) == 2
    assert run.planned == run.calls


def test_a_long_run_knows_how_long_it_will_take(process):
    meanings = {name: meaning for name, meaning in process.meanings.items() if name}
    bare = GaussianProcess.build(meanings, steps=5)  # which knows no empty prompt
    run = conjure.compare_pairs([("a", "b")], process=bare, samples=400)
    assert run.planned == 7200
    assert run.seconds_per_call is not None
    assert 0 < run.seconds_per_call < 1


def test_speed_is_measured_until_it_no_longer_grows(process):
    now = [0.0]

    class Paced(GaussianProcess):
        def predict(self, x, step, prompts):
            now[0] += 1.0 + 0.1 * max(0, len(prompts) - 8)
            return super().predict(x, step, prompts)

    paced = Paced(process.meanings, process.sampler, process.grid)
    found = measure_speed(paced, ("a",), clock=lambda: now[0])
    assert found.batch_size >= 64
    assert found.seconds_per_call == pytest.approx(0.1, rel=0.2)


def test_speed_stops_at_the_memory_that_there_is(process):
    class Small(GaussianProcess):
        def predict(self, x, step, prompts):
            if len(prompts) > 5:
                raise torch.OutOfMemoryError("full")
            return super().predict(x, step, prompts)

    small = Small(process.meanings, process.sampler, process.grid)
    assert measure_speed(small, ("a",)).batch_size <= 4


def test_prompts_against_themselves_beside_kept_paths():
    """A block of them alone, whose paths are all known, has nothing to ask."""
    meanings = {f"{n}": Gaussian(n * np.ones(2), np.eye(2)) for n in range(12)}
    process = replace(GaussianProcess.build(meanings, steps=3), batch_size=1)
    pairs = [(a, b) for a in meanings for b in meanings]
    for result in conjure.compare_pairs(pairs, process=process, samples=2):
        assert (result.distance == 0) == (result.prompts[0] == result.prompts[1])


def test_settings_of_two_processes_do_not_mix(process, tmp_path):
    other = GaussianProcess.build(process.meanings, steps=7)
    one = conjure.compare_pairs([("a", "b")], process=process, samples=1, out=tmp_path / "run")
    two = conjure.compare_pairs([("a", "b")], process=other, samples=1, out=tmp_path / "run")
    with pytest.raises(RunMismatchError, match="with other settings meanwhile"):
        list(one)
    assert len(list(two)) == 1
    kept = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert kept["process"]["steps"] == 7


def test_a_pair_that_returns_is_paid_once(process):
    pairs = [("a", "b"), ("c", "d"), ("a", "b"), ("b", "a"), ("c", "d"), ("e", "f")]
    once = [*list(dict.fromkeys(pairs))[:2], ("e", "f")]
    for budget in ({}, {"tolerance": 0.2, "first_round": 2}):
        asked = {"process": process, "samples": 8, "window": 2, **budget}
        run = conjure.compare_pairs(pairs, max_calls=10_000, **asked)
        plain = conjure.compare_pairs(once, max_calls=10_000, **asked)
        assert run.planned == plain.planned
        assert [r.samples for r in run][-1] == [r.samples for r in plain][-1]
        assert run.calls == plain.calls


def antithetic_process():
    meanings = {name: gaussians("full", dimension=8, seed=n)["a"] for n, name in enumerate("ab")}
    return GaussianProcess.build(meanings, steps=5)


def test_antithetic_samples_have_the_same_mean_and_less_variance():
    process = antithetic_process()
    exact = estimate(
        conjure.ESTIMANDS["girsanov"], expected_squares(process, "a", "b"), process.levels, kl=True
    ).distance
    plain = conjure.compare("a", "b", process=process, samples=4000)
    paired = conjure.compare("a", "b", process=process, samples=4000, antithetic=True)
    for result in (plain, paired):
        assert result.standard_error is not None
        assert abs(result.distance - exact) < 4 * result.standard_error
    assert paired.standard_error is not None
    assert plain.standard_error is not None
    assert paired.standard_error < 0.8 * plain.standard_error
    means = [
        conjure.compare("a", "b", process=process, samples=32, seed=s, antithetic=True)
        for s in range(300)
    ]
    said = np.mean([m.standard_error for m in means if m.standard_error is not None])
    assert np.std([m.distance for m in means]) == pytest.approx(said, rel=0.15)
    low, high = zip(*(m.interval() or (0, 0) for m in means), strict=True)
    covered = np.mean((np.array(low) <= exact) & (exact <= np.array(high)))
    assert 0.90 <= covered <= 0.985


def test_the_error_of_few_antithetic_pairs_is_unknown(tmp_path):
    process = antithetic_process()
    few = conjure.compare("a", "b", process=process, samples=14, antithetic=True)
    assert few.standard_error is None
    assert few.interval() is None
    asked = {"process": process, "antithetic": True}
    with pytest.raises(ConjureError, match="15 is odd, take 16"):
        conjure.compare("a", "b", samples=15, **asked)
    (run,) = conjure.compare_pairs([("a", "b")], samples=16, out=tmp_path / "run", **asked)
    alone = conjure.compare("a", "b", samples=16, **asked)
    assert run.distance == pytest.approx(alone.distance, rel=1e-12)
    assert run.standard_error == pytest.approx(alone.standard_error)
    assert run.antithetic
    with pytest.raises(RunMismatchError, match="noise"):
        conjure.compare_pairs([("a", "b")], process=process, samples=16, out=tmp_path / "run")
    more = conjure.compare_pairs([("a", "b")], samples=32, out=tmp_path / "run", **asked)
    assert next(more).samples == 32
    assert more.calls == alone.calls
    budget = conjure.compare_pairs([("a", "b")], samples=32, max_calls=7 * 18 + 5, **asked)
    assert budget.samples == 6
