"""Where a method and people disagree: by kinds of pairs, and the worst pairs themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from conjure.evaluate.examples import Examples
from conjure.evaluate.results import TaskResult
from conjure.evaluate.scoring import bootstrap, interval
from conjure.levels import Floats
from conjure.statistics import spearman

MEANT = {"pos": "part of speech", "subset": "subset"}
"""Columns of the data whose values are kinds."""


@dataclass(frozen=True)
class Kind:
    """Some pairs of a task that are alike in one respect.

    Args:
        name: What they are.
        pairs: How many.
        spearman: Among them alone; NaN for fewer than three or without an order.
        low: Lower end of its 95% bootstrap interval over pairs.
        high: Upper end.
        rank_error: Mean of |rank by the method − rank by people| within the whole task, as a
            fraction of its pairs; 0 is perfect. Weighted by ``pairs``, the kinds' errors average to
            the task's.
        chance: What that would be if the method ranked at random: 1/3 of the whole task; more, up
            to 1/2, of pairs that people find very near or very far, less, down to 1/4, of others.
    """

    name: str
    pairs: int
    spearman: float
    low: float
    high: float
    rank_error: float
    chance: float


@dataclass(frozen=True)
class Disagreement:
    """A pair that the method and people see differently.

    Args:
        a: The first text.
        b: The second.
        score: What people say.
        distance: What the method says.
        human_rank: 0 for the nearest pair by people, 1 for the furthest.
        method_rank: The same by the method.
    """

    a: str
    b: str
    score: float
    distance: float
    human_rank: float
    method_rank: float


def rank_errors(examples: Examples, distances: Floats) -> Floats:
    """|rank by the method − rank by people| of each pair, as a fraction of all pairs."""
    return np.abs(rankdata(distances) - rankdata(-examples.scores)) / len(examples)


def by_chance(examples: Examples) -> Floats:
    """What each pair's ``rank_errors`` would be on average over all orders of the pairs."""
    count = len(examples)
    ranks = rankdata(-examples.scores)
    # Of |r − s| over s = 1 … P, with r whole or halfway between two.
    below, above = np.floor(ranks), count - np.floor(ranks)
    total = below * ranks - below * (below + 1) / 2
    total += above * (below + 1 + count) / 2 - above * ranks
    return total / count**2


def kinds(result: TaskResult, key: tuple[str, str]) -> dict[str, list[Kind]]:
    """The task cut into kinds of pairs, in every respect that its data allow.

    Args:
        result: The task.
        key: Method and column.

    Returns:
        Respect → its kinds, whose pairs add up to the task's.
    """
    examples, distances = result.examples, result.distances[key]
    errors = rank_errors(examples, distances)
    respects: dict[str, list[str]] = {}
    for name, values in examples.more.items():
        if name in MEANT:
            labels = ["not said" if v is None else str(v) for v in values]
            respects[MEANT[name]] = labels
        elif (numbers := _numeric(values)) is not None:
            respects[name] = _thirds(numbers)
    if not examples.words:
        respects["length, words a sentence"] = _lengths(examples)
        respects["words in common"] = [_shared(a, b) for a, b in examples.pairs]
    found = {}
    for respect, labels in respects.items():
        names = sorted(set(labels))
        if len(names) > 1:
            found[respect] = [
                _kind(name, np.array([label == name for label in labels]), result, key, errors)
                for name in names
            ]
    return found


def whole(result: TaskResult, key: tuple[str, str]) -> Kind:
    """The task as one kind."""
    everything = np.ones(len(result.examples), dtype=bool)
    errors = rank_errors(result.examples, result.distances[key])
    return _kind("all", everything, result, key, errors)


def disagreements(
    result: TaskResult, key: tuple[str, str], most: int = 20
) -> list[Disagreement]:  # fmt: skip
    """The pairs whose ranks lie furthest apart, the worst first."""
    examples, distances = result.examples, result.distances[key]
    count = max(1, len(examples) - 1)
    by_people = (rankdata(-examples.scores) - 1) / count
    by_method = (rankdata(distances) - 1) / count
    worst = np.argsort(-np.abs(by_people - by_method), kind="stable")[:most]
    found = []
    for i in worst:
        a, b = examples.pairs[i]
        numbers = (examples.scores[i], distances[i], by_people[i], by_method[i])
        found.append(Disagreement(a, b, *map(float, numbers)))
    return found


def _kind(
    name: str, chosen: np.ndarray, result: TaskResult, key: tuple[str, str], errors: Floats
) -> Kind:
    count = int(chosen.sum())
    near, scores = -result.distances[key][chosen], result.examples.scores[chosen]
    rho = low = high = float("nan")
    if count >= 3:
        rho = float(spearman(near, scores))
        low, high = interval(bootstrap(near, scores, f"{result.examples.task} {name}"))
    error, chance = (
        float(values[chosen].mean()) for values in (errors, by_chance(result.examples))
    )
    return Kind(name, count, rho, low, high, error, chance)


def _numeric(values: Sequence[Any]) -> Floats | None:
    """As numbers, if all are some or missing; a CSV file has them as text.

    Whole numbers of which none comes twice name the rows: they are no property of a pair.
    """
    try:
        numbers = np.array([np.nan if v in (None, "") else float(v) for v in values])
    except (TypeError, ValueError, OverflowError):
        return None
    known = numbers[np.isfinite(numbers)]
    name = len(set(known)) == len(known) and bool(np.all(known == np.round(known)))
    return None if name or any(isinstance(v, bool) for v in values) else numbers


def _thirds(numbers: Floats) -> list[str]:
    """The lower, middle and upper third, by value."""
    low, high = np.nanquantile(numbers, [1 / 3, 2 / 3])
    names = [f"1: up to {low:.3g}", f"2: up to {high:.3g}", f"3: above {high:.3g}"]
    return [names[int(n > low) + int(n > high)] if np.isfinite(n) else "not said" for n in numbers]


def _lengths(examples: Examples) -> list[str]:
    """By the mean number of words of the two sentences."""
    means = [(len(a.split()) + len(b.split())) / 2 for a, b in examples.pairs]
    bounds = (6, 10, 16)
    names = ("1: up to 6", "2: up to 10", "3: up to 16", "4: above 16")
    return [names[int(np.searchsorted(bounds, m, side="left"))] for m in means]


def _shared(a: str, b: str) -> str:
    """By the share of the words of either that stand in both (Jaccard's index)."""
    one, other = (set(re.findall(r"\w+", text.lower())) for text in (a, b))
    share = len(one & other) / max(1, len(one | other))
    bounds = (0.2, 0.4, 0.6)
    names = ("1: up to 20%", "2: up to 40%", "3: up to 60%", "4: above 60%")
    return names[int(np.searchsorted(bounds, share, side="left"))]
