"""One prompt under two processes: what a fine-tune, an erasure or a lower precision changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from conjure.engine.ends import finished_pictures, path_calls
from conjure.engine.network import Network
from conjure.errors import ConjureError
from conjure.io.brief import listed, measured, shortened
from conjure.io.progress import progress_bar
from conjure.operations.arguments import check_texts
from conjure.operations.compare import Comparison
from conjure.operations.costs import Plan
from conjure.operations.pairs import compare_pairs
from conjure.operations.processes import Processes, compare_processes
from conjure.operations.sampling import Sampling, SamplingOptions, with_usual
from conjure.process.base import Process
from conjure.process.wrappers.between import FIRST, SECOND, Between, why_apart
from conjure.signatures import shows
from conjure.store.manifest import versions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES = 4
"""Samples a prompt, where nothing is said."""

COLUMNS = (
    "distance", "standard_error", "low", "high", "kl_forward", "kl_reverse", "samples",
    "near_floor", "unread",
)  # fmt: skip
"""Of a table of prompts, what is told of each."""


@dataclass(frozen=True)
class Drift:
    """How far two processes lie apart under each of some prompts.

    Args:
        prompts: In the order of the input.
        first: A.
        second: B.
        results: What was found for each, in the same order; the forward KL is KL(A‖B).
        seed: Of the noise.
        calls: Network calls that were made.
    """

    prompts: tuple[str, ...]
    first: Process = field(repr=False)
    second: Process = field(repr=False)
    results: tuple[Comparison, ...] = field(repr=False)
    seed: int
    calls: int

    def __repr__(self) -> str:
        most, found = self.ranked()[0]
        changed = measured(found.distance, found.standard_error, " nats" * found.is_kl)
        return (
            f"<Drift {listed(self.prompts)}: {self.named[0]} against {self.named[1]}, most "
            f"{shortened(most, 30)} by {changed}>"
        )

    @property
    def named(self) -> tuple[str, str]:
        """Either process by its model, and by what it does otherwise than the other."""
        apart = [
            {"revision": p.revision, "variant": p.variant} | p.describe()
            for p in (self.first, self.second)
        ]
        names = []
        for process, own, other in zip((self.first, self.second), apart, apart[::-1], strict=True):
            differences = {k: v for k, v in own.items() if other.get(k) != v and k != "device"}
            listed = ", ".join(f"{name} {value}" for name, value in differences.items())
            names.append(process.model + (f" ({listed})" if listed else ""))
        return names[0], names[1]

    @property
    def distances(self) -> np.ndarray:
        """Of each prompt, ``(N,)``; in nats where they are divergences."""
        return np.array([result.distance for result in self.results])

    def ranked(self) -> list[tuple[str, Comparison]]:
        """The prompts, the most changed first."""
        order = np.argsort(-self.distances, kind="stable")
        return [(self.prompts[i], self.results[i]) for i in order]

    def said(self, samples: int = SAMPLES, *, progress: bool = False) -> dict[str, float]:
        """How much each prompt says under A: its distance from the negative one.

        What a drift is over that has a scale: 1 is as if the prompt had been forgotten.
        """
        pairs = [(prompt, self.first.negative) for prompt in self.prompts]
        run = compare_pairs(
            pairs, process=self.first, samples=samples, seed=self.seed, progress=progress,
            estimand=self.results[0].estimand,
        )  # fmt: skip
        return {found.prompts[0]: found.distance for found in run}

    def rows(self) -> list[tuple[str, dict[str, Any]]]:
        """Each prompt's row of a table, the most changed first."""
        return [(prompt, found.row()) for prompt, found in self.ranked()]

    def pictures(
        self, count: int = 6, samples: int = 3, *, progress: bool = False
    ) -> tuple[list[str], np.ndarray]:
        """What the most changed prompts conjure under either process, from the same noise.

        ``count``·``samples`` paths of either are walked for them, on top of ``calls``.

        Returns:
            The prompts, and pictures of shape ``(count, 2, samples, height, width, 3)``.

        Raises:
            ConjureError: The processes have no pictures, or none are asked for.
        """
        if min(count, samples) < 1:
            raise ConjureError("Pictures are of at least one prompt, and one sample of it.")
        names = [prompt for prompt, _ in self.ranked()[:count]]
        keys = [(name, sample) for name in names for sample in range(samples)]
        drawn = []
        for process in (self.first, self.second):
            if not process.has_pictures:
                raise ConjureError("These processes have no pictures: states cannot be decoded.")
            calls = path_calls(process, len(keys))
            with progress_bar("Drawing pictures", calls, shown=progress) as bar:
                network = Network(process, bar.advance)
                states = finished_pictures(process, network, keys, self.seed)
            found = process.decode(states)
            drawn.append(found.reshape(len(names), samples, *found.shape[1:]))
        return names, np.stack(drawn, axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values, the most changed first."""
        return {
            "compared": "paths",
            "named": list(self.named),
            "models": [self.first.model, self.second.model],
            "processes": [self.first.describe(), self.second.describe()],
            "estimand": self.results[0].estimand,
            "prompts": [
                {"prompt": prompt, **{name: row[name] for name in COLUMNS}}
                for prompt, row in self.rows()
            ],
            "seed": self.seed,
            "calls": self.calls,
            "versions": versions(),
        }

    def figure(
        self, path: str | Path | None = None, *, count: int = 6, progress: bool = False
    ) -> Figure:
        """How far each prompt has moved, and what the furthest conjure under either process.

        Raises:
            ConjureError: The file cannot be written.
        """
        from conjure.figures.drift import drift_figure
        from conjure.figures.style import save_figure

        made = drift_figure(self, count=count, progress=progress)
        if path is not None:
            save_figure(made, path)
        return made


@shows(Sampling)
def drift(
    prompts: Sequence[str],
    process: Process,
    against: Process,
    *,
    out: str | Path | None = None,
    announce: Callable[[Plan], None] | None = None,
    progress: bool = False,
    **sampling: Unpack[SamplingOptions],
) -> Drift:
    """Which prompts mean something else under another process, and by how much.

    For one and the same prompt, the divergence between the two processes: both denoise the same
    noise, and along both paths both are asked. N prompts at T steps and k samples take
    N(4T − 2)k network calls, and twice that with guidance, of which nothing cancels. Where no
    tolerance is given, a prompt has 4 samples unless another number is.

    Args:
        prompts: Distinct.
        process: A, from ``conjure.load``.
        against: B: other weights, adapters, precision or guidance, with the same sampler and noise
            levels over the same latents.
        out: A run directory to go on from and to keep what is computed.
        announce: Called with what the run takes before it starts.
        progress: Show a bar on standard error.

    Raises:
        ConjureError: The processes share no states, sampler or levels (compare their distance
            matrices instead, with ``conjure.compare_by_matrices``), or a bad argument or prompt.

    Examples:
        >>> from conjure import Gaussian, GaussianProcess
        >>> unit = np.eye(2)
        >>> one, two = (
        ...     {"cat": Gaussian(np.zeros(2), unit), "dog": Gaussian(m * np.ones(2), unit)}
        ...     for m in (1, 2)
        ... )
        >>> found = drift(["cat", "dog"], GaussianProcess.build(one), GaussianProcess.build(two))
        >>> found.ranked()[0][0], float(found.distances[0])
        ('dog', 0.0)
    """
    names = tuple(dict.fromkeys(check_texts(process, prompts)))
    if not names:
        raise ConjureError("A drift needs at least one prompt.")
    reason = why_apart(process, against)
    if reason is not None:
        raise ConjureError(
            f"{process.model!r} and {against.model!r} have no common paths: {reason}. Their "
            "distance matrices can be compared instead (conjure.compare_by_matrices)."
        )
    both = Between(process, against)
    sampling = with_usual(sampling, SAMPLES)
    chosen = Sampling(**sampling)
    if chosen.top is not None:
        raise ConjureError(
            "top spends samples on the nearest, and a drift asks for the most changed: take a "
            "tolerance instead."
        )
    run = compare_pairs(
        [(FIRST + name, SECOND + name) for name in names], process=both, out=out,
        progress=progress, **sampling,
    )  # fmt: skip
    if announce is not None:
        announce(run.plan)
    results = tuple(run)
    return Drift(names, process, against, results, chosen.seed, both.calls_for(run.calls))


def compare_by_matrices(
    prompts: Sequence[str], process: Process, against: Process, **how: Any
) -> Processes:
    """How two processes that share no paths place the same prompts: their distance matrices.

    Arguments are those of ``conjure.compare_processes``.
    """
    return compare_processes(prompts, {"A": process, "B": against}, **how)
