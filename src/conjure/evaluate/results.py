"""What an evaluation finds, and how it is kept in its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from conjure.errors import ConjureError
from conjure.evaluate.examples import Examples
from conjure.io.files import written_whole
from conjure.io.rows import plain
from conjure.levels import Floats

AVERAGE = "average"
"""The name of the mean over the seven data sets, where all of them were run."""


@dataclass(frozen=True)
class Score:
    """How one column of one method agrees with people on one task.

    Args:
        task: Its name, or ``average``.
        method: Its name.
        group: The heading it stands under.
        column: Which of the method's distances.
        headline: Whether it is the method's first.
        spearman: Rank correlation of nearness with the human scores, in [−1, 1].
        low: Lower end of the 95% bootstrap interval over pairs.
        high: Upper end.
        pearson: The linear correlation over the whole task; None of an average.
        monte_carlo: Standard error that other samples would bring; None where it is unknown or
            nothing is drawn.
        beyond_text: Partial rank correlation given the text encoder's distance, over the whole
            task; None without it.
        beyond_low: Lower end of its 95% bootstrap interval, of a headline.
        beyond_high: Upper end.
        pairs: How many.
        samples: How many the distances are means of; 0 where nothing is drawn.
    """

    task: str
    method: str
    group: str
    column: str
    headline: bool
    spearman: float
    low: float
    high: float
    pearson: float | None
    monte_carlo: float | None
    beyond_text: float | None
    beyond_low: float | None
    beyond_high: float | None
    pairs: int
    samples: int


@dataclass(frozen=True)
class Difference:
    """Two methods on one task: the first one's Spearman less the second's.

    Args:
        task: Its name, or ``average``.
        method: The first, by its headline column.
        other: The second.
        value: The difference.
        low: Lower end of its 95% paired bootstrap interval over pairs.
        high: Upper end.
        monte_carlo: Standard error that other samples would bring, as in ``Score``.
    """

    task: str
    method: str
    other: str
    value: float
    low: float
    high: float
    monte_carlo: float | None = None


@dataclass(frozen=True)
class TaskResult:
    """The pairs of a task with what every method says.

    Args:
        examples: The pairs that were run.
        distances: Mean over samples by (method, column), shape ``(P,)``; smaller is closer.
    """

    examples: Examples
    distances: Mapping[tuple[str, str], Floats]


@dataclass(frozen=True)
class Evaluation:
    """A whole evaluation.

    Args:
        settings: Model, process, conventions, versions: everything that it depends on.
        scores: One for each task, method and column.
        differences: Of the headline columns of any two methods.
        results: The pairs, by task.
        calls: Network calls made now.
        seconds: Wall time.
        left_out: Correlations without each sample in turn, by task, method and column; not kept in
            the run's folder.
    """

    settings: dict[str, Any]
    scores: list[Score]
    differences: list[Difference]
    results: dict[str, TaskResult] = field(repr=False)
    calls: int
    seconds: float
    left_out: Mapping[tuple[str, str, str], Floats] = field(default_factory=dict, repr=False)

    def lead(self) -> Score:
        """The headline that errors and differences are shown of: conjuring's, else the first."""
        heads = [score for score in self.scores if score.headline]
        return next((s for s in heads if s.method == "conjuring"), heads[0])

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pairs, as JSON values."""
        return {
            "settings": self.settings,
            "scores": [_plain(asdict(score)) for score in self.scores],
            "differences": [_plain(asdict(difference)) for difference in self.differences],
            "calls": self.calls,
            "seconds": self.seconds,
        }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in row.items()}


def save(evaluation: Evaluation, folder: Path) -> None:
    """Scores as ``evaluation.json``, the pairs with all distances as ``pairs.jsonl``."""
    # Both drafts are finished before either takes its place: they belong together.
    with (
        written_whole(folder / "evaluation.json") as summary,
        written_whole(folder / "pairs.jsonl") as pairs,
    ):
        text = json.dumps(evaluation.to_dict(), indent=1, ensure_ascii=False)
        summary.write_text(text + "\n", encoding="utf-8")
        with pairs.open("w", encoding="utf-8") as stream:
            for result in evaluation.results.values():
                for row in pair_rows(result):
                    stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def pair_rows(result: TaskResult) -> list[dict[str, Any]]:
    """A task's pairs as JSON rows, with every distance under ``distances``."""
    examples = result.examples
    rows = []
    for i, (a, b) in enumerate(examples.pairs):
        more = plain({name: values[i] for name, values in examples.more.items()})
        distances = {f"{m}/{c}": float(values[i]) for (m, c), values in result.distances.items()}
        rows.append(
            {
                "task": examples.task, "a": a, "b": b, "score": float(examples.scores[i]),
                "words": examples.words, "more": more, "distances": distances,
            }
        )  # fmt: skip
    return rows


def open_evaluation(folder: str | Path) -> Evaluation:
    """A finished evaluation from its run directory.

    Raises:
        ConjureError: There is none.
    """
    place = Path(folder)
    try:
        record = json.loads((place / "evaluation.json").read_text(encoding="utf-8"))
        lines = (place / "pairs.jsonl").read_text(encoding="utf-8").split("\n")
        rows = [json.loads(line) for line in lines if line]
        scores = [Score(**_numbers(score)) for score in record["scores"]]
        gaps = [Difference(**_numbers(gap)) for gap in record["differences"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConjureError(
            f"{str(place)!r} holds no finished evaluation: {error}. Run conjure evaluate with "
            f"--out {place} first."
        ) from error
    results = {}
    for task in dict.fromkeys(row["task"] for row in rows):
        own = [row for row in rows if row["task"] == task]
        examples = Examples(
            task,
            tuple((row["a"], row["b"]) for row in own),
            np.array([row["score"] for row in own]),
            {name: [row["more"].get(name) for row in own] for name in own[0]["more"]},
            own[0]["words"],
        )
        distances = {
            _key(name): np.array([row["distances"][name] for row in own])
            for name in own[0]["distances"]
        }
        results[task] = TaskResult(examples, distances)
    return Evaluation(record["settings"], scores, gaps, results, record["calls"], record["seconds"])


def _key(name: str) -> tuple[str, str]:
    method, _, column = name.rpartition("/")
    return method, column


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    """NaN, which JSON lacks, where a number must be."""
    needed = ("spearman", "low", "high", "value")
    return {k: float("nan") if v is None and k in needed else v for k, v in row.items()}
