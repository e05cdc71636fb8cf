"""A divergence over how much is said: closed forms, its error, and what it asks of the network."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import gaussians
from hypothesis import given, settings
from hypothesis import strategies as st

import conjure
from conjure import Gaussian, GaussianProcess
from conjure.engine.jobs import Job, count_calls
from conjure.errors import ConjureError
from conjure.evaluate import Examples, evaluate
from conjure.evaluate.run import build_methods
from conjure.methods.base import Request, folder_name, host
from conjure.operations.relative import relate, relative_pairs, samples_of_ratio, with_reference


def means(**named) -> GaussianProcess:
    """Prompts that mean one Gaussian, moved."""
    return GaussianProcess.build(
        {name: Gaussian(np.array(mean, float), np.eye(2)) for name, mean in named.items()}, steps=5
    )


@pytest.fixture
def oracle() -> GaussianProcess:
    """Prompts that mean Gaussians of all shapes."""
    meanings, rng = gaussians("full"), np.random.default_rng(1)
    return GaussianProcess.build(meanings | {"c": Gaussian(rng.normal(size=3), np.eye(3))})


coordinate = st.floats(-3, 3).map(lambda x: round(x, 2))
moved = st.tuples(coordinate, coordinate).filter(lambda v: abs(v[0]) + abs(v[1]) > 0.1)


@settings(max_examples=25, deadline=None)
@given(u=moved, v=moved, size=st.sampled_from([0.5, 2.0, 3.0]))
def test_on_shifted_gaussians_it_is_that_of_vectors(u, v, size):
    """‖u − v‖²/(‖u‖² + ‖v‖²), whatever both are multiplied by."""
    u, v = np.array(u), np.array(v)
    exact = np.square(u - v).sum() / (np.square(u).sum() + np.square(v).sum())
    for scale in (1.0, size):
        process = means(**{"": (0, 0), "a": scale * u, "b": scale * v})
        there, back = relative_pairs([("a", "b"), ("b", "a")], process=process, samples=2)
        assert there.distance == pytest.approx(exact, rel=1e-5, abs=1e-9)
        assert back.distance == pytest.approx(there.distance, rel=1e-9, abs=1e-12)


def test_one_meaning_none_and_nothing_in_common():
    process = means(**{"": (0, 0), "a": (1, 2), "same": (1, 2), "none": (0, 0), "b": (-2, 1)})
    pairs = [("a", "same"), ("a", "a"), ("a", "none"), ("a", ""), ("", "none"), ("a", "b")]
    found = list(relative_pairs(pairs, process=process, samples=3))
    assert [r.distance for r in found] == pytest.approx([0, 0, 1, 1, 0, 1], abs=1e-9)
    assert found[4].interval() == (0.0, 0.0)
    assert found[0].prompts == ("a", "same")
    with pytest.raises(ValueError, match="between 0 and 1"):
        found[0].interval(95)


def test_it_is_the_ratio_of_three_comparisons(oracle):
    one, = relative_pairs(
        [("a", "b")], process=oracle, reference="c", samples=4, seed=3, estimand="score",
    )  # fmt: skip
    apart, first, second = (
        conjure.compare(*pair, process=oracle, samples=4, seed=3, estimand="score").distance
        for pair in (("a", "b"), ("a", "c"), ("b", "c"))
    )
    assert one.said == pytest.approx(first + second, rel=1e-9)
    assert one.distance == pytest.approx(apart / (first + second), rel=1e-9)
    assert one.per_sample.mean() == pytest.approx(one.distance, rel=1e-9)
    low, high = one.interval() or (0, 0)
    assert 0 < low < one.distance < high
    assert next(relative_pairs([("a", "b")], process=oracle, samples=1)).interval() is None


def test_its_error_is_how_much_other_noise_moves_it(oracle):
    asked = {"process": oracle, "reference": "c", "samples": 12}
    runs = [next(relative_pairs([("a", "b")], seed=s, **asked)) for s in range(60)]
    spread = np.std([r.distance for r in runs], ddof=1)
    said = np.mean([r.standard_error or 0 for r in runs])
    # The spread of 60 values is known to 9%, and 12 samples give an error 2% too small.
    assert said == pytest.approx(spread, rel=0.3)
    # Much of the noise is common to both parts: taken as independent they would say more.
    one, other = (r.standard_error or 0 for r in (runs[0], runs[0].pair))
    assert one / runs[0].distance != pytest.approx(other / runs[0].pair.distance, rel=0.01)


def test_paths_are_walked_once(oracle):
    pairs = [("a", "b"), ("a", "c")]
    found = relative_pairs(pairs, process=oracle, samples=2)
    listed = list(with_reference(pairs, ""))
    jobs = [Job(*pair, sample) for pair in listed for sample in range(2)]
    assert found.run.planned == count_calls(oracle, jobs)
    one, other = found
    assert found.run.calls == found.run.planned
    assert [one.prompts, other.prompts] == pairs
    assert one.first is other.first


def test_pairs_and_their_prompts_are_planned_together():
    """Of pairs that share no prompt, in windows of whole pairs, no path is walked again."""
    names = [f"p{number}" for number in range(12)]
    process = means(**{"": (0, 0)}, **{name: (n, 1) for n, name in enumerate(names)})
    listed = list(with_reference(zip(names[::2], names[1::2], strict=True), ""))
    run = conjure.compare_pairs(listed, process=process, samples=2, window=6)
    found = list(relate(run))
    assert len(found) == 6
    # But for those from the reference, which each window needs.
    assert run.rewalked == 2 * 2


def test_a_stream_is_read_as_it_is_needed(oracle):
    asked = []

    def stream():
        for number in range(400):
            asked.append(number)
            yield ("a", "b") if number % 2 else ("b", "c")

    found = relative_pairs(stream(), process=oracle, samples=1024)
    assert next(found).prompts == ("b", "c")
    assert len(asked) < 100


def test_opposite_noise_comes_in_pairs(oracle):
    (one,) = relative_pairs([("a", "b")], process=oracle, samples=16, antithetic=True)
    assert one.replicate == 2
    assert one.per_sample.shape == (16,)
    halves = one.per_sample.reshape(8, 2).mean(1)
    assert one.standard_error == pytest.approx(halves.std(ddof=1) / np.sqrt(8))


def test_other_samples_of_one_part_are_refused(oracle):
    few, many = (
        conjure.compare_pairs(with_reference([("a", "b")], ""), process=oracle, samples=k)
        for k in (2, 3)
    )
    with pytest.raises(ConjureError, match="same samples"):
        next(relate(iter([next(few), *list(many)[1:]])))


def test_samples_of_a_ratio_keep_the_ratio():
    distances, said = np.array([[1.0, 4.0, 2.0]]), np.array([[2.0, 3.0, 5.0]])
    assert samples_of_ratio(distances, said).mean() == pytest.approx(0.7)
    assert samples_of_ratio(np.zeros(3), np.zeros(3)).tolist() == [0, 0, 0]
    assert samples_of_ratio(np.ones(3), np.zeros(3)).tolist() == [0, 0, 0]


def test_bad_pairs_are_refused(oracle):
    for bad in [("a", "b", "c"), 1, ("a", ["b"]), "ab"]:
        with pytest.raises(ConjureError, match="Pair 2 is not two prompts"):
            relative_pairs([("a", "b"), bad], process=oracle)  # pyright: ignore


def test_as_a_method_it_shares_what_conjuring_asked(oracle, tmp_path):
    pairs = [("a", "b"), ("b", "c"), ("a", "a")]
    ours, relative, other = build_methods(
        ["conjuring", "relative", "relative:c"], Request(lambda: oracle, samples=3)
    )
    then = relative.measure(pairs, tmp_path / folder_name(ours))
    assert then.calls == relative.cost(pairs, None)
    assert ours.measure(pairs, tmp_path / folder_name(host(relative))).calls == 0
    (other_way := tmp_path / "other way").mkdir()
    first = ours.measure(pairs, other_way / folder_name(ours))
    left = relative.cost(pairs, other_way / folder_name(ours))
    again = relative.measure(pairs, other_way / folder_name(ours))
    assert 0 < again.calls == left < then.calls
    assert first.calls == ours.cost(pairs, None)
    for column, values in then.distances.items():
        assert values.shape == (3, 3), column
        assert values == pytest.approx(again.distances[column], rel=1e-6, abs=1e-12)
    expected = list(relative_pairs(pairs, process=oracle, samples=3))
    assert then.distances["girsanov"].mean(1) == pytest.approx([r.distance for r in expected])
    other_one = other.measure(pairs, tmp_path / folder_name(host(other))).distances["girsanov"]
    assert other_one[0].mean() != pytest.approx(expected[0].distance, rel=0.01)
    with pytest.raises(ConjureError):
        relative.check(["unheard of"])


@pytest.mark.parametrize(
    "methods",
    [["conjuring", "relative"], ["relative", "conjuring"], ["conjuring"], ["relative:c"]],
)
def test_an_evaluation_asks_once_in_either_order_and_says_so(oracle, methods):
    pairs = (("a", "b"), ("b", "c"), ("a", "c"))
    examples, announced = Examples("three", pairs, np.arange(3.0), {}, False), []
    found = evaluate([examples], methods, process=oracle, samples=2, announce=announced.append)
    assert [found.calls] == [plan.calls for plan in announced]
    assert list(dict.fromkeys(score.method for score in found.scores)) == methods


def test_of_several_references_no_more_is_asked_than_announced(oracle):
    pairs = (("a", "b"), ("b", "c"), ("a", "c"))
    examples, announced = Examples("three", pairs, np.arange(3.0), {}, False), []
    methods = ["conjuring", "relative:a", "relative:c"]
    found = evaluate([examples], methods, process=oracle, samples=2, announce=announced.append)
    assert found.calls <= announced[0].calls
