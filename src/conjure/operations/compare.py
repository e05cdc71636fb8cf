"""Two prompts in, their divergence out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conjure.divergence import ESTIMANDS
from conjure.divergence.base import Squares
from conjure.divergence.estimate import Estimate
from conjure.engine.block import run_block
from conjure.engine.jobs import Job, count_calls
from conjure.engine.network import Network
from conjure.engine.plan import Limits, plan_blocks
from conjure.engine.trace import Trace
from conjure.io.brief import listed, measured
from conjure.io.progress import progress_bar
from conjure.loading.load import default_process
from conjure.operations.arguments import check_arguments, check_texts
from conjure.operations.costs import Plan
from conjure.operations.estimates import estimate_all, floor_of, nudged_job
from conjure.operations.sampling import check_antithetic
from conjure.operations.standing import standing
from conjure.operations.unread import check_apart, what_is_read
from conjure.process.base import Process
from conjure.process.wrappers.nudged import Nudged, is_half
from conjure.store.manifest import versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Comparison:
    """What one process says about two prompts.

    Args:
        prompts: y₁ and y₂.
        process: The process that was run; of a comparison that was pickled, its description.
        estimand: Name of the chosen one.
        estimands: Every estimand by name, from the same run; None where this process has none.
        squares: The squared differences that they are computed from, a row a sample.
        seed: Of the noise.
        antithetic: Whether samples come in pairs of opposite noise.
        floor: Of a network in half precision, what its rounding alone adds to a distance, by
            estimand: distances below three times that are not to be trusted. None in others.
        calls: Network evaluations that the pair takes. In a run over many pairs, those that it has
            in common with others are made once.
        seconds: Wall time, without loading the model; None in a run over many pairs.
        trace: The paths of the first sample, for the figure; None where they were not kept.
        unread: Characters of either prompt that the process does not know.
        alike: Whether both prompts are one to it, so that their distance is 0 by that.
    """

    prompts: tuple[str, str]
    process: Process
    estimand: str
    estimands: Mapping[str, Estimate | None]
    squares: Squares = field(repr=False)
    seed: int
    calls: int
    seconds: float | None = None
    trace: Trace | None = field(default=None, repr=False)
    antithetic: bool = False
    floor: Mapping[str, float] | None = None
    unread: tuple[str, str] = ("", "")
    alike: bool = False

    def __repr__(self) -> str:
        found = measured(self.distance, self.standard_error, " nats" * self.is_kl)
        return (
            f"<Comparison {listed(self.prompts)}: {found}, {self.estimand}, "
            f"{self.samples} samples, {self.process.model}>"
        )

    @property
    def near_floor(self) -> bool:
        """Whether the distance is below three times the floor of half precision."""
        return self.floor is not None and self.distance < 3 * self.floor[self.estimand]

    @property
    def estimate(self) -> Estimate:
        """Of the chosen estimand."""
        chosen = self.estimands[self.estimand]
        assert chosen is not None  # refused before the run
        return chosen

    @property
    def distance(self) -> float:
        """Mean over samples; in nats where it is a Jeffreys divergence, see ``is_kl``."""
        return self.estimate.distance

    @property
    def standard_error(self) -> float | None:
        """Of the distance; None where it is unknown: with one sample, or few antithetic ones."""
        return self.estimate.standard_error

    @property
    def kl_forward(self) -> float | None:
        """KL(P₁‖P₂) in nats; None unless the chosen estimand is a KL of this process."""
        return self.estimate.kl_forward

    @property
    def kl_reverse(self) -> float | None:
        """KL(P₂‖P₁) in nats, likewise. The two sum to the distance."""
        return self.estimate.kl_reverse

    @property
    def is_kl(self) -> bool:
        """Whether the distance is a divergence; elsewhere it is a score distance."""
        return self.kl_forward is not None

    @property
    def standing(self) -> str | None:
        """Where it lies among the process' reference pairs; None where nobody measured those."""
        return standing(self.process, self.distance, self.estimand)

    @property
    def samples(self) -> int:
        """How many samples the means are over."""
        return self.squares.samples

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """Confidence interval for the distance; None where its error is unknown."""
        return self.estimate.interval(confidence)

    @property
    def profile(self) -> list[dict[str, Any]]:
        """How the distance comes about along the paths, a dict a scored state, noisiest first.

        Keys: ``step`` (from 1), ``log_snr`` (None where there is no signal), ``forward`` and
        ``reverse`` (the halves from either path; None where the estimand has no such halves),
        ``contribution`` (their sum) and ``share`` of the distance.
        """
        return _profile(self)

    def paths(self) -> Trace:
        """The paths of the first sample; walked again (4T − 2 calls) where they were not kept."""
        if self.trace is not None:
            return self.trace
        jobs = [Job(*self.prompts, 0)]
        _, trace = run_block(
            self.process, Network(self.process), jobs, self.seed, trace=0,
            antithetic=self.antithetic,
        )  # fmt: skip
        assert trace is not None
        return trace

    def to_dict(self) -> dict[str, Any]:
        """Everything but the paths, as JSON values."""
        row, interval = self.row(), self.interval()
        log_snr = self.process.levels.log_snr
        return {
            "prompts": list(self.prompts),
            "model": self.process.model,
            "process": {
                **self.process.describe(),
                "log_snr": [_finite(float(log_snr[0])), _finite(float(log_snr[-1]))],
                "kl": {n: e.is_kl(self.process) for n, e in ESTIMANDS.items() if e.of},
            },
            "estimand": self.estimand,
            "distance": row["distance"],
            "standard_error": row["standard_error"],
            "interval": None if interval is None else list(interval),
            **{name: row[name] for name in ("kl_forward", "kl_reverse", "floor")},
            "standing": self.standing,
            "estimands": {
                name: {
                    key: None if value is None else getattr(value, key)
                    for key in ("distance", "standard_error", "kl_forward", "kl_reverse")
                }
                for name, value in self.estimands.items()
            },
            "unread": list(self.unread),
            "alike": self.alike,
            "profile": self.profile,
            "samples": self.samples,
            "steps": len(self.process.levels),
            "seed": self.seed,
            "antithetic": self.antithetic,
            "calls": self.calls,
            "seconds": self.seconds,
            "versions": versions(),
        }

    def row(self) -> dict[str, Any]:
        """The chosen estimand as a row of a table."""
        low, high = self.interval() or (None, None)
        return {
            "distance": self.distance,
            "standard_error": self.standard_error,
            "low": low,
            "high": high,
            "kl_forward": self.kl_forward,
            "kl_reverse": self.kl_reverse,
            "samples": self.samples,
            "floor": None if self.floor is None else self.floor[self.estimand],
            "near_floor": self.near_floor,
            "unread": "".join(dict.fromkeys("".join(self.unread))) or None,
        }

    def figure(
        self,
        path: str | Path | None = None,
        *,
        columns: int = 10,
        process: Process | None = None,
    ) -> Figure:
        """The paper's figure: what the same noisy states become under either prompt.

        Args:
            path: Where to write it: PNG, SVG or PDF by its ending; None to only return it.
            columns: At most how many states are shown.
            process: To decode the pictures with, where the comparison was pickled; None for its
                own.

        Raises:
            ConjureError: The process has no pictures, or the file cannot be written.
        """
        from conjure.figures.comparison import comparison_figure
        from conjure.figures.style import save_figure

        made = comparison_figure(self, columns=columns, process=process)
        if path is not None:
            save_figure(made, path)
        return made


def compare(
    a: str,
    b: str,
    *,
    process: Process | None = None,
    samples: int = 16,
    seed: int = 0,
    estimand: str = "girsanov",
    antithetic: bool = False,
    announce: Callable[[Plan], None] | None = None,
    progress: bool = False,
) -> Comparison:
    """How far apart two prompts are, by the images that a process conjures from them.

    Runs Algorithm 1 of Liu & Soatto (2026) with both predictions taken at the same state, as in
    its closed form: both prompts denoise the same noise, and at every state of both paths the
    network is asked under both prompts.

    Args:
        a: The first prompt; may be empty (the unconditional).
        b: The second.
        process: From ``conjure.load``; None for the embedded model with its defaults.
        samples: Monte Carlo samples k. The samples of a seed are numbered, and more of them
            extend fewer.
        seed: Of the noise, at least 0.
        estimand: ``girsanov`` (default), ``ancestral``, ``score``, ``epsilon``, ``picture`` or
            ``as-printed``. All are computed from the same run; this one is reported first.
        antithetic: Draw samples in pairs of opposite noise: the same mean, with less variance.
            Takes an even number; the error is known from 16 on, over 8 independent pairs.
        announce: Called with what it takes, before it starts.
        progress: Show a bar on standard error, in network calls.

    Raises:
        ConjureError: A bad argument, or an estimand that the process has no value for.

    Examples:
        >>> import numpy as np
        >>> from conjure import Gaussian, GaussianProcess
        >>> meanings = {"a": Gaussian(np.zeros(2), np.eye(2)), "b": Gaussian(np.ones(2), np.eye(2))}
        >>> result = compare("a", "b", process=GaussianProcess.build(meanings), samples=4)
        >>> result.calls, result.is_kl, result.distance > 0
        (152, True, True)
    """
    if process is None:
        process = default_process()
    samples, seed = check_arguments(process, samples, seed, estimand)
    check_antithetic(samples, antithetic=antithetic)
    check_texts(process, (a, b))
    check_apart(process, [(a, b)])

    started = time.perf_counter()
    jobs = [Job(a, b, sample) for sample in range(samples)]
    floor_jobs = [] if not is_half(process.dtype) else [nudged_job(a)]
    planned = count_calls(process, jobs) + count_calls(process, floor_jobs)
    if announce is not None:
        announce(Plan(planned, samples=samples, wanted=samples, batch_size=process.batch_size))
    with progress_bar("Comparing", planned, shown=progress) as bar:
        network = Network(process, bar.advance)
        blocks = plan_blocks(jobs, Limits.of(process, network.batch_size))
        found = [
            run_block(
                process,
                network,
                block,
                seed,
                trace=0 if number == 0 else None,
                antithetic=antithetic,
            )
            for number, block in enumerate(blocks)
        ]
        beside = Network(Nudged(process), bar.advance)
        floors = [run_block(Nudged(process), beside, [job], seed)[0] for job in floor_jobs]
    squares = Squares.concatenate([part for part, _ in found])
    return Comparison(
        prompts=(a, b),
        process=process,
        estimand=estimand,
        estimands=estimate_all(process, squares, replicate=2 if antithetic else 1),
        squares=squares,
        seed=seed,
        antithetic=antithetic,
        floor=floor_of(process, floors[0]) if floors else None,
        calls=network.calls + beside.calls,
        seconds=time.perf_counter() - started,
        trace=found[0][1],
        **what_is_read(process, (a, b)),
    )


def _profile(result: Comparison) -> list[dict[str, Any]]:
    rows = []
    halves = ESTIMANDS[result.estimand].by_path
    for i, log_snr in enumerate(result.process.levels.log_snr):
        forward, reverse = (float(v) / 2 for v in result.estimate.per_state[:, i])
        contribution = forward + reverse
        rows.append(
            {
                "step": i + 1,
                "log_snr": _finite(float(log_snr)),
                "forward": forward if halves else None,
                "reverse": reverse if halves else None,
                "contribution": contribution,
                "share": contribution / result.distance if result.distance > 0 else 0.0,
            }
        )
    return rows


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
