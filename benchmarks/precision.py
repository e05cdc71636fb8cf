"""What half precision does to distances: the floor that its rounding puts under them.

    python -m benchmarks.precision [--model MODEL] [--steps T] [--samples K] [--prompts N]

For each precision, over all pairs of N prompts without guidance:

- ``floor``: as conjure knows it, from one prompt asked at states that are a quarter of a rounding
  apart;
- ``exact``: what rounding adds to the distance of two prompts on average, against the same weights
  computed in float32;
- ``Spearman`` of the distances with those in float32, of all pairs and of the nearest tenth;
- how many pairs are marked, below three times the floor.

In float32 the two networks have the same weights: those of half precision, widened.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from typing import Any

import numpy as np
import torch

import conjure
from benchmarks.many import phrases
from conjure.divergence import ESTIMANDS
from conjure.divergence.base import Squares
from conjure.divergence.estimate import estimate
from conjure.engine import noise
from conjure.engine.scoring import squared_norm
from conjure.process.pipeline import PipelineProcess
from conjure.statistics import spearman


def main() -> None:
    parser = argparse.ArgumentParser(description="The floor of half precision.")
    parser.add_argument("--model", default="emoji")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=24)
    arguments = parser.parse_args()
    prompts = phrases(arguments.prompts)
    pairs = list(combinations(prompts, 2))
    asked: dict[str, Any] = {"samples": arguments.samples, "progress": True}
    print(
        f"{arguments.model}, T = {arguments.steps}, k = {arguments.samples}, {len(pairs)} pairs\n\n"
        f"{'':<10} {'floor':>8} {'exact':>8} {'median':>8} {'Spearman':>9} {'nearest':>8} "
        f"{'marked':>7}"
    )
    for dtype in ("bfloat16", "float16"):
        half = conjure.load(arguments.model, steps=arguments.steps, dtype=dtype)
        wide = widened(half, arguments.model)
        found = list(conjure.compare_pairs(pairs, process=half, **asked))
        truth = np.array([r.distance for r in conjure.compare_pairs(pairs, process=wide, **asked)])
        distances = np.array([result.distance for result in found])
        near = np.argsort(truth)[: max(3, len(truth) // 10)]
        assert found[0].floor is not None
        print(
            f"{dtype:<10} {found[0].floor['girsanov']:>8.3f} {added(half, wide, prompts):>8.3f} "
            f"{np.median(truth):>8.3g} {float(spearman(distances, truth)):>9.4f} "
            f"{float(spearman(distances[near], truth[near])):>8.4f} "
            f"{sum(result.near_floor for result in found):>7}",
            flush=True,
        )


def widened(half: PipelineProcess, model: str) -> PipelineProcess:
    """The same process on the same weights, in float32."""
    wide = conjure.load(model, steps=len(half.levels), dtype="float32")
    for name, network in wide.family.networks.items():
        state = half.family.networks[name].state_dict()
        network.load_state_dict({key: value.float() for key, value in state.items()})
    return wide


def added(half: PipelineProcess, wide: PipelineProcess, prompts: list[str]) -> float:
    """E‖e_a − e_b‖² summed as ``girsanov`` is, of rounding errors e at noised pictures."""
    start = noise.batch(0, [0], 0, half.shape)
    picture = wide.predict(wide.prior(wide.place(start)), 0, prompts[:1]).picture
    gaps = np.zeros((1, 2, len(half.levels)))
    for step in range(len(half.levels)):
        alpha, sigma = half.grid.at(step)
        x = alpha * picture + sigma * half.place(noise.batch(0, [0], step + 1, half.shape))
        many = x.expand(len(prompts), *x.shape[1:])
        errors = half.predict(many, step, prompts).noise - wide.predict(many, step, prompts).noise
        some = [
            squared_norm(errors[i : i + 1] - errors[i + 1 :]).mean() for i in range(len(errors) - 1)
        ]
        gaps[0, :, step] = np.mean(some)
    squares = Squares(gaps, gaps, gaps, gaps)
    return estimate(ESTIMANDS["girsanov"], squares, half.levels, kl=True, replicate=1).distance


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
