"""The options that commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from conjure.divergence import ESTIMANDS

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
