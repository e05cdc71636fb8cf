"""Algorithm 1 as one would first write it: one pair, one sample, one state at a time.

The slow, obvious version: the tests hold the engine against it, the benchmark times both. Own
predictions are reused, so it makes 4Tk calls, or 8Tk with guidance, which it asks in batches of two
as diffusers does. Every estimand is written out
here a second time, from its formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from conjure.engine.noise import standard_normal
from conjure.process import Prediction, Process


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
        )

    steps = len(process.levels)
    for j in range(samples):
        noises = [
            process.place(standard_normal(seed, j, i, process.shape))[None] for i in range(steps)
        ]
        paths = [walk(process, prompt, noises, ask) for prompt in (a, b)]
        crossed = [
            [ask(x, i, prompt) for i, x in enumerate(paths[path][0])]
            for path, prompt in enumerate((b, a))
        ]
        for name, halves in sums(process, paths, crossed).items():
            total = totals.setdefault(name, [0.0, 0.0])
            total[0] += halves[0] / samples
            total[1] += halves[1] / samples
    return {name: (halves[0], halves[1]) for name, halves in totals.items()}, calls


Walk = tuple[list[Tensor], list[Prediction]]


def walk(
    process: Process,
    prompt: str,
    noises: list[Tensor],
    ask: Callable[[Tensor, int, str], Prediction],
) -> Walk:
    """Denoise under one prompt: the T states and the predictions there."""
    x = process.prior(noises[0])
    states, predictions, memory = [], [], None
    for i in range(len(process.levels)):
        prediction = ask(x, i, prompt)
        states.append(x)
        predictions.append(prediction)
        if i + 1 < len(process.levels):
            move = process.transition(x, i, prediction, memory)
            memory = move.memory
            x = move.mean + move.std * noises[i + 1]
    return states, predictions


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
        states, own = paths[path]
        other = crossed[path]
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
            one = process.transition(states[i], i, own[i], None)
            two = process.transition(states[i], i, other[i], None)
            if one.std > 0:
                add("ancestral", path, square(one.mean - two.mean) / float(one.std) ** 2)
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
