"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def markdown_table(names: Sequence[str], rows: Iterable[Sequence[Any]], text: int) -> str:
    r"""A table whose first columns are words, to the left, and the others numbers, to the right.

    Args:
        names: Of the columns.
        rows: A cell each; None leaves one empty.
        text: How many columns are words.

    >>> print(markdown_table(["what", "how many"], [["a|b", 3], ["c", None]], text=1))
    | what | how many |
    |---|---:|
    | a\|b | 3 |
    | c | |
    """
    signs = "---|" * text + "---:|" * (len(names) - text)
    lines = ["| " + " | ".join(names) + " |", f"|{signs}"]
    for row in rows:
        lines.append("|" + "".join(" |" if c is None else f" {_cell(str(c))} |" for c in row))
    return "\n".join(lines)


def _cell(text: str) -> str:
    """In one line, with its own bars marked."""
    return text.replace("|", "\\|").replace("\n", " ")
