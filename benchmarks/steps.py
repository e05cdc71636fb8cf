"""How the answer moves with the number of steps, where the truth is known.

    python -m benchmarks.steps

Two Gaussians in four dimensions, paths by DDIM with η = 1; over λ from −14 to 4, evenly spaced, and
on the schedule of the embedded model. "by rule" is the trapezoid's own share of the error: that of
the sum over the same levels, were the states those of the continuous SDE. All values are exact
(conjure.oracle); none is sampled.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

import conjure
from conjure import ESTIMANDS, Gaussian, GaussianProcess
from conjure.divergence.base import FIELDS, Squares
from conjure.divergence.estimate import estimate
from conjure.engine.oracle import continuous_kl, expected_squares
from conjure.levels import NoiseLevels
from conjure.process.samplers.base import Grid
from conjure.process.samplers.ddim import Ddim

EMOJI = Path(conjure.__file__).parent / "models" / "emoji" / "scheduler" / "scheduler_config.json"


def on_marginals(process: GaussianProcess, a: str, b: str) -> Squares:
    """Expectations of the squares at states of the continuous SDEs, shape ``(1, 2, T)``."""
    levels = process.levels
    squares = Squares(*(np.zeros((1, 2, len(levels))) for _ in FIELDS))
    for path, prompt in enumerate((a, b)):
        meaning = process.meanings[prompt]
        for i, (alpha, sigma) in enumerate(zip(levels.alpha, levels.sigma, strict=True)):
            covariance = alpha**2 * meaning.covariance + sigma**2 * np.eye(len(meaning.mean))
            offsets = np.vstack([0 * meaning.mean, np.linalg.cholesky(covariance).T])
            x = torch.from_numpy(alpha * meaning.mean + offsets)
            own, other = (process.predict(x, i, [p] * len(x)) for p in (a, b))
            for name in ("noise", "picture"):
                values = getattr(own, name) - getattr(other, name)
                size = values[0].square().sum() + (values[1:] - values[0]).square().sum()
                getattr(squares, name)[0, path, i] = float(size)
    return squares


def table(meanings: dict[str, Gaussian], grids: dict[int, Grid]) -> None:
    print(f"{'T':>5} {'truth':>8} {'girsanov':>9} {'error':>7} {'by rule':>8} {'ancestral':>9} "
          f"{'error':>7}")  # fmt: skip
    first, second = meanings["a"], meanings["b"]
    for steps, grid in grids.items():
        levels, process = grid.levels, GaussianProcess(meanings, Ddim(1.0), grid)
        ends = levels.alpha[[0, -1]], levels.sigma[[0, -1]]
        truth = continuous_kl(first, second, *ends) + continuous_kl(second, first, *ends)
        squares = expected_squares(process, "a", "b")
        row = f"{steps:>5} {truth:>8.3f}"
        for name in ("girsanov", "ancestral"):
            value = estimate(ESTIMANDS[name], squares, levels, kl=True).distance
            row += f" {value:>9.3f} {100 * (value / truth - 1):>6.1f}%"
            if name == "girsanov":
                exact = on_marginals(process, "a", "b")
                rule = estimate(ESTIMANDS[name], exact, levels, kl=True).distance
                row += f" {100 * (rule / truth - 1):>7.1f}%"
        print(row)


def main() -> None:
    rng = np.random.default_rng(0)
    meanings = {}
    for prompt in ("a", "b"):
        root = rng.normal(size=(4, 4))
        meanings[prompt] = Gaussian(rng.normal(size=4), root @ root.T / 4 + 0.1 * np.eye(4))
    counts = (5, 10, 20, 50, 100, 200, 500, 1000)
    print("λ from −14 to 4, evenly spaced")
    table(meanings, {
        steps: Grid(NoiseLevels.from_log_snr(np.linspace(-14, 4, steps)),
                    np.arange(steps, dtype=float), (1.0, 0.0))
        for steps in counts
    })  # fmt: skip
    print("\nthe schedule of the embedded model, from λ = −10 to its last visited level")
    config = json.loads(EMOJI.read_text(encoding="utf-8"))
    table(meanings, {steps: Ddim(1.0).grid(config, steps, {}) for steps in counts[:6]})


if __name__ == "__main__":
    main()
