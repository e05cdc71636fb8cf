"""``conjure report``: an evaluation as a page to read and send on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from conjure.errors import ConjureError
from conjure.files import check_place, written_whole
from conjure.settings import load_arguments

Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="The --out directory of conjure evaluate.")
]
To = Annotated[
    Path | None,
    typer.Option(
        "--to",
        "-o",
        metavar="FILE",
        help="A .html or .md file.  [dim]\\[default: RUN/report.html][/dim]",
    ),
]
NoPictures = Annotated[
    bool, typer.Option("--no-pictures", help="Do not load the model to draw the pairs that differ.")
]


def report(run: Run, to: To = None, no_pictures: NoPictures = False) -> None:
    """The evaluation as one page: the table, how sure it is, and where people disagree.

    By part of speech, subset, length and words in common; with scatter plots, and the twenty pairs
    of each task that the method and people see most differently, as pictures.
    """
    target = check_place(run / "report.html" if to is None else to)
    if target.suffix.lower() not in (".html", ".md"):
        raise ConjureError(f"A report is a .html or .md file; {target.name!r} is neither.")
    from conjure.cli.console import say
    from conjure.evaluate import open_evaluation
    from conjure.evaluate.report import markdown_report, report_page

    evaluation = open_evaluation(run)
    if target.suffix.lower() == ".md":
        text = markdown_report(evaluation)
    else:
        process = None if no_pictures else _process(evaluation.settings)
        text = report_page(evaluation, process, progress=True)
    with written_whole(target) as draft:
        draft.write_text(text, encoding="utf-8")
    say(f"{target}: {len(text) / 2**20:.1f} MB.")


def _process(settings: dict[str, Any]) -> Any:
    """The process of an evaluation, if it can be had as it was."""
    if settings["process"] is None:
        return None
    from conjure.cli.console import quiet_libraries, say, status
    from conjure.loading import load

    said = settings["process"]
    quiet_libraries()
    try:
        with status("Loading the model"):
            process = load(
                settings["model"], revision=settings.get("revision"),
                variant=settings.get("variant"), **load_arguments(said),
            )  # fmt: skip
    except ConjureError as error:
        say(f"Without pictures, since the model cannot be loaded: {error}")
        return None
    known = {m.get("weights") for m in settings["methods"].values()} - {None}
    seen = {m.get("pictures") for m in settings["methods"].values()} - {None}
    changed = known and process.fingerprint() not in known
    if changed or (seen and process.picture_fingerprint() not in seen):
        say("Without pictures: the model has other weights now than when it was evaluated.")
        return None
    return process
