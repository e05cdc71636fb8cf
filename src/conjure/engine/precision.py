"""When enough samples have been taken."""

from __future__ import annotations

from collections.abc import Iterator

from conjure.divergence import Estimate


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
