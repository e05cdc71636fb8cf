"""The report as Markdown."""

from __future__ import annotations

import json

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
from conjure.io.markdown import as_markdown, markdown_table
from conjure.io.visible import visible


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
    parts.append(markdown_table(ERRORS, error_rows(evaluation), text=2))
    if rows := difference_rows(evaluation):
        parts += ["## Differences between methods", ABOUT_DIFFERENCES]
        parts.append(markdown_table(DIFFERENCES, rows, text=2))
    for task, result in evaluation.results.items():
        parts.append("## " + as_markdown(f"{task}: {', '.join(chosen)}"))
        for respect, rows in kind_rows(evaluation, result, chosen).items():
            parts.append(markdown_table((respect, *KINDS), rows, text=1))
        rows = [
            [d.a, d.b, f"{100 * d.human_rank:.0f}", f"{100 * d.method_rank:.0f}"]
            for d in disagreements(result, chosen)
        ]
        parts.append(
            markdown_table(("first", "second", "rank by people", "rank by it"), rows, text=2)
        )
    settings = visible(json.dumps(evaluation.settings, indent=1, ensure_ascii=False))
    settings = settings.replace("<", "\\u003c")  # some renderers have tags in code, too
    parts += ["## Settings", f"```json\n{settings}\n```"]
    return "\n\n".join(parts) + "\n"
