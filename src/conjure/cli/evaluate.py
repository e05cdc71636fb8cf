"""``conjure evaluate``: every method on every task, as one table."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from conjure.cli.evaluation_screen import screen
from conjure.cli.options import OUTPUT, AsJson, EstimandName, Figure, Out, Seed, takes_reading
from conjure.cli.plan import PlanOnly, out_of_plan, stopping_at
from conjure.cli.process_options import LoadProcess, check_request, takes_process
from conjure.cli.sweep import run_sweep
from conjure.cli.variations import Loader, Start
from conjure.errors import ConjureError
from conjure.io.dialect import Reading
from conjure.io.files import check_figure_path
from conjure.io.rows import plain
from conjure.io.visible import DataOutput
from conjure.methods import METHODS

DATA = "The data"

Tasks = Annotated[
    str,
    typer.Option(
        "--tasks",
        "-t",
        help="With commas: STS12 … STS16, STS-B, SICK-R, RG65, SimLex-999, the name of any table "
        "in --data; seven and words stand for the paper's.",
        rich_help_panel=DATA,
    ),
]
Methods = Annotated[
    str,
    typer.Option(
        "--methods",
        help=f"With commas: {', '.join(METHODS)}; after a colon a model, a number of "
        "paths or a reference, where one is to be named (sentence-transformers:NAME).",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="A folder with the tasks' tables.  [dim]\\[default: the hub][/dim]",
        rich_help_panel=DATA,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        help="Pairs of each task, drawn at random: the same ones every time.", rich_help_panel=DATA
    ),
]
LimitSeed = Annotated[int, typer.Option(help="Seed of the draw of --limit.", rich_help_panel=DATA)]
Pooling = Annotated[
    str,
    typer.Option(
        help="all correlates over a whole split; mean takes the mean over its subsets.",
        rich_help_panel=DATA,
    ),
]
FullStop = Annotated[
    bool,
    typer.Option(
        "--full-stop", help="End sentences without punctuation with a full stop.",
        rich_help_panel=DATA,
    ),
]  # fmt: skip
Template = Annotated[
    str, typer.Option(help="What a single word is put into.", rich_help_panel=DATA)
]
Samples = Annotated[
    int, typer.Option("--samples", "-k", help="Monte Carlo samples of methods that draw any.")
]
Full = Annotated[
    bool,
    typer.Option(
        "--full", help="All tasks and columns, with intervals.", rich_help_panel=OUTPUT
    ),
]  # fmt: skip
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="Print the table as markdown, latex or csv instead.",
        rich_help_panel=OUTPUT,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        help="paper: the settings of the paper, each listed, those that it leaves open marked. "
        "They replace the options they name, but for a --model of yours."
    ),
]
Vary = Annotated[
    list[str] | None,
    typer.Option(
        "--vary",
        metavar="NAME=VALUES",
        help="Run at each of these values and draw the curve: guidance=1,3,7.5, steps=5,10,20, "
        "samples=1,2,4, sampler=…, model=BASE,MINE …  May be given more than once.",
    ),
]


@takes_process
@takes_reading("empty")
def evaluate(
    load: LoadProcess,
    context: typer.Context,
    tasks: Tasks = "STS-B",
    methods: Methods = "conjuring,initial-timestep,direct-output",
    data: Data = None,
    limit: Limit = None,
    limit_seed: LimitSeed = 0,
    pooling: Pooling = "all",
    full_stop: FullStop = False,
    template: Template = "a photo of a {}",
    samples: Samples = 2,
    seed: Seed = 0,
    estimand: EstimandName = "girsanov",
    preset: Preset = None,
    vary: Vary = None,
    out: Out = None,
    full: Full = False,
    kind: Format = None,
    figure: Figure = None,
    as_json: AsJson = False,
    plan: PlanOnly = False,
    *,
    reading: dict[str, Any],
) -> None:
    """How well methods agree with people: Spearman's correlation on similarity tasks.

    Prints the table of the paper, with the paper's own figures in a block of their own. With --out
    what is finished is kept: a killed evaluation goes on, and more samples, tasks or methods add
    to it; conjure report RUN then makes a page of it.

    Try:  conjure evaluate --data DIR --tasks STS-B --limit 200
    """
    names = [name.strip() for name in methods.split(",") if name.strip()]
    for name in names:
        METHODS.check(name.partition(":")[0])
    from conjure.evaluate.table import FORMATS

    if kind is not None and kind not in FORMATS:
        raise ConjureError(f"--format is {', '.join(FORMATS)}, not {kind!r}.")
    if kind is not None and as_json:
        raise ConjureError("--format and --json are two ways to give the table: take one.")
    if figure is not None:
        check_figure_path(figure)
        if not vary:
            raise ConjureError("--figure draws the curves of --vary: say what to vary.")
    from conjure.cli.console import say, show, show_json
    from conjure.evaluate import Conventions, make_table, render
    from conjure.evaluate import evaluate as run
    from conjure.evaluate.published import PUBLISHED
    from conjure.evaluate.tasks import expand

    changes: dict[str, Any] = {}
    if preset is not None:
        changes = preset_changes(preset, load.settings["model"])
        _say_overridden(context, {k: v for k, v in changes.items() if k != "model"})
        samples, pooling, full_stop, estimand, template = (
            changes.pop(name)
            for name in ("samples", "pooling", "full_stop", "estimand", "template")
        )
    check_request(estimand, seed, samples=samples, out=out)
    conventions = Conventions(pooling, full_stop, template, limit, limit_seed)
    options = {
        "data": data, "reading": Reading(**reading), "samples": samples, "seed": seed,
        "estimand": estimand, "conventions": conventions,
        **{name: load.settings[name] for name in ("device", "dtype", "offline", "allow_pickle")},
    }  # fmt: skip
    if full and (as_json or kind == "csv"):
        raise ConjureError("--json and csv have all columns anyway: leave --full out.")
    if vary and (kind is not None or full):
        raise ConjureError("--vary prints a table of its own: leave --format and --full out.")
    if vary and plan:
        raise ConjureError("--plan is of one point: leave --vary out.")
    if vary:
        run_sweep(vary, load, changes, expand(tasks), names, options, out, figure, as_json=as_json)
        return
    start = Start(Loader(load), changes)
    found = run(
        expand(tasks), names, process=start, out=out_of_plan(out, plan),
        announce=stopping_at(start.loaded, as_json=as_json) if plan else start.announce,
        progress=True, **options,
    )  # fmt: skip
    table = make_table(found, full=full or kind == "csv")
    if as_json:
        record = {**found.to_dict(), "published": [asdict(row) for row in PUBLISHED]}
        show_json(plain(record))
    elif kind is not None:
        DataOutput().write(render(table, kind))
    else:
        show(screen(table, found))
    say(f"{found.calls:,} network calls in {found.seconds:.0f} s.")


def _say_overridden(context: typer.Context, changes: dict[str, Any]) -> None:
    """Which options of the command line a preset does not heed."""
    from conjure.cli.console import say

    for name, value in changes.items():
        given, source = context.params.get(name), context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE" and given != value:
            option = f"--{name.replace('_', '-')} {given}"
            say(f"{option} gives way to the preset's {value}.", style="bold")


def preset_changes(name: str, model: str | None) -> dict[str, Any]:
    """What a preset sets, after listing it; a model that the user named stays."""
    from conjure.cli.console import say
    from conjure.evaluate.published import PAPER, SOURCE, Setting

    if name != "paper":
        raise ConjureError(f"The preset is paper, not {name!r}.")
    say(f"Settings of {SOURCE}; * is ours where the paper is silent:")
    settings = PAPER
    if model is not None:
        own = Setting("model", model, True, "named with --model")
        settings = [own if setting.name == "model" else setting for setting in PAPER]
    for setting in settings:
        mark = " " if setting.known else "*"
        say(f"  {mark} {setting.name:<10} {setting.value!s:<30} {setting.why}")
    # Not set anew, a model that was named keeps its revision, its variant and its adapters.
    return {s.name: s.value for s in settings if s.name != "model" or model is None}
