"""A sweep, from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conjure.cli.process_options import LoadProcess
from conjure.cli.variations import WEIGHTS, Loader, Start, at_point, check_points
from conjure.io.rows import plain

if TYPE_CHECKING:
    from conjure.evaluate.sweep import Point


def sweep_table(points: Sequence[Point]) -> Any:
    """For a terminal: a row for each point and method, a column for each task."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table

    from conjure.evaluate.sweep import gaps_to_first
    from conjure.io.screen import Text

    tasks = list(dict.fromkeys(s.task for p in points for s in p.evaluation.scores))
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in points[0].at:
        shown.add_column(name, justify="right")
    shown.add_column("Spearman × 100")
    for task in tasks:
        shown.add_column(task, justify="right")
    for point in points:
        heads = [s for s in point.evaluation.scores if s.headline]
        for method in dict.fromkeys(s.method for s in heads):
            own = {s.task: s for s in heads if s.method == method}
            cells = [
                f"{100 * s.spearman:.1f} [{100 * s.low:.1f}, {100 * s.high:.1f}]"
                for s in (own[task] for task in tasks)
            ]
            at = [f"{v:g}" if isinstance(v, float) else str(v) for v in point.at.values()]
            shown.add_row(*at, Text(method), *cells)
    notes = [
        Text(
            f"{gap.task}: {gap.method} at {', '.join(f'{k} {v}' for k, v in gap.at.items())} less "
            f"the first = {100 * gap.value:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
            + ("" if gap.monte_carlo is None else f", ±{100 * gap.monte_carlo:.1f} by sampling"),
            style="dim",
        )
        for gap in gaps_to_first(points)
    ]
    return Padding(Group(shown, Text(""), *notes), (1, 2))


def run_sweep(
    vary: list[str],
    load: LoadProcess,
    changes: dict[str, Any],
    tasks: list[str],
    methods: list[str],
    options: dict[str, Any],
    out: Path | None,
    figure: Path | None,
    *,
    as_json: bool,
) -> None:
    from conjure.cli.console import say, show, show_json
    from conjure.cli.sweep import sweep_table
    from conjure.cli.variations import SAMPLES, parse_vary
    from conjure.evaluate.sweep import gaps_to_first, sweep, sweep_figure
    from conjure.operations.arguments import check_sampling

    axes = parse_vary(vary, SAMPLES)
    axes = dict(sorted(axes.items(), key=lambda axis: axis[0] not in WEIGHTS))  # loaded once each
    loader = Loader(load)
    started: list[Start] = []

    def settings_at(point: dict[str, Any]) -> dict[str, Any]:
        own = {name: value for name, value in point.items() if name != "samples"}
        # The η of a preset is that of its sampler.
        kept = {k: v for k, v in changes.items() if k != "eta" or "sampler" not in own}
        return at_point(load, kept | own)

    points = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    check_points(load, [settings_at(point) for point in points])
    for point in points:
        check_sampling(point.get("samples", options["samples"]), options["seed"])

    def run_at(point: dict[str, Any]) -> Any:
        say("At " + ", ".join(f"{name} = {value}" for name, value in point.items()) + ":")
        own = settings_at(point)
        if not started or started[0].changes != own:  # other samples are of the same process
            started[:] = [Start(loader, own)]
        return started[0]

    found = sweep(
        tasks, methods, axes, run_at, out=out, progress=True,
        announce=lambda plan: started[0].announce(plan), **options,
    )  # fmt: skip
    if as_json:
        gaps = [asdict(gap) for gap in gaps_to_first(found)]
        record = {"points": [point.to_dict() for point in found], "gaps_to_first": gaps}
        show_json(plain(record))
    else:
        show(sweep_table(found))
    if figure is not None:  # last, since a picture may fail
        from conjure.figures.style import save_figure

        save_figure(sweep_figure(found), figure)
        say(f"Curves in {figure}.")
