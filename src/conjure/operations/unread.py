"""Pairs of prompts that are one to a process: two texts, of which it reads the same."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from conjure.engine.jobs import Pair
from conjure.errors import ConjureWarning, UnreadPromptError
from conjure.io.brief import shortened
from conjure.process.base import Process
from conjure.process.reading import GO_ON, named


class Alike:
    """Looks for them in pairs as they come.

    Args:
        process: That reads.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._first: tuple[Pair, str] | None = None
        self._count = 0

    def look(self, pairs: Sequence[Pair]) -> None:
        """Refuse two prompts that differ in nothing but what is unknown.

        Raises:
            UnreadPromptError: With the characters.
        """
        process = self._process
        apart = [pair for pair in pairs if pair[0] != pair[1]] if process.reads_prompts else []
        prompts = list(dict.fromkeys(prompt for pair in apart for prompt in pair))
        read = dict(zip(prompts, process.read(prompts), strict=True))
        for a, b in apart:
            if read[a].meaning != read[b].meaning:
                continue
            unread = "".join(dict.fromkeys(read[a].unread + read[b].unread))
            if unread and process.unread == "refuse":
                raise UnreadPromptError(
                    f"{shortened(a)} and {shortened(b)} are one to the text encoder of "
                    f"{process.model}, which does not know {named(unread)}: their distance would "
                    "be 0 whatever they mean. Say them in words that it was trained on. " + GO_ON
                )
            self._count += 1
            if self._first is None:
                self._first = (a, b), _reason(unread, cut=read[a].cut or read[b].cut)

    def warn(self) -> None:
        """Tell of the others: their distance is 0 by what is read, not by measuring."""
        if self._first is not None:
            (a, b), reason = self._first
            more = f", and so are {self._count - 1:,} more pairs" if self._count > 1 else ""
            warnings.warn(
                f"{shortened(a)} and {shortened(b)} are one to the text encoder of "
                f"{self._process.model}{more}: {reason}. Their distance is 0 by that.",
                ConjureWarning, stacklevel=4,
            )  # fmt: skip


def what_is_read(process: Process, pair: Pair) -> dict[str, Any]:
    """Which characters of two prompts are not known, and whether both are one to a process."""
    first, second = process.read(pair)
    return {
        "unread": (first.unread, second.unread),
        "alike": pair[0] != pair[1] and first.meaning == second.meaning,
    }


def check_apart(process: Process, pairs: Iterable[Pair]) -> None:
    """Refuse, or warn of, pairs that are one to a process.

    Raises:
        UnreadPromptError: Two differ in nothing but what is unknown.
    """
    alike = Alike(process)
    alike.look(list(pairs))
    alike.warn()


def check_distinct(process: Process, prompts: Sequence[str]) -> None:
    """Likewise, of any two of some prompts.

    Raises:
        UnreadPromptError: Two differ in nothing but what is unknown.
    """
    first: dict[object, str] = {}
    read = zip(prompts, process.read(prompts), strict=True)
    pairs = ((first.setdefault(each.meaning, prompt), prompt) for prompt, each in read)
    check_apart(process, [pair for pair in pairs if pair[0] != pair[1]])


def _reason(unread: str, *, cut: bool) -> str:
    """Why two are one."""
    if unread:
        return f"it does not know {named(unread)}"
    if cut:
        return "they differ only beyond the length that it reads"
    return "they differ only in what it does not tell apart, such as case, accents and spaces"
