"""Do the 95% intervals cover, at a fixed number of samples and where a tolerance stops early?

    python -m benchmarks.coverage [--pairs 2000] [--samples 256]

Pairs of random Gaussians in four dimensions, each with its own seed, ten steps of DDIM with η = 1;
the truth is the exact T-step value (conjure.oracle).
"""

from __future__ import annotations

import argparse

import numpy as np

from conjure import ESTIMANDS, Gaussian, GaussianProcess
from conjure.divergence import estimate, log_t_interval
from conjure.divergence.statistics import standard_error, t_quantile
from conjure.engine import Job, Network, run_block
from conjure.engine.precision import rounds
from conjure.oracle import expected_squares


def draw(number: int, samples: int, dimension: int = 4) -> tuple[np.ndarray, float]:
    """One pair's samples of `girsanov`, and what their mean should be."""
    rng = np.random.default_rng([3, number])
    meanings = {}
    for prompt in ("a", "b"):
        root = rng.normal(size=(dimension, dimension))
        covariance = root @ root.T / dimension + 0.1 * np.eye(dimension)
        meanings[prompt] = Gaussian(rng.normal(size=dimension), covariance)
    process = GaussianProcess.build(meanings)
    girsanov = ESTIMANDS["girsanov"]
    jobs = [Job("a", "b", sample) for sample in range(samples)]
    squares, _ = run_block(process, Network(process), jobs, seed=number)
    exact = estimate(girsanov, expected_squares(process, "a", "b"), process.levels, kl=True)
    return estimate(girsanov, squares, process.levels, kl=True).per_sample, exact.distance


def covers(samples: np.ndarray, truth: float) -> bool:
    """Whether the 95% interval holds the truth."""
    low, high = log_t_interval(samples) or (truth, truth)
    return low <= truth <= high


def plain_covers(samples: np.ndarray, truth: float) -> bool:
    """The same for Student's t without the logarithm."""
    width = t_quantile(0.975, len(samples) - 1) * (standard_error(samples) or 0)
    return abs(samples.mean() - truth) <= width


def stopped(samples: np.ndarray, first: int, tolerance: float) -> np.ndarray:
    """The samples that a run with a tolerance takes."""
    for count in rounds(first, len(samples)):
        taken = samples[:count]
        if (standard_error(taken) or 0) <= tolerance * taken.mean():
            return taken
    return samples


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage of the 95% intervals.")
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=256)
    arguments = parser.parse_args()
    found = [draw(number, arguments.samples) for number in range(arguments.pairs)]
    spread = np.mean([values.std() / values.mean() for values, _ in found])
    print(f"{arguments.pairs} pairs; a sample's relative standard deviation is {spread:.2f}")
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
