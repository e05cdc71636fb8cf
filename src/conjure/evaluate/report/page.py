"""One page that a person can read and send on: the table, its errors, and where people disagree."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from conjure.evaluate.analysis import Disagreement, disagreements
from conjure.evaluate.examples import Conventions
from conjure.evaluate.report.pictures import as_image, draw, scatter
from conjure.evaluate.report.rows import (
    ABOUT_DIFFERENCES,
    ABOUT_ERRORS,
    DIFFERENCES,
    ERRORS,
    KINDS,
    difference_rows,
    error_rows,
    kind_rows,
    pick_column,
)
from conjure.evaluate.results import Evaluation, TaskResult
from conjure.evaluate.table import cell, make_table

if TYPE_CHECKING:
    from conjure.process.pipeline import PipelineProcess


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
    listed = json.dumps(settings, indent=1, ensure_ascii=False)
    parts.append(f"<h2>Settings</h2><pre>{html.escape(listed)}</pre>")
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>'
        f"{html.escape(title)}</title><style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


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


def _errors(evaluation: Evaluation) -> str:
    note = f"<h2>How sure that is</h2><p class=note>{ABOUT_ERRORS}</p>"
    return note + _table(ERRORS, error_rows(evaluation), text=2)


def _differences(evaluation: Evaluation) -> str:
    rows = difference_rows(evaluation)
    shown = _table(DIFFERENCES, rows, text=2)
    head = f"<h2>Differences between methods</h2><p class=note>{ABOUT_DIFFERENCES}</p>"
    return head + shown if rows else ""


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
    parts.append(as_image(scatter(result, chosen), f"{task}: scatter"))
    for respect, rows in kind_rows(evaluation, result, chosen).items():
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


class _Raw(str):
    """Markup of ours, which is not escaped."""


def _table(names: Iterable[str], rows: Iterable[Sequence[Any]], text: int) -> str:
    """The first ``text`` columns to the left, numbers to the right."""

    def line(cells: Iterable[Any], tag: str) -> str:
        texts = [c if isinstance(c, _Raw) else html.escape(str(c)) for c in cells]
        marked = [
            f"<{tag}{' class=text dir=auto' if n < text else ''}>{c}</{tag}>"
            for n, c in enumerate(texts)
        ]
        return f"<tr>{''.join(marked)}</tr>"

    return f"<table>{line(names, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"
