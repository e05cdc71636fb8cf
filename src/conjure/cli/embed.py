"""``conjure embed``: a list of prompts in, one vector each out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from conjure.cli.lists import note_list
from conjure.cli.options import (
    OUTPUT,
    AsJson,
    Columns,
    EstimandName,
    Out,
    PromptsFile,
    Seed,
    takes_reading,
)
from conjure.cli.plan import PlanOnly, out_of_plan, stopping_at
from conjure.cli.process_options import LoadProcess, check_request, takes_process
from conjure.cli.prompts import read_prompts
from conjure.cli.words import took
from conjure.io.files import check_embeddings_path

if TYPE_CHECKING:
    from conjure.operations.costs import Plan

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
@takes_reading()
def embed(
    load: LoadProcess,
    file: PromptsFile,
    save: Save,
    columns: Columns = None,
    *,
    reading: dict[str, Any],
    paths: Paths = 2,
    dimensions: Dimensions = 1024,
    estimand: EstimandName = "girsanov",
    seed: Seed = 0,
    out: Out = None,
    as_json: AsJson = False,
    plan: PlanOnly = False,
) -> None:
    """One vector for each prompt of a list, to search in with conjure nearest.

    All prompts are asked at the same noisy states, the landmarks. Squared Euclidean distances
    between vectors estimate the divergence, without paths of the prompts: N prompts at M landmarks
    take N·M network calls.
    """
    check_embeddings_path(save)
    given = read_prompts(file, columns, reading)
    check_request(estimand, seed, out=out)
    from conjure.operations.embedding.landmarks import check_landmark_form

    check_landmark_form(estimand)
    process = load()
    from conjure.cli.console import say, show_json
    from conjure.operations.embedding.embeddings import embed as run

    if remark := given.remark("Embedding"):
        say(remark)

    def announce(plan: Plan) -> None:
        note_list(out, ((prompt,) for prompt in given.prompts))
        marks = paths * len(process.levels)
        text = f"{plan.calls:,} network calls{took(plan)}"
        say(f"{text}: {marks} a prompt, and once for the landmarks.")

    stop = stopping_at(lambda: [process], as_json=as_json)
    found = run(
        given.prompts, process=process, paths=paths, dimensions=dimensions, seed=seed,
        estimand=estimand, out=out_of_plan(out, plan), announce=stop if plan else announce,
        progress=True,
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
        show_json(about)
        return
    say(
        f"{len(found):,} prompts at {found.landmarks.count} landmarks in {found.dimensions} "
        f"dimensions (squared distances off by {100 * found.error:.1f}%): {save}. "
        f"{found.calls:,} network calls in {found.seconds:.1f} s."
    )
