"""The command line. Nothing here imports torch until a command has work to do."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec

import typer
from typer.core import TyperGroup

from conjure.cli.compare import compare
from conjure.cli.console import say
from conjure.cli.data import data
from conjure.cli.drift import drift
from conjure.cli.embed import embed
from conjure.cli.evaluate import evaluate
from conjure.cli.examples import EXAMPLES
from conjure.cli.guard import guarded
from conjure.cli.matrix import matrix
from conjure.cli.nearest import nearest
from conjure.cli.pairs import pairs
from conjure.cli.processes import processes
from conjure.cli.report import report
from conjure.cli.scale import scale
from conjure.cli.status import status
from conjure.errors import ConjureError
from conjure.io.visible import visible

P = ParamSpec("P")


class _Commands(TyperGroup):
    """Typer's own refusals repeat what was written: they show it as ours do."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        with _shown_safely():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        with _shown_safely():
            return super().invoke(ctx)


@contextmanager
def _shown_safely() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(said := getattr(error, "message", None), str):
            error.message = visible(said)  # type: ignore[attr-defined]
        raise


app = typer.Typer(
    name="conjure",
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "How far apart two texts are, measured by the images that a text-to-image diffusion model "
        "conjures from them.\n\n"
        "Start with:  [bold]conjure compare 'snow leopard' 'bengal tiger' --figure out.png[/bold]"
    ),
)


def _interruptible(command: Callable[P, None]) -> Callable[P, None]:
    """Say what an interrupt left behind: files come whole at the end, samples as they are made."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        kept, started = kwargs.get("out"), time.time()
        try:
            command(*args, **kwargs)
        except KeyboardInterrupt:
            say(f"Interrupted: {_left_in(kept)}.", style="")
            raise typer.Exit(130) from None
        except typer.Exit:
            raise
        except Exception:
            if kept is not None and _was_added_to(kept, started):
                say(f"What was finished is in {kept}, and --out {kept} goes on from there.", "")
            raise

    return run


def _left_in(folder: Any) -> str:
    """What an interrupt left in a run."""
    if folder is None:
        return "nothing was written"
    from conjure.store.status import count_stored

    try:
        count = count_stored(folder) if Path(folder).is_dir() else 0
    except ConjureError as error:
        return f"what was finished is in {folder}, which cannot be read now: {error}"
    if count == 0:
        return f"nothing was finished yet in {folder}"
    return f"{count:,} results are in {folder}, and --out {folder} goes on from there"


def _was_added_to(folder: Any, since: float) -> bool:
    """Whether something was stored in a run after a moment."""
    written = False
    with suppress(OSError):  # a folder that was refused
        written = any(f.stat().st_mtime >= since for f in Path(folder).rglob("*.sqlite*"))
    if not written:
        return False
    from conjure.store.status import count_stored

    return count_stored(folder) > 0


_COMMANDS: tuple[Any, ...] = (
    compare, pairs, matrix, embed, nearest, processes, drift, scale, evaluate, report, data,
    status,
)  # fmt: skip
for _command in _COMMANDS:
    app.command(epilog=f"Example:  [bold]{EXAMPLES[_command.__name__]}[/bold]")(
        _interruptible(_command)
    )


def _show_version(show: bool) -> None:
    if show:
        typer.echo(f"conjure {version('conjure')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
    ),
    debug: bool = typer.Option(
        False, "--debug", help="Show the trace of an error that conjure did not foresee."
    ),
) -> None:
    _DEBUG.append(debug)


_DEBUG: list[bool] = []
"""What was said last."""


def main() -> None:
    """Run the command line.

    Exits with 2 where input was refused, 3 where a gate was not passed, 70 after an error that
    nobody foresaw, 74 where standard output cannot be written, 130 after an interrupt.
    """
    _DEBUG.clear()
    sys.exit(guarded(lambda: app(prog_name="conjure"), debug=lambda: _DEBUG[-1:] == [True]))
