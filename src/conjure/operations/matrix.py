"""All prompts against all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from conjure.divergence import ESTIMANDS
from conjure.errors import ConjureError
from conjure.levels import Floats
from conjure.loading.load import default_process
from conjure.operations.arguments import check_texts
from conjure.operations.costs import Plan, Spent
from conjure.operations.pairs import compare_pairs
from conjure.operations.sampling import Sampling, SamplingOptions
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
    names = check_texts(process, prompts)
    twice = next((p for n, p in enumerate(names) if p in names[:n]), None)
    if twice is not None:
        raise ConjureError(f"The prompt {twice!r} stands twice in the list: take one out.")
    if not names:
        raise ConjureError("A matrix needs at least one prompt.")
    if not process.reads_prompts:
        return _meaningless(names, process, chosen)
    pairs = list(combinations(names, 2))
    started = time.perf_counter()
    window = None if chosen.top is not None else max(1, len(pairs))
    run = compare_pairs(
        pairs, process=process, out=out, window=window, progress=progress, **sampling
    )
    if announce is not None:
        announce(run.plan)
    count = len(names)
    distances, errors = np.zeros((count, count)), np.zeros((count, count))
    kl, taken = np.zeros((count, count)), np.zeros((count, count), dtype=int)
    estimand, floor = chosen.estimand, None
    has_kl = ESTIMANDS[estimand].is_kl(process)
    drawn: list[Floats] = []
    for (i, j), found in zip(combinations(range(count), 2), run, strict=True):
        distances[i, j] = distances[j, i] = found.distance
        error = found.standard_error
        errors[i, j] = errors[j, i] = math.nan if error is None else error
        taken[i, j] = taken[j, i] = found.samples
        drawn.append(found.estimate.per_sample)
        floor = None if found.floor is None else found.floor[estimand]
        if found.kl_forward is not None and found.kl_reverse is not None:
            kl[i, j], kl[j, i] = found.kl_forward, found.kl_reverse
    return Matrix(
        names, process, estimand, distances, errors, kl if has_kl else None, taken, chosen.seed,
        run.calls, time.perf_counter() - started, floor, _per_sample(drawn, count), run.spent,
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


def _per_sample(drawn: Sequence[Floats], count: int) -> Floats | None:
    """Samples of all pairs, in the order of their numbers, as matrices."""
    sizes = {len(one) for one in drawn}
    if len(sizes) != 1:
        return None
    found = np.zeros((sizes.pop(), count, count))
    for (i, j), one in zip(combinations(range(count), 2), drawn, strict=True):
        found[:, i, j] = found[:, j, i] = one
    return found
