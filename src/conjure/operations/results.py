"""From the samples that a run holds to estimates and comparisons."""

from __future__ import annotations

from conjure.divergence import ESTIMANDS
from conjure.divergence.estimate import Estimate, estimate
from conjure.engine.block import run_block
from conjure.engine.jobs import Job, Pair, count_calls
from conjure.engine.network import Network
from conjure.engine.precision import precise_enough
from conjure.operations.compare import Comparison
from conjure.operations.estimates import estimate_all, floor_of, nudged_job
from conjure.operations.sampling import Sampling
from conjure.operations.unread import what_is_read
from conjure.process.base import Process
from conjure.process.wrappers.nudged import Nudged, is_half
from conjure.store.run import Run


class Results:
    """What a run's samples say about its pairs.

    Args:
        process: The process.
        run: The samples.
        sampling: How they were drawn, and which estimand is reported first.
    """

    def __init__(self, process: Process, run: Run, sampling: Sampling) -> None:
        self._process, self._run, self._sampling = process, run, sampling
        self._floors: dict[str, float] | None = None
        self._errors = (0.0, 0)

    def estimate(self, pair: Pair, count: int) -> Estimate:
        """The chosen estimand, by the first so many samples."""
        squares, chosen = self._run.squares(*pair, range(count)), ESTIMANDS[self._sampling.estimand]
        levels = self._process.levels
        return estimate(chosen, squares, levels, kl=False, replicate=self._sampling.replicate)

    def is_precise(self, pair: Pair, count: int, tolerance: float | None) -> bool:
        """Whether a pair needs no more samples to keep to a tolerance."""
        return tolerance is not None and precise_enough(self.estimate(pair, count), tolerance)

    def comparison(self, pair: Pair, count: int) -> Comparison:
        """All that is known of a pair by its first so many samples."""
        squares = self._run.squares(*pair, range(count))
        jobs = [Job(*pair, sample) for sample in range(count)]
        return Comparison(
            floor=self._floor(pair[0]),
            prompts=pair,
            process=self._process,
            estimand=self._sampling.estimand,
            estimands=estimate_all(self._process, squares, self._sampling.replicate),
            squares=squares,
            seed=self._sampling.seed,
            antithetic=self._sampling.antithetic,
            calls=self._process.calls_for(count_calls(self._process, jobs)),
            **what_is_read(self._process, pair),
        )

    def mean_error(self, pair: Pair, count: int) -> str:
        """What the progress bar says beside the calls: of this pair and those before."""
        found = self.estimate(pair, count)
        if found.standard_error is None or found.distance == 0:
            return ""
        total, pairs = self._errors
        self._errors = (total + found.standard_error / found.distance, pairs + 1)
        return f"mean error {100 * self._errors[0] / self._errors[1]:.1f}%"

    def _floor(self, prompt: str) -> dict[str, float] | None:
        """Of half precision, at one prompt for the whole run; kept in it."""
        if is_half(self._process.dtype) and self._floors is None:
            squares = self._run.floor(prompt)
            if squares is None:
                job, nudged = nudged_job(prompt), Nudged(self._process)
                squares, _ = run_block(nudged, Network(nudged), [job], self._sampling.seed)
                self._run.add_floor(prompt, squares)
            self._floors = floor_of(self._process, squares)
        return self._floors
