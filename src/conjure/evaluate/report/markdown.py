"""The report as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from conjure.evaluate.analysis import disagreements
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
from conjure.evaluate.results import Evaluation
from conjure.evaluate.table import make_table


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
    parts.append(_markdown(ERRORS, error_rows(evaluation), text=2))
    if rows := difference_rows(evaluation):
        parts += ["## Differences between methods", ABOUT_DIFFERENCES]
        parts.append(_markdown(DIFFERENCES, rows, text=2))
    for task, result in evaluation.results.items():
        parts.append(f"## {task}: {', '.join(chosen)}")
        for respect, rows in kind_rows(evaluation, result, chosen).items():
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
