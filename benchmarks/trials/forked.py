"""One command line in a process of its own, forked so that nothing is imported again."""

from __future__ import annotations

import importlib
import os
import pkgutil
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from conjure.io.scratch import scratch

MEMORY = 16 * 2**30
"""Bytes of addresses that a command may take, so that one that asks for all is refused them."""

UNFORESEEN = 70


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Args:
        code: Its exit status, negative for the signal that ended it; None where it had to be ended.
        out: Its standard output.
        err: Its standard error.
        trace: Of an error that conjure did not foresee.
        read: Whether it read its standard input.
    """

    code: int | None
    out: str
    err: str
    trace: str
    read: bool


def run(
    arguments: Sequence[str],
    folder: Path,
    *,
    stdin: bytes = b"",
    seconds: float = 60,
    calls: int | None = None,
    before: Callable[[], None] | None = None,
) -> Outcome:
    """Run ``conjure`` in a folder, which is also its home.

    Args:
        arguments: After the command's name.
        folder: Files are named relative to it.
        stdin: What standard input holds.
        seconds: After which it is ended.
        calls: Network calls after which it is interrupted, as by a user who waits no longer.
        before: Done first in the new process.
    """
    with tempfile.TemporaryDirectory(prefix="trial-") as kept:
        notes = Path(kept)
        (notes / "in").write_bytes(stdin)
        with (notes / "in").open("rb") as given:
            pid = start(arguments, folder, notes, given.fileno(), calls, before)
            code = wait(pid, seconds)
            read = os.lseek(given.fileno(), 0, os.SEEK_CUR) > 0
        out, err, trace = (
            (notes / name).read_bytes().decode("utf-8", "backslashreplace")
            for name in ("out", "err", "trace")
        )
    return Outcome(code, out, err, trace, read)


def start(
    arguments: Sequence[str],
    folder: Path,
    notes: Path,
    given: int | None = None,
    calls: int | None = None,
    before: Callable[[], None] | None = None,
) -> int:
    """Fork a process that runs ``conjure``; its id. It writes what it says to a folder."""
    for name in ("out", "err", "trace"):
        (notes / name).touch()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _child(arguments, folder, notes, given, calls, before)
    return pid


def wait(pid: int, seconds: float) -> int | None:
    """A process's exit status; None where it had to be killed."""
    deadline, pause = time.monotonic() + seconds, 0.001
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(0.02, 1.2 * pause)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def _child(
    arguments: Sequence[str],
    folder: Path,
    notes: Path,
    given: int | None,
    calls: int | None,
    before: Callable[[], None] | None,
) -> NoReturn:
    code = UNFORESEEN
    try:
        code = _command(arguments, folder, notes, given, calls, before)
        sys.stdout.flush()
        sys.stderr.flush()
        if scratch.cache_info().currsize:  # what the end of a process does that was not forked
            shutil.rmtree(scratch())
    except BaseException:
        (notes / "trace").write_text(traceback.format_exc(), "utf-8", "backslashreplace")
    finally:
        os._exit(code)


def _command(
    arguments: Sequence[str],
    folder: Path,
    notes: Path,
    given: int | None,
    calls: int | None,
    before: Callable[[], None] | None,
) -> int:
    import torch

    from conjure.cli import app
    from conjure.cli.guard import guarded

    torch.set_num_threads(1)  # those of the process that was forked are not here
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    os.chdir(folder)
    os.environ |= {"HOME": str(folder), "TMPDIR": str(temporary), "COLUMNS": "120"}
    tempfile.tempdir = None
    _redirect(notes, given)
    if calls is not None:
        _interrupt_after(calls)
    if before is not None:
        before()
    sys.argv = ["conjure", *arguments]
    return guarded(lambda: app(list(arguments), prog_name="conjure"), debug=lambda: True)


def _redirect(notes: Path, given: int | None) -> None:
    """Files in place of the three streams, for libraries in C, too."""
    source = os.open(os.devnull, os.O_RDONLY) if given is None else given
    os.dup2(source, 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(notes / name, os.O_WRONLY), number)
    sys.stdin = os.fdopen(os.dup(0), encoding="utf-8")
    sys.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8")


def _interrupt_after(calls: int) -> None:
    from conjure.engine.network import Network

    predict, made = Network.predict, 0

    def counted(self: Network, *arguments):  # type: ignore[no-untyped-def]
        nonlocal made
        made += 1
        if made > calls:
            raise KeyboardInterrupt
        return predict(self, *arguments)

    Network.predict = counted  # type: ignore[method-assign]


def import_all() -> None:
    """Import what commands import, so that no trial waits for it."""
    import conjure

    for module in pkgutil.walk_packages(conjure.__path__, "conjure."):
        importlib.import_module(module.name)
    for name in ("matplotlib.pyplot", "pyarrow.parquet", "sentence_transformers", "datasets"):
        importlib.import_module(name)
    from conjure.cli import app
    from conjure.errors import ConjureError

    with suppress(ConjureError):  # what it takes to read a command line, too
        app(["status", os.devnull], prog_name="conjure")
