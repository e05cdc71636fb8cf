"""Do the 95% intervals cover, at a fixed number of samples and where a tolerance stops early?

    python -m benchmarks.coverage [--pairs 2000] [--samples 256] [--antithetic]
    python -m benchmarks.coverage --process emoji [--pairs 16] [--out RUN]

Pairs of random Gaussians in four dimensions, each with its own seed, ten steps of DDIM with η = 1;
the truth is the exact T-step value (conjure.oracle).

On the embedded model, at five steps, the truth is the mean of all 256 samples, and the intervals
are those of the groups of k that they fall into. A group of k is part of that mean, and so lies
nearer to it than to the truth, by √(1 − k/256), which is put right.
"""

from __future__ import annotations

import argparse

import numpy as np

import conjure
from benchmarks.many import word_pairs
from conjure import ESTIMANDS, Gaussian, GaussianProcess
from conjure.divergence.estimate import estimate
from conjure.engine.block import run_block
from conjure.engine.jobs import Job
from conjure.engine.network import Network
from conjure.engine.oracle import expected_squares
from conjure.engine.precision import rounds
from conjure.statistics import independent, log_t_interval, standard_error, t_quantile

STEPS = 5
"""On the embedded model, where a pair takes 18 calls a sample then."""


def draw(
    number: int, samples: int, dimension: int = 4, *, antithetic: bool = False
) -> tuple[np.ndarray, float]:
    """One pair's independent values of `girsanov`, and what their mean should be.

    A value is a sample, or the mean of two antithetic ones.
    """
    rng = np.random.default_rng([3, number])
    meanings = {}
    for prompt in ("a", "b"):
        root = rng.normal(size=(dimension, dimension))
        covariance = root @ root.T / dimension + 0.1 * np.eye(dimension)
        meanings[prompt] = Gaussian(rng.normal(size=dimension), covariance)
    process = GaussianProcess.build(meanings)
    girsanov = ESTIMANDS["girsanov"]
    jobs = [Job("a", "b", sample) for sample in range(samples)]
    squares, _ = run_block(process, Network(process), jobs, seed=number, antithetic=antithetic)
    exact = estimate(girsanov, expected_squares(process, "a", "b"), process.levels, kl=True)
    values = estimate(girsanov, squares, process.levels, kl=True).per_sample
    return independent(values, 2 if antithetic else 1), exact.distance


def covers(samples: np.ndarray, truth: float) -> bool:
    """Whether the 95% interval holds the truth."""
    low, high = log_t_interval(samples) or (truth, truth)
    return low <= truth <= high


def plain_covers(samples: np.ndarray, truth: float) -> bool:
    """The same for Student's t without the logarithm."""
    width = t_quantile(0.975, len(samples) - 1) * (standard_error(samples) or 0)
    return abs(samples.mean() - truth) <= width


def on_emoji(arguments: argparse.Namespace) -> None:
    """Coverage by groups of the samples of some pairs, against the mean of all of them."""
    process = conjure.load("emoji", steps=STEPS)
    run = conjure.compare_pairs(
        word_pairs(arguments.pairs or 16), process=process, samples=arguments.samples,
        out=arguments.out, progress=True,
    )  # fmt: skip
    every = np.stack([result.estimate.per_sample for result in run])
    pairs, total = every.shape
    spread = np.mean(every.std(1, ddof=1) / every.mean(1))
    print(f"{pairs} pairs; a sample's relative standard deviation is {spread:.2f}")

    def corrected(taken: np.ndarray, mean: float) -> float:
        return taken.mean() + (mean - taken.mean()) / np.sqrt(1 - len(taken) / total)

    print(f"\n{'k':>8} {'groups':>7} {'log-t':>7} {'plain t':>8}")
    for count in (8, 32, 128):
        groups = [g for row in every for g in np.split(row, total // count)]
        truths = np.repeat(every.mean(1), total // count)
        known = [(g, corrected(g, truth)) for g, truth in zip(groups, truths, strict=True)]
        ours = np.mean([covers(g, truth) for g, truth in known])
        plain = np.mean([plain_covers(g, truth) for g, truth in known])
        print(f"{count:>8} {len(groups):>7} {100 * ours:>6.1f}% {100 * plain:>7.1f}%")
    print(f"\ntolerance 0.1\n{'first':>8} {'log-t':>7} {'samples':>8}")
    for first in (2, 6, 12, 24):
        runs = [
            (stopped(part, first, 0.1), row.mean()) for row in every for part in np.split(row, 4)
        ]
        ours = np.mean([covers(taken, corrected(taken, truth)) for taken, truth in runs])
        count = np.mean([len(taken) for taken, _ in runs])
        print(f"{first:>8} {100 * ours:>6.1f}% {count:>8.1f}")


def stopped(samples: np.ndarray, first: int, tolerance: float) -> np.ndarray:
    """The samples that a run with a tolerance takes."""
    for count in rounds(first, len(samples)):
        taken = samples[:count]
        if (standard_error(taken) or 0) <= tolerance * taken.mean():
            return taken
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage of the 95% intervals.")
    parser.add_argument("--process", choices=("gaussian", "emoji"), default="gaussian")
    parser.add_argument("--pairs", type=int, help="2,000 of Gaussians, 16 on the embedded model")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--antithetic", action="store_true")
    parser.add_argument("--out", help="run directory to go on from, on the embedded model")
    arguments = parser.parse_args()
    if arguments.process == "emoji":
        on_emoji(arguments)
        return
    numbers, twofold = range(arguments.pairs or 2000), 2 if arguments.antithetic else 1
    found = [draw(n, twofold * arguments.samples, antithetic=arguments.antithetic) for n in numbers]
    if arguments.antithetic:
        print("a value is the mean of two antithetic samples, and k counts values")
    spread = np.mean([values.std() / values.mean() for values, _ in found])
    print(f"{len(found)} pairs; a sample's relative standard deviation is {spread:.2f}")
    print(f"\n{'k':>8} {'log-t':>7} {'plain t':>8}")
    for count in (8, 32, 128):
        ours = np.mean([covers(values[:count], truth) for values, truth in found])
        plain = np.mean([plain_covers(values[:count], truth) for values, truth in found])
        print(f"{count:>8} {100 * ours:>6.1f}% {100 * plain:>7.1f}%")
    print(f"\ntolerance 0.1\n{'first':>8} {'log-t':>7} {'samples':>8}")
    for first in (2, 4, 6, 8, 10, 12, 16, 24, 32):
        runs = [(stopped(values, first, 0.1), truth) for values, truth in found]
        ours = np.mean([covers(taken, truth) for taken, truth in runs])
        count = np.mean([len(taken) for taken, _ in runs])
        print(f"{first:>8} {100 * ours:>6.1f}% {count:>8.1f}")


if __name__ == "__main__":
    main()
