"""A progress bar in network calls, the unit by which users wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from conjure.io.visible import visible


@dataclass(frozen=True)
class ProgressBar:
    """What work tells its bar.

    Args:
        bar: Rich's.
        task: Its task there.
    """

    bar: Any
    task: Any

    def advance(self, calls: int) -> None:
        """So many calls were just made."""
        self.bar.advance(self.task, calls)

    def expect(self, calls: int) -> None:
        """So many there will be in all, as far as is known now."""
        self.bar.update(self.task, total=calls)

    def note(self, text: str) -> None:
        """Something to say beside the numbers."""
        self.bar.update(self.task, note=visible(text))


@contextmanager
def progress_bar(what: str, calls: int | None, *, shown: bool = True) -> Iterator[ProgressBar]:
    """A bar on standard error, if that is a terminal: calls done, all, rate, time passed and left.

    Args:
        what: What goes on.
        calls: How many there will be at most, or None if that is not known.
        shown: Whether to show it at all.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from conjure.io.screen import Screen, Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f}/s", style="progress.data.speed")

    console = Screen(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("network calls"),
        Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
    )
    hidden = not (shown and console.is_terminal)
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        yield ProgressBar(bar, bar.add_task(visible(what), total=calls, note=""))
