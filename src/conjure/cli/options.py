"""The options that commands share, each written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from conjure.divergence import ESTIMANDS

MODEL, PROCESS, BUDGET = "The model", "The generative process", "The budget"
INPUT, OUTPUT = "Input", "Output"

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

SAMPLING: dict[str, tuple[Any, Any]] = {
    "samples": (SamplesOfPairs, None),
    "estimand": (EstimandName, "girsanov"),
    "seed": (Seed, 0),
    "antithetic": (Antithetic, False),
    "tolerance": (Tolerance, None),
    "top": (Top, None),
    "first_round": (FirstRound, None),
    "max_calls": (MaxCalls, None),
}
"""The options of ``conjure.operations.sampling.Sampling``, with their defaults."""

Command = Callable[..., None]


def takes_sampling(*without: str, **others: Any) -> Callable[[Command], Command]:
    """Give a command the options of a run's sampling, which its parameter ``sampling`` receives.

    Args:
        without: Those that it does not take.
        others: Annotations of those that mean something else here.
    """
    kept = {name: option for name, option in SAMPLING.items() if name not in without}
    parameters = [
        option(name, others.get(name, annotation), default)
        for name, (annotation, default) in kept.items()
    ]
    return lambda command: packed(command, "sampling", parameters)


READING: dict[str, Any] = {
    "delimiter": Annotated[
        str | None,
        typer.Option(
            help="Between cells of a text table: comma, tab, semicolon, bar, or the character.  "
            "[dim]\\[default: found out][/dim]",
            rich_help_panel=INPUT,
        ),
    ],
    "quoting": Annotated[
        str | None,
        typer.Option(
            help="How quotation marks are written in quoted cells: double, backslash; or none, "
            "where they are letters as others.  [dim]\\[default: found out][/dim]",
            rich_help_panel=INPUT,
        ),
    ],
    "encoding": Annotated[
        str | None,
        typer.Option(
            help="Of a text table or list.  [dim]\\[default: by its mark, else UTF-8][/dim]",
            rich_help_panel=INPUT,
        ),
    ],
    "empty": Annotated[
        str,
        typer.Option(
            help="What empty cells are: refuse, or unconditional, the empty prompt.",
            rich_help_panel=INPUT,
        ),
    ],
}
"""How a table is read."""


def takes_reading(*without: str) -> Callable[[Command], Command]:
    """Give a command the options of a table's reading, which its parameter ``reading`` receives.

    Args:
        without: Those that it does not take.
    """
    parameters = [
        option(name, annotation, "refuse" if name == "empty" else None)
        for name, annotation in READING.items()
        if name not in without
    ]
    return lambda command: packed(command, "reading", parameters)


def packed(command: Command, name: str, parameters: Sequence[inspect.Parameter]) -> Command:
    """A command that receives several options as one parameter, in whose place they stand."""
    listed: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        listed += parameters if parameter.name == name else [parameter]

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        values = {parameter.name: options.pop(parameter.name) for parameter in parameters}
        command(*args, **{name: values}, **options)

    return with_parameters(run, listed)


def option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """A parameter that typer reads as an option."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def with_parameters(run: Command, parameters: Sequence[inspect.Parameter]) -> Command:
    """A command with another signature, for typer, to which all parameters have names."""
    kind = inspect.Parameter.KEYWORD_ONLY
    listed = [parameter.replace(kind=kind) for parameter in parameters]
    run.__signature__ = inspect.Signature(listed)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in listed}
    return run
