"""``conjure data``: the public files of the tasks, made into the folder that --data wants."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from conjure.cli.options import AsJson

Places = Annotated[
    list[Path],
    typer.Argument(
        metavar="DOWNLOADS...", help="Files, archives, or folders with any of them, as downloaded."
    ),
]
To = Annotated[
    Path, typer.Option("--to", "-o", metavar="FOLDER", help="Where the tables of the tasks go.")
]


def data(downloads: Places, to: To = Path("data"), as_json: AsJson = False) -> None:
    """Make the folder for --data from the public files of the tasks, which you have downloaded.

    STS12 to 16, STS Benchmark, SICK, RG65, MC30, SimLex-999, WordSim-353 and MEN are known by the
    names of their files; archives are read as they are. What the table knows is written only if
    its contents are the published ones. The exit status is 1 if anything was not written.
    """
    from rich.table import Table

    from conjure.cli.console import say, show, show_json
    from conjure.evaluate.downloads import convert, missing, public_files
    from conjure.io.screen import Text

    found = convert(downloads, to)
    if as_json:
        show_json([asdict(one) | {"path": one.path and str(one.path)} for one in found])
    elif found:
        table = Table("task", "pairs", "from", box=None, header_style="dim")
        table.columns[1].justify = "right"
        for one in found:
            table.add_row(Text(one.task), f"{one.pairs:,}", Text(one.source))
        show(table)
    for one in found:
        if one.problem is not None:
            say(f"{one.task} was not written: {one.problem}")
    written = sum(one.problem is None for one in found)
    if not found:
        names = "; ".join(f"{task}: {files}" for task, files in public_files())
        say(f"None of the public files is there. They are called, {names}.")
    elif absent := missing(found):
        say(f"Not among the downloads: {', '.join(absent)}.")
    if written:
        tasks = "1 task is" if written == 1 else f"{written} tasks are"
        say(f"{tasks} in {to}: conjure evaluate --data {to}")
    if not found or written < len(found):
        raise typer.Exit(1)
