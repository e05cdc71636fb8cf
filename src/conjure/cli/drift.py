"""``conjure drift``: one prompt under two processes."""

from __future__ import annotations

import math
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from conjure.cli.plan import PlanOnly, out_of_plan, plans_of, stopping_at, tell_plans
from conjure.cli.process_options import LoadProcess, check_sampling, takes_process
from conjure.cli.prompts import Prompts, check_outputs, read_prompts, refuse_taken
from conjure.cli.variations import Loader, at_point, check_points, parse_changes
from conjure.cli.words import cost, near_floor, took
from conjure.errors import ConjureError
from conjure.io.tables import write_table

if TYPE_CHECKING:
    from conjure.operations.costs import Plan
    from conjure.operations.drift import Drift
    from conjure.operations.processes import Processes
    from conjure.operations.sampling import Sampling
    from conjure.process.base import Process

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


OverSaid = Annotated[
    bool,
    typer.Option(
        "--relative",
        help="Say what part each is of how much its prompt says under A: 1 is as if it had been "
        "forgotten. About 12T calls a prompt more.",
    ),
]
FailAbove = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        help="End with status 3 where the lower end of a prompt's 95% interval is above this.",
    ),
]
CHANGED = 3
"""Exit status of a drift beyond its gate."""


@takes_process
@takes_sampling("top", samples=SamplesOfDrift)
@takes_reading()
def drift(
    load: LoadProcess,
    file: PromptsFile,
    against: Against = None,
    change: Change = [],  # noqa: B006 - typer copies it
    columns: Columns = None,
    *,
    reading: dict[str, Any],
    sampling: dict[str, Any],
    out: Out = None,
    table: Table = None,
    figure: Figure = None,
    relative: OverSaid = False,
    as_json: AsJson = False,
    fail_above: FailAbove = None,
    plan: PlanOnly = False,
) -> None:
    """Which prompts mean something else under another process: a fine-tune, a LoRA, an erasure.

    For one and the same prompt, the divergence between process A (--model) and process B
    (--against and --change), largest first. Where the two share no latents, sampler or noise
    levels there is none: then their distance matrices are compared.

    Cost: 4Tk − 2k network calls a prompt, twice that with guidance; with --figure some paths more.

    With --fail-above X it ends with status 3 where a prompt's 95% interval lies above X: a test of
    a fine-tune, or of an erasure that should leave other prompts alone.

    Try:  conjure drift PROMPTS --model A --against B --figure out.png
    """
    if against is None and not change:
        raise ConjureError("Say what B is: another model with --against, or a --change.")
    check_outputs(table=table, figure=figure, as_json=as_json)
    changes = parse_changes(change)
    if against is not None:
        changes["model"] = against
    changes = at_point(load, changes)
    given = read_prompts(file, columns, reading)
    check_points(load, [{}, changes], sampling["estimand"])
    from conjure.operations.drift import SAMPLES
    from conjure.operations.drift import drift as compare_prompts
    from conjure.operations.relative import calls_of_said
    from conjure.operations.sampling import SamplingOptions, check_budget, with_usual

    sampled = with_usual(SamplingOptions(**sampling), SAMPLES)
    chosen = check_sampling(sampled, out)
    if out is None or not out.exists():
        several = len(given.prompts)
        check_budget(chosen, load.settings["steps"], 2 * several, several)
    check_gate(fail_above, chosen)
    if table is not None:
        refuse_taken(given.source, _columns(relative=relative))
    loader = Loader(load)
    first = loader({})
    from conjure.cli.console import say, show, show_json
    from conjure.process.wrappers.between import why_apart

    second = loader(changes)
    if remark := given.remark("Comparing"):
        say(remark)
    reason = why_apart(first, second)
    if reason is not None:
        say(f"A and B have no common paths: {reason}. Comparing their distance matrices instead.")
        if table is not None or fail_above is not None:
            raise ConjureError("There is no distance for each prompt: no --table, no --fail-above.")
        if relative or any(sampling[name] for name in ("antithetic", "tolerance", "max_calls")):
            raise ConjureError("Distance matrices take --samples alone.")
        if plan:
            tell_plans(
                plans_of(given.prompts, {"A": lambda: first, "B": lambda: second}, out, sampling),
                [first, second], as_json=as_json,
            )  # fmt: skip
        else:
            _matrices(given.prompts, (first, second), reason, out, figure, sampling, as_json)
        return

    more = calls_of_said(first, given.prompts) if relative else 0

    def announce(taken: Plan) -> None:
        taken = replace(taken, calls=taken.calls + more)
        if plan:
            stopping_at(lambda: [first, second], as_json=as_json)(taken)
        note_list(out, ((prompt,) for prompt in given.prompts))
        _announce(taken, len(given.prompts), [first, second], figure)

    found = compare_prompts(
        given.prompts, first, second, out=out_of_plan(out, plan), progress=True,
        announce=announce, **sampling,
    )  # fmt: skip
    shares = _shares(found) if relative else {}
    if as_json:
        show_json(_with_shares(found.to_dict(), shares, more))
    elif str(table) != "-":
        show(screen(found, shares))
    if table is not None:
        _write(found, shares, given, table)
    if figure is not None:  # last, since a picture may fail
        from conjure.figures.drift import SHOWN

        found.figure(figure, count=SHOWN, progress=True)
    if fail_above is not None:
        _gate(found, fail_above)


def _matrices(
    prompts: list[str],
    processes: tuple[Process, Process],
    reason: str,
    out: Path | None,
    figure: Path | None,
    sampling: dict[str, Any],
    as_json: bool,
) -> None:
    """What there is where the two have no common paths."""
    from conjure.cli.console import say
    from conjure.operations.drift import compare_by_matrices

    apart = compare_by_matrices(
        prompts, *processes, out=out, progress=True,
        announce=lambda plan: say(f"{plan.name}: {cost(plan)}"), **sampling,
    )  # fmt: skip
    _show_matrices(apart, reason, figure, as_json=as_json)


def _shares(found: Drift) -> dict[str, float | None]:
    """Each distance over how much its prompt says under A; None where that is nothing."""
    says = found.said(progress=True)
    return {p: one.distance / says[p] if says[p] else None for p, one in found.ranked()}


def _write(found: Drift, shares: dict[str, float | None], given: Prompts, table: Path) -> None:
    """A row for each of the list's, with its own columns."""
    told = _columns(relative=bool(shares))
    every = {p: {**row, "relative": shares.get(p)} for p, row in found.rows()}
    by_prompt = {prompt: {key: row[key] for key in told} for prompt, row in every.items()}
    write_table(table, given.rows_with(by_prompt), [*given.source.columns(), *told])


def _columns(*, relative: bool) -> tuple[str, ...]:
    from conjure.operations.drift import COLUMNS

    return (*COLUMNS, "relative") if relative else COLUMNS


def _with_shares(
    record: dict[str, Any], shares: dict[str, float | None], calls: int
) -> dict[str, Any]:
    record["calls"] += calls
    for row in record["prompts"] if shares else []:
        row["relative"] = shares[row["prompt"]]
    return record


def check_gate(above: float | None, sampling: Sampling) -> None:
    """Refuse a gate that no interval could pass or fail.

    Raises:
        ConjureError: It is no distance, or a sample is all there is.
    """
    if above is None:
        return
    if not 0 <= above < math.inf:
        raise ConjureError(f"--fail-above is a distance, at least 0, not {above:g}.")
    if sampling.most < (16 if sampling.antithetic else 2):
        raise ConjureError("--fail-above goes by the interval: take more samples (--samples).")


def _gate(found: Drift, above: float) -> None:
    """End with a status of its own where prompts have surely changed by more than that."""
    from conjure.cli.console import say

    lows = ((prompt, row["low"]) for prompt, row in found.rows())
    beyond = [(prompt, low) for prompt, low in lows if low is not None and low > above]
    if not beyond:
        say(f"No prompt has surely changed by more than {above:g}.")
        return
    prompt, low = max(beyond, key=itemgetter(1))
    many = f"{len(beyond):,} prompts have" if len(beyond) > 1 else "A prompt has"
    say(f"{many} surely changed by more than {above:g}: “{prompt}” by at least {low:.4g}.", "bold")
    raise typer.Exit(CHANGED)


def _known(found: Drift) -> str | None:
    """What is near and far between prompts under A, where that has been measured."""
    from conjure.operations.standing import known_scale

    scale = known_scale(found.first)
    pairs = [] if scale is None else scale.ranked(found.results[0].estimand)
    if not pairs:
        return None
    (near, one), (far, other) = pairs[0], pairs[-1]
    return f"For scale: under A, {one} are {near:.4g} apart, and {other} {far:.4g}."


def _announce(plan: Plan, prompts: int, processes: list[Process], figure: Path | None) -> None:
    """Say what the run takes, and the figure."""
    from conjure.cli.console import say
    from conjure.engine.ends import path_calls
    from conjure.figures.drift import SAMPLES, SHOWN

    say(f"{prompts:,} prompts, {plan.calls:,} network calls{took(plan)}.")
    if figure is not None and processes[0].has_pictures:
        paths = SAMPLES * min(SHOWN, prompts)
        more = sum(path_calls(process, paths) for process in processes)
        say(f"The figure's pictures take {more:,} more.")


def _show_matrices(found: Processes, reason: str, figure: Path | None, *, as_json: bool) -> None:
    """What there is of two processes without common paths."""
    from conjure.cli.console import show, show_json
    from conjure.cli.processes import screen as matrices_screen

    if as_json:
        record = {"compared": "matrices", "reason": reason, **found.to_dict()}
        show_json(record)
    else:
        show(matrices_screen(found))
    if figure is not None:
        found.figure(figure)


def screen(found: Drift, shares: dict[str, float | None], most: int = 30) -> Any:
    """The prompts, the most changed first."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table as RichTable

    from conjure.io.screen import Text

    ranked = found.ranked()
    kl = ranked[0][1].is_kl
    shown = RichTable(box=None, padding=(0, 2, 0, 0), header_style="dim")
    shown.add_column("prompt")
    unit = " (nats)" if kl else ""
    for heading in (
        ranked[0][1].estimand + unit,
        "± s.e.",
        *(["KL(A‖B)", "KL(B‖A)"] if kl else []),
        *(["of what it says"] if shares else []),
    ):
        shown.add_column(heading, justify="right")
    shown.add_column("")
    peak = max((result.distance for _, result in ranked), default=0.0) or 1.0
    for prompt, result in ranked[:most]:
        error = result.standard_error
        cells = [f"{result.distance:.4g}", "–" if error is None else f"{error:.2g}"]
        if kl:
            cells += [f"{result.kl_forward:.4g}", f"{result.kl_reverse:.4g}"]
        if shares:
            cells.append("–" if (share := shares[prompt]) is None else f"{share:.2g}")
        if result.near_floor:
            cells[0] = f"≲ {cells[0]}"
        bar = Text("█" * round(24 * result.distance / peak), style="cyan")
        shown.add_row(Text(prompt or "(empty)", style="bold"), *cells, bar)
    heads = (Text(f"{letter}: {name}") for letter, name in zip("AB", found.named, strict=True))
    parts: list[Any] = [*heads, Text(), shown]
    if len(ranked) > most:
        parts.append(Text(f"and {len(ranked) - most:,} more: --table FILE writes all", style="dim"))
    if ranges := _known(found):
        parts.append(Text(ranges, style="dim"))
    floor = ranked[0][1].floor
    if floor is not None and any(result.near_floor for _, result in ranked):
        parts.append(Text(f"≲ {near_floor(floor[ranked[0][1].estimand])}", style="dim"))
    parts.append(Text(f"{found.calls:,} network calls", style="dim"))
    return Padding(Group(*parts), (1, 2))
