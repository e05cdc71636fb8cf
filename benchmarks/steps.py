"""How the answer moves with the number of steps, where the truth is known.

    python -m benchmarks.steps

Two Gaussians in four dimensions, paths by DDIM with η = 1 over λ from −14 to 4, evenly spaced. All
values are exact (conjure.oracle); none is sampled.
"""

from __future__ import annotations

import numpy as np

from conjure import ESTIMANDS, Gaussian, GaussianProcess
from conjure.divergence import estimate
from conjure.levels import NoiseLevels
from conjure.oracle import continuous_kl, expected_squares
from conjure.process.samplers import Grid
from conjure.process.samplers.ddim import Ddim


def main() -> None:
    rng = np.random.default_rng(0)
    meanings = {}
    for prompt in ("a", "b"):
        root = rng.normal(size=(4, 4))
        meanings[prompt] = Gaussian(rng.normal(size=4), root @ root.T / 4 + 0.1 * np.eye(4))
    print(f"{'T':>5} {'girsanov':>9} {'error':>7} {'ancestral':>9} {'error':>7}")
    truth = 0.0
    for steps in (5, 10, 20, 50, 100, 200, 500, 1000):
        levels = NoiseLevels.from_log_snr(np.linspace(-14, 4, steps))
        grid = Grid(levels, np.arange(steps, dtype=float), (1.0, 0.0))
        squares = expected_squares(GaussianProcess(meanings, Ddim(1.0), grid), "a", "b")
        ends = levels.alpha[[0, -1]], levels.sigma[[0, -1]]
        first, second = meanings["a"], meanings["b"]
        truth = continuous_kl(first, second, *ends) + continuous_kl(second, first, *ends)
        row = f"{steps:>5}"
        for name in ("girsanov", "ancestral"):
            value = estimate(ESTIMANDS[name], squares, levels, kl=True).distance
            row += f" {value:>9.3f} {100 * (value / truth - 1):>6.1f}%"
        print(row)
    print(f"  ∞   {truth:>9.3f}           {truth:>9.3f}")


if __name__ == "__main__":
    main()
