"""``conjure scale``: what is near and what is far for a process, measured once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from conjure.cli.options import AsJson, Samples, Seed
from conjure.cli.plan import PlanOnly, stopping_at
from conjure.cli.process_options import LoadProcess, check_request, takes_process

if TYPE_CHECKING:
    from conjure.operations.standing import Scale

To = Annotated[
    Path | None,
    typer.Option(
        "--to", metavar="FILE", help="A .json file.  [dim]\\[default: the user's cache][/dim]"
    ),
]


@takes_process
def scale(
    load: LoadProcess,
    samples: Samples = 8,
    seed: Seed = 0,
    to: To = None,
    as_json: AsJson = False,
    plan: PlanOnly = False,
) -> None:
    """What is near and what is far: a few pairs that everybody knows, measured once.

    Afterwards compare says where a distance of this process stands among them: the same model,
    sampler, steps, guidance and precision. That of the embedded model with its defaults ships.
    """
    check_request("girsanov", seed, samples=samples, antithetic=False)
    if to is not None:
        from conjure.io.files import check_place

        to = check_place(to)
    process = load()
    from conjure.cli.console import say, show, show_json
    from conjure.operations.scale import scale as measure
    from conjure.operations.standing import keep_scale

    found = measure(
        process, samples=samples, seed=seed, keep=to is None, progress=True,
        announce=stopping_at(lambda: [process], as_json=as_json) if plan else None,
    )  # fmt: skip
    if to is not None:
        keep_scale(found, to)
    if as_json:
        show_json(found.model_dump())
    else:
        show(screen(found))
    say("compare says from now on where a distance stands among these." if to is None else
        f"The distances are in {to}.")  # fmt: skip


def screen(found: Scale) -> Any:
    """The pairs, the nearest first, by every estimand that the process has."""
    from rich.table import Table

    from conjure.io.screen import Text

    first = "girsanov" if "girsanov" in found.distances else next(iter(found.distances))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("pair")
    for name in found.distances:
        table.add_column(name, justify="right")
    names = [" and ".join(pair) for pair in found.pairs]
    for _, name in found.ranked(first):
        row = names.index(name)
        table.add_row(Text(name), *(f"{values[row]:.4g}" for values in found.distances.values()))
    return table
