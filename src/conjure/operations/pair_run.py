"""A run over many pairs: window after window, round after round, each sample kept as it comes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

from conjure.engine.execute import run_jobs
from conjure.engine.jobs import Job, Pair, ordered
from conjure.engine.network import Network
from conjure.engine.paths import PathCache
from conjure.engine.precision import further_half, rounds
from conjure.io.progress import ProgressBar, progress_bar
from conjure.operations.arguments import MOST_JOBS, check_prompts
from conjure.operations.compare import Comparison
from conjure.operations.costs import Costs, Plan, Spent
from conjure.operations.results import Results
from conjure.operations.sampling import Sampling
from conjure.operations.windows import Window, Windows, distinct
from conjure.process.base import Process
from conjure.store.run import Run


class PairRun(Iterator[Comparison]):
    """A run over many pairs. Iterate to work through it; made by ``compare_pairs``.

    Attributes:
        rewalked: Paths that had to be walked again.
        unfinished: Pairs that the budget of calls left short of their tolerance or their rank.
        imprecise: Pairs that took all samples and are not within their tolerance.
    """

    def __init__(
        self,
        windows: Windows,
        process: Process,
        run: Run,
        sampling: Sampling,
        *,
        in_order: bool,
        progress: bool,
    ) -> None:
        self.rewalked = self.unfinished = self.imprecise = 0
        self._windows, self._process, self._run, self._sampling = windows, process, run, sampling
        self._in_order, self._shown = in_order, progress
        self._calls_kept: int | None = None
        self._network, self._cache = Network(process), PathCache(run.folder)
        self._costs = Costs(process, run, sampling)
        self._found = Results(process, run, sampling)
        if windows.foreseen:
            self._costs.plan(windows)
            check_prompts(process, windows.pairs_of_prompts())
            if self._costs.planned:
                self._costs.measure(next(iter(windows)).pairs[0])
            self._keep_pace()
        self._results = self._work()

    def __next__(self) -> Comparison:
        return next(self._results)

    def close(self) -> None:
        """Let go of the run's files, whether it is finished or not."""
        self._results.close()
        self._run.close()

    @property
    def samples(self) -> int:
        """Samples a pair, at most: those of the budget, or what its calls allow."""
        return self._costs.samples

    @property
    def planned(self) -> int:
        """Network calls that are needed at most, as far as the pairs are known.

        Of a stream, for the windows read so far. Two processes as one count predictions.
        """
        return self._costs.planned

    @property
    def seconds_per_call(self) -> float | None:
        """Measured before the start, of a stream with its first window; None for a short run."""
        pace = self._costs.pace
        return None if pace is None else pace.seconds_per_call

    @property
    def calls(self) -> int:
        """Network calls made so far; measuring and the floor of half precision aside."""
        return self._network.calls

    @property
    def batch_size(self) -> int:
        """Rows of a network pass."""
        return self._network.batch_size

    @property
    def plan(self) -> Plan:
        """What the run takes, as far as its pairs are known."""
        pace = self.seconds_per_call
        return Plan(
            calls=self._process.calls_for(self.planned),
            seconds=None if pace is None else pace * self.planned,
            batch_size=self.batch_size,
            samples=self.samples,
            wanted=self._sampling.most,
        )

    @property
    def spent(self) -> Spent:
        """What the run took so far."""
        return Spent(self.calls, self.rewalked, self.unfinished, self.imprecise)

    def _work(self) -> Generator[Comparison]:
        calls = self._process.calls_for(self.planned) or None
        with closing(self._run), progress_bar("Comparing", calls, shown=self._shown) as bar:
            self._network.on_calls = _priced(self._process, bar)
            for window in self._windows:
                if not self._windows.foreseen:
                    check_prompts(self._process, window.pairs)
                    self._costs.foresee(window)
                    self._keep_pace()
                    bar.expect(self._process.calls_for(self.planned))
                yield from self._work_window(window, bar)

    def _work_window(self, window: Window, bar: ProgressBar) -> Iterator[Comparison]:
        wanted, taken = Counter(window.pairs), dict[Pair, int]()
        self._costs.begin_window()
        for pair, count in self._settled(distinct(window.pairs), window.again):
            taken[pair] = count
            if self._shown:
                bar.note(self._found.mean_error(pair, count))
            for turned in dict.fromkeys([pair, (pair[1], pair[0])]) if not self._in_order else ():
                if turned in wanted:
                    yield from [self._found.comparison(turned, count)] * wanted.pop(turned)
        for pair in window.pairs if self._in_order else ():
            yield self._found.comparison(pair, taken[ordered(*pair)])
        self._cache.forget(window.before - window.again)

    def _settled(self, active: list[Pair], again: frozenset[str]) -> Iterator[tuple[Pair, int]]:
        """Sample distinct pairs in rounds; each, with its samples, as soon as it has enough."""
        before, tolerance = 0, self._sampling.tolerance
        for count in rounds(self._costs.first, self.samples):
            if before and not self._costs.affords(active, count, self.calls):
                self.unfinished += len(active)
                yield from [(pair, before) for pair in active]
                return
            left = []
            for pair in self._run_missing(active, count, again):
                precise = self._found.is_precise(pair, count, tolerance)
                if precise or count == self.samples:
                    self.imprecise += tolerance is not None and not precise
                    yield pair, count
                else:
                    left.append(pair)
            remaining = set(left)
            active, before = [pair for pair in active if pair in remaining], count
            if self._sampling.top is not None and active:
                near = [self._found.estimate(pair, count).distance for pair in active]
                out = further_half(active, near, self._sampling.top)
                yield from [(pair, count) for pair in out]
                gone = set(out)
                active = [pair for pair in active if pair not in gone]
            if not active:
                return

    def _run_missing(self, pairs: list[Pair], count: int, again: frozenset[str]) -> Iterator[Pair]:
        """Bring every pair to ``count`` samples; each block is stored as it is finished.

        Yields:
            Each pair, as soon as its samples are there.
        """
        left = {pair: count - sum(s < count for s in self._run.have(*pair)) for pair in pairs}
        yield from [pair for pair in pairs if not left[pair]]
        waiting = {pair for pair in pairs if left[pair]}
        together = max(1, MOST_JOBS // max(1, len(pairs)))
        for start in range(0, count, together):
            some = range(start, min(start + together, count))
            jobs = [Job(*pair, sample) for pair in pairs for sample in some]
            for block in run_jobs(
                self._process, self._network, jobs, self._sampling.seed, self._cache,
                self._run.missing, self._run.take, again=again, calls=self._calls_kept,
                antithetic=self._sampling.antithetic,
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

    def _keep_pace(self) -> None:
        """Ask in passes of the size that was measured to be fastest, and keep results in time."""
        pace = self._costs.pace
        if pace is None:
            return
        if self._network.batch_size == self._process.batch_size:
            self._network.batch_size = pace.batch_size  # unless memory has halved it meanwhile
        if self._run.stays:
            self._calls_kept = self._run.calls_kept(pace.calls_kept)


def _priced(process: Process, bar: ProgressBar) -> Callable[[int], None]:
    """Tell a bar the network calls of predictions, which add up though their number may be odd."""
    done = 0

    def advance(rows: int) -> None:
        nonlocal done
        bar.advance(process.calls_for(done + rows) - process.calls_for(done))
        done += rows

    return advance
