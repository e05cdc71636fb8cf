"""Every method on every task: run, scored, and kept."""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from conjure import __version__
from conjure.baselines import Asked, Measured, Method, folder_name, place_of
from conjure.comparison import check_sampling, default_process
from conjure.errors import ConjureError
from conjure.evaluate.examples import Conventions, Examples
from conjure.evaluate.scoring import (
    bootstrap,
    correlation,
    interval,
    leave_one_out,
    partial,
)
from conjure.evaluate.tasks import SEVEN, load_task
from conjure.files import check_folder, written_whole
from conjure.levels import Floats
from conjure.process.base import Process
from conjure.ranks import jackknife_error, pearson
from conjure.registry import ESTIMANDS, METHODS
from conjure.tables import plain

AVERAGE = "average"
"""The name of the mean over the seven data sets, where all of them were run."""

CONTROL = "text-encoder"
"""Whose ranking partial correlations account for."""


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
    """

    settings: dict[str, Any]
    scores: list[Score]
    differences: list[Difference]
    results: dict[str, TaskResult] = field(repr=False)
    calls: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pairs, as JSON values."""
        return {
            "settings": self.settings,
            "scores": [_plain(asdict(score)) for score in self.scores],
            "differences": [_plain(asdict(difference)) for difference in self.differences],
            "calls": self.calls,
            "seconds": self.seconds,
        }


def evaluate(
    tasks: Sequence[str | Examples],
    methods: Sequence[str],
    *,
    process: Process | Callable[[], Process] | None = None,
    data: str | Path | None = None,
    samples: int = 2,
    seed: int = 0,
    estimand: str = "girsanov",
    conventions: Conventions | None = None,
    out: str | Path | None = None,
    device: str | None = None,
    dtype: str = "float32",
    offline: bool = False,
    allow_pickle: bool = False,
    announce: Callable[[int], None] | None = None,
    progress: bool = False,
) -> Evaluation:
    """How well methods agree with human judgements of similarity.

    Args:
        tasks: Names, see ``conjure.evaluate.TASKS``, or pairs that were read otherwise.
        methods: Names from ``conjure.METHODS``, some with a model after a colon.
        process: The diffusion process, from ``conjure.load``, or a function that loads it once a
            method asks for it; None for the embedded model.
        data: A folder with the tasks' tables; None for the hub.
        samples: Monte Carlo samples of those methods that draw any.
        seed: Of their noise.
        estimand: Which of ours is the headline; all of them are computed.
        conventions: Pooling, full stops, template, limit.
        out: A run directory: what is finished is kept, so that a killed evaluation goes on, and
            more samples, tasks or methods add to it.
        device: Of models that are no diffusion process; None for the fastest.
        dtype: In which those compute.
        offline: Read only what is on this machine.
        allow_pickle: Whether those may have weights that are not safetensors.
        announce: Called before the work with the network calls it takes if nothing is kept yet.
        progress: Show bars.

    Raises:
        ConjureError: A bad argument, task or method, before any work.
    """
    conventions = conventions or Conventions()
    started = time.perf_counter()
    if not tasks or not methods:
        raise ConjureError("An evaluation needs at least one task and one method.")
    check_sampling(samples, seed)
    ESTIMANDS[estimand]
    chosen = [
        conventions.choose(load_task(t, data, offline=offline) if isinstance(t, str) else t)
        for t in tasks
    ]
    if out is not None:
        check_folder(Path(out))
    load = default_process if process is None else process if callable(process) else lambda: process
    asked = Asked(load, samples, seed, estimand, device, dtype, offline, allow_pickle, progress)
    built = build_methods(methods, asked)
    planned = 0
    for examples in chosen:
        prompts = conventions.prompts(examples)
        texts = list(dict.fromkeys(chain.from_iterable(prompts)))
        conventions.subsets(examples)  # refuses a task that has none
        for method in built:
            method.check(texts)
            planned += method.cost(prompts)
    if announce is not None:
        announce(planned)
    place = nullcontext(Path(out)) if out is not None else tempfile.TemporaryDirectory()
    drawn = Drawn({}, {})
    scores: list[Score] = []
    results: dict[str, TaskResult] = {}
    calls = 0
    kept = {method.name: folder_name(method) for method in built}
    with place as root:
        folder = Path(root)
        folder.mkdir(exist_ok=True)
        for examples in chosen:
            prompts = conventions.prompts(examples)
            measured = [(m, m.measure(prompts, folder / kept[m.name])) for m in built]
            calls += sum(said.calls for _, said in measured)
            found, means = _score_task(examples, conventions, measured, drawn)
            scores += found
            results[examples.task] = TaskResult(examples, means)
        scores += _averages(scores, drawn)
        evaluation = Evaluation(
            _settings(asked, conventions, built, chosen), scores, _differences(scores, drawn),
            results, calls, time.perf_counter() - started,
        )  # fmt: skip
        if out is not None:
            save(evaluation, folder)
    return evaluation


class Drawn(NamedTuple):
    """What errors are made from, by (task, method, column).

    Args:
        pairs: Correlations over pairs drawn again.
        samples: Correlations without each sample in turn.
    """

    pairs: dict[tuple[str, str, str], Floats]
    samples: dict[tuple[str, str, str], Floats]


def _score_task(
    examples: Examples,
    conventions: Conventions,
    measured: Sequence[tuple[Method, Measured]],
    drawn: Drawn,
) -> tuple[list[Score], dict[tuple[str, str], Floats]]:
    """Scores and mean distances of every column; the draws behind them are added to ``drawn``."""
    subsets = conventions.subsets(examples)
    scores, human = [], examples.scores
    means = {
        (method.name, column): values.mean(1)
        for method, said in measured
        for column, values in said.distances.items()
    }
    control = next((mean for key, mean in means.items() if key[0] == CONTROL), None)
    for method, said in measured:
        for number, (column, values) in enumerate(said.distances.items()):
            near, key = -means[method.name, column], (examples.task, method.name, column)
            drawn.pairs[key] = bootstrap(near, human, examples.task, subsets)
            low, high = interval(drawn.pairs[key])
            error = beyond = None
            if said.samples > 1:
                drawn.samples[key] = leave_one_out(values, human, subsets)
                error = float(jackknife_error(drawn.samples[key]))
            if control is not None and method.name != CONTROL:
                beyond = partial(near, human, -control)
            scores.append(
                Score(
                    examples.task, method.name, method.group, column, number == 0,
                    correlation(near, human, subsets), low, high, float(pearson(near, human)),
                    error, beyond, len(examples), said.samples,
                )
            )  # fmt: skip
    return scores, means


def build_methods(names: Sequence[str], asked: Asked) -> list[Method]:
    """Methods by name, each loaded.

    Raises:
        ConjureError: No such method or model, or one that stands twice.
    """
    found: dict[str, Method] = {}
    parts = [name.partition(":") for name in names]
    for build, argument in [(METHODS[kind], argument) for kind, _, argument in parts]:
        method = build(asked, argument or None)
        if method.name in found:
            raise ConjureError(f"The method {method.name} stands twice: take one out.")
        found[method.name] = method
    return sorted(found.values(), key=lambda method: place_of(method.group))


def _averages(scores: list[Score], drawn: Drawn) -> list[Score]:
    """The mean over the seven data sets of each column that has them all."""
    found = []
    by_column: dict[tuple[str, str], dict[str, Score]] = {}
    for score in scores:
        by_column.setdefault((score.method, score.column), {})[score.task] = score
    for key, tasks in by_column.items():
        if not all(task in tasks for task in SEVEN):
            continue
        parts = [tasks[task] for task in SEVEN]
        drawn.pairs[AVERAGE, *key] = np.mean([drawn.pairs[task, *key] for task in SEVEN], axis=0)
        low, high = interval(drawn.pairs[AVERAGE, *key])
        error = None
        if parts[0].samples > 1:  # all tasks share the samples' noise
            without = [drawn.samples[task, *key] for task in SEVEN]
            drawn.samples[AVERAGE, *key] = np.mean(without, axis=0)
            error = float(jackknife_error(drawn.samples[AVERAGE, *key]))
        beyond = [part.beyond_text for part in parts if part.beyond_text is not None]
        found.append(
            replace(
                parts[0], task=AVERAGE, spearman=float(np.mean([p.spearman for p in parts])),
                low=low, high=high, pearson=None, monte_carlo=error,
                beyond_text=float(np.mean(beyond)) if len(beyond) == len(parts) else None,
                pairs=sum(part.pairs for part in parts),
            )
        )  # fmt: skip
    return found


def _differences(scores: list[Score], drawn: Drawn) -> list[Difference]:
    """Between the headline columns of any two methods, on every task."""
    found = []
    for task in dict.fromkeys(score.task for score in scores):
        heads = [score for score in scores if score.task == task and score.headline]
        for one, other in combinations(heads, 2):
            ours, theirs = (drawn.pairs[task, s.method, s.column] for s in (one, other))
            low, high = interval(ours - theirs)
            value = one.spearman - other.spearman
            error = _error_of_difference(task, one, other, drawn)
            found.append(Difference(task, one.method, other.method, value, low, high, error))
    return found


def _error_of_difference(task: str, one: Score, other: Score, drawn: Drawn) -> float | None:
    """By the jackknife, sample by sample, where both draw the same; one alone where one draws."""
    known = [drawn.samples.get((task, s.method, s.column)) for s in (one, other)]
    ours, theirs = known
    if ours is None and theirs is None:
        return None
    if ours is None or theirs is None:
        (drawing,) = (one for one in known if one is not None)
        return float(jackknife_error(drawing))
    if len(ours) == len(theirs):  # samples that share their noise, or have none in common
        return float(jackknife_error(ours - theirs))
    return float(np.hypot(jackknife_error(ours), jackknife_error(theirs)))


def _settings(
    asked: Asked, conventions: Conventions, methods: Sequence[Method], chosen: Sequence[Examples]
) -> dict[str, Any]:
    process = asked.loaded
    return {
        "conjure": __version__,
        "model": None if process is None else process.model,
        "revision": getattr(process, "revision", None),
        "variant": getattr(process, "variant", None),
        "process": None if process is None else process.describe(),
        "weights": None if process is None else [process.fingerprint(), pictures_of(process)],
        "methods": {method.name: method.settings for method in methods},
        "tasks": {
            examples.task: {"pairs": len(examples), "checksum": examples.checksum()}
            for examples in chosen
        },
        "samples": asked.samples,
        "seed": asked.seed,
        "estimand": asked.estimand,
        "conventions": asdict(conventions),
        "torch": importlib.metadata.version("torch"),
    }


def pictures_of(process: Process) -> str | None:
    """The fingerprint of what makes a process' pictures, where it has any."""
    fingerprint = getattr(process, "picture_fingerprint", None)
    return None if fingerprint is None else fingerprint()


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
        said = {f"{m}/{c}": float(values[i]) for (m, c), values in result.distances.items()}
        rows.append(
            {
                "task": examples.task, "a": a, "b": b, "score": float(examples.scores[i]),
                "words": examples.words, "more": more, "distances": said,
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
        said = json.loads((place / "evaluation.json").read_text(encoding="utf-8"))
        lines = (place / "pairs.jsonl").read_text(encoding="utf-8").split("\n")
        rows = [json.loads(line) for line in lines if line]
        scores = [Score(**_numbers(score)) for score in said["scores"]]
        gaps = [Difference(**_numbers(gap)) for gap in said["differences"]]
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
    return Evaluation(said["settings"], scores, gaps, results, said["calls"], said["seconds"])


def _key(name: str) -> tuple[str, str]:
    method, _, column = name.rpartition("/")
    return method, column


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    """NaN, which JSON lacks, where a number must be."""
    needed = ("spearman", "low", "high", "value")
    return {k: float("nan") if v is None and k in needed else v for k, v in row.items()}
