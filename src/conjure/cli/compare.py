"""``conjure compare``: two prompts in, their divergence out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from conjure.cli.options import (
    OUTPUT,
    Antithetic,
    AsJson,
    EstimandName,
    Figure,
    Samples,
    Seed,
    Table,
)
from conjure.cli.pairs import FOUND, record
from conjure.cli.plan import PlanOnly, stopping_at
from conjure.cli.process_options import LoadProcess, check_request, takes_process
from conjure.cli.prompts import check_outputs
from conjure.cli.words import near_floor
from conjure.io.brief import measured
from conjure.io.tables import write_table

if TYPE_CHECKING:
    from conjure.operations.compare import Comparison
    from conjure.operations.costs import Plan
    from conjure.operations.relative import Relative

A = Annotated[
    str, typer.Argument(metavar="A", help="The first prompt; an empty one is unconditional.")
]
B = Annotated[str, typer.Argument(metavar="B", help="The second prompt.")]
Relatively = Annotated[
    bool,
    typer.Option(
        "--relative/--no-relative",
        help="Say, from 4 samples, what part the distance is of how much both prompts say: 0 one "
        "meaning, 1 nothing in common.",
    ),
]
States = Annotated[
    int,
    typer.Option(
        "--states",
        min=1,
        help="At most so many noisy states in the figure, out of T.",
        rich_help_panel=OUTPUT,
    ),
]


@takes_process
def compare(
    load: LoadProcess,
    a: A,
    b: B,
    samples: Samples = 16,
    estimand: EstimandName = "girsanov",
    seed: Seed = 0,
    antithetic: Antithetic = False,
    relative: Relatively = True,
    figure: Figure = None,
    states: States = 10,
    table: Table = None,
    as_json: AsJson = False,
    plan: PlanOnly = False,
) -> None:
    """How far apart two prompts are, by the images that they conjure.

    Both prompts denoise the same noise; along both paths the model is asked what it sees under
    the one and under the other. The distance is the Jeffreys divergence between the two
    generative processes, in nats, where the sampler's limit is a reverse SDE (ddim with eta 1,
    ddpm, euler-ancestral, dpm++-sde), and a score distance elsewhere.

    Cost: 4Tk − 2k network calls, or 6Tk − 3k with guidance, for T steps and k samples; and 28T − 16
    (at most 40T − 24) for how much the two say.
    """
    check_outputs(table=table, figure=figure, as_json=as_json)
    check_request(estimand, seed, samples=samples, antithetic=antithetic)
    process = load()
    from conjure.cli.console import say, show, show_json, status
    from conjure.operations.compare import compare as run
    from conjure.operations.relative import SAMPLES, calls_of_said
    from conjure.operations.relative import relative as measure

    def announce(plan: Plan) -> None:
        more = calls_of_said(process, (a, b), min(SAMPLES, samples)) if relative else 0
        stopping_at(lambda: [process], as_json=as_json)(replace(plan, calls=plan.calls + more))

    result = run(
        a,
        b,
        process=process,
        samples=samples,
        seed=seed,
        antithetic=antithetic,
        estimand=estimand,
        announce=announce if plan else None,
        progress=True,
    )
    said = measure(result, samples=SAMPLES, progress=True) if relative else None
    if as_json:
        show_json(result.to_dict() | {"relative": said and ratio(said)})
    elif str(table) != "-":
        show(comparison_screen(result, said))
    if table is not None:
        write_table(table, iter([{"a": a, "b": b, **record(result)}]), ["a", "b", *FOUND])
    if figure is not None:  # last, since a picture may fail
        with status("Drawing the figure"):
            result.figure(figure, columns=states)
        say(f"The figure is in {figure}.")


def ratio(said: Relative) -> dict[str, Any]:
    """How far apart the two are over how much they say, as JSON values."""
    from conjure.operations.relative import calls_of_said

    interval = said.interval()
    return {
        "distance": said.distance, "standard_error": said.standard_error,
        "interval": interval and list(interval), "samples": said.pair.samples,
        "first_says": said.first.distance, "second_says": said.second.distance,
        "calls": calls_of_said(said.pair.process, said.prompts, said.pair.samples),
    }  # fmt: skip


def comparison_screen(result: Comparison, said: Relative | None = None) -> Any:
    """What a person sees."""
    from rich.console import Group
    from rich.padding import Padding

    from conjure.io.screen import Text

    a, b = result.prompts
    record = result.to_dict()
    interval = result.interval()
    title = Text.assemble((f"“{a}”", "bold"), "  and  ", (f"“{b}”", "bold"))
    unit = " nats" if result.is_kl else ""
    error = "" if result.standard_error is None else f" ± {result.standard_error:.2g}"
    kind = "Jeffreys divergence" if result.is_kl else "score distance"
    head = Text.assemble((f"{result.distance:.4g}{error}{unit}", "bold cyan"), f"   {kind}")
    between = (
        "unknown with one sample"
        if result.samples == 1
        else "unknown with fewer than 16 antithetic samples"
    )
    if interval is not None:
        between = f"{interval[0]:.4g} to {interval[1]:.4g}"
    lines = [title, Text(), head, Text(f"95% interval {between}", style="dim")]
    if result.near_floor and result.floor is not None:
        lines.append(Text(near_floor(result.floor[result.estimand]).capitalize(), style="yellow"))
    if result.alike:
        lines.append(Text("Both are one to the text encoder: 0 by that", style="yellow"))
    if result.is_kl:
        lines += [
            Text(f"KL(“{a}” ‖ “{b}”) {result.kl_forward:.4g}"),
            Text(f"KL(“{b}” ‖ “{a}”) {result.kl_reverse:.4g}"),
        ]

    if said is not None:
        found = measured(said.distance, said.standard_error)
        lines.append(Text(f"{found} of how much both say: 0 one meaning, 1 nothing in common"))
    if record["standing"] is not None:
        lines.append(Text(f"Near or far: {record['standing']}"))

    has_kl = any(record["process"]["kl"].values())
    parts: list[Any] = [*lines, Text(), _estimands(record, has_kl=has_kl), Text()]
    parts += [_profile(result), Text(), _details(result, record, has_kl=has_kl)]
    return Padding(Group(*parts), (1, 2))


def _estimands(record: dict[str, Any], *, has_kl: bool) -> Any:
    """Every estimand; a process without a path divergence is not even given the column of a KL."""
    from rich.table import Table

    fields = ["distance", "standard_error", *(["kl_forward", "kl_reverse"] if has_kl else [])]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("estimand")
    for heading in ("distance", "± s.e.", "KL →", "KL ←")[: len(fields)]:
        table.add_column(heading, justify="right")
    for name, values in record["estimands"].items():
        cells = ["–" if values[key] is None else f"{values[key]:.4g}" for key in fields]
        table.add_row(name, *cells, style="bold" if name == record["estimand"] else "")
    return table


def _profile(result: Comparison) -> Any:
    """Where along the paths the distance comes about."""
    from rich.table import Table

    from conjure.io.screen import Text

    profile = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    profile.add_column("log-SNR", justify="right")
    profile.add_column("share", justify="right")
    profile.add_column("where along the path, noise to picture")
    peak = max((row["share"] for row in result.profile), default=0) or 1
    for row in result.profile:
        log_snr = "−∞" if row["log_snr"] is None else f"{row['log_snr']:+.1f}"
        bar = "█" * round(28 * row["share"] / peak)
        profile.add_row(log_snr, f"{100 * row['share']:.1f}%", Text(bar, style="cyan"))
    return profile


def _details(result: Comparison, record: dict[str, Any], *, has_kl: bool) -> Any:
    """The process, and what the comparison took."""
    from conjure.io.screen import Text

    settings = {k: v for k, v in record["process"].items() if v is not None and v != ""}
    low, high = settings.pop("log_snr")
    kl = settings.pop("kl")
    settings["log-SNR"] = f"{'−∞' if low is None else f'{low:.2f}'} to {high:.2f}"
    if has_kl:
        settings["a KL of this process"] = ", ".join(k for k, v in kl.items() if v)
    settings = {"model": result.process.model, **settings, "samples": result.samples}
    settings |= {"seed": result.seed, "calls": f"{result.calls:,}"}
    settings["time"] = f"{result.seconds:.1f} s"
    return Text("   ".join(f"{k} {_plain(v)}" for k, v in settings.items()), style="dim")


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "×".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
