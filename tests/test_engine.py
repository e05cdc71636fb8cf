"""The engine against the naive loop, and the laws that any distance of ours obeys."""

from __future__ import annotations

import dataclasses
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import each_sampler, gaussians
from hypothesis import given, settings
from hypothesis import strategies as st

import conjure
from benchmarks.naive import naive_distances
from conjure import ConjureError, Gaussian, GaussianProcess
from conjure.engine import execute, memory
from conjure.engine.block import run_block
from conjure.engine.jobs import Block, Job
from conjure.engine.network import Network
from conjure.engine.noise import standard_normal
from conjure.engine.paths import PathCache
from conjure.engine.plan import Limits, last_uses, plan_blocks
from conjure.errors import EstimandUnavailableError, NonFinitePredictionError, UnknownNameError
from conjure.process.prediction import Prediction


def assert_equals_naive(process, a, b, samples, rel):
    result = conjure.compare(a, b, process=process, samples=samples, seed=5)
    naive, calls = naive_distances(process, a, b, samples=samples, seed=5)
    steps = len(process.levels)
    guided = process.guidance > 1
    ahead = len(process.visits) - steps  # looks ahead, which are not scored
    each = 6 * steps - 3 + 4 * ahead if guided else 4 * steps - 2 + 2 * ahead
    assert result.calls == each * samples
    assert calls == (8 * steps + 4 * ahead if guided else 4 * steps + 2 * ahead) * samples
    for name, found in result.estimands.items():
        if found is None:
            assert name not in naive or steps == 1
            continue
        assert name in naive, f"write {name} out in benchmarks/naive.py::sums"
        forward, reverse = found.per_state.sum(1) / 2
        assert forward == pytest.approx(naive[name][0], rel=rel), name
        assert reverse == pytest.approx(naive[name][1], rel=rel), name
    return result


@each_sampler
@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_oracle_equals_the_naive_loop(sampler, eta, guidance):
    process = GaussianProcess.build(
        gaussians("full"), sampler=sampler, eta=eta, steps=7, guidance=guidance
    )
    assert_equals_naive(process, "a", "b", samples=3, rel=1e-9)


@each_sampler
@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_pipeline_equals_the_naive_loop(pipeline_folder, sampler, eta, guidance):
    process = conjure.load(
        pipeline_folder, sampler=sampler, eta=eta, steps=4, guidance=guidance, dtype="float64"
    )
    assert_equals_naive(process, "cat", "dog", samples=2, rel=1e-9)


@pytest.mark.parametrize("kind", ["v_prediction", "sample", "zero-snr"])
def test_every_prediction_type_equals_the_naive_loop(pipeline_folders, kind):
    process = conjure.load(pipeline_folders[kind], steps=4, dtype="float64")
    assert_equals_naive(process, "cat", "dog", samples=2, rel=1e-9)


def test_float32_stays_close_to_float64(pipeline_folder):
    narrow, wide = (
        conjure.compare(
            "cat", "dog", process=conjure.load(pipeline_folder, steps=6, dtype=d), samples=4
        )
        for d in ("float32", "float64")
    )
    for name, estimate in wide.estimands.items():
        found = narrow.estimands[name]
        assert found is not None
        assert estimate is not None
        assert found.distance == pytest.approx(estimate.distance, rel=1e-3), name


@pytest.mark.parametrize("batch_size", [1, 3, 4, 7, 64])
def test_batch_size_does_not_matter(pipeline_folder, batch_size):
    process = conjure.load(
        pipeline_folder, steps=3, guidance=2.0, dtype="float64", batch_size=batch_size
    )
    reference = conjure.load(pipeline_folder, steps=3, guidance=2.0, dtype="float64")
    found = conjure.compare("cat", "dog", process=process, samples=5)
    expected = conjure.compare("cat", "dog", process=reference, samples=5)
    np.testing.assert_allclose(found.squares.noise, expected.squares.noise, rtol=1e-9)
    assert found.calls == expected.calls


def test_memory_errors_halve_the_batch(oracle):
    class Small(GaussianProcess):
        def predict(self, x, step, prompts):
            if len(prompts) > 3:
                raise torch.OutOfMemoryError("full")
            return super().predict(x, step, prompts)

    small = Small(oracle.meanings, oracle.sampler, oracle.grid)
    found = conjure.compare("a", "b", process=small, samples=6)
    expected = conjure.compare("a", "b", process=oracle, samples=6)
    np.testing.assert_allclose(found.squares.noise, expected.squares.noise, rtol=1e-12)
    assert found.calls == expected.calls


def test_memory_error_on_a_single_row_is_explained(oracle):
    class Full(GaussianProcess):
        def predict(self, x, step, prompts):
            raise torch.OutOfMemoryError("full")

    process = Full(oracle.meanings, oracle.sampler, oracle.grid)
    with pytest.raises(ConjureError, match="single network call"):
        conjure.compare("a", "b", process=process)


def jobs(samples, a="a", b="b"):
    return [Job(a, b, sample) for sample in samples]


def test_later_samples_extend_earlier_ones(oracle):
    network = Network(oracle)
    few, _ = run_block(oracle, network, jobs(range(4)), seed=1)
    rest, _ = run_block(oracle, network, jobs(range(4, 9)), seed=1)
    every, _ = run_block(oracle, network, jobs(range(9)), seed=1)
    np.testing.assert_allclose(np.concatenate([few.noise, rest.noise]), every.noise, rtol=1e-12)


def test_a_prompt_is_no_distance_from_itself(oracle, pipeline_folder):
    assert conjure.compare("a", "a", process=oracle).distance < 1e-20
    process = conjure.load(pipeline_folder, steps=3)
    assert conjure.compare("cat", "cat", process=process, samples=2).distance < 1e-8


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    guidance=st.sampled_from([1.0, 3.0]),
    dimension=st.integers(1, 4),
    sampler=st.sampled_from(["ddim", "ddpm", "euler", "euler-ancestral"]),
)
def test_swapping_the_prompts_swaps_the_divergences(seed, guidance, dimension, sampler):
    meanings = gaussians("full", dimension, seed % 1000)
    process = GaussianProcess.build(meanings, sampler=sampler, steps=4, guidance=guidance)
    there = conjure.compare("a", "b", process=process, samples=3, seed=seed)
    back = conjure.compare("b", "a", process=process, samples=3, seed=seed)
    assert there.distance == pytest.approx(back.distance, rel=1e-9)
    assert there.distance >= 0
    if there.is_kl:
        assert there.kl_forward == pytest.approx(back.kl_reverse, rel=1e-9)
        assert (there.kl_forward or 0) + (there.kl_reverse or 0) == there.distance
    for name, found in there.estimands.items():
        other = back.estimands[name]
        assert (found is None) == (other is None)
        if found is not None and other is not None:
            assert found.distance == pytest.approx(other.distance, rel=1e-9), name


@settings(max_examples=15, deadline=None)
@given(w=st.floats(1.01, 20))
def test_differences_scale_with_guidance_where_paths_have_not_parted(w):
    """At the shared first state Δε̂ = w(ε̂₁ − ε̂₂), whatever the unconditional branch says."""
    plain = GaussianProcess.build(gaussians("full"), steps=2)
    guided = GaussianProcess.build(gaussians("full"), steps=2, guidance=w)
    one = conjure.compare("a", "b", process=plain, samples=2).squares.noise[..., 0]
    two = conjure.compare("a", "b", process=guided, samples=2).squares.noise[..., 0]
    np.testing.assert_allclose(two, w**2 * one, rtol=1e-9)


def test_a_process_that_ignores_its_prompt_has_no_meaning():
    same = Gaussian(np.zeros(2), np.eye(2))
    process = GaussianProcess.build({"a": same, "b": same, "": same}, guidance=3.0)
    result = conjure.compare("a", "b", process=process)
    # as-printed compares different states: equal here too, since the paths never part.
    assert all(e is not None and e.distance < 1e-20 for e in result.estimands.values())
    assert result.distance == 0
    assert result.interval() == (0.0, 0.0)


def test_noise_is_a_function_of_seed_sample_and_step():
    draws = {
        (s, j, i): standard_normal(s, j, i, (64,)) for s in (0, 1) for j in (0, 1) for i in (0, 1)
    }
    for key, value in draws.items():
        assert value.dtype == torch.float32
        assert value.equal(standard_normal(*key, (64,)))
        others = [v for k, v in draws.items() if k != key]
        assert all(abs(np.corrcoef(value, other)[0, 1]) < 0.5 for other in others)


def test_noise_is_standard_normal():
    from scipy.stats import kstest

    values = torch.cat([standard_normal(0, j, 0, (500,)) for j in range(20)])
    assert kstest(values.numpy(), "norm").pvalue > 1e-3


def test_call_count_formulas():
    """The engine's own costs, from a pair to all against all."""
    T, k, n = 20, 16, 5
    assert Block(jobs(range(k))).calls(range(T), guided=False) == 4 * T * k - 2 * k
    assert Block(jobs(range(k))).calls(range(T), guided=True) == 6 * T * k - 3 * k
    prompts = [str(i) for i in range(n)]
    square = Block([Job(a, b, j) for a, b in combinations(prompts, 2) for j in range(k)])
    conditional = n**2 * (T - 1) * k + n * k
    assert square.calls(range(T), guided=False) == conditional
    assert square.calls(range(T), guided=True) == conditional + n * (T - 1) * k + k


def test_calls_are_reported_as_they_are_made(oracle):
    seen: list[int] = []
    network = Network(oracle, seen.append)
    run_block(oracle, network, jobs(range(3)), seed=0)
    assert sum(seen) == network.calls == Block(jobs(range(3))).calls(range(10), guided=False)


@each_sampler
@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("batch_size", [1, 5, 8, 64])
def test_a_job_does_not_mind_its_neighbours(sampler, eta, guidance, batch_size):
    """Pairs that share prompts, repeat, turn round or compare a prompt with itself."""
    meanings = gaussians("full") | {"c": gaussians("full", seed=1)["a"]}
    process = GaussianProcess.build(meanings, sampler=sampler, eta=eta, steps=4, guidance=guidance)
    many = [Job("a", "b", 0), Job("b", "c", 1), Job("c", "a", 0), Job("b", "a", 0)]
    many += [Job("a", "b", 3), Job("c", "c", 1), Job("a", "b", 0)]
    network = Network(dataclasses.replace(process, batch_size=batch_size))
    together, _ = run_block(process, network, many, seed=2)
    assert network.calls == Block(many).calls(process.visits, guidance > 1)
    for row, job in enumerate(many):
        alone, _ = run_block(process, Network(process), [job], seed=2)
        for name in ("noise", "picture", "step", "printed"):
            found, expected = getattr(together, name)[row], getattr(alone, name)[0]
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-20, err_msg=name)


def test_the_trace_does_not_mind_its_neighbours(oracle):
    many = [Job("b", "a", 0), Job("a", "b", 2), Job("a", "a", 1)]
    for place, job in enumerate(many):
        _, together = run_block(oracle, Network(oracle), many, seed=2, trace=place)
        _, alone = run_block(oracle, Network(oracle), [job], seed=2, trace=0)
        assert together is not None
        assert alone is not None
        assert together.sample == alone.sample == job.sample
        np.testing.assert_allclose(together.states, alone.states, rtol=1e-5)
        np.testing.assert_allclose(together.pictures, alone.pictures, rtol=1e-5)


def test_blocks_hold_no_more_paths_than_fit(oracle):
    assert Limits.of(oracle, 64, path_bytes=6 * 8 * 3 * 10).paths == 10
    many = [Job(a, b, j) for j in (0, 1) for a, b in combinations(map(str, range(12)), 2)]
    blocks = plan_blocks(many, Limits(paths=6, batch_size=64, guided=False))
    assert sorted(job for block in blocks for job in block) == sorted(many)
    assert max(len(Block(block).paths) for block in blocks) == 6
    # Four tiles of three prompts make ten squares of tiles a sample, some in one block.
    assert len(blocks) <= 2 * 10


def test_blocks_of_strangers_fill_their_passes():
    many = [Job(f"{n}", f"{n}'", 0) for n in range(1000)]
    blocks = plan_blocks(many, Limits(paths=10_000, batch_size=64, guided=False))
    assert {len(block) for block in blocks[:-1]} == {64}  # 4 rows a pair, 4 passes of 64


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("size", [0, 1000, 10**9])
def test_kept_paths_are_not_walked_again(tmp_path, guidance, size):
    meanings = {str(n): gaussians("full", seed=n)["a"] for n in range(9)}
    meanings[""] = meanings["0"]
    process = GaussianProcess.build(meanings, steps=4, guidance=guidance)
    many = [Job(a, b, 0) for a, b in combinations(map(str, range(9)), 2)]
    blocks = plan_blocks(many, Limits(paths=4, batch_size=64, guided=guidance > 1))
    cache = PathCache(tmp_path, size)
    network, last = Network(process), last_uses(blocks)
    for block in blocks:
        before, known, started = network.calls, cache.hits, len(cache.starts)
        found, _ = run_block(process, network, block, 0, cache=cache, keep=last)
        walked = cache.hits - known
        assert network.calls - before == Block(block).calls(range(4), guidance > 1, walked, started)
        for row, job in enumerate(block):
            alone, _ = run_block(process, Network(process), [job], 0)
            np.testing.assert_allclose(found.noise[row], alone.noise[0], rtol=1e-9)
            np.testing.assert_allclose(found.step[row], alone.step[0], rtol=1e-9)
    needed = sum(len(Block(block).paths) for block in blocks) - 9
    if size in (0, 10**9):
        assert cache.hits == (needed if size else 0)
    else:
        assert 0 < cache.hits < needed
    assert list(tmp_path.iterdir()) == []  # the file has no name


def test_a_full_disk_stops_the_keeping_of_paths_and_nothing_else(tmp_path):
    rows = np.arange(24.0).reshape(2, 3, 4)
    cache = PathCache(tmp_path, 10**6)
    one, two, three = ("a", 0), ("b", 0), ("c", 0)
    assert cache.reserve([one], 2 * rows[0].nbytes) == [one]
    for step in range(2):
        cache.write([one], step, 2, rows[:1] + step)
    assert cache.reserve([two, three], 2 * rows[0].nbytes) == [two, three]
    cache.write([two, three], 0, 2, rows)

    class Full:
        def __init__(self, file):
            self.seek, self.read = file.seek, file.read

        def write(self, data):
            raise OSError(28, "No space left on device")

    cache._file = Full(cache._file)  # pyright: ignore[reportAttributeAccessIssue]
    cache.write([two, three], 1, 2, rows)
    assert one in cache
    assert two not in cache
    assert three not in cache
    assert cache.reserve([three], 8) == []
    np.testing.assert_array_equal(cache.read([one], 1, 2), rows[:1] + 1)
    cache.drop(one)
    assert cache.reserve([three], 8) == []


def test_non_finite_predictions_name_step_dtype_and_remedy(oracle):
    class Broken(GaussianProcess):
        def predict(self, x, step, prompts):
            good = super().predict(x, step, prompts)
            return Prediction(good.noise / (0 if step == 3 else 1), good.picture)

        @property
        def dtype(self):
            return torch.float16

    process = Broken(oracle.meanings, oracle.sampler, oracle.grid)
    with pytest.raises(NonFinitePredictionError, match=r"step 4 of 10, in float16.*float32"):
        conjure.compare("a", "b", process=process)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 0}, "samples is a whole number, at least 1"),
        ({"samples": 2.5}, "samples is a whole number"),
        ({"seed": -1}, "seed is a whole number, at least 0"),
        ({"estimand": "girsanow"}, "Did you mean 'girsanov'"),
    ],
)
def test_bad_arguments_are_refused(oracle, arguments, message):
    with pytest.raises(ConjureError, match=message):
        conjure.compare("a", "b", process=oracle, **arguments)


def test_prompts_are_strings(oracle):
    with pytest.raises(ConjureError, match="A prompt is a string, not int"):
        conjure.compare("a", 7, process=oracle)  # pyright: ignore[reportArgumentType]


def test_ancestral_of_a_deterministic_sampler_is_refused():
    process = GaussianProcess.build(gaussians("full"), sampler="euler")
    with pytest.raises(EstimandUnavailableError, match="euler with these settings draws none"):
        conjure.compare("a", "b", process=process, estimand="ancestral")


def test_one_step_has_no_path_divergence():
    process = GaussianProcess.build(gaussians("full"), steps=1)
    result = conjure.compare("a", "b", process=process, estimand="epsilon")
    assert result.estimands["girsanov"] is None
    assert result.estimands["ancestral"] is None
    with pytest.raises(EstimandUnavailableError, match="at least 2 steps"):
        conjure.compare("a", "b", process=process)


def test_unknown_estimand_lists_the_known(oracle):
    with pytest.raises(UnknownNameError, match="ancestral, as-printed, epsilon"):
        conjure.compare("a", "b", process=oracle, estimand="zzz")


@pytest.fixture
def glibc(monkeypatch):
    """A C library that writes down what it is asked."""
    asked = []
    library = SimpleNamespace(
        malloc_trim=lambda *given: asked.append(("malloc_trim", *given)),
        mallopt=lambda *given: asked.append(("mallopt", *given)),
    )
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: library)
    for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)
    memory.keep_freed_memory.cache_clear()
    yield asked
    memory.keep_freed_memory.cache_clear()


def test_a_run_keeps_freed_memory_and_sets_that_once(glibc, oracle):
    list(conjure.compare_pairs([("a", "b")], process=oracle))
    list(conjure.compare_pairs([("a", "b")], process=oracle))
    assert glibc == [("mallopt", -3, 32 << 20), ("mallopt", -1, 1 << 30)]


def test_somebodys_own_setting_of_the_heap_stays(glibc, monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    memory.keep_freed_memory()
    assert glibc == []


def test_long_runs_give_freed_memory_back_as_they_go(glibc, monkeypatch, oracle):
    monkeypatch.setattr(execute, "TIDY_SECONDS", -1.0)
    list(conjure.compare_pairs([("a", "b")], process=oracle))
    assert ("malloc_trim", 0) in glibc


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    memory.keep_freed_memory.cache_clear()
    memory.keep_freed_memory()
    memory.return_freed_memory()
    memory.keep_freed_memory.cache_clear()
