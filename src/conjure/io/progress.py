"""Progress in network calls, the unit by which users wait: a bar, or a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from conjure.io.visible import visible

HEARTBEAT = 30.0
"""Seconds between two lines, where standard error is no terminal."""


class ProgressBar(Protocol):
    """What work tells whoever waits for it."""

    def advance(self, calls: int) -> None:
        """So many calls were just made."""
        ...

    def expect(self, calls: int) -> None:
        """So many there will be in all, as far as is known now."""
        ...

    def note(self, text: str) -> None:
        """Something to say beside the numbers."""
        ...


@dataclass(frozen=True)
class _Bar:
    """Rich's.

    Args:
        bar: Its progress.
        task: The task there.
    """

    bar: Any
    task: Any

    def advance(self, calls: int) -> None:
        self.bar.advance(self.task, calls)

    def expect(self, calls: int) -> None:
        self.bar.update(self.task, total=calls)

    def note(self, text: str) -> None:
        self.bar.update(self.task, note=visible(text))


@dataclass
class _Lines:
    """A line every half minute, for logs.

    Args:
        what: What goes on.
        total: Calls there will be, or None if that is not known.
        write: Takes a line.
        clock: In seconds.
    """

    what: str
    total: int | None
    write: Callable[[str], object]
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    said: str = ""
    started: float = field(init=False)
    last: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.last = self.clock()

    def advance(self, calls: int) -> None:
        self.done += calls
        now = self.clock()
        if now - self.last < HEARTBEAT:
            return
        self.last, rate = now, self.done / (now - self.started)
        all_of_them = "" if self.total is None else f" of {self.total:,}"
        text = f"{self.what}: {self.done:,}{all_of_them} network calls, {rate:.3g}/s"
        if self.total is not None and self.total > self.done:
            text += f", about {duration((self.total - self.done) / rate)} left"
        self.write(text + (f", {self.said}" if self.said else ""))

    def expect(self, calls: int) -> None:
        self.total = calls

    def note(self, text: str) -> None:
        self.said = text


class _Nothing:
    """Nobody waits."""

    def advance(self, calls: int) -> None:
        pass

    def expect(self, calls: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def duration(seconds: float) -> str:
    """A length of time as people say it.

    >>> duration(0.2345), duration(42), duration(150), duration(7300), duration(300_000)
    ('0.2 s', '42 s', '2.5 min', '2.0 h', '3.5 days')
    """
    if seconds < 90:
        return f"{seconds:.1g} s" if seconds < 1 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


@contextmanager
def progress_bar(what: str, calls: int | None, *, shown: bool = True) -> Iterator[ProgressBar]:
    """Calls done, all, rate, time left: a bar on a terminal, else lines, on standard error.

    Args:
        what: What goes on.
        calls: How many there will be at most, or None if that is not known.
        shown: Whether to show it at all.
    """
    if not shown:
        yield _Nothing()
        return
    from conjure.io.screen import Screen

    console = Screen(stderr=True)
    if not console.is_terminal:
        yield _Lines(visible(what), calls, lambda line: console.print(line, soft_wrap=True))
        return
    with _rich_progress(console) as bar:
        yield _Bar(bar, bar.add_task(visible(what), total=calls, note=""))


def _rich_progress(console: Any) -> Any:
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

    from conjure.io.screen import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f}/s", style="progress.data.speed")

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
    return Progress(*columns, console=console, transient=True)
