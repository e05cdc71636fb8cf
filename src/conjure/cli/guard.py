"""What ends a command otherwise than it meant to: refusals, signals, outputs, the unforeseen."""

from __future__ import annotations

import codecs
import io
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from conjure.cli.console import say
from conjure.errors import ConjureError
from conjure.io.screen import Text

REFUSED, UNFORESEEN, UNWRITTEN = 2, 70, 74
"""Exit statuses; the last two as in BSD's sysexits."""

ESCAPED = "conjure.escaped"
"""How letters are written that a stream lacks: as JSON does, so that JSON stays JSON."""


def guarded(command: Callable[[], object], *, debug: Callable[[], bool]) -> int:
    """Run the command line; its exit status.

    Args:
        command: May raise anything.
        debug: Whether an error that nobody foresaw is to be raised, asked when there is one.
    """
    if sys.stdout is None:
        _say("Standard output is closed: there is nowhere to show results.")
        return REFUSED
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPED)
    try:
        with _signals_interrupt():
            code = _status_of(command)
        sys.stdout.flush()
    except ConjureError as error:
        _say(str(error))
        return REFUSED
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and (reason := _why_unwritten()):
            _say(
                f"Results could not be written to standard output: {reason}. Nothing else is lost: "
                "what --out keeps is there."
            )
            return UNWRITTEN
        if debug():
            raise
        _say(_unforeseen(error))
        return UNFORESEEN
    return code


def _status_of(command: Callable[[], object]) -> int:
    try:
        command()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def _say(message: str) -> None:
    if sys.stderr is not None:
        say(Text.assemble(("Error:", "bold red"), " ", message), style="")


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Batch systems end jobs with SIGTERM, terminals with SIGHUP: both are as good as Ctrl-C."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before: dict[int, Any] = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # One that is ignored (nohup) stays so; threads may not set any.
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            with suppress(ValueError):
                before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _why_unwritten() -> str | None:
    """Why standard output takes nothing, if so; it is let go of, or Python would try again."""
    try:
        sys.stdout.write("\n")  # what could not be written is gone from the buffer
        sys.stdout.flush()
    except OSError as error:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error.strerror or str(error)
    return None


def _unforeseen(error: Exception) -> str:
    """A sentence on an error, whose details go into a file."""
    first = (str(error).strip().splitlines() or [""])[0][:200]
    details = "".join(traceback.format_exception(error))
    try:
        handle, name = tempfile.mkstemp(prefix="conjure-error-", suffix=".txt")
        os.close(handle)
        text = f"{' '.join(map(repr, sys.argv))}\n\n{details}"
        Path(name).write_text(text, encoding="utf-8", errors="backslashreplace")
        where = f"The details are in {name}: please report them."
    except OSError:
        where = "The details could not be kept."
    return (
        f"Something that conjure did not foresee: {type(error).__name__}: {first}\n{where} "
        "'conjure --debug COMMAND …' shows them on the screen."
    )


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2] for at in range(0, len(units), 2))
    return "".join(f"\\u{pair.hex()}" for pair in pairs), error.end


codecs.register_error(ESCAPED, _escaped)
