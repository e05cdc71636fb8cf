"""One list of prompts under several processes: how far the meaning depends on which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from conjure.errors import ConjureError
from conjure.io.brief import listed
from conjure.io.files import check_folder
from conjure.levels import Floats
from conjure.operations.arguments import check_arguments, check_texts
from conjure.operations.costs import Plan
from conjure.operations.matrix import Matrix, matrix
from conjure.operations.sampling import Sampling, SamplingOptions, with_usual
from conjure.process.base import Description, Process
from conjure.signatures import shows
from conjure.statistics import jackknife_error, spearman

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Load = Callable[[], Process]

SAMPLES = 4
"""Samples a pair, where nothing is said."""


@dataclass(frozen=True)
class Move:
    """A pair of prompts whose place among all pairs depends on the process.

    Args:
        prompts: The two.
        ranks: Its place by each process, from 0 (the nearest pair) to 1 (the furthest); NaN by one
            without meaning.
        spread: Between the largest and the smallest of them.
        error: How far other samples would move that, by a jackknife over samples; None with one.
    """

    prompts: tuple[str, str]
    ranks: tuple[float, ...]
    spread: float
    error: float | None = None


@dataclass(frozen=True)
class Processes:
    """What several processes say about the same prompts.

    Args:
        names: Of the processes.
        matrices: A distance matrix each.
    """

    names: tuple[str, ...]
    matrices: tuple[Matrix, ...] = field(repr=False)

    def __repr__(self) -> str:
        return f"<Processes {'; '.join(self.names)}: {listed(self.prompts)}>"

    @property
    def prompts(self) -> tuple[str, ...]:
        """Which were compared."""
        return self.matrices[0].prompts

    def pairs(self) -> Floats:
        """Distances of all pairs, a row a process, ``(K, N(N − 1)/2)``."""
        upper = np.triu_indices(len(self.prompts), 1)
        return np.array([found.distances[upper] for found in self.matrices])

    def agreement(self) -> Floats:
        """Spearman's correlation of the processes' distances, ``(K, K)``.

        NaN where a process has no meaning: all its distances are the same.
        """
        return _agreement(self.pairs())

    def agreement_errors(self) -> Floats | None:
        """How far other samples would move each agreement, by a jackknife over samples.

        All processes share a sample's noise, so it is left out of all at once. None with one
        sample.
        """
        without = self._leave_one_out()
        if without is None:
            return None
        return jackknife_error(np.array([_agreement(rows) for rows in without]))

    def _leave_one_out(self) -> list[Floats] | None:
        """``pairs`` without each sample in turn."""
        drawn = [found.per_sample for found in self.matrices]
        if any(one is None for one in drawn):
            return None
        samples = np.stack([one for one in drawn if one is not None])  # (K, k, N, N)
        count = samples.shape[1]
        if count < 2:
            return None
        upper = np.triu_indices(len(self.prompts), 1)
        total = samples.sum(1)
        return [(total - samples[:, s])[:, *upper] / (count - 1) for s in range(count)]

    def moves(self, count: int = 10) -> list[Move]:
        """The pairs whose place differs most between those processes that have a meaning."""
        rows = self.pairs()
        ranks, used = _places(rows), _meant(rows)
        if used.sum() < 2:
            return []
        spread = np.ptp(ranks[used], axis=0)
        without = self._leave_one_out()
        errors: list[float | None] = [None] * len(spread)
        if without is not None:
            moved = [np.ptp(_places(one)[used], axis=0) for one in without]
            errors = jackknife_error(np.array(moved)).tolist()
        ranks[~used] = np.nan
        pairs = list(combinations(self.prompts, 2))
        return [
            Move(pairs[n], tuple(ranks[:, n].tolist()), float(spread[n]), errors[n])
            for n in np.argsort(-spread, kind="stable")[:count]
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values."""
        agreement = [_listed(row) for row in self.agreement()]
        errors = self.agreement_errors()
        return {
            "prompts": list(self.prompts),
            "processes": {
                name: found.to_dict() for name, found in zip(self.names, self.matrices, strict=True)
            },
            "agreement": agreement,
            "agreement_errors": None if errors is None else [_listed(row) for row in errors],
            "moves": [
                {
                    "prompts": list(m.prompts),
                    "ranks": _listed(m.ranks),
                    "spread": m.spread,
                    "error": m.error,
                }
                for m in self.moves()
            ],
        }

    def figure(self, path: str | Path | None = None) -> Figure:
        """The matrices side by side in one order, and how well they agree.

        Raises:
            ConjureError: The file cannot be written.
        """
        from conjure.figures.processes import processes_figure
        from conjure.figures.style import save_figure

        made = processes_figure(self)
        if path is not None:
            save_figure(made, path)
        return made


@shows(Sampling)
def compare_processes(
    prompts: Sequence[str],
    processes: Mapping[str, Process | Load],
    *,
    out: str | Path | None = None,
    announce: Callable[[Plan], None] | None = None,
    progress: bool = False,
    **sampling: Unpack[SamplingOptions],
) -> Processes:
    """How the distances between prompts change from process to process.

    All processes over states of one shape share the noise. Where no tolerance is given, a pair has
    4 samples unless another number is; the estimand must be one that each process has.

    Args:
        prompts: Distinct, at least three.
        processes: By name; or functions that load them, called one after another, of whose models
            none is kept.
        out: A folder, with a run directory for each process.
        announce: Called with what each process takes, and its name, before it starts.
        progress: Show a bar for each.

    Raises:
        ConjureError: Fewer than three prompts or two processes, or as ``conjure.matrix``.
    """
    prompts = check_texts(None, prompts)
    if len(prompts) < 3:
        raise ConjureError("Processes are compared by what is nearer to what: give three prompts.")
    if len(processes) < 2:
        raise ConjureError("There is one process only: vary something.")
    sampling = with_usual(sampling, SAMPLES)
    chosen = Sampling(**sampling)
    for given in processes.values():
        if not callable(given):  # the others are seen when their turn comes
            check_arguments(given, chosen.most, chosen.seed, chosen.estimand)
            check_texts(given, prompts)
    if out is not None:
        out = check_folder(out)
        out.mkdir(exist_ok=True)
    matrices: list[Matrix] = []
    for name, given in processes.items():
        process = given() if callable(given) else given
        folder = folder_of(out, name)
        found = matrix(
            prompts, process=process, out=folder, announce=_named(announce, name),
            progress=progress, **sampling,
        )  # fmt: skip
        # A matrix remembers its process; a model that was loaded for it alone need not stay.
        kept = Description.of(process) if callable(given) else process
        matrices.append(replace(found, process=kept))
    return Processes(tuple(processes), tuple(matrices))


def folder_of(out: str | Path | None, name: str) -> Path | None:
    """Where the run of a process of this name is."""
    return None if out is None else Path(out) / name.replace("/", "_").replace(", ", "_")


def _named(announce: Callable[[Plan], None] | None, name: str) -> Callable[[Plan], None] | None:
    """Announce plans of one process with its name."""
    return None if announce is None else lambda plan: announce(replace(plan, name=name))


def _listed(values: Iterable[float]) -> list[float | None]:
    """As JSON has them."""
    return [None if np.isnan(value) else float(value) for value in values]


def _meant(rows: Floats) -> np.ndarray:
    """Of each process, whether it tells pairs apart by more than a network's rounding."""
    return np.ptp(rows, axis=1) > 1e-6 * np.maximum(rows.max(axis=1), 1e-3)


def _agreement(rows: Floats) -> Floats:
    """Spearman's correlations of some rows; NaN with one without meaning."""
    meant = _meant(rows)
    found = np.where(meant[:, None] & meant, spearman(rows[:, None], rows), np.nan)
    found[meant, meant] = 1.0  # not a rounding less
    return found


def _places(rows: Floats) -> Floats:
    """Ranks within each row, from 0 to 1; ties share theirs."""
    from scipy.stats import rankdata

    return (rankdata(rows, axis=1) - 1) / max(1, rows.shape[1] - 1)
