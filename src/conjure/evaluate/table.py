"""The paper's table: as text for the screen, Markdown, LaTeX, CSV or JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from conjure.divergence import ESTIMANDS
from conjure.errors import UnknownNameError
from conjure.evaluate.published import PUBLISHED, SOURCE
from conjure.evaluate.results import AVERAGE, Evaluation, Score
from conjure.evaluate.tasks import SEVEN
from conjure.io.markdown import Marked, as_markdown, markdown_table
from conjure.io.visible import visible
from conjure.methods.base import place_of

POSTER = ("STS-B", "SICK-R", AVERAGE)
FORMATS = ("markdown", "latex", "csv")


@dataclass(frozen=True)
class Row:
    """One row.

    Args:
        group: The heading it stands under.
        name: What stands at its beginning.
        scores: By column heading; None where it was not run.
        figures: Spearman × 100, likewise.
        best: Headings where it is the best.
        published: Whether the figures are a paper's.
    """

    group: str
    name: str
    scores: dict[str, Score | None]
    figures: dict[str, float | None]
    best: frozenset[str] = frozenset()
    published: bool = False


@dataclass(frozen=True)
class Table:
    """Methods by task.

    Args:
        headings: The tasks.
        rows: Ours, in the order of their groups.
        published: The paper's.
        full: Whether all columns are shown, with Pearson's correlation and intervals.
        notes: What must be known to read it.
    """

    headings: tuple[str, ...]
    rows: tuple[Row, ...]
    published: tuple[Row, ...]
    full: bool
    notes: tuple[str, ...] = ()

    @property
    def corner(self) -> str:
        """What the figures are."""
        return "Spearman / Pearson × 100 [95%]" if self.full else "Spearman × 100"

    def groups(self, rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
        """Rows under their headings."""
        groups = sorted(dict.fromkeys(row.group for row in rows), key=place_of)
        return [(group, [row for row in rows if row.group == group]) for group in groups]


def make_table(evaluation: Evaluation, *, full: bool = False) -> Table:
    """The paper's table: headline columns on STS-B, SICK-R and the average of seven.

    Tasks beside the seven have columns too; where not all of the seven were run, each that was.

    Args:
        evaluation: What was run.
        full: All tasks and all columns of every method, with their intervals.
    """
    ran = list(dict.fromkeys(score.task for score in evaluation.scores))
    others = [t for t in ran if t not in SEVEN and t != AVERAGE]
    if full or AVERAGE not in ran:
        own, last = [t for t in SEVEN if t in ran], [t for t in ran if t == AVERAGE]
        headings = (*own, *others, *last)
    else:
        headings = (*POSTER, *others)
    shown = [score for score in evaluation.scores if full or score.headline]
    by_row: dict[tuple[str, str, str], dict[str, Score]] = {}
    for score in shown:
        by_row.setdefault((score.group, score.method, score.column), {})[score.task] = score
    known = [score for score in shown if score.spearman == score.spearman]
    best = {t: max((s.spearman for s in known if s.task == t), default=None) for t in headings}
    rows = []
    for (group, method, column), found in by_row.items():
        scores = {task: found.get(task) for task in headings}
        figures = {t: None if s is None else 100 * s.spearman for t, s in scores.items()}
        top = frozenset(t for t, s in scores.items() if s is not None and s.spearman == best[t])
        name = f"{method}, {column}" if full or column in ESTIMANDS else method
        rows.append(Row(group, name, scores, figures, top))
    rows.sort(key=lambda row: place_of(row.group))
    published = tuple(
        Row(p.group, p.name, {}, {t: p.figures.get(t) for t in headings}, published=True)
        for p in PUBLISHED
        if any(task in p.figures for task in headings)
    )
    return Table(headings, tuple(rows), published, full, tuple(_notes(evaluation, bool(published))))


def _notes(evaluation: Evaluation, published: bool) -> list[str]:
    how = evaluation.settings["conventions"]
    found = []
    if how["limit"] is not None:
        beside = " The published figures are of whole tasks." if published else ""
        found.append(f"At most {how['limit']:,} pairs of each task, drawn at random.{beside}")
    if how["pooling"] == "mean":
        found.append("Means over the subsets of tasks that have some; Pearson over whole tasks.")
    return found


def cell(row: Row, task: str, *, full: bool) -> str:
    """Spearman × 100; where all is asked for, with Pearson's correlation and the interval."""
    figure, score = row.figures[task], row.scores.get(task)
    if figure is None:
        return "–"
    if figure != figure:
        return "undefined"
    text = f"{figure:.1f}"
    if full and score is not None:
        if score.pearson is not None:
            text += f" / {100 * score.pearson:.1f}"
        text += f" [{100 * score.low:.1f}, {100 * score.high:.1f}]"
    return text


def render(table: Table, kind: str) -> str:
    """The table as text.

    Args:
        table: From ``make_table``.
        kind: ``markdown``, ``latex`` or ``csv``.

    Raises:
        UnknownNameError: Another kind.
    """
    if kind == "markdown":
        return _markdown(table)
    if kind == "latex":
        return _latex(table)
    if kind == "csv":
        return _csv(table)
    raise UnknownNameError("table format", kind, FORMATS)


def _markdown(table: Table) -> str:
    blank, rows = [None] * len(table.headings), []
    for group, some in table.groups(table.rows):
        rows.append([Marked(f"*{as_markdown(group)}*"), *blank])
        for row in some:
            cells = [cell(row, t, full=table.full) for t in table.headings]
            marked = [
                Marked(f"**{as_markdown(c)}**") if t in row.best else c
                for c, t in zip(cells, table.headings, strict=True)
            ]
            rows.append([row.name, *marked])
    if table.published:
        rows.append([Marked(f"*Published: {SOURCE}*"), *blank])
        for row in table.published:
            cells = [cell(row, t, full=False) for t in table.headings]
            rows.append([f"{row.name} (published)", *cells])
    lines = [markdown_table([table.corner, *table.headings], rows, text=1)]
    lines += [line for note in table.notes for line in ("", note)]
    return "\n".join(lines) + "\n"


def _latex(table: Table) -> str:
    signs = {sign: f"\\{sign}" for sign in "&%$#_{}"}
    signs |= {"\\": "\\textbackslash{}", "–": "--", "~": "\\textasciitilde{}"}
    signs |= {"^": "\\textasciicircum{}"}

    def plain(text: str) -> str:
        return visible(" ".join(text.split())).translate(str.maketrans(signs))

    columns = "l" + "r" * len(table.headings)
    span = len(table.headings) + 1
    corner = table.corner.replace("×", "$\\times$").replace("%", "\\%")
    lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule"]
    lines.append(" & ".join([corner, *map(plain, table.headings)]) + " \\\\")
    for group, rows in table.groups(table.rows):
        lines += ["\\midrule", f"\\multicolumn{{{span}}}{{l}}{{\\emph{{{plain(group)}}}}} \\\\"]
        for row in rows:
            cells = [plain(cell(row, t, full=table.full)) for t in table.headings]
            marked = [
                f"\\textbf{{{c}}}" if t in row.best else c
                for c, t in zip(cells, table.headings, strict=True)
            ]
            lines.append(" & ".join([plain(row.name), *marked]) + " \\\\")
    if table.published:
        title = f"\\multicolumn{{{span}}}{{l}}{{\\emph{{Published: {plain(SOURCE)}}}}} \\\\"
        lines += ["\\midrule", title]
        for row in table.published:
            cells = [plain(cell(row, t, full=False)) for t in table.headings]
            lines.append(" & ".join([plain(row.name), *cells]) + " \\\\")
    lines.append("\\bottomrule")
    for note in table.notes:
        lines.append(f"\\multicolumn{{{span}}}{{l}}{{\\footnotesize {plain(note)}}} \\\\")
    return "\n".join([*lines, "\\end{tabular}"]) + "\n"


def _csv(table: Table) -> str:
    """A line for each method and task, with everything that is known of it."""
    stream = io.StringIO()
    names = (
        "group", "method", "column", "task", "spearman", "low", "high", "pearson", "monte_carlo",
        "beyond_text", "pairs", "samples",
    )  # fmt: skip
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*names, "published"])
    for row in table.rows:
        for score in row.scores.values():
            if score is not None:
                values = [getattr(score, name) for name in names]
                writer.writerow(["" if v is None else v for v in values] + [False])
    for row in table.published:
        for task, figure in row.figures.items():
            if figure is not None:
                share, blank = round(figure / 100, 4), [""] * (len(names) - 5)
                writer.writerow([row.group, row.name, "", task, share, *blank, True])
    return stream.getvalue()
