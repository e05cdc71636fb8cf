"""Pairs in windows: the same numbers and the same calls, whatever the windows."""

from __future__ import annotations

import tracemalloc
from contextlib import closing

import numpy as np
import pytest

import conjure
from conjure import ConjureError, Gaussian, GaussianProcess
from conjure.operations import matrix as matrix_module
from conjure.operations import windows
from conjure.operations.costs import Costs, Price
from conjure.operations.sampling import Sampling
from conjure.operations.windows import Grid, Listed, Seen
from conjure.store.opening import open_run

NAMES = [f"prompt {n}" for n in range(11)]


@pytest.fixture(params=[1.0, 3.0], ids=["plain", "guided"])
def process(request):
    meanings = {n: Gaussian(i * np.ones(2) / 4, np.eye(2)) for i, n in enumerate(["", *NAMES])}
    return GaussianProcess.build(meanings, steps=4, guidance=request.param)


@pytest.fixture
def tiled(monkeypatch):
    """Windows of at most nine pairs, in place of a hundred thousand samples."""
    monkeypatch.setattr(windows, "LEAST_SIDE", 3)
    monkeypatch.setattr(matrix_module, "MOST_JOBS", 9)


@pytest.mark.parametrize("sampling", [{"samples": 3}, {"samples": 40, "tolerance": 0.4}])
def test_a_matrix_in_tiles_is_the_same_matrix(process, sampling, tiled, monkeypatch, tmp_path):
    found = conjure.matrix(NAMES, process=process, out=tmp_path / "run", **sampling)
    with monkeypatch.context() as other:
        other.setattr(matrix_module, "MOST_JOBS", 2**20)
        whole = conjure.matrix(NAMES, process=process, **sampling)
    np.testing.assert_allclose(found.distances, whole.distances, rtol=1e-9)
    np.testing.assert_array_equal(found.samples, whole.samples)
    assert found.calls <= whole.calls + (3 * 4 if process.guidance > 1 else 0)
    assert found.spent is not None
    assert found.spent.rewalked == 0


def test_tiles_make_every_call_once(process, tiled, tmp_path):
    plans = []
    found = conjure.matrix(NAMES, process=process, samples=3, announce=plans.append)
    count, steps, k = len(NAMES), 4, 3
    conditional = count**2 * (steps - 1) * k + count * k
    unconditional = 0 if process.guidance == 1 else count * (steps - 1) * k + k
    assert found.calls == conditional + unconditional
    # A window cannot know that the first state's unconditional prediction is there already.
    tiles = 4 if process.guidance > 1 else 1
    assert found.calls <= plans[0].calls <= found.calls + (tiles - 1) * k


def test_prices_by_formula_are_those_of_the_pairs(process, tiled, monkeypatch):
    grid = Grid(NAMES, 9, 3)
    sampling = Sampling(samples=3)
    with closing(open_run(None, {})) as run:
        by_formula, by_pairs = Costs(process, run, sampling), Costs(process, run, sampling)
        by_formula.plan(grid)
        monkeypatch.setattr(Grid, "sizes", lambda self: None)
        by_pairs.plan(grid)
    assert by_formula.planned == by_pairs.planned > 0


def test_what_is_stored_is_not_paid_twice(process, tiled, tmp_path):
    some = conjure.matrix(NAMES[:6], process=process, samples=2, out=tmp_path / "run")
    plans = []
    options = {"process": process, "samples": 3, "out": tmp_path / "run"}
    rest = conjure.matrix(NAMES, announce=plans.append, **options)
    alone = conjure.matrix(NAMES, process=process, samples=3)
    # The first six are crossed at all states but the first, both ways, for two of the samples.
    saved = 2 * 15 * 2 * 3
    assert some.calls > saved
    assert rest.calls >= alone.calls - saved
    assert plans[0].calls >= rest.calls
    again = conjure.matrix(NAMES, announce=plans.append, **options)
    assert (again.calls, plans[1].calls) == (0, 0)
    np.testing.assert_array_equal(again.distances, rest.distances)


def test_twenty_thousand_prompts_are_priced_without_their_pairs(monkeypatch):
    names = [f"{n}" for n in range(20_000)]
    process = GaussianProcess.build({n: Gaussian(np.zeros(1), np.eye(1)) for n in names}, steps=10)
    monkeypatch.setattr(Grid, "__iter__", lambda self: pytest.fail("the pairs were listed"))
    tracemalloc.start()
    with pytest.raises(ConjureError, match=r"each of 199,990,000 comparisons takes 3,600,020,000"):
        conjure.matrix(names, process=process, max_calls=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20


def test_a_billion_samples_are_refused_at_once(process):
    with pytest.raises(ConjureError, match="samples is a whole number, at least 1 and at most"):
        conjure.compare_pairs([("a", "b")], process=process, samples=10**9)


def test_a_million_samples_are_priced_by_formula(process):
    pair = [(NAMES[0], NAMES[1])]
    run = conjure.compare_pairs(pair, process=process, samples=10**6, max_calls=10**4)
    one = conjure.compare_pairs(pair, process=process, samples=1).plan.calls
    assert run.samples == 10**4 // one
    run.close()


def test_seen_knows_what_was_there():
    seen = Seen()
    pairs = [(str(n), str(n + 1)) for n in range(100)]
    assert seen.fresh(pairs[:7]) == pairs[:7]
    assert seen.fresh(pairs[5:9]) == pairs[7:9]
    assert seen.fresh(pairs) == pairs[9:]
    assert seen.fresh(pairs) == []


def test_listed_pairs_are_counted_once_over_windows(process):
    pairs = [(NAMES[0], NAMES[1]), (NAMES[2], NAMES[3]), (NAMES[1], NAMES[0])]
    with closing(open_run(None, {})) as run:
        costs = Costs(process, run, Sampling(samples=2))
        costs.plan(Listed(pairs, 1, foreseen=True))
        once = Costs(process, run, Sampling(samples=2))
        once.plan(Listed(pairs[:2], 1, foreseen=True))
    assert costs.planned == once.planned


def test_prices_add_up():
    one, two = Price((5, 7), 10), Price((1,), 3)
    both = one + two
    assert [both.of(n) for n in range(4)] == [one.of(n) + two.of(n) for n in range(4)]
    assert two + one == both
