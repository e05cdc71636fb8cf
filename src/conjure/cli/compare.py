"""``conjure compare``: two prompts in, their divergence out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from conjure.files import check_figure_path
from conjure.registry import EMBEDDED, ESTIMANDS, SAMPLERS

if TYPE_CHECKING:
    from conjure.comparison import Comparison

_MODEL, _PROCESS, _OUTPUT = "The model", "The generative process", "Output"


def compare(
    a: Annotated[
        str,
        typer.Argument(metavar="A", help="The first prompt; an empty one is unconditional."),
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The second prompt.")],
    samples: Annotated[
        int, typer.Option("--samples", "-k", help="Monte Carlo samples; the error falls as 1/√k.")
    ] = 16,
    estimand: Annotated[
        str,
        typer.Option(help=f"What to report first: {', '.join(ESTIMANDS)}. All come from one run."),
    ] = "girsanov",
    seed: Annotated[int, typer.Option(help="Of the noise. The same seed, the same result.")] = 0,
    sampler: Annotated[
        str, typer.Option(help=f"One of {', '.join(SAMPLERS)}.", rich_help_panel=_PROCESS)
    ] = "ddim",
    eta: Annotated[
        float | None,
        typer.Option(
            help="η of ddim: 0 deterministic, 1 ancestral.  [dim]\\[default: 1][/dim]",
            rich_help_panel=_PROCESS,
        ),
    ] = None,
    steps: Annotated[
        int,
        typer.Option(
            "--steps", "-T", help="States of a path that are scored.", rich_help_panel=_PROCESS
        ),
    ] = 20,
    guidance: Annotated[
        float,
        typer.Option(
            "--guidance",
            "-w",
            help="Classifier-free guidance, at least 1 (none).",
            rich_help_panel=_PROCESS,
        ),
    ] = 1.0,
    negative: Annotated[
        str,
        typer.Option(help="Prompt of the unconditional branch.", rich_help_panel=_PROCESS),
    ] = "",
    long: Annotated[
        str,
        typer.Option(
            help="Prompts beyond the text encoder's length: refuse or truncate.",
            rich_help_panel=_PROCESS,
        ),
    ] = "refuse",
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help=f"{', '.join(EMBEDDED)} (ships with conjure), a folder in diffusers' layout, or "
            "a hub id.",
            rich_help_panel=_MODEL,
        ),
    ] = "emoji",
    revision: Annotated[
        str | None,
        typer.Option(help="Branch, tag or commit on the hub.", rich_help_panel=_MODEL),
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="Weights variant, such as fp16.", rich_help_panel=_MODEL)
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help="cpu, cuda, cuda:1, mps.  [dim]\\[default: the fastest][/dim]",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(
            help="Network precision: float32, bfloat16, float16, float64.", rich_help_panel=_MODEL
        ),
    ] = "float32",
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Network rows a pass; results do not depend on it.  "
            "[dim]\\[default: by the size of a state][/dim]",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    allow_pickle: Annotated[
        bool,
        typer.Option(
            "--allow-pickle",
            help="Read weights that are not safetensors. They can run any code.",
            rich_help_panel=_MODEL,
        ),
    ] = False,
    figure: Annotated[
        Path | None,
        typer.Option(
            "--figure",
            "-o",
            help="Write the figure that shows why: .png, .svg or .pdf.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object instead.", rich_help_panel=_OUTPUT),
    ] = False,
) -> None:
    """How far apart two prompts are, by the images that they conjure.

    Both prompts denoise the same noise; along both paths the model is asked what it sees under
    the one and under the other. The distance is the Jeffreys divergence between the two
    generative processes, in nats, where the sampler is stochastic, and a score distance where
    it is not.

    Cost: 4Tk − 2k network calls, or 6Tk − 3k with guidance, for T steps and k samples.
    """
    if figure is not None:
        check_figure_path(figure)
    # Only now: torch and diffusers take seconds to import.
    from conjure.cli.console import quiet_libraries, show, status

    quiet_libraries()
    with status("Loading the model"):
        from conjure.comparison import check_arguments
        from conjure.comparison import compare as run
        from conjure.loading import load

        process = load(
            model,
            sampler=sampler,
            eta=eta,
            steps=steps,
            guidance=guidance,
            negative=negative,
            device=device,
            dtype=dtype,
            long=long,
            batch_size=batch_size,
            revision=revision,
            variant=variant,
            allow_pickle=allow_pickle,
        )
        check_arguments(process, (a, b), samples, seed, estimand)
    result = run(
        a, b, process=process, samples=samples, seed=seed, estimand=estimand, progress=True
    )
    if figure is not None:
        with status("Drawing the figure"):
            result.figure(figure)
    if as_json:
        typer.echo(json.dumps(result.to_dict(), ensure_ascii=False, allow_nan=False))
    else:
        show(comparison_screen(result, figure))


def comparison_screen(result: Comparison, figure: Path | None) -> Any:
    """What a person sees."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    a, b = result.prompts
    record = result.to_dict()
    interval = result.interval()
    title = Text.assemble((f"“{a}”", "bold"), "  and  ", (f"“{b}”", "bold"))
    unit = " nats" if result.is_kl else ""
    error = "" if result.standard_error is None else f" ± {result.standard_error:.2g}"
    kind = "Jeffreys divergence" if result.is_kl else "score distance"
    head = Text.assemble((f"{result.distance:.4g}{error}{unit}", "bold cyan"), f"   {kind}")
    between = "unknown with one sample"
    if interval is not None:
        between = f"{interval[0]:.4g} to {interval[1]:.4g}"
    lines = [title, Text(), head, Text(f"95% interval {between}", style="dim")]
    if result.is_kl:
        lines += [
            Text(f"KL(“{a}” ‖ “{b}”) {result.kl_forward:.4g}"),
            Text(f"KL(“{b}” ‖ “{a}”) {result.kl_reverse:.4g}"),
        ]

    # A process without a path divergence is not even given the column.
    has_kl = any(record["process"]["kl"].values())
    fields = ["distance", "standard_error", *(["kl_forward", "kl_reverse"] if has_kl else [])]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("estimand")
    for heading in ("distance", "± s.e.", "KL →", "KL ←")[: len(fields)]:
        table.add_column(heading, justify="right")
    for name, values in record["estimands"].items():
        cells = ["–" if values[key] is None else f"{values[key]:.4g}" for key in fields]
        table.add_row(name, *cells, style="bold" if name == result.estimand else "")

    profile = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    profile.add_column("log-SNR", justify="right")
    profile.add_column("share", justify="right")
    profile.add_column("where along the path, noise to picture")
    peak = max((row["share"] for row in result.profile), default=0) or 1
    for row in result.profile:
        log_snr = "−∞" if row["log_snr"] is None else f"{row['log_snr']:+.1f}"
        bar = "█" * round(28 * row["share"] / peak)
        profile.add_row(log_snr, f"{100 * row['share']:.1f}%", Text(bar, style="cyan"))

    settings = {k: v for k, v in record["process"].items() if v is not None and v != ""}
    low, high = settings.pop("log_snr")
    kl = settings.pop("kl")
    settings["log-SNR"] = f"{'−∞' if low is None else f'{low:.2f}'} to {high:.2f}"
    if has_kl:
        settings["a KL of this process"] = ", ".join(k for k, v in kl.items() if v)
    settings = {"model": result.process.model, **settings, "samples": result.samples}
    settings |= {"seed": result.seed, "calls": f"{result.calls:,}"}
    settings["time"] = f"{result.seconds:.1f} s"
    details = Text("   ".join(f"{k} {_plain(v)}" for k, v in settings.items()), style="dim")
    parts: list[Any] = [*lines, Text(), table, Text(), profile, Text(), details]
    if figure is not None:
        parts.append(Text(f"figure: {figure}", style="dim"))
    return Padding(Group(*parts), (1, 2))


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "×".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
