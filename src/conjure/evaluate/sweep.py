"""The same evaluation at several settings: how the answer moves with guidance, steps, samples."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from conjure.evaluate.examples import Conventions
from conjure.evaluate.results import Evaluation
from conjure.evaluate.run import evaluate
from conjure.evaluate.scoring import bootstrap, correlation, error_of_difference, interval
from conjure.figures.fonts import readable
from conjure.figures.style import shorten
from conjure.io.files import check_folder, written_whole
from conjure.io.ours import Schema, parse_ours, read_ours
from conjure.process.base import Process

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """One setting of a sweep.

    Args:
        at: What was varied → its value here.
        evaluation: What was found.
    """

    at: dict[str, Any]
    evaluation: Evaluation

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"at": self.at, **self.evaluation.to_dict()}


@dataclass(frozen=True)
class Gap:
    """A point of a sweep against its first.

    Args:
        at: Which point.
        task: On which task.
        method: By which method's headline column.
        value: Its Spearman less that of the first point.
        low: Lower end of the 95% paired bootstrap interval over pairs.
        high: Upper end.
        monte_carlo: Standard error that other samples would bring; None where it is unknown, or
            nothing is drawn.
    """

    at: dict[str, Any]
    task: str
    method: str
    value: float
    low: float
    high: float
    monte_carlo: float | None = None


def sweep(
    tasks: Sequence[Any],
    methods: Sequence[str],
    axes: Mapping[str, Sequence[Any]],
    load: Callable[[dict[str, Any]], Process | Callable[[], Process]],
    *,
    samples: int = 2,
    out: str | Path | None = None,
    **options: Any,
) -> list[Point]:
    """Evaluate at every combination of some settings.

    Args:
        tasks: As for ``evaluate``.
        methods: Likewise.
        axes: What is varied → its values.
        load: The process at a point, given its settings, or a function that loads it.
        samples: Where they are not varied.
        out: A run directory for all of them: a point whose process is that of another shares its
            samples, so that ``samples=1,2,4`` costs what 4 does.
        options: Other arguments of ``evaluate``.
    """
    found = []
    out = None if out is None else check_folder(out)
    for values in product(*axes.values()):
        at = dict(zip(axes, values, strict=True))
        count = at.get("samples", samples)
        process = load(at)
        found.append(
            Point(at, evaluate(tasks, methods, process=process, samples=count, out=out, **options))
        )
        if out is not None:  # evaluation.json is that of the last point
            with written_whole(out / "sweep.json") as draft:
                draft.write_text(json.dumps([p.to_dict() for p in found], ensure_ascii=False))
    return found


class _SweepPoint(Schema):
    """What is asked of a point in ``sweep.json``."""

    at: dict[str, Any]
    settings: dict[str, Any]


_POINTS = TypeAdapter(list[_SweepPoint])


def sweep_point(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where in the sweep of a run directory the evaluation with these settings was, if it was.

    Raises:
        DamagedError: The sweep's file is not as it was saved.
    """
    path = folder / "sweep.json"
    if not path.exists():
        return None
    remedy = "Give the command with --vary again, or remove the file."
    points = parse_ours(read_ours(path, remedy), _POINTS, repr(str(path)), remedy).raw
    return next((p["at"] for p in points[::-1] if p["settings"] == settings), None)


def gaps_to_first(points: Sequence[Point]) -> list[Gap]:
    """How much better or worse each point is than the first, task by task, method by method.

    By the paired bootstrap: all points meet the same resamples of a task's pairs.
    """
    found = []
    first = points[0].evaluation
    how = Conventions(**first.settings["conventions"])
    counts = {(s.task, s.method, s.column): s.samples for s in first.scores}
    for point in points[1:]:
        for score in point.evaluation.scores:
            key, task = (score.method, score.column), score.task
            if not score.headline or task not in first.results:
                continue
            draws, values = [], []
            for result in (point.evaluation.results[task], first.results[task]):
                if key not in result.distances:
                    break
                near, people = -result.distances[key], result.examples.scores
                subsets = how.subsets(result.examples)
                draws.append(bootstrap(near, people, task, subsets))
                values.append(correlation(near, people, subsets))
            else:
                low, high = interval(draws[0] - draws[1])
                both = [e.left_out.get((task, *key)) for e in (point.evaluation, first)]
                single = 1 in (score.samples, counts[task, *key])
                found.append(
                    Gap(
                        point.at, task, score.method, values[0] - values[1], low, high,
                        error_of_difference(*both, unknown=single),
                    )
                )  # fmt: skip
    return found


@readable
def sweep_figure(points: Sequence[Point]) -> Figure:
    """Curves with 95% bands over the first thing that was varied, a panel for each task.

    Where more was varied, each combination of the rest has a curve of its own.
    """
    from matplotlib.figure import Figure

    axis = next(iter(points[0].at))
    tasks = list(dict.fromkeys(s.task for p in points for s in p.evaluation.scores))
    figure = Figure(figsize=(0.6 + 3.6 * len(tasks), 3.4), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(tasks), squeeze=False, sharey=True)[0]
    values = list(dict.fromkeys(p.at[axis] for p in points))
    numeric = all(isinstance(v, (int, float)) for v in values)
    for panel, task in zip(panels, tasks, strict=True):
        curves: dict[str, list[tuple[Any, float, float, float]]] = {}
        for point in points:
            rest = ", ".join(f"{k} {v}" for k, v in point.at.items() if k != axis)
            for score in point.evaluation.scores:
                if score.headline and score.task == task:
                    name = f"{score.method} ({rest})" if rest else score.method
                    row = (point.at[axis], score.spearman, score.low, score.high)
                    curves.setdefault(name, []).append(row)
        for name, rows in curves.items():
            place = [row[0] if numeric else values.index(row[0]) for row in rows]
            middle, low, high = (100 * np.array([row[i] for row in rows]) for i in (1, 2, 3))
            (line,) = panel.plot(place, middle, marker="o", markersize=3.5, label=shorten(name, 60))
            panel.fill_between(place, low, high, alpha=0.15, color=line.get_color(), linewidth=0)
        if not numeric:
            panel.set_xticks(range(len(values)), [shorten(str(v)) for v in values])
        elif len(values) > 1 and min(values) > 0 and max(values) / min(values) >= 8:
            panel.set_xscale("log", base=2)
            panel.minorticks_off()
            panel.set_xticks(values, [f"{v:g}" for v in values])
        else:
            panel.set_xticks(values, [f"{v:g}" for v in values])
        panel.set_title(shorten(task, 40), fontsize=10)
        panel.set_xlabel(axis)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("Spearman × 100")
    panels[0].legend(fontsize=7, frameon=False)
    return figure
