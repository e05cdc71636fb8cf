"""An evaluation as a person sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conjure.evaluate.results import Evaluation
    from conjure.evaluate.table import Table


def screen(table: Table, evaluation: Evaluation) -> Any:
    """The table for a terminal, and what to know beside it."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table as RichTable

    from conjure.evaluate.table import cell
    from conjure.io.screen import Text

    shown = RichTable(box=None, padding=(0, 2, 0, 0), header_style="dim")
    shown.add_column(table.corner)
    for heading in table.headings:
        shown.add_column(heading, justify="right")
    for group, rows in table.groups(table.rows):
        shown.add_row(Text(group, style="italic dim"))
        for row in rows:
            cells = []
            for task in table.headings:
                style = "bold" if task in row.best else ""
                cells.append(Text(cell(row, task, full=table.full), style=style))
            shown.add_row(Text(f"  {row.name}"), *cells)
    if table.published:
        shown.add_row(Text("Published by Liu & Soatto (ICLR 2026)", style="italic dim"))
        for row in table.published:
            cells = [Text(cell(row, t, full=False), style="dim") for t in table.headings]
            shown.add_row(Text(f"  {row.name}", style="dim"), *cells)
    notes = [Text(note, style="dim") for note in (*table.notes, *remarks(evaluation))]
    return Padding(Group(shown, Text(""), *notes), (1, 2))


def remarks(evaluation: Evaluation) -> list[str]:
    """How sure the table is: differences to the leading method, and its sampling error."""
    found = []
    lead = evaluation.lead().method
    for gap in evaluation.differences:
        if lead not in (gap.method, gap.other):
            continue
        sign = 1 if gap.method == lead else -1
        other = gap.other if sign == 1 else gap.method
        low, high = sorted((sign * gap.low, sign * gap.high))
        found.append(
            f"{gap.task}: {lead} − {other} = {100 * sign * gap.value:+.1f} "
            f"[{100 * low:+.1f}, {100 * high:+.1f}]"
            + ("" if gap.monte_carlo is None else f", ±{100 * gap.monte_carlo:.1f} by sampling")
        )
    for score in evaluation.scores:
        if not score.headline or score.method != lead:
            continue
        text = f"to [{100 * score.low:.1f}, {100 * score.high:.1f}] by other pairs"
        if score.monte_carlo is not None:
            text += f", by ±{100 * score.monte_carlo:.1f} by other samples (k = {score.samples})"
        found.append(f"{score.task}: {lead} would move {text}")
    return found
