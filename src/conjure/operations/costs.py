"""What a run over many pairs costs: counted before it starts, and kept within its budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

from conjure.engine.jobs import Job, Pair, count_calls, ordered
from conjure.engine.speed import MEASURED_FROM, Speed, find_pace
from conjure.errors import ConjureError
from conjure.operations.sampling import Sampling
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

    def plan(self, pairs: Iterable[Pair], window: int) -> None:
        """Count what all pairs take, and how many samples the budget allows.

        Raises:
            ConjureError: It does not allow the first of them.
        """
        each, count = [0] * self._sampling.most, 0
        seen: set[int] = set()  # hashes: a pair that returns in another window costs nothing there
        for some in windows(pairs, window):
            fresh = [pair for pair in distinct(some) if hash(pair) not in seen]
            seen.update(map(hash, fresh))
            count += len(fresh)
            found = self._by_sample(fresh, self._sampling.most)
            self._first_rounds.append(sum(found[: self.first]))
            each = [total + more for total, more in zip(each, found, strict=True)]
        totals = list(accumulate(each))
        self._fit(totals, count)
        self.planned = totals[self.samples - 1]
        allowed = self._sampling.max_calls
        if allowed is not None:
            self.planned = min(self.planned, 2 * allowed // self._process.calls_for(2))
        if self.planned:
            self.measure(next(iter(pairs)))

    def foresee(self, window: Sequence[Pair]) -> None:
        """Of a stream, count what its next window adds."""
        self.planned += sum(self._by_sample(distinct(window), self.samples))
        if self._measured_at < MEASURED_FROM <= self.planned or self.pace is None:
            self.measure(window[0])

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
        rows = spent + sum(self._by_sample(pairs, count)) + self._reserved
        return self._process.calls_for(rows) <= self._sampling.max_calls

    def _fit(self, totals: Sequence[int], count: int) -> None:
        """Find the samples that the budget allows, given what the first 1, 2, … of them take."""
        in_rounds, allowed = self._sampling.in_rounds, self._sampling.max_calls
        first = min(self.first, len(totals)) if in_rounds else self._sampling.replicate
        calls_for = self._process.calls_for
        if allowed is not None and calls_for(totals[first - 1]) > allowed:
            some = "One sample" if first == 1 else f"The first {first} samples"
            verb = "takes" if first == 1 else "take"
            raise ConjureError(
                f"{some} of each of the {count:,} pairs {verb} {calls_for(totals[first - 1]):,} "
                f"network calls, and max_calls is {allowed:,}. Allow more, or give fewer pairs."
            )
        if in_rounds:
            self._reserved = totals[first - 1]
        elif allowed is not None:
            fit = sum(calls_for(total) <= allowed for total in totals)
            self.samples = self.first = fit - fit % self._sampling.replicate

    def _by_sample(self, pairs: Sequence[Pair], samples: int) -> list[int]:
        """Predictions that distinct pairs still need for each of the first samples."""
        have = {pair: self._run.have(*pair) for pair in pairs}
        fresh = count_calls(self._process, [Job(*pair, 0) for pair in pairs])
        found = []
        for sample in range(samples):
            jobs = [Job(*pair, sample) for pair in pairs if sample not in have[pair]]
            whole = len(jobs) == len(pairs)
            found.append(fresh if whole else count_calls(self._process, jobs))
        return found


def windows(pairs: Iterable[Pair], size: int) -> Iterator[list[Pair]]:
    """The pairs, so many at a time."""
    stream = iter(pairs)
    while window := list(islice(stream, size)):
        yield window


def distinct(window: Iterable[Pair]) -> list[Pair]:
    """Each pair once, in the order in which it is stored."""
    return list(dict.fromkeys(ordered(*pair) for pair in window))
