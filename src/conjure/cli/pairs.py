"""``conjure pairs``: a table of pairs in, their distances out."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from conjure.cli.lists import note_list
from conjure.cli.options import (
    AsJson,
    Columns,
    Out,
    PairsFile,
    Table,
    WithRelative,
    takes_reading,
    takes_sampling,
)
from conjure.cli.plan import PlanOnly, out_of_plan, tell_plans
from conjure.cli.process_options import LoadProcess, check_sampling, takes_process
from conjure.cli.prompts import (
    check_empty,
    check_outputs,
    choose_columns,
    open_source,
    refuse_taken,
    texts,
)
from conjure.cli.words import cost, near_floor, spent
from conjure.errors import ConjureError
from conjure.io.rows import plain
from conjure.io.tables import TableFile, check_passage, write_table
from conjure.operations.sampling import check_budget

if TYPE_CHECKING:
    from conjure.operations.compare import Comparison
    from conjure.operations.relative import Relative


@takes_process
@takes_sampling()
@takes_reading()
def pairs(
    load: LoadProcess,
    file: PairsFile,
    columns: Columns = None,
    *,
    reading: dict[str, Any],
    sampling: dict[str, Any],
    relative: WithRelative = False,
    out: Out = None,
    table: Table = None,
    as_json: AsJson = False,
    plan: PlanOnly = False,
) -> None:
    """How far apart the two prompts of each row are.

    Prompts that occur in several rows walk one path, and equal rows are computed once. Writes the
    table with a distance, its standard error, its 95% interval and both KL divergences to each row.

    With --relative, also the distance over how much both prompts say, by which vague and vivid
    prompts can be ranked together.

    Resume a killed run, or add samples to it, with the same --out RUN.
    """
    check_outputs(table=table, as_json=as_json)
    source, empty = open_source(file, reading)
    names, guessed = choose_columns(source, columns, 2)
    check_empty(source, names, empty)
    columns_found = [*FOUND, *RELATIVE] if relative else FOUND
    refuse_taken(source, columns_found)
    if relative and (sampling["tolerance"] is not None or sampling["top"] is not None):
        raise ConjureError(
            "--relative needs the same samples of all it divides: take it without "
            "--tolerance and --top."
        )
    if table is not None or as_json:
        check_passage("-" if table is None or as_json else table, source)
    chosen = check_sampling(sampling, out)
    rows = Rows(source, names)
    if chosen.max_calls is not None and (out is None or not out.exists()):
        distinct = {frozenset(pair) for pair in rows if pair[0] != pair[1]}
        prompts = {prompt for pair in rows for prompt in pair}
        check_budget(chosen, load.settings["steps"], len(prompts), len(distinct))
    process = load()
    from conjure.cli.console import say, show, show_json
    from conjure.operations.pairs import compare_pairs
    from conjure.operations.relative import relate, with_reference
    from conjure.store.manifest import versions

    if source.remark:
        say(source.remark)
    if guessed:
        say(f"Comparing the columns {names[0]!r} and {names[1]!r}.")
    run = compare_pairs(
        list(with_reference(rows, process.negative)) if relative else rows,
        process=process, out=out_of_plan(out, plan), progress=True, **sampling,
    )  # fmt: skip
    if plan:
        tell_plans([run.plan], [process], as_json=as_json)
        run.close()
        return
    note_list(out, rows)
    say(cost(run.plan))
    found: Any = relate(run) if relative else run
    make = relative_record if relative else record
    results = (make(result) for result in found)
    if as_json:
        kept = list(results)
        results = iter(kept)  # for a table beside it
        listed = [plain({**row, **new}) for row, new in zip(source, kept, strict=True)]
        about = {
            "model": process.model, "process": process.describe(),
            "estimand": sampling["estimand"],
            "reference": process.negative if relative else None,
            "seed": sampling["seed"], "samples": run.samples, "antithetic": sampling["antithetic"],
            "tolerance": sampling["tolerance"], "calls": run.calls, "unfinished": run.unfinished,
            "imprecise": run.imprecise, "pairs": listed, "versions": versions(),
        }  # fmt: skip
        show_json(about)
    if table is not None:
        count = write_table(table, results, columns_found, beside=source)
        if str(table) != "-":
            say(f"{count:,} rows in {table}.")
    elif not as_json:
        prompts = source.rows(names)
        records = ({**row, **new} for row, new in zip(prompts, results, strict=True))
        show(screen(records, names, ranked=sampling["top"] is not None))
    say(spent(run.spent))


class Rows:
    """The prompts of a table, as often as they are read."""

    def __init__(self, source: TableFile, names: list[str]) -> None:
        self._source, self._names = source, names

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for a, b in texts(self._source, self._names):  # noqa: UP028 - tells the type checker two
            yield a, b


FOUND = (
    "distance", "standard_error", "low", "high", "kl_forward", "kl_reverse", "samples", "floor",
    "unread",
)  # fmt: skip
"""The columns that a result adds."""


def record(result: Comparison) -> dict[str, Any]:
    """What was found of a row."""
    found = result.row()
    return {name: found[name] for name in FOUND}


RELATIVE = (
    "relative", "relative_error", "relative_low", "relative_high", "first_says", "second_says",
)  # fmt: skip
"""And those that one over what is said adds to them."""


def relative_record(result: Relative) -> dict[str, Any]:
    """What was found of a row, over how much its prompts say."""
    values = (
        result.distance, result.standard_error, *(result.interval() or (None, None)),
        result.first.distance, result.second.distance,
    )  # fmt: skip
    return {**record(result.pair), **dict(zip(RELATIVE, values, strict=True))}


def screen(
    records: Iterator[dict[str, Any]], names: list[str], most: int = 40, *, ranked: bool = False
) -> Any:
    """The nearest pairs first, and how many more there are.

    In a ranking, those that stayed in it longest stand before those that left it on few samples.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table as RichTable

    from conjure.io.screen import Text

    count = 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal count
        for row in records:
            count += 1
            yield row

    def place(row: dict[str, Any]) -> tuple[float, float]:
        return (-row["samples"] if ranked else 0, row.get("relative", row["distance"]))

    nearest = heapq.nsmallest(most, counted(), key=place)
    has_kl = any(r["kl_forward"] is not None for r in nearest)
    shown = RichTable(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in names:
        shown.add_column(Text(name), overflow="ellipsis", max_width=48)
    columns = {"distance": "distance", "standard_error": "± s.e."}
    if has_kl:
        columns |= {"kl_forward": "KL →", "kl_reverse": "KL ←"}
    if nearest and "relative" in nearest[0]:
        columns |= {"relative": "relative", "relative_error": "± s.e."}
    for heading in columns.values():
        shown.add_column(heading, justify="right")
    beside = 0
    for r in nearest:
        cells = ["–" if r[f] is None else f"{r[f]:.4g}" for f in columns]
        low = 0.0 if r["floor"] is None else 3 * r["floor"]
        if r["distance"] < low:
            cells[0], beside = f"≲ {cells[0]}", r["floor"]
        if "relative" in columns and min(r["first_says"], r["second_says"]) < low:
            at = list(columns).index("relative")
            cells[at], beside = f"~ {cells[at]}", r["floor"]
        shown.add_row(*(Text(r[name]) for name in names), *cells)
    parts: list[Any] = [shown]
    if beside:
        mark = "≲ and ~ (what a prompt says)" if "relative" in columns else "≲"
        parts.append(Text(f"{mark} {near_floor(beside)}", style="dim"))
    if count > most:
        rest = f"and {count - most:,} pairs further apart: --table FILE writes them all"
        parts.append(Text(rest, style="dim"))
    return Padding(Group(*parts), (1, 2))
