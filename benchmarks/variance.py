"""What ways of drawing noise and choosing steps bring, per network call.

    python -m benchmarks.variance [--process emoji|gaussian] [--pairs N] [--replicates R]

For each way: the variance of a mean over ``k`` samples, over independent replicates, against that
of independent draws at the same number of calls. Above 1 helps. The last part scores a random
subset of a path's states, weighted by the inverse of its probability.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import combinations
from unittest.mock import patch

import numpy as np
import torch
from scipy.stats import norm, qmc

import conjure
from benchmarks.many import phrases
from conjure import ESTIMANDS, Gaussian, GaussianProcess
from conjure.engine import noise
from conjure.engine.block import run_block
from conjure.engine.jobs import Job
from conjure.engine.network import Network
from conjure.engine.plan import Limits, plan_blocks
from conjure.process.base import Process

Pairs = list[tuple[str, str]]
Draw = Callable[[int, Sequence[int], int, tuple[int, ...]], torch.Tensor]
_batch = noise.batch


def independent(seed: int, samples: Sequence[int], step: int, shape: tuple[int, ...]):
    """As the library draws."""
    return _batch(seed, samples, step, shape)


def antithetic(seed: int, samples: Sequence[int], step: int, shape: tuple[int, ...]):
    """Opposite noise at the start and at every step, as the library draws it if asked."""
    return _batch(seed, samples, step, shape, antithetic=True)


def antithetic_start(seed: int, samples: Sequence[int], step: int, shape: tuple[int, ...]):
    """Opposite noise at the start alone."""
    return (antithetic if step == 0 else independent)(seed, samples, step, shape)


def sobol(seed: int, samples: Sequence[int], step: int, shape: tuple[int, ...]):
    """The start from a scrambled Sobol sequence, one scrambling a seed."""
    if step:
        return independent(seed, samples, step, shape)
    count = int(np.prod(shape))
    points = qmc.Sobol(count, scramble=True, rng=np.random.default_rng([seed, 9]))
    block = points.random_base2(int(np.ceil(np.log2(max(samples) + 1))))
    drawn = norm.ppf(np.clip(block, 1e-9, 1 - 1e-9)).astype(np.float32)
    return torch.from_numpy(drawn[list(samples)]).reshape(len(samples), *shape)


def terms(process: Process, pairs: Pairs, samples: int, seed: int, draw: Draw) -> np.ndarray:
    """`girsanov` by pair, sample and state, both paths added: ``(pairs, k, T)``."""
    jobs = [Job(a, b, j) for a, b in pairs for j in range(samples)]
    girsanov, rows = ESTIMANDS["girsanov"], {job: n for n, job in enumerate(jobs)}
    found = np.zeros((len(jobs), len(process.levels)))
    with patch("conjure.engine.noise.batch", lambda *given, antithetic: draw(*given)):
        for block in plan_blocks(jobs, Limits.of(process, process.batch_size)):
            squares, _ = run_block(process, Network(process), block, seed)
            each = girsanov.terms(squares, process.levels).sum(1) / 2
            found[[rows[job] for job in block]] = each
    return found.reshape(len(pairs), samples, -1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Variance of ways to draw, per call.")
    parser.add_argument("--process", choices=("emoji", "gaussian"), default="gaussian")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--replicates", type=int, default=16)
    arguments = parser.parse_args()
    process, pairs = build(arguments)
    k, replicates = arguments.samples, range(arguments.replicates)

    def means(draw: Draw) -> np.ndarray:
        """Mean over k samples by replicate and pair."""
        every = [terms(process, pairs, k, 1000 + r, draw).sum(2).mean(1) for r in replicates]
        return np.stack(every)

    base = means(independent)
    print(
        f"{arguments.process}: {len(pairs)} pairs, k = {k}, {len(replicates)} replicates, "
        f"T = {len(process.levels)}"
    )
    print(f"{'':<42} {'variance ratio per call':>24}")
    shared = difference_ratio(base)
    print(f"{'common noise, for differences of pairs':<42} {shared:>24.2f}")
    for name, draw in {
        "antithetic, start and steps": antithetic,
        "antithetic start": antithetic_start,
        "scrambled Sobol start": sobol,
    }.items():
        ratio = geometric(base.var(0, ddof=1) / means(draw).var(0, ddof=1))
        print(f"{name:<42} {ratio:>24.2f}", flush=True)
    every = np.concatenate(
        [terms(process, pairs, k, 1000 + r, independent) for r in replicates], axis=1
    )
    T = len(process.levels)
    for count in sorted({1, 2, T // 4, T // 2}):
        if 0 < count < T:
            print(f"{f'{count} of {T} states scored':<42} {subset(every, count):>24.2f}")


def build(arguments: argparse.Namespace) -> tuple[Process, Pairs]:
    if arguments.process == "emoji":
        some = phrases(2 * arguments.pairs, seed=2)
        return conjure.load("emoji", steps=10), list(zip(some[::2], some[1::2], strict=True))
    rng = np.random.default_rng(0)
    meanings = {}
    for number in range(arguments.pairs):
        for prompt in ("a", "b"):
            root = rng.normal(size=(16, 16))
            covariance = root @ root.T / 16 + 0.1 * np.eye(16)
            meanings[f"{prompt}{number}"] = Gaussian(rng.normal(size=16), covariance)
    return GaussianProcess.build(meanings), [(f"a{n}", f"b{n}") for n in range(arguments.pairs)]


def geometric(ratios: np.ndarray) -> float:
    """The geometric mean, for ratios."""
    return float(np.exp(np.mean(np.log(ratios))))


def difference_ratio(means: np.ndarray) -> float:
    """Variance of a difference of two pairs had they had noises of their own, over what it is."""
    ratios = []
    for i, j in combinations(range(means.shape[1]), 2):
        apart = means[:, i].var(ddof=1) + means[:, j].var(ddof=1)
        ratios.append(apart / (means[:, i] - means[:, j]).var(ddof=1))
    return geometric(np.array(ratios))


def subset(every: np.ndarray, count: int) -> float:
    """Score ``count`` of T states, each set equally likely: variance × calls, inverted.

    A path must be walked whole (T calls); only the crossed predictions of unscored states are
    saved, and the first state's are free.
    """
    _, _, T = every.shape
    full_calls, calls = 4 * T - 2, 2 * T + 2 * count * (T - 1) / T
    full = every.sum(2)
    # Sampling without replacement adds T²/s · (1 − s/T) · S² to the variance between samples.
    within = T**2 / count * (1 - count / T) * every.var(2, ddof=1).mean(1)
    between = full.var(1, ddof=1)
    return geometric(between * full_calls / ((between + within) * calls))


if __name__ == "__main__":
    main()
