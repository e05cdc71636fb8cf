"""``conjure report``: an evaluation as a page to read and send on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from conjure.cli.process_options import takes_settings
from conjure.errors import ConjureError
from conjure.io.files import check_place, known_path, written_whole

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
MethodName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME/COLUMN",
        help="Whose errors are shown, such as conjuring/epsilon or text-encoder.  "
        "[dim]\\[default: conjuring's headline, else the first method's][/dim]",
    ),
]
NoPictures = Annotated[
    bool, typer.Option("--no-pictures", help="Do not load the model to draw the pairs that differ.")
]


@takes_settings("model", "lora", "device", "config", "offline", "allow_pickle")
def report(
    run: Run,
    to: To = None,
    method: MethodName = None,
    no_pictures: NoPictures = False,
    *,
    settings: dict[str, Any],
) -> None:
    """The evaluation as one page: the table, how sure it is, and where people disagree.

    By part of speech, subset, length and words in common; with scatter plots, and the twenty pairs
    of each task that the method and people see most differently, as pictures, for which the model
    is loaded as it was.
    """
    run = known_path(run)
    target = run / "report.html" if to is None else to
    if target.suffix.lower() not in (".html", ".md"):
        raise ConjureError(f"A report is a .html or .md file; {target.name!r} is neither.")
    if not (run / "evaluation.json").exists():
        raise ConjureError(
            f"{str(run)!r} holds no finished evaluation: there is no evaluation.json. Run conjure "
            f"evaluate with --out {run} first."
        )
    from conjure.cli.console import say
    from conjure.evaluate import open_evaluation
    from conjure.evaluate.report.markdown import markdown_report
    from conjure.evaluate.report.page import report_page
    from conjure.evaluate.report.rows import pick_column
    from conjure.evaluate.sweep import sweep_point

    evaluation = open_evaluation(run)
    target = check_place(target)
    chosen = pick_column(evaluation, method)
    if point := sweep_point(run, evaluation.settings):
        at = ", ".join(f"{name} {value}" for name, value in point.items())
        say(f"{run} holds a sweep: this is the page of its last point, at {at}.")
    if target.suffix.lower() == ".md":
        text = markdown_report(evaluation, chosen)
    else:
        process = None if no_pictures else _process(evaluation.settings, settings)
        text = report_page(evaluation, process, chosen, progress=True)
    with written_whole(target) as draft:
        draft.write_text(text, encoding="utf-8")
    say(f"{target}: {len(text) / 2**20:.1f} MB.")


def _process(evaluated: dict[str, Any], settings: dict[str, Any]) -> Any:
    """The process of an evaluation, if it can be had as it was."""
    if evaluated["process"] is None:
        return None
    from conjure.cli.console import quiet_libraries, say, status
    from conjure.loading.load import reload

    quiet_libraries()
    try:
        with status("Loading the model"):
            process = reload(evaluated, **settings)
    except ConjureError as error:
        say(f"Without pictures, since the model cannot be loaded: {error}")
        return None
    if [process.fingerprint(), process.picture_fingerprint()] != evaluated.get("weights"):
        say("Without pictures: the model has other weights now than when it was evaluated.")
        return None
    return process
