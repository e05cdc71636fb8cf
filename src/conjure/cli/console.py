"""What the commands share: the screen, the progress bar, the quiet."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_OUT = Console()
_ERR = Console(stderr=True)


def show(renderable: Any) -> None:
    """Print a result on standard output."""
    _OUT.print(renderable, highlight=False)


def status(message: str) -> AbstractContextManager[Any]:
    """A spinner on standard error while something without steps goes on."""
    return _ERR.status(message)


@contextmanager
def progress_bar(what: str, calls: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, in network calls: done, all, time passed, time left."""
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("network calls"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=_ERR, transient=True, disable=not _ERR.is_terminal) as bar:
        task = bar.add_task(what, total=calls)
        yield lambda count: bar.advance(task, count)


def quiet_libraries() -> None:
    """Keep the libraries' notes to developers off a user's screen. Errors still come through."""
    import logging

    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    warnings.filterwarnings("ignore")
    logging.getLogger("torch").setLevel(logging.ERROR)
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
