"""All prompts against all."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from conjure.divergence import ESTIMANDS
from conjure.errors import ConjureError
from conjure.io.brief import listed
from conjure.levels import Floats
from conjure.loading.load import default_process
from conjure.operations.arguments import MOST_JOBS, check_arguments, check_texts
from conjure.operations.costs import Plan, Spent
from conjure.operations.pair_run import PairRun
from conjure.operations.pairs import run_windows
from conjure.operations.sampling import Sampling, SamplingOptions
from conjure.operations.unread import check_distinct
from conjure.operations.windows import Grid
from conjure.process.base import Described, Process
from conjure.signatures import shows
from conjure.store.manifest import versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Matrix:
    """Distances between all pairs of some prompts.

    Args:
        prompts: In the order of the rows.
        process: The process that was run.
        estimand: What the distances are.
        distances: Symmetric, 0 on the diagonal, shape ``(N, N)``; in nats where they are
            divergences.
        errors: Their standard errors; NaN with one sample.
        kl: KL(P_row‖P_column) in nats, or None where the estimand is no KL of this process.
        samples: Samples each distance is the mean of, shape ``(N, N)``.
        seed: Of the noise.
        calls: Network calls that were made.
        seconds: Wall time, without loading the model.
        floor: Of half precision, what its rounding adds to a distance; None in others.
        per_sample: Each sample's distances, shape ``(k, N, N)``; None where pairs have different
            numbers of samples.
        spent: What the run took; None where nothing was run.
    """

    prompts: tuple[str, ...]
    process: Described = field(repr=False)
    estimand: str
    distances: Floats = field(repr=False)
    errors: Floats = field(repr=False)
    kl: Floats | None = field(repr=False)
    samples: np.ndarray = field(repr=False)
    seed: int
    calls: int
    seconds: float
    floor: float | None = None
    per_sample: Floats | None = field(default=None, repr=False)
    spent: Spent | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return (
            f"<Matrix {listed(self.prompts)}: {self.estimand}, {self.samples.max():,} samples, "
            f"{self.process.model}>"
        )

    def order(self) -> list[int]:
        """The rows in an order that brings near prompts together: the dendrogram's leaves."""
        if len(self.prompts) < 3:
            return list(range(len(self.prompts)))
        from scipy.cluster.hierarchy import leaves_list

        return leaves_list(self.linkage()).tolist()

    def linkage(self) -> Floats:
        """Average-linkage clustering on √distance, which is like a Euclidean length; SciPy's form.

        Raises:
            ConjureError: There are fewer than two prompts.
        """
        if len(self.prompts) < 2:
            raise ConjureError("Clustering needs at least two prompts.")
        from scipy.cluster.hierarchy import linkage
        from scipy.spatial.distance import squareform

        lengths = np.sqrt(squareform(self.distances, checks=False))
        return linkage(lengths, "average", optimal_ordering=True)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        errors = [[None if math.isnan(v) else v for v in row] for row in self.errors.tolist()]
        return {
            "prompts": list(self.prompts),
            "model": self.process.model,
            "process": self.process.describe(),
            "estimand": self.estimand,
            "distances": self.distances.tolist(),
            "standard_errors": errors,
            "kl": None if self.kl is None else self.kl.tolist(),
            "samples": self.samples.tolist(),
            "floor": self.floor,
            "seed": self.seed,
            "calls": self.calls,
            "seconds": self.seconds,
            "versions": versions(),
        }

    def figure(self, path: str | Path | None = None) -> Figure:
        """The heat map, ordered by clustering, with its dendrogram.

        Args:
            path: Where to write it: PNG, SVG or PDF by its ending; None to only return it.

        Raises:
            ConjureError: There are fewer than two prompts, or the file cannot be written.
        """
        from conjure.figures.matrix import matrix_figure
        from conjure.figures.style import save_figure

        made = matrix_figure(self)
        if path is not None:
            save_figure(made, path)
        return made


@shows(Sampling)
def matrix(
    prompts: Sequence[str],
    *,
    process: Process | None = None,
    out: str | Path | None = None,
    announce: Callable[[Plan], None] | None = None,
    progress: bool = False,
    **sampling: Unpack[SamplingOptions],
) -> Matrix:
    """Compare all prompts with all others; each walks one path a sample, whoever it is compared to.

    N prompts at T steps and k samples take N²(T − 1)k + Nk network calls, and with guidance
    N(T − 1)k + k more.

    Args:
        prompts: Distinct.
        process: From ``conjure.load``; None for the embedded model with its defaults.
        out: A run directory to go on from and to keep what is computed.
        announce: Called with what the run takes before it starts.
        progress: Show a bar on standard error.

    Raises:
        ConjureError: A bad argument or prompt, two prompts that are the same, or a run directory
            with other settings.

    Examples:
        >>> from conjure import Gaussian, GaussianProcess
        >>> meanings = {name: Gaussian(n * np.ones(2), np.eye(2)) for n, name in enumerate("abc")}
        >>> found = matrix(["a", "b", "c"], process=GaussianProcess.build(meanings), samples=2)
        >>> found.calls  # N²(T − 1)k + Nk
        168
        >>> bool(found.distances[0, 2] > found.distances[0, 1])
        True
    """
    process, chosen = process or default_process(), Sampling(**sampling)
    names = check_texts(None, prompts)
    check_arguments(process, chosen.most, chosen.seed, chosen.estimand)
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise ConjureError(f"The prompt {twice!r} stands twice in the list: take one out.")
    if not names:
        raise ConjureError("A matrix needs at least one prompt.")
    if not process.reads_prompts:
        return _meaningless(names, process, chosen)
    check_distinct(process, names)
    started = time.perf_counter()
    grid = Grid(names, MOST_JOBS, chosen.most, whole=chosen.top is not None)
    run = run_windows(grid, process, chosen, out, progress=progress)
    if announce is not None:
        announce(run.plan)
    return _collected(grid, process, chosen, run, started)


def _collected(
    grid: Grid, process: Process, sampling: Sampling, run: PairRun, started: float
) -> Matrix:
    """A run's results, each in its place, as they come."""
    count, estimand, floor = len(grid.prompts), sampling.estimand, None
    distances, errors, kl = (np.zeros((count, count)) for _ in range(3))
    taken = np.zeros((count, count), dtype=int)
    drawn: Floats | None = None
    numbers = chain.from_iterable(grid.numbers())
    for number, ((i, j), found) in enumerate(zip(numbers, run, strict=True)):
        distances[i, j] = distances[j, i] = found.distance
        error = found.standard_error
        errors[i, j] = errors[j, i] = math.nan if error is None else error
        taken[i, j] = taken[j, i] = found.samples
        floor = None if found.floor is None else found.floor[estimand]
        if found.kl_forward is not None and found.kl_reverse is not None:
            kl[i, j], kl[j, i] = found.kl_forward, found.kl_reverse
        samples = found.estimate.per_sample
        if number == 0:
            drawn = np.zeros((len(samples), count, count))
        if drawn is not None and len(samples) != len(drawn):
            drawn = None
        if drawn is not None:
            drawn[:, i, j] = drawn[:, j, i] = samples
    return Matrix(
        tuple(grid.prompts), process, estimand, distances, errors,
        kl if ESTIMANDS[estimand].is_kl(process) else None, taken, sampling.seed, run.calls,
        time.perf_counter() - started, floor, drawn, run.spent,
    )  # fmt: skip


def _meaningless(names: tuple[str, ...], process: Process, sampling: Sampling) -> Matrix:
    """That of a process that does not read its prompts: 0, by what it is and not by measuring."""
    zeros = np.zeros((len(names), len(names)))
    taken = np.where(np.eye(len(names), dtype=bool), 0, sampling.most)
    kl = zeros if ESTIMANDS[sampling.estimand].is_kl(process) else None
    return Matrix(
        names, process, sampling.estimand, zeros, zeros, kl, taken, sampling.seed, 0, 0.0,
        per_sample=np.zeros((sampling.most, *zeros.shape)),
    )  # fmt: skip
