"""Algorithm 1 as one would first write it: one pair, one sample, one state at a time.

The slow, obvious version: the tests hold the engine against it, the benchmark times both. Own
predictions are reused, so it makes 4Tk calls, or 8Tk with guidance, which it asks in batches of two
as diffusers does, and those of the sampler's looks ahead. Every estimand is written out here a
second time, from its formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from conjure.engine.noise import standard_normal
from conjure.process.base import Process
from conjure.process.prediction import Prediction, Transition


def naive_distances(
    process: Process, a: str, b: str, *, samples: int, seed: int
) -> tuple[dict[str, tuple[float, float]], int]:
    """Every estimand's halves from either path, (forward, reverse), and the number of calls."""
    totals: dict[str, list[float]] = {}
    calls = 0

    def ask(x: Tensor, i: int, prompt: str) -> Prediction:
        nonlocal calls
        if process.guidance == 1:
            calls += 1
            return process.predict(x, i, [prompt])
        calls += 2
        both = process.predict(torch.cat([x, x]), i, [prompt, process.negative])
        conditional, free, w = both[:1], both[1:], process.guidance
        return Prediction(
            (1 - w) * free.noise + w * conditional.noise,
            (1 - w) * free.picture + w * conditional.picture,
            conditional.variance,
        )

    visits = process.visits
    for j in range(samples):
        noises = [
            process.place(standard_normal(seed, j, i, process.shape))[None]
            for i in range(len(visits))
        ]
        paths = [walk(process, prompt, noises, ask) for prompt in (a, b)]
        crossed = [
            [ask(x, v, prompt) for x, v in zip(paths[path][0], scored(visits), strict=True)]
            for path, prompt in enumerate((b, a))
        ]
        for name, halves in sums(process, paths, crossed).items():
            total = totals.setdefault(name, [0.0, 0.0])
            total[0] += halves[0] / samples
            total[1] += halves[1] / samples
    return {name: (halves[0], halves[1]) for name, halves in totals.items()}, calls


Walk = tuple[list[Tensor], list[Prediction], list[Transition]]


def scored(visits: Sequence[int]) -> list[int]:
    """The last visit at each level."""
    return [v for v in range(len(visits)) if v + 1 == len(visits) or visits[v + 1] != visits[v]]


def walk(
    process: Process,
    prompt: str,
    noises: list[Tensor],
    ask: Callable[[Tensor, int, str], Prediction],
) -> Walk:
    """Denoise under one prompt: the T states, and the predictions and steps there."""
    x = process.prior(noises[0])
    states, predictions, moves, memory = [], [], [], None
    for visit in range(len(process.visits)):
        prediction = ask(x, visit, prompt)
        move = process.transition(x, visit, prediction, memory)
        if visit in scored(process.visits):
            states.append(x)
            predictions.append(prediction)
            moves.append(move)
        if visit + 1 < len(process.visits):
            memory = move.memory
            x = move.mean + move.std * noises[visit + 1]
    return states, predictions, moves


def sums(
    process: Process, paths: list[Walk], crossed: list[list[Prediction]]
) -> dict[str, tuple[float, float]]:
    """The estimands of one sample, each from its formula."""
    levels = process.levels
    steps = len(levels)
    lam = [float(v) for v in levels.log_snr]
    halves: dict[str, list[float]] = {}

    def add(name: str, path: int, value: float) -> None:
        halves.setdefault(name, [0.0, 0.0])[path] += value / 2

    for path in (0, 1):
        states, own, moves = paths[path]
        other, memory = crossed[path], None
        noise = [square(p.noise - q.noise) for p, q in zip(own, other, strict=True)]
        picture = [square(p.picture - q.picture) for p, q in zip(own, other, strict=True)]
        for i in range(steps):
            add("epsilon", path, noise[i] / steps)
            add("picture", path, picture[i] / steps)
            add("score", path, noise[i] / float(levels.sigma[i]) ** 2 / steps)
        for i in range(steps - 1):
            if math.isinf(lam[i]):
                add("girsanov", path, picture[i] * float(levels.snr[i + 1]))
            else:
                add("girsanov", path, (noise[i] + noise[i + 1]) / 2 * (lam[i + 1] - lam[i]))
            if not torch.any(torch.as_tensor(moves[i].std) > 0):
                continue
            one = moves[i]
            two = process.transition(states[i], scored(process.visits)[i], other[i], memory)
            memory = two.memory
            v1, v2 = (torch.as_tensor(m.std, dtype=torch.float64) ** 2 for m in (one, two))
            gap = (one.mean - two.mean).double() ** 2
            add("ancestral", path, float((torch.log(v2 / v1) + (v1 + gap) / v2 - 1).sum()))
    for i in range(steps):
        variance = float(levels.sigma[i]) ** 2
        straight = square(paths[0][1][i].noise - paths[1][1][i].noise)
        swapped = square(crossed[1][i].noise - crossed[0][i].noise)
        add("as-printed", 0, 2 * straight / variance / steps)
        add("as-printed", 1, 2 * swapped / variance / steps)
    return {name: (values[0], values[1]) for name, values in halves.items()}


def square(x: Tensor) -> float:
    """‖x‖²."""
    return float((x.double() ** 2).sum())
