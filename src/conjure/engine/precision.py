"""When enough samples have been taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from conjure.divergence.estimate import Estimate

T = TypeVar("T")


def precise_enough(estimate: Estimate, tolerance: float) -> bool:
    """Whether the standard error is below ``tolerance`` times the distance.

    An error of 0 is, whatever the distance: a prompt against itself needs no more samples.
    """
    error = estimate.standard_error
    return error is not None and error <= tolerance * estimate.distance


def rounds(first: int, most: int) -> Iterator[int]:
    """How many samples there are after each round: doubling from ``first`` up to ``most``.

    >>> list(rounds(6, 40))
    [6, 12, 24, 40]
    """
    count = min(first, most)
    while count < most:
        yield count
        count *= 2
    yield most


def further_half(items: Sequence[T], distances: Sequence[float], keep: int) -> list[T]:
    """The further half of some items, but never one of the ``keep`` nearest.

    >>> further_half(["a", "b", "c", "d", "e"], [3.0, 1.0, 5.0, 4.0, 2.0], keep=1)
    ['d', 'c']
    """
    order = sorted(range(len(items)), key=lambda i: distances[i])
    return [items[i] for i in order[max(keep, (len(items) + 1) // 2) :]]
