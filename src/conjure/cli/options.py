"""The options that commands share, each written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from conjure.errors import ConjureError
from conjure.registry import EMBEDDED, ESTIMANDS, SAMPLERS
from conjure.settings import WEIGHTS, other_weights, without_old_eta


class LoadProcess(Protocol):
    """Loads the process that the options ask for; arguments replace some of them.

    Attributes:
        settings: The options by name; ``model`` is None where none was named.
    """

    settings: dict[str, Any]

    def __call__(self, **changes: Any) -> Any: ...


MODEL, PROCESS, BUDGET, OUTPUT = "The model", "The generative process", "The budget", "Output"

Samples = Annotated[
    int, typer.Option("--samples", "-k", help="Monte Carlo samples; the error falls as 1/√k.")
]
EstimandName = Annotated[
    str, typer.Option("--estimand", help=f"Which distance: {', '.join(ESTIMANDS)}.")
]
Seed = Annotated[int, typer.Option(help="Seed of the noise. The same seed, the same result.")]

Antithetic = Annotated[
    bool,
    typer.Option(
        "--antithetic",
        help="Draw samples in pairs of opposite noise: the same mean, with less variance. The "
        "error is known from 16 samples on.",
    ),
]

SamplerName = Annotated[
    str,
    typer.Option("--sampler", help=f"One of {', '.join(SAMPLERS)}.", rich_help_panel=PROCESS),
]
Eta = Annotated[
    float | None,
    typer.Option(
        help="η of ddim: 0 deterministic, 1 ancestral.  [dim]\\[default: 1, of own 0][/dim]",
        rich_help_panel=PROCESS,
    ),
]
Spacing = Annotated[
    str | None,
    typer.Option(
        help="Spacing of the steps: leading, trailing, linspace, karras, exponential, beta.  "
        "[dim]\\[default: the pipeline's own][/dim]",
        rich_help_panel=PROCESS,
    ),
]
Shift = Annotated[
    float | None,
    typer.Option(
        help="Timestep shift of a flow's noise levels.  [dim]\\[default: the pipeline's own][/dim]",
        rich_help_panel=PROCESS,
    ),
]
Steps = Annotated[
    int,
    typer.Option(
        "--steps", "-T", help="States of a path that are scored.", rich_help_panel=PROCESS
    ),
]
Guidance = Annotated[
    float,
    typer.Option(
        "--guidance",
        "-w",
        help="Classifier-free guidance, at least 1 (none).",
        rich_help_panel=PROCESS,
    ),
]
Negative = Annotated[
    str, typer.Option(help="Prompt of the unconditional branch.", rich_help_panel=PROCESS)
]
EmbeddedGuidance = Annotated[
    float | None,
    typer.Option(
        help="Guidance that is an input of the network, as in Flux and LCMs.  "
        "[dim]\\[default: the pipeline's own][/dim]",
        rich_help_panel=PROCESS,
    ),
]
Long = Annotated[
    str,
    typer.Option(
        help="Prompts beyond the text encoder's length: refuse, truncate, or chunk (read in "
        "windows).",
        rich_help_panel=PROCESS,
    ),
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help=f"{', '.join(EMBEDDED)} (ships with conjure), a folder in diffusers' layout, a hub "
        "id, or a .safetensors checkpoint.  [dim]\\[default: emoji][/dim]",
        rich_help_panel=MODEL,
    ),
]
Revision = Annotated[
    str | None, typer.Option(help="Branch, tag or commit on the hub.", rich_help_panel=MODEL)
]
Variant = Annotated[
    str | None, typer.Option(help="Weights variant, such as fp16.", rich_help_panel=MODEL)
]
Device = Annotated[
    str | None,
    typer.Option(
        help="cpu, cuda, cuda:1, mps.  [dim]\\[default: the fastest][/dim]", rich_help_panel=MODEL
    ),
]
Dtype = Annotated[
    str,
    typer.Option(
        help="Network precision: float32, bfloat16, float16, float64.", rich_help_panel=MODEL
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        help="Network rows a pass; results do not depend on it.  [dim]\\[default: by the size of a "
        "state, and in long runs by measuring][/dim]",
        rich_help_panel=MODEL,
    ),
]
Lora = Annotated[
    list[str],
    typer.Option(
        help="LoRA weights to put on the model: file, folder or hub id, with its scale after a "
        "colon if that is not 1. May be repeated.",
        rich_help_panel=MODEL,
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        help="Side of the picture in pixels.  [dim]\\[default: the model's own][/dim]",
        rich_help_panel=MODEL,
    ),
]
Offload = Annotated[
    bool,
    typer.Option(
        "--offload",
        help="Keep each network on the CPU until it is needed, to spare the device's memory.",
        rich_help_panel=MODEL,
    ),
]
Compiled = Annotated[
    bool,
    typer.Option(
        "--compile", help="Compile the network; worth it in long runs.", rich_help_panel=MODEL
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        help="Folder in diffusers' layout, or hub id, that says what a single checkpoint is.  "
        "[dim]\\[default: the hub knows][/dim]",
        rich_help_panel=MODEL,
    ),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline", help="Read only what is on this machine already.", rich_help_panel=MODEL
    ),
]
AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        help="Read weights that are not safetensors. They can run any code.",
        rich_help_panel=MODEL,
    ),
]

PairsFile = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="A table of pairs: .csv, .tsv, .jsonl, .parquet; - is standard input."
    ),
]
PromptsFile = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="A table of prompts: .csv, .tsv, .jsonl, .parquet, or a .txt with one a line; - is "
        "standard input.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        "-c",
        help="Names of the columns with the prompts, a comma between two.  "
        "[dim]\\[default: guessed by name][/dim]",
    ),
]

SamplesOfPairs = Annotated[
    int | None,
    typer.Option(
        "--samples",
        "-k",
        help="Monte Carlo samples a pair, at most; the error falls as 1/√k.  "
        "[dim]\\[default: 16, with --tolerance 256][/dim]",
    ),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tolerance",
        "-r",
        help="Stop sampling a pair where its standard error is at most this fraction of its "
        "distance.",
        rich_help_panel=BUDGET,
    ),
]
Top = Annotated[
    int | None,
    typer.Option(
        help="Spend samples on the so many nearest pairs: after each round, the further half of "
        "those still in the running stops.",
        rich_help_panel=BUDGET,
    ),
]
FirstRound = Annotated[
    int | None,
    typer.Option(
        help="Samples before --tolerance (or --top) is looked at; they double from there.  "
        "[dim]\\[default: 12, of a --top 2][/dim]",
        rich_help_panel=BUDGET,
    ),
]
MaxCalls = Annotated[
    int | None,
    typer.Option(
        help="Network calls that the run may make; fewer samples are taken to keep to it.",
        rich_help_panel=BUDGET,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="RUN",
        help="A run directory, where every finished sample is kept: a killed run goes on from "
        "there, and more samples add to it.",
        rich_help_panel=BUDGET,
    ),
]

Figure = Annotated[
    Path | None,
    typer.Option(
        "--figure", "-f", help="Write the picture: .png, .svg or .pdf.", rich_help_panel=OUTPUT
    ),
]
Table = Annotated[
    Path | None,
    typer.Option(
        "--table",
        "-o",
        metavar="FILE",
        help="Write the results here: .csv, .tsv, .jsonl or .parquet, or - for standard output.",
        rich_help_panel=OUTPUT,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead.", rich_help_panel=OUTPUT)
]


WithRelative = Annotated[
    bool,
    typer.Option(
        "--relative",
        help="Compare each prompt with the negative one, too (empty by default), and divide the "
        "distance by how much both say: 0 for one meaning, 1 for two that have nothing in common.",
    ),
]


def check_asked(
    estimand: str, seed: int, *, samples: int = 1, antithetic: bool = False, out: Path | None = None
) -> None:
    """Refuse what needs no model to be refused, before it is loaded.

    Raises:
        ConjureError: With what to do instead.
    """
    from conjure.checks import check_antithetic, check_sampling
    from conjure.files import check_folder

    ESTIMANDS[estimand]
    check_sampling(samples, seed)
    check_antithetic(samples, antithetic=antithetic)
    if out is not None:
        check_folder(out)


def check_points(
    load: LoadProcess, points: Sequence[dict[str, Any]], estimand: str | None = None
) -> None:
    """Refuse the changes of settings that cannot be made, before the first of them is run.

    Args:
        load: Of the command.
        points: The changes.
        estimand: One that each must have a value for, as far as that shows without its model.

    Raises:
        ConjureError: With what to do instead. The last point may come after hours.
    """
    from conjure.checks import why_without
    from conjure.devices import check_dtype
    from conjure.loading import check_settings
    from conjure.sources import locate

    for point in points:
        asked = load.settings | other_weights(point)
        check_settings(asked)
        check_dtype(asked["dtype"])
        locate(asked["model"] or "emoji")
        name = asked["sampler"]
        if estimand is None or name in ("own", "flow-stochastic"):  # what they are, a model says
            continue
        draws = SAMPLERS[name]({}, asked["eta"]).draws_noise
        reason = why_without(estimand, asked["steps"], name, draws_noise=draws)
        if reason is not None:
            raise ConjureError(reason)


class Loader:
    """Loads processes one after another; weights that the last one has are not loaded again.

    Args:
        load: Of the command.
    """

    def __init__(self, load: LoadProcess) -> None:
        self._load = load
        self._weights: dict[str, Any] | None = None
        self._process: Any = None

    def __call__(self, changes: Mapping[str, Any]) -> Any:
        """The process with some settings of the command changed, always the same ones."""
        from conjure.loading import vary

        weights = {name: value for name, value in changes.items() if name in WEIGHTS}
        rest = {name: value for name, value in changes.items() if name not in WEIGHTS}
        if self._process is not None and self._weights == weights:
            return vary(self._process, **rest)
        self._process = None  # the last one's memory is free before the next one comes
        self._process = self._load(**other_weights(weights), **rest)
        self._weights = weights
        return self._process


def at_point(load: LoadProcess, point: Mapping[str, Any]) -> dict[str, Any]:
    """Some changed settings, and with them the η of the command where the sampler is its own."""
    changed = without_old_eta(point, load.settings["sampler"])
    if "sampler" in changed:  # said at each point, since the last may have had another
        changed.setdefault("eta", load.settings["eta"])
    return changed


def _process_options(
    sampler: SamplerName = "ddim",
    eta: Eta = None,
    spacing: Spacing = None,
    shift: Shift = None,
    steps: Steps = 20,
    guidance: Guidance = 1.0,
    negative: Negative = "",
    embedded_guidance: EmbeddedGuidance = None,
    long: Long = "refuse",
    model: Model = None,
    lora: Lora = [],  # noqa: B006 - typer copies it
    size: Size = None,
    config: Config = None,
    revision: Revision = None,
    variant: Variant = None,
    offline: Offline = False,
    device: Device = None,
    dtype: Dtype = "float32",
    batch_size: BatchSize = None,
    offload: Offload = False,
    compiled: Compiled = False,
    allow_pickle: AllowPickle = False,
) -> None:
    """The arguments of ``conjure.load``, as options."""


def takes_process(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of ``conjure.load``, and the process they ask for.

    The command's first parameter receives a function that loads the process, to be called once
    everything else has been checked.
    """
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    shared = list(inspect.signature(_process_options, eval_str=True).parameters.values())

    @wraps(command)
    def run(**options: Any) -> None:
        settings = {parameter.name: options.pop(parameter.name) for parameter in shared}

        def load(**changes: Any) -> Any:
            from conjure.cli.console import quiet_libraries, status

            quiet_libraries()
            with status("Loading the model"):
                from conjure.loading import load as load_process

                asked = {**settings, **changes}
                return load_process(asked.pop("model") or "emoji", **asked)

        load.settings = settings  # type: ignore[attr-defined]
        command(load, **options)

    run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*own, *shared)}
    return run
