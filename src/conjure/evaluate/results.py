"""What an evaluation finds, and how it is kept in its folder."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, NonNegativeInt, TypeAdapter

from conjure.errors import ConjureError, DamagedError
from conjure.evaluate.examples import Conventions, Examples
from conjure.io.files import known_path, written_whole
from conjure.io.ours import Schema, parse_ours, read_ours
from conjure.io.rows import plain
from conjure.levels import Floats

AVERAGE = "average"
"""The name of the mean over the seven data sets, where all of them were run."""

Figure = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""NaN where a correlation is undefined, for which JSON has null."""


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
    spearman: Figure
    low: Figure
    high: Figure
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
    value: Figure
    low: Figure
    high: Figure
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

    def __repr__(self) -> str:
        heads = (s for s in self.scores if s.headline)
        told = "; ".join(f"{s.task} {s.method} {100 * s.spearman:.1f}" for s in heads)
        return f"<Evaluation {told}>"

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
        with pairs.open("w", encoding="utf-8") as stream:
            for result in evaluation.results.values():
                for row in pair_rows(result):
                    stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        record = evaluation.to_dict()
        record["seal"] = seal(record, pairs.read_bytes())
        text = json.dumps(record, indent=1, ensure_ascii=False)
        summary.write_text(text + "\n", encoding="utf-8")


def seal(record: Mapping[str, Any], pairs: bytes) -> str:
    """A hash of both files, by which they know each other, and what was changed in either."""
    said = {key: value for key, value in record.items() if key != "seal"}
    text = json.dumps(said, sort_keys=True).encode()
    return hashlib.blake2b(text + b"\n" + pairs, digest_size=16).hexdigest()


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


class _Settings(Schema):
    """What the readers of an evaluation ask of its settings."""

    conjure: str
    model: str | None
    revision: str | None
    variant: str | None
    process: dict[str, Any] | None
    samples: NonNegativeInt
    seed: NonNegativeInt
    conventions: Conventions


class _Record(Schema):
    """The schema of ``evaluation.json``."""

    settings: _Settings
    scores: list[Score]
    differences: list[Difference]
    calls: NonNegativeInt
    seconds: float
    seal: str


class _Pair(Schema):
    """The schema of a line of ``pairs.jsonl``."""

    task: str
    a: str
    b: str
    score: float
    words: bool
    more: dict[str, Any]
    distances: dict[str, float]


_RECORD, _PAIR = TypeAdapter(_Record), TypeAdapter(_Pair)


def open_evaluation(folder: str | Path) -> Evaluation:
    """A finished evaluation from its run directory.

    Raises:
        ConjureError: There is none.
        DamagedError: It is not as it was saved.
    """
    place = known_path(folder)
    files = summary, pairs = place / "evaluation.json", place / "pairs.jsonl"
    for file in files:
        if not file.exists():
            raise ConjureError(
                f"{str(place)!r} holds no finished evaluation: there is no {file.name}. Run "
                f"conjure evaluate with --out {place} first."
            )
    remedy = (
        f"Run conjure evaluate with --out {place} again: what is finished need not be computed."
    )
    raw, record = parse_ours(read_ours(summary, remedy), _RECORD, repr(str(summary)), remedy)
    by_task: dict[str, list[_Pair]] = {}
    lines = read_ours(pairs, remedy)
    for number, line in enumerate(lines.split(b"\n"), start=1):
        if line:
            where = f"Line {number} of {str(pairs)!r}"
            row = parse_ours(line, _PAIR, where, remedy).value
            by_task.setdefault(row.task, []).append(row)
    if reason := _why_unfit(record.scores, by_task):
        raise DamagedError(
            f"{str(summary)!r} and {pairs.name} beside it do not fit together: {reason}. {remedy}"
        )
    if record.seal != seal(raw, lines):
        raise DamagedError(
            f"{str(summary)!r} or {pairs.name} beside it was changed after it was written, or they "
            f"are of two evaluations. {remedy}"
        )
    results = {task: _result(task, rows) for task, rows in by_task.items()}
    # As they stand there, but for what a newer version may say of conventions, or an older may not.
    settings = {**raw["settings"], "conventions": asdict(record.settings.conventions)}
    return Evaluation(
        settings, record.scores, record.differences, results, record.calls, record.seconds
    )


def _why_unfit(scores: Sequence[Score], by_task: Mapping[str, Sequence[_Pair]]) -> str | None:
    """Why some scores are not of these pairs; None if they are."""
    if not any(score.headline for score in scores):
        return "no score is a method's first"
    for score in scores:
        rows = by_task.get(score.task, [])
        if score.task != AVERAGE and score.pairs != len(rows):
            return f"{score.task} has {score.pairs} pairs in the one and {len(rows)} in the other"
    for task, rows in by_task.items():
        names = {f"{score.method}/{score.column}" for score in scores if score.task == task}
        if not names or any(row.distances.keys() != names for row in rows):
            return f"the methods of {task} are others"
        if len({(row.words, *sorted(row.more)) for row in rows}) > 1:
            return f"the pairs of {task} are not all of one kind"
    return None


def _result(task: str, rows: Sequence[_Pair]) -> TaskResult:
    first = rows[0]
    examples = Examples(
        task,
        tuple((row.a, row.b) for row in rows),
        np.array([row.score for row in rows]),
        {name: [row.more[name] for row in rows] for name in first.more},
        first.words,
    )
    distances = {
        _key(name): np.array([row.distances[name] for row in rows]) for name in first.distances
    }
    return TaskResult(examples, distances)


def _key(name: str) -> tuple[str, str]:
    method, _, column = name.rpartition("/")
    return method, column
