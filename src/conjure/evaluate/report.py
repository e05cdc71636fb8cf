"""One page that a person can read and send on: the table, its errors, and where people disagree."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from conjure.errors import UnknownNameError
from conjure.evaluate.analysis import Disagreement, Kind, disagreements, kinds, whole
from conjure.evaluate.examples import Conventions
from conjure.evaluate.results import Evaluation, Score, TaskResult
from conjure.evaluate.table import cell, make_table
from conjure.progress import progress_bar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from conjure.process.pipeline import PipelineProcess

THUMBNAIL = 128
"""Side of a picture in the report, in pixels."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.4rem } h3 { font-size: 1rem }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .8rem .25rem 0; text-align: right; vertical-align: top;
  white-space: nowrap }
th:first-child, td:first-child, .text { text-align: left; white-space: normal }
th { font-weight: 600; border-bottom: 1px solid #bbb } tr.group td { color: #777;
  font-style: italic; padding-top: .6rem } tr.published td { color: #777 }
.best { font-weight: 700 } .note { color: #666; font-size: .9rem }
.pictures td:first-child { white-space: nowrap } .pictures img {
  width: 64px; height: 64px; image-rendering: pixelated; border-radius: 6px }
figure { margin: 1rem 0 } figure img { max-width: 100% } pre { white-space: pre-wrap;
  background: #f6f6f6; padding: .8rem; font-size: .8rem }
"""


def report_page(
    evaluation: Evaluation,
    process: PipelineProcess | None = None,
    chosen: tuple[str, str] | None = None,
    *,
    progress: bool = False,
) -> str:
    """The whole report as one HTML page with nothing outside it.

    Args:
        evaluation: From ``conjure.evaluate.open_evaluation``.
        process: The process that was evaluated, to draw the pairs that people see differently;
            None to leave the pictures out.
        chosen: Method and column whose errors are shown; None for those of ``Evaluation.lead``.
        progress: Show a bar while they are drawn.
    """
    settings = evaluation.settings
    title = f"Semantic similarity by {settings['model'] or 'several methods'}"
    parts = [f"<h1>{html.escape(title)}</h1>", _about(evaluation), _main_table(evaluation)]
    parts += [_errors(evaluation), _differences(evaluation)]
    chosen = chosen or pick_column(evaluation)
    for task, result in evaluation.results.items():
        parts.append(_task(evaluation, task, result, chosen, process, progress=progress))
    said = json.dumps(settings, indent=1, ensure_ascii=False)
    parts.append(f"<h2>Settings</h2><pre>{html.escape(said)}</pre>")
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>'
        f"{html.escape(title)}</title><style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def pick_column(evaluation: Evaluation, name: str | None = None) -> tuple[str, str]:
    """Method and column by the name of either, as ``conjuring`` or ``conjuring/epsilon``.

    Args:
        evaluation: What was run.
        name: None for those of ``Evaluation.lead``; a method alone stands for its headline.

    Raises:
        UnknownNameError: It was not run.
    """
    if name is None:
        lead = evaluation.lead()
        return lead.method, lead.column
    known = {f"{s.method}/{s.column}": (s.method, s.column) for s in evaluation.scores}
    known |= {s.method: (s.method, s.column) for s in evaluation.scores if s.headline}
    if name not in known:
        raise UnknownNameError("method of this evaluation", name, list(known))
    return known[name]


def _about(evaluation: Evaluation) -> str:
    settings = evaluation.settings
    process = settings["process"] or {}
    names = [name for name in ("sampler", "steps", "guidance") if name in process]
    shown = [f"{name} {process[name]}" for name in names]
    shown += [f"k = {settings['samples']}", f"seed {settings['seed']}"]
    how = settings["conventions"]
    shown += [f"pooling {how['pooling']}", f"full stop {'added' if how['full_stop'] else 'as is'}"]
    if how["limit"] is not None:
        shown.append(f"at most {how['limit']} pairs a task")
    return f"<p class=note>{html.escape(', '.join(shown))}. conjure {settings['conjure']}.</p>"


def _main_table(evaluation: Evaluation) -> str:
    table = make_table(evaluation, full=True)
    head = "".join(f"<th>{html.escape(t)}</th>" for t in table.headings)
    rows = []
    span = len(table.headings) + 1
    for group, some in table.groups(table.rows):
        rows.append(f'<tr class=group><td colspan="{span}">{html.escape(group)}</td></tr>')
        for row in some:
            cells = "".join(
                f'<td class="{"best" if t in row.best else ""}">'
                f"{html.escape(cell(row, t, full=True))}</td>"
                for t in table.headings
            )
            rows.append(f"<tr><td>{html.escape(row.name)}</td>{cells}</tr>")
    if table.published:
        text = "Published: Liu &amp; Soatto, ICLR 2026"
        rows.append(f'<tr class=group><td colspan="{span}">{text}</td></tr>')
        for row in table.published:
            cells = "".join(f"<td>{cell(row, t, full=False)}</td>" for t in table.headings)
            rows.append(f"<tr class=published><td>{html.escape(row.name)}</td>{cells}</tr>")
    return (
        "<h2>Agreement with people</h2><p class=note>Spearman and Pearson × 100, with the 95% "
        "bootstrap interval of the former over pairs; the best in bold."
        f"{html.escape(''.join(f' {note}' for note in table.notes))}</p>"
        f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"
    )


ERRORS = (
    "task", "method", "pairs", "samples", "other samples", "other pairs",
    "beyond the text encoder",
)  # fmt: skip
ABOUT_ERRORS = (
    "Other samples: the standard error that new Monte Carlo noise would bring, by a jackknife over "
    "samples. Other pairs: the bootstrap interval. Beyond the text encoder: partial Spearman given "
    "its cosine."
)
DIFFERENCES = (
    "task", "difference", "Spearman × 100", "95%, paired bootstrap", "other samples",
)  # fmt: skip
ABOUT_DIFFERENCES = (
    "Each interval is for itself, over pairs alone: among many some miss 0 by chance, those of one "
    "task together, since they meet the same pairs."
)


def _error_rows(evaluation: Evaluation) -> list[list[Any]]:
    return [
        [
            score.task, f"{score.method}, {score.column}", score.pairs, score.samples or "none",
            "–" if score.monte_carlo is None else f"±{100 * score.monte_carlo:.2f}",
            f"{100 * score.low:.1f} to {100 * score.high:.1f}",
            _beyond(score),
        ]
        for score in evaluation.scores
        if score.headline
    ]  # fmt: skip


def _beyond(score: Score) -> str:
    if score.beyond_text is None:
        return "–"
    said = f"{100 * score.beyond_text:.1f}"
    if score.beyond_low is None or score.beyond_high is None:
        return said
    return f"{said} [{100 * score.beyond_low:.1f}, {100 * score.beyond_high:.1f}]"


def _errors(evaluation: Evaluation) -> str:
    note = f"<h2>How sure that is</h2><p class=note>{ABOUT_ERRORS}</p>"
    return note + _table(ERRORS, _error_rows(evaluation), text=2)


def _difference_rows(evaluation: Evaluation) -> list[list[Any]]:
    return [
        [gap.task, f"{gap.method} − {gap.other}", f"{100 * gap.value:+.1f}",
         f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}",
         "–" if gap.monte_carlo is None else f"±{100 * gap.monte_carlo:.2f}"]
        for gap in evaluation.differences
    ]  # fmt: skip


def _differences(evaluation: Evaluation) -> str:
    rows = _difference_rows(evaluation)
    shown = _table(DIFFERENCES, rows, text=2)
    head = f"<h2>Differences between methods</h2><p class=note>{ABOUT_DIFFERENCES}</p>"
    return head + shown if rows else ""


KINDS = ("pairs", "Spearman × 100 [95%]", "rank error, %", "by chance, %")


def _kind_rows(
    evaluation: Evaluation, result: TaskResult, chosen: tuple[str, str]
) -> dict[str, list[list[Any]]]:
    """By respect the rows of its table, the last one of the whole task."""
    total = whole(result, chosen)
    if evaluation.settings["conventions"]["pooling"] == "mean":  # ranks are of the whole task
        total = replace(total, name="all, pooled")
    return {
        respect: [
            [
                kind.name,
                kind.pairs,
                _with_ends(kind),
                _hundred(kind.rank_error),
                _hundred(kind.chance),
            ]
            for kind in (*some, total)
        ]
        for respect, some in kinds(result, chosen).items()
    }


def _task(
    evaluation: Evaluation,
    task: str,
    result: TaskResult,
    chosen: tuple[str, str],
    process: PipelineProcess | None,
    *,
    progress: bool,
) -> str:
    parts = [f"<h2>{html.escape(task)}: {html.escape(', '.join(chosen))}</h2>"]
    parts.append(_image(scatter(result, chosen), f"{task}: scatter"))
    for respect, rows in _kind_rows(evaluation, result, chosen).items():
        parts.append(f"<h3>By {html.escape(respect)}</h3>")
        parts.append(_table((respect, *KINDS), rows, text=1))
    worst = disagreements(result, chosen)
    parts.append(
        "<h3>Where it and people differ most</h3><p class=note>Ranks from 0 (the nearest pair of "
        "the task) to 100 (the furthest).</p>"
    )
    parts.append(_worst(evaluation, result, worst, process, progress=progress))
    return "\n".join(parts)


def _worst(
    evaluation: Evaluation,
    result: TaskResult,
    worst: Sequence[Disagreement],
    process: PipelineProcess | None,
    *,
    progress: bool,
) -> str:
    pictures: dict[str, str] = {}
    if process is not None:
        how = Conventions(**evaluation.settings["conventions"])
        shown = replace(result.examples, pairs=tuple((pair.a, pair.b) for pair in worst))
        texts = chain.from_iterable(shown.pairs)
        prompts = dict(zip(texts, chain.from_iterable(how.prompts(shown)), strict=True))
        drawn = draw(
            process, list(prompts.values()), evaluation.settings["seed"], progress=progress
        )
        pictures = dict(zip(prompts, drawn, strict=True))
    rows = []
    for pair in worst:
        row: list[Any] = [pair.a, pair.b, f"{100 * pair.human_rank:.0f}"]
        row += [f"{100 * pair.method_rank:.0f}", f"{pair.score:g}", f"{pair.distance:.4g}"]
        if pictures:
            row.insert(0, _Raw(f"{pictures[pair.a]} {pictures[pair.b]}"))
        rows.append(row)
    names = ["first", "second", "rank by people", "rank by it", "human score", "distance"]
    if pictures:
        names.insert(0, "pictures")
    shown = _table(names, rows, text=3 if pictures else 2)
    return f"<div class=pictures>{shown}</div>" if pictures else shown


def draw(
    process: PipelineProcess, prompts: Sequence[str], seed: int, *, progress: bool = False
) -> list[str]:
    """One picture of each prompt from the same noise, as inline images: T calls each."""
    from PIL import Image

    from conjure.engine import Network
    from conjure.engine.walk import finished_pictures

    keys = [(prompt, 0) for prompt in prompts]
    calls = len(keys) * len(process.visits) * (2 if process.guidance > 1 else 1)
    with progress_bar("Drawing pairs", calls, shown=progress) as bar:
        latents = finished_pictures(process, Network(process, bar.advance), keys, seed)
    found = []
    for picture in process.decode(latents):
        stream = io.BytesIO()
        image = Image.fromarray((255 * picture).round().astype(np.uint8))
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        image.save(stream, "PNG")
        said = base64.b64encode(stream.getvalue()).decode()
        found.append(f'<img alt="" src="data:image/png;base64,{said}">')
    return found


def scatter(result: TaskResult, chosen: tuple[str, str]) -> Figure:
    """Human score against distance, a point a pair, parts of speech apart where they are known."""
    from matplotlib.figure import Figure

    examples, distances = result.examples, result.distances[chosen]
    figure = Figure(figsize=(6.2, 3.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    labels = examples.more.get("pos") or ["pairs"] * len(examples)
    size = float(np.clip(4000 / len(examples), 3, 18))
    for name in sorted({str(label) for label in labels}):
        rows = [i for i, label in enumerate(labels) if str(label) == name]
        axes.scatter(
            examples.scores[rows], distances[rows], s=size, alpha=0.5, linewidths=0, label=name
        )
    if len(set(map(str, labels))) > 1:
        axes.legend(fontsize=8, frameon=False)
    positive = distances[distances > 0]
    if len(positive) and positive.max() > 20 * np.median(positive):
        axes.set_yscale("symlog", linthresh=float(np.quantile(positive, 0.02)))
    axes.set_xlabel("human score (larger is closer)")
    axes.set_ylabel(f"{chosen[1]} distance")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


class _Raw(str):
    """Markup of ours, which is not escaped."""


def _table(names: Iterable[str], rows: Iterable[Sequence[Any]], text: int) -> str:
    """The first ``text`` columns to the left, numbers to the right."""

    def line(cells: Iterable[Any], tag: str) -> str:
        said = [c if isinstance(c, _Raw) else html.escape(str(c)) for c in cells]
        marked = [
            f"<{tag}{' class=text dir=auto' if n < text else ''}>{c}</{tag}>"
            for n, c in enumerate(said)
        ]
        return f"<tr>{''.join(marked)}</tr>"

    return f"<table>{line(names, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def _with_ends(kind: Kind) -> str:
    said = _hundred(kind.spearman)
    return said if said == "–" else f"{said} [{_hundred(kind.low)}, {_hundred(kind.high)}]"


def _hundred(value: float) -> str:
    return "–" if value != value else f"{100 * value:.1f}"


def _image(figure: Figure, name: str) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    said = base64.b64encode(stream.getvalue()).decode()
    return f'<figure><img alt="{html.escape(name)}" src="data:image/png;base64,{said}"></figure>'


def markdown_report(evaluation: Evaluation, chosen: tuple[str, str] | None = None) -> str:
    """The tables and settings of the report as Markdown, without scatter plots and pictures.

    Args:
        evaluation: What was run.
        chosen: As for ``report_page``.
    """
    from conjure.evaluate.table import render

    chosen = chosen or pick_column(evaluation)
    parts = ["# Agreement with people", render(make_table(evaluation, full=True), "markdown")]
    parts += ["## How sure that is", ABOUT_ERRORS]
    parts.append(_markdown(ERRORS, _error_rows(evaluation), text=2))
    if rows := _difference_rows(evaluation):
        parts += ["## Differences between methods", ABOUT_DIFFERENCES]
        parts.append(_markdown(DIFFERENCES, rows, text=2))
    for task, result in evaluation.results.items():
        parts.append(f"## {task}: {', '.join(chosen)}")
        for respect, rows in _kind_rows(evaluation, result, chosen).items():
            parts.append(_markdown((respect, *KINDS), rows, text=1))
        rows = [
            [d.a, d.b, f"{100 * d.human_rank:.0f}", f"{100 * d.method_rank:.0f}"]
            for d in disagreements(result, chosen)
        ]
        parts.append(_markdown(("first", "second", "rank by people", "rank by it"), rows, text=2))
    said = json.dumps(evaluation.settings, indent=1, ensure_ascii=False)
    parts += ["## Settings", f"```json\n{said}\n```"]
    return "\n\n".join(parts) + "\n"


def _markdown(names: Sequence[str], rows: Iterable[Sequence[Any]], text: int) -> str:
    """A table whose first ``text`` columns are words."""
    signs = ["---" if n < text else "---:" for n in range(len(names))]
    lines = [names, signs, *rows]
    return "\n".join("| " + " | ".join(_cell(str(c)) for c in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
