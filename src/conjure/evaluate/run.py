"""Every method on every task: run, and scored."""

from __future__ import annotations

import importlib.metadata
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from itertools import chain, combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from conjure.divergence import ESTIMANDS
from conjure.engine.speed import MEASURED_FROM, find_pace
from conjure.errors import ConjureError
from conjure.evaluate.examples import Conventions, Examples
from conjure.evaluate.results import (
    AVERAGE,
    Difference,
    Evaluation,
    Score,
    TaskResult,
    save,
)
from conjure.evaluate.scoring import (
    bootstrap,
    bootstrap_partial,
    correlation,
    error_of_difference,
    interval,
    leave_one_out,
    partial,
)
from conjure.evaluate.tasks import SEVEN, load_task
from conjure.io.dialect import USUAL, Reading
from conjure.io.files import check_folder
from conjure.io.scratch import scratch
from conjure.levels import Floats
from conjure.loading.load import default_process
from conjure.methods import METHODS
from conjure.methods.base import Measured, Method, Request, folder_name, host, place_of
from conjure.operations.arguments import check_sampling
from conjure.operations.costs import Plan
from conjure.operations.unread import check_apart
from conjure.process.base import Process
from conjure.statistics import jackknife_error, pearson

CONTROL = "text-encoder"
"""Whose ranking partial correlations account for."""


def evaluate(
    tasks: Sequence[str | Examples],
    methods: Sequence[str],
    *,
    process: Process | Callable[[], Process] | None = None,
    data: str | Path | None = None,
    reading: Reading = USUAL,
    samples: int = 2,
    seed: int = 0,
    estimand: str = "girsanov",
    conventions: Conventions | None = None,
    out: str | Path | None = None,
    device: str | None = None,
    dtype: str = "float32",
    offline: bool = False,
    allow_pickle: bool = False,
    announce: Callable[[Plan], None] | None = None,
    progress: bool = False,
) -> Evaluation:
    """How well methods agree with human judgements of similarity.

    Args:
        tasks: Names, see ``conjure.evaluate.TASKS``, or pairs that were read otherwise.
        methods: Names from ``conjure.METHODS``, some with a model after a colon.
        process: The diffusion process, from ``conjure.load``, or a function that loads it once a
            method asks for it; None for the embedded model.
        data: A folder with the tasks' tables; None for the hub.
        reading: How those are written, where that is not to be found out.
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
        announce: Called before the work with what it takes if nothing is kept yet.
        progress: Show bars.

    Raises:
        ConjureError: A bad argument, task or method, before any work.
    """
    conventions = conventions or Conventions()
    started = time.perf_counter()
    if not tasks or not methods:
        raise ConjureError("An evaluation needs at least one task and one method.")
    samples, seed = check_sampling(samples, seed)
    ESTIMANDS[estimand]
    loaded = [
        load_task(t, data, reading=reading, offline=offline) if isinstance(t, str) else t
        for t in tasks
    ]
    chosen = [conventions.choose(task) for task in loaded]
    if out is not None:
        out = check_folder(out)
    load = default_process if process is None else process if callable(process) else lambda: process
    request = Request(load, samples, seed, estimand, device, dtype, offline, allow_pickle, progress)
    built = build_methods(methods, request)
    kept = {method.name: folder_name(host(method)) for method in built}
    in_turn = sorted(built, key=lambda method: host(method) is method)  # who asks for more, first
    planned = 0
    for examples in chosen:
        prompts = conventions.prompts(examples)
        texts = list(dict.fromkeys(chain.from_iterable(prompts)))
        conventions.subsets(examples)  # refuses a task that has none
        begun = set[str]()
        for method in in_turn:
            method.check(texts)
            if host(method) is not method or kept[method.name] not in begun:
                place = None if out is None else Path(out) / kept[method.name]
                planned += method.cost(prompts, place)
            begun.add(kept[method.name])
        if request.loaded is not None:
            check_apart(request.loaded, dict.fromkeys(prompts))
    if announce is not None:
        announce(_plan(planned, request.loaded))
    place = tempfile.TemporaryDirectory(dir=scratch()) if out is None else nullcontext(Path(out))
    drawn = Drawn({}, {})
    scores: list[Score] = []
    results: dict[str, TaskResult] = {}
    calls = 0
    with place as root:
        folder = Path(root)
        folder.mkdir(exist_ok=True)
        for examples in chosen:
            prompts = conventions.prompts(examples)
            by_name = {m.name: m.measure(prompts, folder / kept[m.name]) for m in in_turn}
            measured = [(method, by_name[method.name]) for method in built]
            calls += sum(one.calls for _, one in measured)
            found, means = _score_task(examples, conventions, measured, drawn)
            scores += found
            results[examples.task] = TaskResult(examples, means)
        scores += _averages(scores, drawn)
        evaluation = Evaluation(
            _settings(request, conventions, built, chosen), scores, _differences(scores, drawn),
            results, calls, time.perf_counter() - started, drawn.samples,
        )  # fmt: skip
        if out is not None:
            save(evaluation, folder)
    return evaluation


def _plan(calls: int, process: Process | None) -> Plan:
    """So many network calls, and how long they take, if that matters."""
    pace = None
    if process is not None:
        pace = find_pace(process, ("",), min(calls, MEASURED_FROM - 1))
    return Plan(calls, None if pace is None else calls * pace.seconds_per_call)


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
        for method, outcome in measured
        for column, values in outcome.distances.items()
    }
    control = next((mean for key, mean in means.items() if key[0] == CONTROL), None)
    for method, outcome in measured:
        for number, (column, values) in enumerate(outcome.distances.items()):
            near, key = -means[method.name, column], (examples.task, method.name, column)
            drawn.pairs[key] = bootstrap(near, human, examples.task, subsets)
            low, high = interval(drawn.pairs[key])
            error, beyond, ends = None, None, (None, None)
            if outcome.samples > 1:
                drawn.samples[key] = leave_one_out(values, human, subsets)
                error = float(jackknife_error(drawn.samples[key]))
            if control is not None and method.name != CONTROL:
                beyond = partial(near, human, -control)
                if number == 0:
                    ends = interval(bootstrap_partial(near, human, -control, examples.task))
            scores.append(
                Score(
                    examples.task, method.name, method.group, column, number == 0,
                    correlation(near, human, subsets), low, high, float(pearson(near, human)),
                    error, beyond, *ends, len(examples), outcome.samples,
                )
            )  # fmt: skip
    return scores, means


def build_methods(names: Sequence[str], request: Request) -> list[Method]:
    """Methods by name, each loaded.

    Raises:
        ConjureError: No such method or model, or one that stands twice.
    """
    parts = [name.partition(":") for name in names]
    ways = [(METHODS[kind], argument or None) for kind, _, argument in parts]
    built = _told_apart([build(request, argument) for build, argument in ways])
    for name, count in Counter(method.name for method in built).items():
        if count > 1:
            raise ConjureError(f"The method {name} stands twice: take one out.")
    return sorted(built, key=lambda method: place_of(method.group))


def _told_apart(methods: Sequence[Any]) -> list[Method]:
    """Models that the table would call the same, as checkpoints of two runs, by all of their path.

    It calls a folder by its last part.
    """
    names = Counter(method.name for method in methods)
    return [
        replace(method, label=method.argument)
        if names[method.name] > 1 and hasattr(method, "label")
        else method
        for method in methods
    ]


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
                beyond_low=None, beyond_high=None,
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
            error = error_of_difference(
                *(drawn.samples.get((task, s.method, s.column)) for s in (one, other)),
                unknown=1 in (one.samples, other.samples),
            )
            found.append(Difference(task, one.method, other.method, value, low, high, error))
    return found


def _settings(
    request: Request,
    conventions: Conventions,
    methods: Sequence[Method],
    chosen: Sequence[Examples],
) -> dict[str, Any]:
    process = request.loaded
    about: dict[str, Any] = dict.fromkeys(("model", "revision", "variant", "process", "weights"))
    if process is not None:
        about = {
            "model": process.model,
            "revision": process.revision,
            "variant": process.variant,
            "process": process.describe(),
            "weights": [process.fingerprint(), process.picture_fingerprint()],
        }
    return {
        "conjure": importlib.metadata.version("conjure"),
        **about,
        "methods": {method.name: method.settings for method in methods},
        "tasks": {
            examples.task: {"pairs": len(examples), "checksum": examples.checksum()}
            for examples in chosen
        },
        "samples": request.samples,
        "seed": request.seed,
        "estimand": request.estimand,
        "conventions": asdict(conventions),
        "torch": importlib.metadata.version("torch"),
    }
