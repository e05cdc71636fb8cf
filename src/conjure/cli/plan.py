"""``--plan``: what a command would do, and what that takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from conjure.cli.options import BUDGET

if TYPE_CHECKING:
    from conjure.operations.costs import Plan
    from conjure.process.base import Process

PlanOnly = Annotated[
    bool,
    typer.Option(
        "--plan",
        help="Say what it would do, in network calls, time and memory, and stop.",
        rich_help_panel=BUDGET,
    ),
]


def out_of_plan(out: Path | None, only: bool) -> Path | None:
    """A run directory that is there, since what it holds costs nothing; a plan makes none."""
    return None if only and out is not None and not out.exists() else out


def stopping_at(processes: Callable[[], Sequence[Any]], *, as_json: bool) -> Callable[[Plan], None]:
    """Tells the plan that is announced, and ends the command.

    Args:
        processes: Gives those whose networks are asked, once they are loaded.
        as_json: Whether to print one JSON object.
    """

    def announced(plan: Plan) -> None:
        tell_plans([plan], processes(), as_json=as_json)
        raise typer.Exit

    return announced


def plans_of(
    prompts: Sequence[str],
    processes: Mapping[str, Any],
    out: Path | None,
    sampling: Mapping[str, Any],
) -> list[Plan]:
    """Of the distance matrices of some processes, given as functions that load them."""
    from conjure.operations.arguments import MOST_JOBS, check_texts
    from conjure.operations.costs import Plan
    from conjure.operations.pairs import run_windows
    from conjure.operations.processes import folder_of
    from conjure.operations.sampling import Sampling
    from conjure.operations.windows import Grid

    plans: list[Plan] = []
    chosen = Sampling(**sampling)
    for name, load in processes.items():
        process = load()
        if not process.reads_prompts:
            plans.append(Plan(0, name=name))
            continue
        grid = Grid(check_texts(process, prompts), MOST_JOBS, chosen.most)
        place = out_of_plan(folder_of(out, name), only=True)
        with closing(run_windows(grid, process, chosen, place)) as run:
            plans.append(replace(run.plan, name=name))
    return plans


def tell_plans(plans: Sequence[Plan], processes: Sequence[Any], *, as_json: bool) -> None:
    """Print what some work takes.

    Args:
        plans: Of its parts.
        processes: Whose networks are asked.
        as_json: Whether as one JSON object.
    """
    from conjure.cli.console import show, show_json
    from conjure.engine.plan import PATH_BYTES
    from conjure.io.progress import duration
    from conjure.io.screen import Text

    calls, seconds = sum(plan.calls for plan in plans), _seconds(plans, processes)
    weights = _weights(processes)
    sizes = [plan.batch_size for plan in plans if plan.batch_size]
    rows = max(sizes or [process.batch_size for process in processes] or [0])
    if as_json:
        parts = [{"name": p.name, "calls": p.calls} for p in plans] if len(plans) > 1 else []
        show_json({
            "plan": {
                "calls": calls, "seconds": seconds, "batch_size": rows,
                "samples": max(plan.samples for plan in plans) or None,
                "weights_bytes": weights, "states_bytes": PATH_BYTES, "parts": parts,
            },
        })  # fmt: skip
        return
    lines = [f"{plan.name}: {plan.calls:,} network calls" for plan in plans if plan.name]
    if calls == 0:
        lines.append("Nothing to compute: every sample is there.")
    else:
        lines.append(f"{calls:,} network calls, about {duration(seconds)}")
        lines.append(
            f"{weights / 1e6:,.0f} MB of weights, at most {PATH_BYTES / 1e6:,.0f} MB of states, "
            f"and what the network takes for {rows:,} rows at once"
        )
    show(Text("\n".join(lines)))


def _seconds(plans: Sequence[Plan], processes: Sequence[Process]) -> float:
    """As announced; of work so short that nobody measured it, by a pass."""
    from conjure.engine.speed import measure_speed

    total, unknown = 0.0, 0
    for plan in plans:
        if plan.seconds is None:
            unknown += plan.calls
        else:
            total += plan.seconds
    if unknown and processes:
        process = processes[0]
        rows = min(unknown, process.batch_size)
        pace = measure_speed(process, (process.negative,), sizes=(rows,), repeats=1)
        total += unknown * pace.seconds_per_call
    return total


def _weights(processes: Sequence[Any]) -> int:
    """Bytes of the networks and autoencoders of processes, which may have some in common."""
    parts = [part for p in processes for part in (*p.family.networks.values(), p.codec)]
    own = {id(w): w.nbytes for part in parts if part is not None for w in part.parameters()}
    return sum(own.values())
