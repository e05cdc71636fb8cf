"""What a run over many pairs costs: counted before it starts, and kept within its budget."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from conjure.engine.jobs import Pair, PathKey, calls_of
from conjure.engine.speed import MEASURED_FROM, Speed, find_pace
from conjure.errors import ConjureError
from conjure.operations.sampling import Sampling, beyond_budget
from conjure.operations.windows import EMPTY, Seen, Size, Window, Windows, distinct
from conjure.process.base import Process
from conjure.store.run import Run


@dataclass(frozen=True)
class Plan:
    """What some work takes, said before it starts.

    Args:
        calls: Network calls at most, as far as the work is known.
        seconds: They will take, where that was measured.
        batch_size: Rows of a network pass.
        samples: Samples a pair, at most; 0 where none are drawn.
        wanted: Those that were wanted, if the budget of calls allowed.
        name: Of the process, where there are several.
    """

    calls: int
    seconds: float | None = None
    batch_size: int = 0
    samples: int = 0
    wanted: int = 0
    name: str = ""


@dataclass(frozen=True)
class Spent:
    """What a run took.

    Args:
        calls: Network calls that were made.
        rewalked: Paths that had to be walked again.
        unfinished: Pairs that the budget of calls left short of their tolerance or their rank.
        imprecise: Pairs that took all samples and are not within their tolerance.
    """

    calls: int
    rewalked: int = 0
    unfinished: int = 0
    imprecise: int = 0


@dataclass(frozen=True)
class Price:
    """Predictions that some pairs still need.

    Args:
        begun: For each of the first samples, of which some pairs have theirs.
        each: For every sample that comes after those.
    """

    begun: tuple[int, ...] = ()
    each: int = 0

    def of(self, samples: int) -> int:
        """For the first so many samples of each pair."""
        return sum(self.begun[:samples]) + self.each * max(0, samples - len(self.begun))

    def __add__(self, other: Price) -> Price:
        begun, more = (p.begun for p in (self, other))
        long, short = (self, other) if len(begun) >= len(more) else (other, self)
        both = zip_longest(long.begun, short.begun, fillvalue=short.each)
        return Price(tuple(a + b for a, b in both), self.each + other.each)


class Costs:
    """Counts the predictions that pairs need, and finds out what the budget allows.

    Args:
        process: The process.
        run: What it holds need not be computed.
        sampling: What may be spent.

    Attributes:
        samples: Samples a pair, at most: those of the budget, or what its calls allow.
        first: Of these, those of the first round.
        planned: Predictions that are needed at most, as far as the pairs are known.
        pace: How fast the network is, where that was measured.
    """

    def __init__(self, process: Process, run: Run, sampling: Sampling) -> None:
        self._process, self._run, self._sampling = process, run, sampling
        self._first_rounds: deque[int] = deque()  # what the first round of each window takes
        self._reserved = 0  # what those of the windows to come take
        self._measured_at = 0
        self.samples, self.planned = sampling.most, 0
        self.first = sampling.first
        self.pace: Speed | None = None

    def plan(self, windows: Windows) -> None:
        """Count what all pairs take, and how many samples the budget allows.

        Raises:
            ConjureError: It does not allow the first of them.
        """
        total, count = Price(), 0
        for size, price in self._prices(windows):
            count += size
            total += price
            self._first_rounds.append(price.of(self.first))
        self._fit(total, count)
        self.planned = total.of(self.samples)
        allowed = self._sampling.max_calls
        if allowed is not None:
            self.planned = min(self.planned, 2 * allowed // self._process.calls_for(2))

    def foresee(self, window: Window) -> None:
        """Of a stream, count what its next window adds."""
        self.planned += self._price(distinct(window.pairs)).of(self.samples)
        if self._measured_at < MEASURED_FROM <= self.planned or self.pace is None:
            self.measure(window.pairs[0])

    def measure(self, prompts: Pair) -> None:
        """Find out how fast the network is, if the run is long enough for that to matter."""
        found = find_pace(self._process, prompts, self.planned)
        if found is not None:
            self.pace, self._measured_at = found, self.planned

    def begin_window(self) -> None:
        """What was kept back for the first round of this window may be spent."""
        if self._first_rounds:
            self._reserved -= self._first_rounds.popleft()

    def affords(self, pairs: Sequence[Pair], count: int, spent: int) -> bool:
        """Whether pairs may have so many samples, with enough left for the windows to come.

        Args:
            pairs: Distinct.
            count: Samples of each.
            spent: Predictions made so far.
        """
        if self._sampling.max_calls is None:
            return True
        rows = spent + self._price(pairs).of(count) + self._reserved
        return self._process.calls_for(rows) <= self._sampling.max_calls

    def _fit(self, total: Price, count: int) -> None:
        """Find the samples that the budget allows, given what all pairs take."""
        in_rounds, allowed = self._sampling.in_rounds, self._sampling.max_calls
        first = self.first if in_rounds else self._sampling.replicate
        calls_for = self._process.calls_for
        if allowed is not None and calls_for(total.of(first)) > allowed:
            raise ConjureError(beyond_budget(first, count, calls_for(total.of(first)), allowed))
        if in_rounds:
            self._reserved = total.of(first)
        elif allowed is not None:
            several = range(1, self.samples + 1)
            fit = bisect_right(several, allowed, key=lambda n: calls_for(total.of(n)))
            self.samples = self.first = fit - fit % self._sampling.replicate

    def _prices(self, windows: Windows) -> Iterator[tuple[int, Price]]:
        """How many pairs each window adds, and what they take."""
        begun = min(self._run.longest(), self._sampling.most)
        sizes = windows.sizes() if begun == 0 else None
        if sizes is not None:
            for size in sizes:
                yield size.pairs, Price(each=self._sample_of(size))
            return
        seen = Seen()  # a pair that returns in another window costs nothing there
        walked = set[PathKey]()
        for window in windows:
            fresh = seen.fresh(distinct(window.pairs))
            yield len(fresh), self._price(fresh, begun, window.again, walked)

    def _price(
        self,
        pairs: Sequence[Pair],
        begun: int | None = None,
        again: Container[str] = EMPTY,
        walked: set[PathKey] | None = None,
    ) -> Price:
        """What distinct pairs take.

        Args:
            pairs: Which.
            begun: Samples of which some may be there; None for as many as these pairs have.
            again: Prompts that windows to come have, too.
            walked: Paths that windows before had to walk, and have kept; those of this are added.
        """
        walked = set() if walked is None else walked
        have = {} if begun == 0 else {pair: self._run.have(*pair) for pair in pairs}
        if begun is None:
            most = 1 + max((max(samples, default=-1) for samples in have.values()), default=-1)
            begun = min(most, self._sampling.most)

        def price(sample: int, missing: Sequence[Pair]) -> int:
            prompts = {prompt for pair in missing for prompt in pair}
            fresh = sum((prompt, sample) not in walked for prompt in prompts)
            walked.update((prompt, sample) for prompt in prompts if prompt in again)
            return self._sample_of(Size(fresh, sum(a != b for a, b in missing)))

        stored = (price(s, [p for p in pairs if s not in have[p]]) for s in range(begun))
        return Price(tuple(stored), price(begun, pairs))

    def _sample_of(self, size: Size) -> int:
        """Predictions of one sample."""
        guided = self._process.guidance > 1
        return calls_of(size.prompts, size.pairs, self._process.visits, 1 if guided else None)
