"""A progress bar in network calls, the unit by which users wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(what: str, calls: int, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, if that is a terminal: calls done, all, time passed, time left.

    Args:
        what: What goes on.
        calls: How many there will be.
        shown: Whether to show it at all.

    Yields:
        A function to call with the number of calls just made.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("network calls"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    hidden = not (shown and console.is_terminal)
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(what, total=calls)
        yield lambda count: bar.advance(task, count)
