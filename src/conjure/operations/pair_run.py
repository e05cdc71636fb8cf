"""A run over many pairs: what it costs, its rounds, its results."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import accumulate, islice

from conjure.divergence import ESTIMANDS
from conjure.divergence.estimate import Estimate, estimate
from conjure.engine.block import run_block
from conjure.engine.execute import run_jobs
from conjure.engine.jobs import Job, Pair, count_calls
from conjure.engine.jobs import ordered as as_ordered
from conjure.engine.network import Network
from conjure.engine.paths import PathCache
from conjure.engine.precision import further_half, precise_enough, rounds
from conjure.engine.speed import MEASURED_FROM, find_pace
from conjure.errors import ConjureError
from conjure.io.progress import progress_bar
from conjure.operations.arguments import MOST_JOBS, check_prompts, is_repeatable
from conjure.operations.budget import Budget
from conjure.operations.compare import Comparison
from conjure.operations.estimates import estimate_all, floor_of, nudged_job
from conjure.process.base import Process
from conjure.process.wrappers.nudged import Nudged, is_half
from conjure.store.run import Run


class PairRun(Iterator[Comparison]):
    """A run over many pairs. Iterate to work through it; made by ``compare_pairs``.

    Attributes:
        samples: Samples a pair, at most: those asked for, or what the budget of calls allows.
        planned: Network calls that are needed at most, as far as the pairs are known: of a stream,
            for the windows read so far.
        rewalked: Paths that had to be walked again.
        seconds_per_call: Measured before the start, of a stream with its first window; None for a
            short run.
        unfinished: Pairs that the budget of calls left short of their tolerance or their rank.
        imprecise: Pairs that took all samples and are not within their tolerance.
    """

    def __init__(
        self,
        pairs: Iterable[Pair],
        process: Process,
        run: Run,
        budget: Budget,
        *,
        seed: int,
        antithetic: bool,
        estimand: str,
        ordered: bool,
        window: int,
        progress: bool,
    ) -> None:
        self.samples, self.planned = budget.samples, 0
        self.rewalked = self.unfinished = self.imprecise = 0
        self.seconds_per_call: float | None = None
        self._pairs, self._process, self._run, self._budget = pairs, process, run, budget
        self._seed, self._estimand, self._ordered = seed, estimand, ordered
        self._antithetic, self._replicate = antithetic, 2 if antithetic else 1
        self._network, self._cache = Network(process), PathCache(run.folder)
        self._shown, self._errors, self._size = progress, (0.0, 0), window
        self._first = budget.first_round if budget.in_rounds else budget.samples
        self._firsts: deque[int] = deque()  # calls of the first round of each window
        self._reserved = 0  # calls of the first rounds of windows that are still to come
        self._measured_at = 0
        self._half = is_half(process.dtype)
        self._advanced = 0
        self._floors: dict[str, float] | None = None
        self._note: Callable[[str], None] = lambda _: None
        self._foreseen = is_repeatable(pairs)
        if self._foreseen:
            self._plan()
        self._results = self._work()

    def __next__(self) -> Comparison:
        return next(self._results)

    @property
    def calls(self) -> int:
        """Network calls made so far; measuring and the floor of half precision aside."""
        return self._network.calls

    @property
    def batch_size(self) -> int:
        """Rows of a network pass."""
        return self._network.batch_size

    def _plan(self) -> None:
        """Count calls, find the samples that the budget allows, and see how fast the network is."""
        costs, count = [0] * self._budget.samples, 0
        seen: set[int] = set()  # hashes: a pair that returns in another window costs nothing there
        for window in _windows(self._pairs, self._size):
            fresh = [pair for pair in _distinct(window) if hash(pair) not in seen]
            seen.update(map(hash, fresh))
            count += len(fresh)
            found = self._costs(fresh, self._budget.samples)
            self._firsts.append(sum(found[: self._first]))
            for sample, cost in enumerate(found):
                costs[sample] += cost
        totals = list(accumulate(costs))
        allowed = self._budget.max_calls
        first = min(self._first, len(totals)) if self._budget.in_rounds else self._replicate
        price = self._price
        if allowed is not None and price(totals[first - 1]) > allowed:
            some = "One sample" if first == 1 else f"The first {first} samples"
            verb = "takes" if first == 1 else "take"
            least = price(totals[first - 1])
            raise ConjureError(
                f"{some} of each of the {count:,} pairs {verb} {least:,} network "
                f"calls, and max_calls is {allowed:,}. Allow more, or give fewer pairs."
            )
        if self._budget.in_rounds:
            self._reserved = totals[first - 1]
        elif allowed is not None:
            fit = sum(price(total) <= allowed for total in totals)
            self.samples = self._first = fit - fit % self._replicate
        self.planned = totals[self.samples - 1]
        if allowed is not None:
            self.planned = min(self.planned, 2 * allowed // price(2))
        if self.planned:
            self._measure(next(iter(self._pairs)))

    def _costs(self, window: list[Pair], samples: int) -> list[int]:
        """Calls that a window still needs for each of the first samples."""
        pairs = _distinct(window)
        have = {pair: self._run.have(*pair) for pair in pairs}
        fresh = count_calls(self._process, [Job(*pair, 0) for pair in pairs])
        found = []
        for sample in range(samples):
            jobs = [Job(*pair, sample) for pair in pairs if sample not in have[pair]]
            whole = len(jobs) == len(pairs)
            found.append(fresh if whole else count_calls(self._process, jobs))
        return found

    def _measure(self, pair: Pair) -> None:
        found = find_pace(self._process, pair, self.planned)
        if found is not None:
            if self._network.batch_size == self._process.batch_size:  # not halved meanwhile
                self._network.batch_size = found.batch_size
            self.seconds_per_call = found.seconds_per_call
            self._measured_at = self.planned

    def _foresee(self, window: list[Pair]) -> None:
        """Of a stream, what its next window adds to the calls."""
        check_prompts(self._process, window)
        self.planned += sum(self._costs(window, self.samples))
        if self._measured_at < MEASURED_FROM <= self.planned or self.seconds_per_call is None:
            self._measure(window[0])

    def _work(self) -> Iterator[Comparison]:
        with (
            closing(self._run),
            progress_bar("Comparing", self._price(self.planned) or None, shown=self._shown) as bar,
        ):
            self._network.on_calls = lambda rows: bar.advance(self._priced(rows))
            self._note = bar.note
            for window in _windows(self._pairs, self._size):
                if not self._foreseen:
                    self._foresee(window)
                    bar.expect(self._price(self.planned))
                yield from self._work_window(window)

    def _work_window(self, window: list[Pair]) -> Iterator[Comparison]:
        check_prompts(self._process, window)
        asked = Counter(window)
        active, taken = _distinct(window), {}
        if self._budget.in_rounds and self._budget.max_calls is not None:
            self._reserved -= self._firsts.popleft()
        before = 0
        for count in rounds(self._first, self.samples):
            if before and not self._affordable(active, count):
                self.unfinished += len(active)
                yield from self._settle(active, before, taken, asked)
                break
            for pair in self._run_missing(active, count):
                precise = self._is_precise(pair, count)
                if count == self.samples and self._budget.tolerance is not None and not precise:
                    self.imprecise += 1
                if count == self.samples or precise:
                    yield from self._settle([pair], count, taken, asked)
            if self._budget.top is not None and count < self.samples:
                found = [self._estimate(pair, count).distance for pair in active]
                out = further_half(active, found, self._budget.top)
                yield from self._settle(out, count, taken, asked)
            active = [pair for pair in active if pair not in taken]
            before = count
            if not active:
                break
        if self._ordered:
            for pair in window:
                yield self._comparison(pair, taken[as_ordered(*pair)])

    def _settle(
        self, pairs: list[Pair], count: int, taken: dict[Pair, int], asked: Counter[Pair]
    ) -> Iterator[Comparison]:
        """Note that pairs have samples enough; give their results if order does not matter."""
        taken |= dict.fromkeys(pairs, count)
        if self._shown:
            for pair in pairs:
                self._note(self._mean_error(self._estimate(pair, count)))
        for a, b in [] if self._ordered else pairs:
            for pair in dict.fromkeys([(a, b), (b, a)]):
                if pair in asked:
                    yield from [self._comparison(pair, count)] * asked.pop(pair)

    def _affordable(self, pairs: list[Pair], count: int) -> bool:
        """Whether another round leaves enough for the first rounds of the windows to come."""
        if self._budget.max_calls is None:
            return True
        cost = sum(self._costs(pairs, count))
        return self._price(self.calls + cost + self._reserved) <= self._budget.max_calls

    def _price(self, rows: int) -> int:
        """Network calls of so many predictions: two processes as one may make two for each."""
        return self._process.calls_for(rows)

    def _priced(self, rows: int) -> int:
        """The same of some more predictions: over a run they add up, though rows may be odd."""
        before, self._advanced = self._advanced, self._advanced + rows
        return self._price(self._advanced) - self._price(before)

    def _run_missing(self, pairs: list[Pair], count: int) -> Iterator[Pair]:
        """Bring every pair to ``count`` samples; each block is stored as it is finished.

        Yields:
            Each pair, as soon as its samples are there.
        """
        left = {pair: len(set(range(count)) - self._run.have(*pair)) for pair in pairs}
        yield from [pair for pair in pairs if not left[pair]]
        waiting = {pair for pair in pairs if left[pair]}
        together = max(1, MOST_JOBS // max(1, len(pairs)))
        for start in range(0, count, together):
            some = range(start, min(start + together, count))
            jobs = [Job(*pair, sample) for pair in pairs for sample in some]
            for block in run_jobs(
                self._process, self._network, jobs, self._seed, self._cache, self._run.missing,
                antithetic=self._antithetic,
            ):  # fmt: skip
                self._run.add(block.jobs, block.squares)
                self.rewalked += self._run.walked(block.walked)
                for a, b, _ in block.jobs:
                    left[a, b] -= 1
                    if not left[a, b]:
                        waiting.discard((a, b))
                        yield (a, b)
        # What another process on the same run has done meanwhile came with no block of ours.
        yield from [pair for pair in pairs if pair in waiting]

    def _is_precise(self, pair: Pair, count: int) -> bool:
        """Whether a pair needs no more samples to keep to the tolerance."""
        tolerance = self._budget.tolerance
        return tolerance is not None and precise_enough(self._estimate(pair, count), tolerance)

    def _estimate(self, pair: Pair, count: int) -> Estimate:
        squares, chosen = self._run.squares(*pair, range(count)), ESTIMANDS[self._estimand]
        levels, replicate = self._process.levels, self._replicate
        return estimate(chosen, squares, levels, kl=False, replicate=replicate)

    def _mean_error(self, result: Estimate) -> str:
        """What the progress bar says beside the calls."""
        if result.standard_error is None or result.distance == 0:
            return ""
        total, count = self._errors
        self._errors = (total + result.standard_error / result.distance, count + 1)
        return f"mean error {100 * self._errors[0] / self._errors[1]:.1f}%"

    def _comparison(self, pair: Pair, count: int) -> Comparison:
        squares = self._run.squares(*pair, range(count))
        jobs = [Job(*pair, sample) for sample in range(count)]
        return Comparison(
            floor=self._floor(pair[0]),
            prompts=pair,
            process=self._process,
            estimand=self._estimand,
            estimands=estimate_all(self._process, squares, self._replicate),
            squares=squares,
            seed=self._seed,
            antithetic=self._antithetic,
            calls=self._price(count_calls(self._process, jobs)),
        )

    def _floor(self, prompt: str) -> dict[str, float] | None:
        """Of half precision, at one prompt for the whole run; kept in it."""
        if self._half and self._floors is None:
            job, nudged = nudged_job(prompt), Nudged(self._process)
            if not self._run.have(job.a, job.b):
                squares, _ = run_block(nudged, Network(nudged), [job], self._seed)
                self._run.add([job], squares)
            self._floors = floor_of(self._process, self._run.squares(job.a, job.b, [0]))
        return self._floors


def _windows(pairs: Iterable[Pair], size: int) -> Iterator[list[Pair]]:
    stream = iter(pairs)
    while window := list(islice(stream, size)):
        yield window


def _distinct(window: Iterable[Pair]) -> list[Pair]:
    """Each pair once, in the order in which it is stored."""
    return list(dict.fromkeys(as_ordered(*pair) for pair in window))
