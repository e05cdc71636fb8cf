"""Many prompts at once, against the naive loop and against the bare network calls, in one run.

    python -m benchmarks.many [PART …] [--model MODEL] [--dtype DTYPE] [--pairs N]

Parts, all by default but `agreement`, which takes long:

- ``pairs``: sentences, T = 10, k = 1, without guidance and with guidance 3, against the naive loop
  (measured on a few pairs), and against the best possible: the naive calls at their measured cost
  over the engine's calls at the cost of the best batch size.
- ``matrix``: 40 prompts against each other, T = 10, k = 1, guidance 3, likewise.
- ``landmarks``: 500 prompts against each other by embeddings, against the naive loop over all
  pairs, extrapolated from the measured ones.
- ``overhead``: wall time of a run over that of its own network passes made bare.
- ``memory``: peak memory of fresh processes with 100 and with 10,000 pairs.
- ``budget``: calls that ``tolerance`` and ``top`` save at equal rank agreement with 64 samples,
  and what the first round has to do with it.
- ``agreement``: Spearman of landmark and exact distances as M grows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import combinations, islice
from tempfile import TemporaryDirectory

import numpy as np
import torch
from scipy.stats import spearmanr

import conjure
from benchmarks.bare import Recorded, bare_calls, repeat_bare, seconds
from benchmarks.naive import naive_distances
from conjure.engine.speed import measure_speed
from conjure.process.pipeline import PipelineProcess
from conjure.process.prompts import ENCODED_TOGETHER

ADJECTIVES = ("red", "blue", "small", "old", "happy", "sleeping", "golden", "broken")
NOUNS = (
    "cat", "dog", "tiger", "bird", "fish", "horse", "tree", "flower", "apple", "banana", "cake",
    "house", "castle", "car", "bus", "train", "boat", "airplane", "sun", "moon", "star", "cloud",
    "key", "clock", "book", "guitar", "ball", "shoe", "hat", "woman", "man", "child", "doctor",
    "robot", "ghost", "fire", "snowman", "heart", "hand", "bread",
)  # fmt: skip
SCENES = ("{} next to {}", "{} is looking at {}.", "a picture of {} and {}", "{}, far from {}")


def sentences(count: int, seed: int = 0) -> list[str]:
    """Distinct sentences of a small grammar."""
    rng = np.random.default_rng(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        things = [f"a {rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}" for _ in range(2)]
        found[str(rng.choice(SCENES)).format(*things)] = None
    return list(found)


def phrases(count: int, seed: int = 0) -> list[str]:
    """Distinct short prompts: a noun, most with an adjective."""
    every = [*NOUNS, *(f"{a} {n}" for a in ADJECTIVES for n in NOUNS)]
    more = [f"{n} and {m}" for n, m in combinations(NOUNS, 2)]
    return list(np.random.default_rng(seed).permutation([*every, *more])[:count])


def load(arguments: argparse.Namespace, guidance: float, steps: int = 10) -> PipelineProcess:
    return conjure.load(arguments.model, steps=steps, guidance=guidance, dtype=arguments.dtype)


def line(
    name: str, process: PipelineProcess, pairs: list[tuple[str, str]], run: Iterator[int]
) -> None:
    """One row: calls, seconds, speed-up and how much of the best possible that is.

    The machine's speed drifts, by more than what is measured: so the run pauses between its parts,
    and there, and before and after, a pair of the naive loop and some bare passes are timed.

    Args:
        name: Of the row.
        process: The process.
        pairs: Those that the naive loop would take one by one.
        run: The network calls made so far, after each part of the run.
    """
    steps, factor = len(process.levels), 8 if process.guidance > 1 else 4
    size = measure_speed(process, ("",), repeats=4).batch_size
    passes = max(1, 512 // size)
    bare = bare_calls(process, [size] * passes, pairs[0][0])
    slow: list[float] = []
    fast: list[float] = []

    def reference() -> None:
        calls, pair = [0], pairs[len(slow) % len(pairs)]

        def naive() -> None:
            calls[0] = naive_distances(process, *pair, samples=1, seed=0)[1]

        slow.append(seconds(naive) / calls[0])
        fast.append(seconds(bare) / (passes * size))

    reference()  # to warm up
    slow, fast = [], []
    reference()
    spent, done = 0.0, [0]
    finished = False

    def part() -> None:
        nonlocal finished
        calls = next(run, None)
        finished = calls is None
        done[0] = calls or done[0]

    while not finished:
        spent += seconds(part)
        reference()
    calls, one, each = done[0], float(np.mean(slow)), float(np.mean(fast))
    naive = factor * steps * len(pairs)
    best = naive * one / (calls * each)
    reached = naive * one / spent
    print(
        f"{name:<22} {process.guidance:>8g} {naive:>10,} {1e3 * one:>7.2f} {calls:>9,} "
        f"{1e3 * each:>7.2f} {spent:>8.1f} {reached:>8.1f}x {best:>8.1f}x {reached / best:>6.2f}",
        flush=True,
    )


def rank_agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's correlation."""
    return float(np.asarray(spearmanr(one, other))[0])


HEADER = (
    f"{'':<22} {'guidance':>8} {'naive':>10} {'ms each':>7} {'calls':>9} {'ms each':>7} "
    f"{'seconds':>8} {'faster':>9} {'possible':>9} {'':>6}"
)


def pairs_part(arguments: argparse.Namespace) -> None:
    print(HEADER)
    some = sentences(2 * arguments.pairs)
    pairs = list(zip(some[::2], some[1::2], strict=True))
    for guidance in (1.0, 3.0):
        process = load(arguments, guidance)

        def run(process: PipelineProcess = process) -> Iterator[int]:
            window = max(1, len(pairs) // 2)
            found = conjure.compare_pairs(pairs, process=process, samples=1, window=window)
            for number, _ in enumerate(found, 1):
                if number % window == 0:
                    yield found.calls
            yield found.calls

        line(f"{len(pairs)} pairs of sentences", process, pairs, run())


def matrix_part(arguments: argparse.Namespace) -> None:
    print(HEADER)
    process, prompts = load(arguments, 3.0), phrases(40)

    def run() -> Iterator[int]:
        yield conjure.matrix(prompts, process=process, samples=1).calls

    line("40×40 matrix", process, list(combinations(prompts, 2)), run())


def landmarks_part(arguments: argparse.Namespace) -> None:
    print(HEADER)
    process, prompts = load(arguments, 1.0), phrases(500)
    pairs = list(combinations(prompts, 2))
    found: list[conjure.Embeddings] = []

    def run() -> Iterator[int]:
        found.append(conjure.embed(prompts, process=process))
        found[0].distances()
        yield found[0].calls

    line(f"500 prompts, M = {2 * 10}", process, pairs, run())
    print("(the naive loop over all pairs is extrapolated from the measured ones)")


def overhead_part(arguments: argparse.Namespace) -> None:
    # The run pauses after each window, whose passes are then made again, bare: speed drifts.
    some, window = sentences(2000), 200
    pairs = list(zip(some[::2], some[1::2], strict=True))
    process = load(arguments, 1.0)
    recorded = Recorded.of(process)
    process.family.encode(some[:32])
    runs: list[conjure.PairRun] = []

    def plan() -> None:
        runs.append(conjure.compare_pairs(pairs, process=recorded, samples=1, window=window))

    spent, bare, encoding = seconds(plan), 0.0, 0.0
    run, passes = runs[0], 0
    recorded.passes.clear()  # those that measured the speed, which are in the seconds
    for start in range(0, len(pairs), window):
        spent += seconds(lambda: list(islice(run, window)))
        bare += repeat_bare(recorded)
        passes += len(recorded.passes)
        recorded.passes.clear()
        prompts = some[2 * start : 2 * (start + window)]
        encoding += seconds(lambda prompts=prompts: encode(process, prompts))
    print(
        f"1,000 pairs, {run.calls:,} calls in {passes:,} passes of at most {run.batch_size}: "
        f"{spent:.1f} s\nbare passes {bare:.1f} s: ratio {spent / bare:.3f}\nand the text encoder "
        f"{encoding:.1f} s for 2,000 prompts: ratio {spent / (bare + encoding):.3f}"
    )


@torch.inference_mode()
def encode(process: PipelineProcess, prompts: list[str]) -> None:
    """The text encoder's passes, as a run makes them."""
    for start in range(0, len(prompts), ENCODED_TOGETHER):
        process.family.encode(prompts[start : start + ENCODED_TOGETHER])


def memory_part(arguments: argparse.Namespace) -> None:
    peaks = []
    for count in (100, 10_000):
        command = [sys.executable, "-m", "benchmarks.many", "--peak", str(count)]
        command += ["--model", arguments.model, "--dtype", arguments.dtype]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(json.loads(done.stdout))
        print(f"peak memory with {count:>6,} pairs: {peaks[-1]:.0f} MiB", flush=True)
    print(f"ratio {peaks[1] / peaks[0]:.3f}")


def peak(arguments: argparse.Namespace) -> float:
    """MiB at most resident while comparing so many pairs at two steps."""
    import resource

    process = load(arguments, 1.0, steps=2)
    some = sentences(2 * arguments.peak)
    pairs = zip(some[::2], some[1::2], strict=True)
    for _ in conjure.compare_pairs(pairs, process=process, samples=1):
        pass
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 2**20 if sys.platform == "darwin" else most / 2**10


def budget_part(arguments: argparse.Namespace) -> None:
    process, pairs = load(arguments, 1.0, steps=5), word_pairs(40)
    with TemporaryDirectory() as temporary:
        asked = {"process": process, "samples": 64, "out": arguments.out or f"{temporary}/run"}
        results = list(conjure.compare_pairs(pairs, progress=True, **asked))
        samples = np.stack([result.estimate.per_sample for result in results])
        truth, each = samples.mean(1), 4 * len(process.levels) - 2
        print(f"{len(pairs)} pairs, T = 5; Spearman against 64 samples\n")
        print(f"{'':<16} {'samples a pair':>14} {'calls':>9} {'Spearman':>9}")
        for count in (1, 2, 4, 8, 12, 16, 24, 32):
            rho = rank_agreement(samples[:, :count].mean(1), truth)
            print(f"{'fixed':<16} {count:>14} {count * each * len(pairs):>9,} {rho:>9.4f}")
        for tolerance, first in ((0.2, 2), (0.1, 2), (0.2, 12), (0.1, 12), (0.05, 12)):
            # Its samples are stored already; what it takes is what its results are made of.
            found = list(
                conjure.compare_pairs(pairs, tolerance=tolerance, first_round=first, **asked)
            )
            mean = np.mean([result.samples for result in found])
            rho = rank_agreement(np.array([result.distance for result in found]), truth)
            name = f"tolerance {tolerance:g}/{first}"
            print(f"{name:<16} {mean:>14.1f} {mean * each * len(pairs):>9,.0f} {rho:>9.4f}")
        nearest = set(np.argsort(truth)[:10])
        for count in (1, 2, 4, 8, 16):
            hit = len(nearest & set(np.argsort(samples[:, :count].mean(1))[:10]))
            calls = count * each * len(pairs)
            print(f"{'fixed':<16} {count:>14} {calls:>9,} {hit:>6} of the nearest 10")
        for first in (2, 4):
            found = list(conjure.compare_pairs(pairs, top=10, first_round=first, **asked))
            mean = np.mean([result.samples for result in found])
            hit = len(nearest & set(np.argsort([result.distance for result in found])[:10]))
            name, calls = f"top 10, from {first}", mean * each * len(pairs)
            print(f"{name:<16} {mean:>14.1f} {calls:>9,.0f} {hit:>6} of the nearest 10")


def word_pairs(count: int) -> list[tuple[str, str]]:
    """Pairs of short prompts."""
    some = phrases(2 * count, seed=1)
    return list(zip(some[::2], some[1::2], strict=True))


def agreement_part(arguments: argparse.Namespace) -> None:
    prompts = phrases(100)
    every = list(combinations(prompts, 2))
    chosen = np.random.default_rng(0).choice(len(every), arguments.agreement_pairs, replace=False)
    pairs = [every[i] for i in chosen]
    process = load(arguments, 1.0)
    count = arguments.agreement_samples
    results = conjure.compare_pairs(
        pairs, process=process, samples=count, window=len(pairs), out=arguments.out, progress=True
    )
    samples = np.stack([result.estimate.per_sample for result in results])
    exact = samples.mean(1)
    halves = rank_agreement(samples[:, ::2].mean(1), samples[:, 1::2].mean(1))
    print(f"{len(pairs)} pairs of {len(prompts)} prompts; exact: T = 10, k = {count}")
    print(f"split-half Spearman of the exact distance: {halves:.4f}")
    print(f"{'paths':>6} {'M':>5} {'D':>6} {'Spearman':>9}")
    rows = {prompt: row for row, prompt in enumerate(prompts)}
    for paths, dimensions in ((1, 1024), (2, 1024), (4, 1024), (8, 1024), (8, 256), (8, 4096)):
        found = conjure.embed(prompts, process=process, paths=paths, dimensions=dimensions, seed=1)
        squares = found.distances()
        near = np.array([squares[rows[a], rows[b]] for a, b in pairs])
        rho = rank_agreement(near, exact)
        print(f"{paths:>6} {10 * paths:>5} {dimensions:>6} {rho:>9.4f}", flush=True)


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "pairs": pairs_part,
    "matrix": matrix_part,
    "landmarks": landmarks_part,
    "overhead": overhead_part,
    "memory": memory_part,
    "budget": budget_part,
    "agreement": agreement_part,
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Many prompts at once, measured.")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--model", default="emoji")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--agreement-pairs", type=int, default=300)
    parser.add_argument("--agreement-samples", type=int, default=4)
    parser.add_argument("--out", help="run directory of agreement or budget, to go on from")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak is not None:
        print(json.dumps(peak(arguments)))
        return
    print(
        f"{arguments.model}, {arguments.dtype}, {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}"
    )
    for name in arguments.parts or [part for part in PARTS if part != "agreement"]:
        print(f"\n{name}")
        PARTS[name](arguments)


if __name__ == "__main__":
    main()
