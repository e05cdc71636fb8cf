"""``conjure embed``: a list of prompts in, one vector each out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from conjure.cli.options import OUTPUT, AsJson, Columns, EstimandName, Out, PromptsFile, Seed
from conjure.cli.process_options import LoadProcess, check_request, takes_process
from conjure.cli.prompts import choose_columns, texts
from conjure.io.files import check_embeddings_path
from conjure.io.tables import open_table

Save = Annotated[
    Path,
    typer.Option(
        "--save",
        "-o",
        metavar="FILE",
        help="Write the embeddings here: a .safetensors file.",
        rich_help_panel=OUTPUT,
    ),
]
Paths = Annotated[
    int,
    typer.Option("--paths", "-p", help="Unconditional paths; their T states are the landmarks."),
]
Dimensions = Annotated[
    int,
    typer.Option(
        "--dimensions", "-d", help="Numbers in a vector; squared distances are off by √(2/D)."
    ),
]


@takes_process
def embed(
    load: LoadProcess,
    file: PromptsFile,
    save: Save,
    columns: Columns = None,
    paths: Paths = 2,
    dimensions: Dimensions = 1024,
    estimand: EstimandName = "girsanov",
    seed: Seed = 0,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """One vector for each prompt of a list, to search in with conjure nearest.

    All prompts are asked at the same noisy states, the landmarks. Squared Euclidean distances
    between vectors estimate the divergence, without paths of the prompts: N prompts at M landmarks
    take N·M network calls.
    """
    check_embeddings_path(save)
    source = open_table(file)
    names, guessed = choose_columns(source, columns, 1)
    prompts = list(dict.fromkeys(prompt for (prompt,) in texts(source, names)))
    check_request(estimand, seed, out=out)
    from conjure.operations.embedding.landmarks import check_landmark_form

    check_landmark_form(estimand)
    process = load()
    from conjure.cli.console import duration, say
    from conjure.operations.embedding.embeddings import embed as run

    if guessed:
        say(f"Embedding the prompts in the column {names[0]!r}.")

    def announce(calls: int, each: float | None) -> None:
        marks = paths * len(process.levels)
        took = "" if each is None else f", about {duration(calls * each)}"
        say(f"{calls:,} network calls{took}: {marks} a prompt, and once for the landmarks.")

    found = run(
        prompts, process=process, paths=paths, dimensions=dimensions, seed=seed, estimand=estimand,
        out=out, announce=announce, progress=True,
    )  # fmt: skip
    found.save(save)
    about = {
        "file": str(save),
        "model": process.model,
        "process": process.describe(),
        "seed": seed,
        "prompts": len(found),
        "landmarks": found.landmarks.count,
        "dimensions": found.dimensions,
        "relative_error": found.error,
        "estimand": estimand,
        "calls": found.calls,
        "seconds": found.seconds,
        "versions": found.manifest["versions"],
    }
    if as_json:
        typer.echo(json.dumps(about, ensure_ascii=False, allow_nan=False))
        return
    say(
        f"{len(found):,} prompts at {found.landmarks.count} landmarks in {found.dimensions} "
        f"dimensions (squared distances off by {100 * found.error:.1f}%): {save}. "
        f"{found.calls:,} network calls in {found.seconds:.1f} s."
    )
