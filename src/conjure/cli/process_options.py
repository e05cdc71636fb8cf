"""The options of `conjure.load`, and the process that they ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from conjure.cli.options import MODEL, PROCESS
from conjure.divergence import ESTIMANDS
from conjure.models import EMBEDDED
from conjure.process.samplers import SAMPLERS


class LoadProcess(Protocol):
    """Loads the process that the options ask for; arguments replace some of them.

    Attributes:
        settings: The options by name; ``model`` is None where none was named.
    """

    settings: dict[str, Any]

    def __call__(self, **changes: Any) -> Any: ...


def check_asked(
    estimand: str, seed: int, *, samples: int = 1, antithetic: bool = False, out: Path | None = None
) -> None:
    """Refuse what needs no model to be refused, before it is loaded.

    Raises:
        ConjureError: With what to do instead.
    """
    from conjure.io.files import check_folder
    from conjure.operations.arguments import check_antithetic, check_sampling

    ESTIMANDS[estimand]
    check_sampling(samples, seed)
    check_antithetic(samples, antithetic=antithetic)
    if out is not None:
        check_folder(out)


def process_options(
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
    shared = list(inspect.signature(process_options, eval_str=True).parameters.values())

    @wraps(command)
    def run(**options: Any) -> None:
        settings = {parameter.name: options.pop(parameter.name) for parameter in shared}

        def load(**changes: Any) -> Any:
            from conjure.cli.console import quiet_libraries, status

            quiet_libraries()
            with status("Loading the model"):
                from conjure.loading.load import load as load_process

                asked = {**settings, **changes}
                return load_process(asked.pop("model") or "emoji", **asked)

        load.settings = settings  # type: ignore[attr-defined]
        command(load, **options)

    run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*own, *shared)}
    return run


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
