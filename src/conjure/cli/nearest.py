"""``conjure nearest``: what is near to a prompt, among those that were embedded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from conjure.cli.options import AsJson
from conjure.cli.plan import PlanOnly, tell_plans
from conjure.cli.process_options import takes_settings
from conjure.errors import ConjureError
from conjure.io.files import check_file

if TYPE_CHECKING:
    from conjure.operations.costs import Plan
    from conjure.operations.embedding.embeddings import Embeddings, Neighbour

Query = Annotated[str, typer.Argument(metavar="QUERY", help="A prompt, embedded or new.")]
Where = Annotated[
    Path, typer.Option("--in", metavar="EMBEDDINGS", help="A file that conjure embed wrote.")
]
Count = Annotated[int, typer.Option("--count", "-n", help="How many to show.")]
Rerank = Annotated[
    int,
    typer.Option(
        "--rerank", help="Order so many of the nearest by the exact distance; 0 for none."
    ),
]
RerankSamples = Annotated[
    int | None,
    typer.Option(
        "--samples", "-k", help="Samples of the exact estimand.  [dim]\\[default: 16][/dim]"
    ),
]
Approximate = Annotated[
    bool,
    typer.Option(
        "--approximate", help="Search a graph in place of every row (needs conjure\\[index])."
    ),
]


@takes_settings(
    "model", "lora", "device", "batch_size", "offload", "config", "offline", "allow_pickle"
)
def nearest(
    query: Query,
    where: Where,
    count: Count = 10,
    rerank: Rerank = 0,
    samples: RerankSamples = None,
    approximate: Approximate = False,
    *,
    settings: dict[str, Any],
    as_json: AsJson = False,
    plan: PlanOnly = False,
) -> None:
    """The prompts nearest to a query, among those that conjure embed has seen.

    The process is the one that the embeddings were made with; it is loaded only to embed a query
    that is not among them, or to rerank.
    """
    if count < 1 or rerank < 0:
        raise ConjureError("--count is at least 1, and --rerank at least 0.")
    if samples is not None and not rerank:
        raise ConjureError("--samples goes with --rerank: landmark distances take none.")
    rerank, most = max(rerank, count) if rerank else 0, 16 if samples is None else samples
    check_file(where)
    from conjure.cli.console import quiet_libraries, say, show, show_json, status
    from conjure.cli.words import cost
    from conjure.operations.embedding.embeddings import Embeddings

    embeddings = Embeddings.load(where)
    process: Any = None
    if rerank or query not in embeddings.prompts:
        from conjure.loading.load import reload

        quiet_libraries()
        try:
            with status("Loading the model"):
                process = reload(embeddings.manifest, **settings)
        except ConjureError as error:
            raise ConjureError(
                f"The process that made {str(where)!r} cannot be loaded: {error}"
            ) from error
    if plan:
        tell_plans([_plan(process, embeddings, query, rerank, most)],
                   [] if process is None else [process], as_json=as_json)  # fmt: skip
        return
    if query in embeddings.prompts:
        wanted: Any = embeddings.vectors[embeddings.prompts.index(query)]
    else:
        wanted = embeddings.embed([query], process=process)
    index = embeddings.index() if approximate else None
    found = embeddings.nearest(wanted, max(count, rerank), index=index)
    if rerank:
        found = embeddings.rerank(
            query, found, process=process, samples=most, progress=True,
            announce=lambda plan: say(cost(plan)),
        )  # fmt: skip
    found = found[:count]
    if as_json:
        record = {
            "query": query, "model": embeddings.manifest["model"],
            "estimand": embeddings.manifest["embedding"]["estimand"],
            "distance": "paths" if rerank else "landmarks",
            "nearest": [n._asdict() for n in found],
        }  # fmt: skip
        show_json(record)
    else:
        show(screen(query, found, embeddings, bool(rerank)))


def _plan(process: Any, embeddings: Embeddings, query: str, rerank: int, samples: int) -> Plan:
    """A call a landmark for a query that is not among them, and the pairs to rerank."""
    from conjure.engine.jobs import Job, count_calls
    from conjure.operations.costs import Plan

    calls = 0 if query in embeddings.prompts else embeddings.landmarks.count
    if rerank:
        others = [prompt for prompt in embeddings.prompts if prompt != query][:rerank]
        jobs = [Job(query, other, sample) for other in others for sample in range(samples)]
        calls += count_calls(process, jobs)
    return Plan(calls, samples=samples if rerank else 0)


def screen(query: str, found: list[Neighbour], embeddings: Embeddings, exact: bool) -> Any:
    """What a person sees."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table

    from conjure.io.screen import Text

    estimand = embeddings.manifest["embedding"]["estimand"]
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    shown.add_column("")
    shown.add_column(estimand if exact else "landmark distance", justify="right")
    if exact:
        shown.add_column("± s.e.", justify="right")
    for n in found:
        cells = [f"{n.distance:.4g}"]
        if exact:
            cells.append("–" if n.standard_error is None else f"{n.standard_error:.2g}")
        shown.add_row(Text(n.prompt or "(empty)"), *cells)
    head = Text.assemble("nearest to ", (f"“{query}”", "bold"))
    return Padding(Group(head, Text(), shown), (1, 2))
