"""Pairs in windows: what is planned and worked through together, so that memory holds one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, islice
from math import isqrt
from typing import NamedTuple, Protocol

import numpy as np

from conjure.engine.jobs import Pair, ordered

LEAST_SIDE = 64
"""Prompts of a tile: where no path can be kept, so small a part of the work is walking them."""

EMPTY: frozenset[str] = frozenset()


class Window(NamedTuple):
    """Some pairs.

    Args:
        pairs: In the order of the results.
        again: Prompts that windows to come have, too, whose paths are kept for them.
        before: Prompts whose paths windows before have kept.
    """

    pairs: list[Pair]
    again: frozenset[str] = EMPTY
    before: frozenset[str] = EMPTY


class Size(NamedTuple):
    """What a window's price follows from.

    Args:
        prompts: Whose paths must be walked for it.
        pairs: Distinct ones of two prompts.
    """

    prompts: int
    pairs: int


class Windows(Protocol):
    """Windows, read one after another; more than once where they are foreseen."""

    @property
    def foreseen(self) -> bool:
        """Whether they can be read twice: first for their cost."""
        ...

    def __iter__(self) -> Iterator[Window]: ...

    def pairs_of_prompts(self) -> Iterable[Pair]:
        """Pairs in which every prompt is, to be checked."""
        ...

    def sizes(self) -> Iterator[Size] | None:
        """Of all windows, where they follow from counts; None where the pairs must be read."""
        ...


@dataclass(frozen=True)
class Listed:
    """Pairs as they come, so many at a time.

    Args:
        pairs: A list, or a stream.
        size: Of a window.
        foreseen: Whether the pairs can be read twice.
    """

    pairs: Iterable[Pair]
    size: int
    foreseen: bool

    def __iter__(self) -> Iterator[Window]:
        stream = iter(self.pairs)
        while window := list(islice(stream, self.size)):
            yield Window(window)

    def pairs_of_prompts(self) -> Iterable[Pair]:
        """All of them."""
        return self.pairs

    def sizes(self) -> None:
        """Not before they are read."""
        return


@dataclass(frozen=True)
class Grid:
    """All prompts against all, in tiles: a prompt's paths are walked once, whatever tile it is in.

    Args:
        prompts: Distinct.
        jobs: Samples of pairs that a window may have.
        samples: Of each pair.
        whole: One window, however many jobs it has: to rank all pairs together.
    """

    prompts: Sequence[str]
    jobs: int
    samples: int
    whole: bool = False
    foreseen: bool = True

    @property
    def tiles(self) -> list[range]:
        """Numbers of the prompts of each: all of them, where that is a window."""
        count, most = len(self.prompts), self.jobs // self.samples
        fits = self.whole or count * (count - 1) // 2 <= most
        side = count if fits else max(LEAST_SIDE, isqrt(most))
        return [range(at, min(at + side, count)) for at in range(0, count, side)]

    def __iter__(self) -> Iterator[Window]:
        named = [frozenset(self.prompts[n] for n in tile) for tile in self.tiles]
        for (first, second), numbers in zip(self._places(), self.numbers(), strict=True):
            pairs = [(self.prompts[i], self.prompts[j]) for i, j in numbers]
            again = EMPTY if first == second else named[second]
            before = EMPTY if first == second == 0 else named[first]
            if second + 1 < len(named):
                again = again | named[first]
            if first > 0:
                before = before | named[second]
            yield Window(pairs, again, before)

    def pairs_of_prompts(self) -> Iterable[Pair]:
        """One of each with itself."""
        return zip(self.prompts, self.prompts, strict=True)

    def numbers(self) -> Iterator[Iterator[tuple[int, int]]]:
        """Those of the prompts of each window's pairs, the smaller first."""
        tiles = self.tiles
        for first, second in self._places():
            yield ((i, j) for i in tiles[first] for j in tiles[second] if i < j)

    def sizes(self) -> Iterator[Size]:
        """Of a window of two tiles, or of one with itself."""
        tiles = self.tiles
        for first, second in self._places():
            a, b = len(tiles[first]), len(tiles[second])
            fresh = b if first == 0 else 0
            yield Size(fresh, a * (a - 1) // 2 if first == second else a * b)

    def _places(self) -> Iterator[tuple[int, int]]:
        tiles = self.tiles
        for first, second in combinations_with_replacement(range(len(tiles)), 2):
            if first != second or len(tiles[first]) > 1:
                yield first, second


def distinct(window: Iterable[Pair]) -> list[Pair]:
    """Each pair once, in the order in which it is stored."""
    return list(dict.fromkeys(ordered(*pair) for pair in window))


class Seen:
    """Which pairs there were, in eight bytes each: a hash stands for a pair.

    Held as a few sorted arrays, of which two are merged whenever they are of one length.
    """

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []

    def fresh(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Those of some distinct pairs that were not there before; now they all were."""
        hashes = np.fromiter(map(hash, pairs), np.int64, len(pairs))
        known = np.zeros(len(pairs), dtype=bool)
        for part in self._parts:
            places = np.searchsorted(part, hashes)
            known |= part[np.minimum(places, len(part) - 1)] == hashes
        if not known.all():
            self._add(np.unique(hashes[~known]))
        return [pair for pair, there in zip(pairs, known.tolist(), strict=True) if not there]

    def _add(self, part: np.ndarray) -> None:
        while self._parts and len(self._parts[-1]) <= len(part):
            part = np.union1d(self._parts.pop(), part)
        self._parts.append(part)
