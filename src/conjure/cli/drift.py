"""``conjure drift``: one prompt under two processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from conjure.cli.options import (
    Antithetic,
    AsJson,
    Columns,
    EstimandName,
    Figure,
    FirstRound,
    MaxCalls,
    Out,
    PromptsFile,
    Seed,
    Table,
    Tolerance,
)
from conjure.cli.process_options import LoadProcess, check_request, takes_process
from conjure.cli.prompts import choose_columns, texts
from conjure.cli.variations import Loader, at_point, check_points, parse_changes
from conjure.errors import ConjureError
from conjure.io.files import check_figure_path
from conjure.io.tables import check_table_path, open_table, write_table

if TYPE_CHECKING:
    from conjure.operations.drift import Drift

SamplesOfDrift = Annotated[
    int | None,
    typer.Option(
        "--samples",
        "-k",
        help="Monte Carlo samples a prompt, at most.  "
        "[dim]\\[default: 4, with --tolerance 256][/dim]",
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        help="The other model, B: hub id, folder or checkpoint.  [dim]\\[default: the same][/dim]"
    ),
]
Change = Annotated[
    list[str],
    typer.Option(
        metavar="NAME=VALUE",
        help="What else is different about B: lora=… (or none), dtype=bfloat16, guidance=3, "
        "negative=…  May be given more than once.",
    ),
]


@takes_process
def drift(
    load: LoadProcess,
    file: PromptsFile,
    against: Against = None,
    change: Change = [],  # noqa: B006 - typer copies it
    columns: Columns = None,
    samples: SamplesOfDrift = None,
    estimand: EstimandName = "girsanov",
    seed: Seed = 0,
    antithetic: Antithetic = False,
    tolerance: Tolerance = None,
    first_round: FirstRound = None,
    max_calls: MaxCalls = None,
    out: Out = None,
    table: Table = None,
    figure: Figure = None,
    as_json: AsJson = False,
) -> None:
    """Which prompts mean something else under another process: a fine-tune, a LoRA, an erasure.

    For one and the same prompt, the divergence between process A (--model) and process B
    (--against and --change), largest first. Where the two share no latents, sampler or noise
    levels there is none: then their distance matrices are compared.

    Cost: 4Tk − 2k network calls a prompt, twice that with guidance; with --figure some paths more.

    Try:  conjure drift PROMPTS --model A --against B --figure out.png
    """
    if against is None and not change:
        raise ConjureError("Say what B is: another model with --against, or a --change.")
    if table is not None:
        check_table_path(table)
        if as_json and str(table) == "-":
            raise ConjureError("--table - and --json both write to standard output: take one.")
    if figure is not None:
        check_figure_path(figure)
    changes = parse_changes(change)
    if against is not None:
        changes["model"] = against
    changes = at_point(load, changes)
    source = open_table(file)
    names, guessed = choose_columns(source, columns, 1)
    prompts = list(dict.fromkeys(prompt for (prompt,) in texts(source, names)))
    check_points(load, [{}, changes], estimand)
    check_request(estimand, seed, out=out)
    from conjure.operations.budget import make_budget

    most = 4 if samples is None and tolerance is None else samples
    make_budget(most, tolerance, None, first_round, max_calls, antithetic=antithetic)
    loader = Loader(load)
    first = loader({})
    from conjure.cli.console import duration, say, show
    from conjure.cli.processes import screen as matrices_screen
    from conjure.cli.words import cost
    from conjure.engine.ends import path_calls
    from conjure.figures.drift import SAMPLES, SHOWN
    from conjure.operations.drift import compare_by_matrices
    from conjure.operations.drift import drift as compare_prompts
    from conjure.process.wrappers.between import why_apart

    second = loader(changes)
    if guessed:
        say(f"Comparing the prompts in the column {names[0]!r}.")
    reason = why_apart(first, second)
    if reason is not None:
        say(f"A and B have no common paths: {reason}. Comparing their distance matrices instead.")
        if table is not None:
            raise ConjureError("There is no distance for each prompt to write to a table.")
        if antithetic or tolerance or max_calls:
            raise ConjureError("Distance matrices take --samples alone.")
        apart = compare_by_matrices(
            prompts, first, second, samples=most, seed=seed, estimand=estimand, out=out,
            announce=lambda name, run: say(f"{name}: {cost(run, most or 4)}"), progress=True,
        )  # fmt: skip
        if as_json:
            record = {"compared": "matrices", "reason": reason, **apart.to_dict()}
            typer.echo(json.dumps(record, ensure_ascii=False, allow_nan=False))
        else:
            show(matrices_screen(apart))
        if figure is not None:
            apart.figure(figure)
        return

    def announce(calls: int, seconds: float | None) -> None:
        told = "" if seconds is None else f", about {duration(seconds)}"
        say(f"{len(prompts):,} prompts, {calls:,} network calls{told}.")
        if figure is not None and first.has_pictures:
            paths = SAMPLES * min(SHOWN, len(prompts))
            more = sum(path_calls(process, paths) for process in (first, second))
            say(f"The figure's pictures take {more:,} more.")

    found = compare_prompts(
        prompts, first, second, samples=samples, seed=seed, estimand=estimand,
        antithetic=antithetic, tolerance=tolerance, first_round=first_round,
        max_calls=max_calls, out=out, announce=announce, progress=True,
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(found.to_dict(), ensure_ascii=False, allow_nan=False))
    elif str(table) != "-":
        show(screen(found))
    if table is not None:
        fields = [
            "prompt", "distance", "standard_error", "low", "high", "kl_forward", "kl_reverse",
            "samples", "near_floor",
        ]  # fmt: skip
        write_table(table, rows(found), fields)
    if figure is not None:  # last, since a picture may fail
        found.figure(figure, count=SHOWN, progress=True)


def rows(found: Drift) -> Iterator[dict[str, Any]]:
    """A row a prompt, the most changed first."""
    yield from found.to_dict()["prompts"]


def screen(found: Drift, most: int = 30) -> Any:
    """The prompts, the most changed first."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table as RichTable
    from rich.text import Text

    from conjure.cli.words import near_floor

    ranked = found.ranked()
    kl = ranked[0][1].is_kl
    shown = RichTable(box=None, padding=(0, 2, 0, 0), header_style="dim")
    shown.add_column("prompt")
    unit = " (nats)" if kl else ""
    for heading in (
        ranked[0][1].estimand + unit,
        "± s.e.",
        *(["KL(A‖B)", "KL(B‖A)"] if kl else []),
    ):
        shown.add_column(heading, justify="right")
    shown.add_column("")
    peak = max((result.distance for _, result in ranked), default=0.0) or 1.0
    for prompt, result in ranked[:most]:
        error = result.standard_error
        cells = [f"{result.distance:.4g}", "–" if error is None else f"{error:.2g}"]
        if kl:
            cells += [f"{result.kl_forward:.4g}", f"{result.kl_reverse:.4g}"]
        if result.near_floor:
            cells[0] = f"≲ {cells[0]}"
        bar = Text("█" * round(24 * result.distance / peak), style="cyan")
        shown.add_row(Text(prompt or "(empty)", style="bold"), *cells, bar)
    heads = (Text(f"{name}: {said}") for name, said in zip("AB", found.named, strict=True))
    parts: list[Any] = [*heads, Text(), shown]
    if len(ranked) > most:
        parts.append(Text(f"and {len(ranked) - most:,} more: --table FILE writes all", style="dim"))
    floor = ranked[0][1].floor
    if floor is not None and any(result.near_floor for _, result in ranked):
        parts.append(Text(f"≲ {near_floor(floor[ranked[0][1].estimand])}", style="dim"))
    parts.append(Text(f"{found.calls:,} network calls", style="dim"))
    return Padding(Group(*parts), (1, 2))
