"""``conjure status``: what a run or an evaluation holds, and whether it is as it was stored."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from conjure.cli.options import AsJson
from conjure.errors import ConjureError
from conjure.io.files import known_path

Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The --out directory of a run or an evaluation.")
]
Repair = Annotated[
    bool, typer.Option("--repair", help="Drop what is damaged, to be computed again.")
]


def status(folder: Folder, repair: Repair = False, as_json: AsJson = False) -> None:
    """What a run or an evaluation holds, and whether all of it is as it was stored.

    Every stored sample has a checksum. With damaged ones, the exit status is 1; --repair drops
    them, and the command that made the run computes them again. No model is loaded.
    """
    if not known_path(folder).is_dir():
        raise ConjureError(f"{str(folder)!r} holds no run and no evaluation: it is no folder.")
    from rich.table import Table

    from conjure.cli.console import say, show, show_json
    from conjure.io.screen import Text
    from conjure.store.status import look

    found = look(folder, repair=repair)
    damaged = sum(one.damaged for one in found)
    if as_json:
        show_json([asdict(one) for one in found])
    else:
        table = Table("file", "pairs", "samples", "damaged", box=None, header_style="dim")
        for column in table.columns[1:]:
            column.justify = "right"
        for one in found:
            counts = (f"{count:,}" for count in (one.pairs, one.samples, one.damaged))
            table.add_row(Text(one.file), *counts)
        show(table)
        for one in found:
            if one.processes:
                who = "1 process is" if one.processes == 1 else f"{one.processes} processes are"
                say(f"{who} at work on {one.file}, on {one.in_work:,} samples now.", style="")
        if damaged and repair:
            say("What was damaged is gone: give the command again that made it.")
        elif damaged:
            say("Damaged samples are refused: --repair drops them, to be computed again.")
    if damaged and not repair:
        raise typer.Exit(1)
