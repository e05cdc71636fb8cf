"""``conjure matrix``: a list of prompts in, all their distances out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count
from typing import TYPE_CHECKING, Any

from conjure.cli.lists import note_list
from conjure.cli.options import (
    AsJson,
    Columns,
    Figure,
    Out,
    PromptsFile,
    Table,
    takes_reading,
    takes_sampling,
)
from conjure.cli.plan import PlanOnly, out_of_plan, stopping_at
from conjure.cli.process_options import LoadProcess, check_sampling, takes_process
from conjure.cli.prompts import check_outputs, read_prompts
from conjure.cli.words import cost, near_floor, spent
from conjure.io.tables import write_table
from conjure.operations.sampling import check_budget

if TYPE_CHECKING:
    from conjure.operations.costs import Plan
    from conjure.operations.matrix import Matrix


@takes_process
@takes_sampling("top")
@takes_reading()
def matrix(
    load: LoadProcess,
    file: PromptsFile,
    columns: Columns = None,
    *,
    reading: dict[str, Any],
    sampling: dict[str, Any],
    out: Out = None,
    table: Table = None,
    figure: Figure = None,
    as_json: AsJson = False,
    plan: PlanOnly = False,
) -> None:
    """How far all prompts of a list are from each other.

    Every prompt walks one path a sample, whoever it is compared to: N prompts take about N²Tk
    network calls, where pair by pair they would take 2N²Tk. The figure is a heat map in the order
    of a clustering, with its dendrogram.
    """
    check_outputs(table=table, figure=figure, as_json=as_json)
    given = read_prompts(file, columns, reading)
    chosen = check_sampling(sampling, out)
    if out is None or not out.exists():  # what a run holds need not be paid again
        several = len(given.prompts)
        steps, pairs = load.settings["steps"], several * (several - 1) // 2
        check_budget(chosen, steps, several, pairs)
    process = load()
    from conjure.cli.console import say, show, show_json, status
    from conjure.operations.matrix import matrix as compare_all

    if remark := given.remark("Comparing"):
        say(remark)
    stop = stopping_at(lambda: [process], as_json=as_json)

    def announce(plan: Plan) -> None:
        note_list(out, ((prompt,) for prompt in given.prompts))
        say(cost(plan))

    found = compare_all(
        given.prompts, process=process, out=out_of_plan(out, plan),
        announce=stop if plan else announce, progress=True, **sampling,
    )  # fmt: skip
    if as_json:
        show_json(found.to_dict())
    elif str(table) != "-":
        show(screen(found))
    if table is not None:
        labels = chain(("prompt", "prompts", ""), (f"prompt {n}" for n in count(1)))
        label = next(name for name in labels if name not in found.prompts)
        write_table(table, rows(found, label), [label, *found.prompts])
    if figure is not None:  # last, since a picture may fail
        with status("Drawing the figure"):
            found.figure(figure)
    if found.spent is not None:
        say(f"{spent(found.spent)} {found.seconds:.1f} s.")


def rows(found: Matrix, label: str) -> Iterator[dict[str, Any]]:
    """The matrix as a table: a row a prompt, a column a prompt, and one that names the row."""
    for prompt, row in zip(found.prompts, found.distances.tolist(), strict=True):
        yield {label: prompt, **dict(zip(found.prompts, row, strict=True))}


def screen(found: Matrix, most: int = 40) -> Any:
    """Each prompt in the dendrogram's order, with its nearest and furthest."""
    import numpy as np
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table as RichTable

    from conjure.io.screen import Text

    shown = RichTable(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("prompt", "nearest", "", "furthest", ""):
        shown.add_column(heading, justify="left" if heading else "right")
    order = found.order()
    for i in order[:most]:
        others = [j for j in order if j != i]
        cells: list[Any] = [Text(found.prompts[i] or "(empty)", style="bold")]
        for pick in (min, max):
            if others:
                j = pick(others, key=lambda j: found.distances[i, j])
                cells += [Text(found.prompts[j] or "(empty)"), f"{found.distances[i, j]:.4g}"]
        shown.add_row(*cells)
    parts: list[Any] = [shown]
    if found.floor is not None:
        upper = found.distances[np.triu_indices(len(order), 1)]
        if close := int((upper < 3 * found.floor).sum()):
            parts.append(Text(f"{close:,} pairs are {near_floor(found.floor)}", style="dim"))
    if len(order) > most:
        rest = f"and {len(order) - most:,} more: --table FILE writes all, --figure FILE draws them"
        parts.append(Text(rest, style="dim"))
    return Padding(Group(*parts), (1, 2))
