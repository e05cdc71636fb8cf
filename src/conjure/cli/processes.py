"""``conjure processes``: the same prompts under several processes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations, product
from typing import TYPE_CHECKING, Annotated, Any

import typer

from conjure.cli.options import (
    AsJson,
    Columns,
    EstimandName,
    Figure,
    Out,
    PromptsFile,
    Samples,
    Seed,
    Table,
    takes_reading,
)
from conjure.cli.plan import PlanOnly, plans_of, tell_plans
from conjure.cli.process_options import LoadProcess, check_request, takes_process
from conjure.cli.prompts import check_outputs, read_prompts
from conjure.cli.variations import PROMPT, WEIGHTS, Loader, at_point, check_points, parse_vary
from conjure.cli.words import cost, near_floor
from conjure.errors import ConjureError
from conjure.io.tables import write_table

if TYPE_CHECKING:
    from conjure.operations.processes import Processes

Vary = Annotated[
    list[str],
    typer.Option(
        "--vary",
        metavar="NAME=VALUES",
        help="What makes the processes differ: sampler=ddim,euler, guidance=1,3,7.5, steps=5,20, "
        "model=…, lora=…, spacing=…; prompt=read,ignored adds the process without meaning. May be "
        "given more than once: all combinations are run.",
    ),
]


@takes_process
@takes_reading()
def processes(
    load: LoadProcess,
    file: PromptsFile,
    vary: Vary,
    columns: Columns = None,
    *,
    reading: dict[str, Any],
    samples: Samples = 4,
    estimand: EstimandName = "girsanov",
    seed: Seed = 0,
    out: Out = None,
    figure: Figure = None,
    table: Table = None,
    as_json: AsJson = False,
    plan: PlanOnly = False,
) -> None:
    """How the distances between prompts change from process to process.

    Meaning belongs to the whole generative process: another sampler, another guidance on the same
    weights is another meaning. Prints how well the processes agree on what is nearer to what, and
    the pairs of prompts that they place most differently.

    Try:  conjure processes PROMPTS --vary guidance=1,3,7.5 --figure out.png
    """
    check_outputs(table=table, figure=figure, as_json=as_json)
    axes = parse_vary(vary, PROMPT)
    if unknown := [v for v in axes.get("prompt", []) if v not in ("read", "ignored")]:
        raise ConjureError(f"prompt is read or ignored, not {unknown[0]!r}.")
    check_request(estimand, seed, samples=samples, out=out)
    given = read_prompts(file, columns, reading)
    if len(given.prompts) < 3:
        raise ConjureError("Processes are compared by what is nearer to what: give three prompts.")
    from conjure.cli.console import say, show, show_json, status
    from conjure.operations.processes import compare_processes
    from conjure.process.wrappers.blind import Blind

    if remark := given.remark("Comparing"):
        say(remark)
    loader = Loader(load)

    def starter(point: dict[str, Any]) -> Any:
        def start() -> Any:
            made = loader({name: value for name, value in point.items() if name != "prompt"})
            return Blind(made) if point.get("prompt") == "ignored" else made

        return start

    every = product(*axes.values())
    points = [at_point(load, dict(zip(axes, values, strict=True))) for values in every]
    check_points(load, points, estimand)
    points.sort(key=lambda point: [str(point.get(name)) for name in WEIGHTS])
    starters = {_name(point): starter(point) for point in points}
    named: dict[str, Any] = dict(starters)
    if plan:
        sampling = {"samples": samples, "seed": seed, "estimand": estimand}
        plans = plans_of(given.prompts, starters, out, sampling)
        tell_plans(plans, [starter(points[0])()], as_json=as_json)
        return
    if not any(name in axes for name in WEIGHTS):  # all on the same weights: then all at once
        named = {name: start() for name, start in named.items()}

    found = compare_processes(
        given.prompts, named, samples=samples, seed=seed, estimand=estimand, out=out,
        announce=lambda plan: say(f"{plan.name}: {cost(plan)}"), progress=True,
    )  # fmt: skip
    if as_json:
        show_json(found.to_dict())
    elif str(table) != "-":
        show(screen(found))
    if table is not None:
        write_table(table, rows(found), COLUMNS)
    if figure is not None:  # last, since a picture may fail
        with status("Drawing the figure"):
            found.figure(figure)


COLUMNS = ("process", "a", "b", "distance", "standard_error", "samples")
"""Of a table: a row a process and pair."""


def rows(found: Processes) -> Iterator[dict[str, Any]]:
    """Those of all processes, one after another."""
    for name, matrix in zip(found.names, found.matrices, strict=True):
        for i, j in combinations(range(len(matrix.prompts)), 2):
            error = float(matrix.errors[i, j])
            values = (
                name, matrix.prompts[i], matrix.prompts[j], float(matrix.distances[i, j]),
                None if math.isnan(error) else error, int(matrix.samples[i, j]),
            )  # fmt: skip
            yield dict(zip(COLUMNS, values, strict=True))


def _name(point: dict[str, Any]) -> str:
    """``guidance 3, sampler ddim``."""
    shown = {k: v for k, v in point.items() if v is not None}
    parts = (f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in shown.items())
    return ", ".join(parts)


def screen(found: Processes) -> Any:
    """Agreement of the processes, and the pairs that move most."""
    import numpy as np
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table as RichTable

    from conjure.io.screen import Text

    agreement = found.agreement()
    shown = RichTable(box=None, padding=(0, 2, 0, 0), header_style="dim")
    shown.add_column("Spearman of the distances")
    for number in range(len(found.names)):
        shown.add_column(str(number + 1), justify="right")
    shown.add_column("mean distance", justify="right")
    upper = np.triu_indices(len(found.prompts), 1)
    for number, (name, row, one) in enumerate(
        zip(found.names, agreement, found.matrices, strict=True), 1
    ):
        cells = ["–" if np.isnan(v) else f"{v:.2f}" for v in row]
        mean = float(one.distances[upper].mean())
        shown.add_row(Text(f"{number}  {name}"), *cells, f"{mean:.4g}")
    parts: list[Any] = [shown]
    moves = found.moves()
    if moves:
        table = RichTable(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("pairs that move most, 0 nearest to 1 furthest of all")
        for heading in (*(str(number + 1) for number in range(len(found.names))), "apart"):
            table.add_column(heading, justify="right")
        for move in moves:
            a, b = move.prompts
            ranks = ("–" if np.isnan(rank) else f"{rank:.2f}" for rank in move.ranks)
            apart = f"{move.spread:.2f}" + ("" if move.error is None else f" ± {move.error:.2f}")
            table.add_row(Text(f"“{a}” and “{b}”"), *ranks, apart)
        parts += [Text(), table]
    errors = found.agreement_errors()
    if errors is not None and not np.isnan(errors).all():
        most = float(np.nanmax(errors))
        note = f"standard error of a Spearman by sampling: {most:.2g} or less"
        parts.append(Text(f"{note} (a jackknife over samples)", style="dim"))
    for name, one in zip(found.names, found.matrices, strict=True):
        if one.floor is not None and (close := int((one.distances[upper] < 3 * one.floor).sum())):
            parts.append(Text(f"{name}: {close:,} pairs are {near_floor(one.floor)}", style="dim"))
    if np.isnan(agreement).any():
        note = "– all distances are the same: that process gives these prompts no meaning"
        parts.append(Text(note, style="dim"))
    return Padding(Group(*parts), (1, 2))
