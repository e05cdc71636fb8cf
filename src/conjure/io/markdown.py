"""Tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from conjure.io.visible import visible


class Marked(str):
    """Markdown of ours, which is not escaped."""


_MARKS = re.compile(r"[\\`*_|~$#]|(?<=\])[(\[]")
"""What means something within a line; brackets do where one follows upon another, as in links."""


def as_markdown(text: str) -> str:
    r"""The text in one line, as it stands there.

    >>> as_markdown("*a*\n<b>[x](y) | [1, 2]")
    '\\*a\\* &lt;b&gt;[x]\\(y) \\| [1, 2]'
    """
    tags = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}  # not all renderers know \<
    marked = _MARKS.sub(r"\\\g<0>", visible(" ".join(text.split())))
    return marked.translate(str.maketrans(tags))


def markdown_table(names: Sequence[str], rows: Iterable[Sequence[Any]], text: int) -> str:
    r"""A table whose first columns are words, to the left, and the others numbers, to the right.

    Args:
        names: Of the columns.
        rows: A cell each, which is text unless it is ``Marked``; None leaves one empty.
        text: How many columns are words.

    >>> print(markdown_table(["what", "how many"], [["a|b", 3], ["c", None]], text=1))
    | what | how many |
    |---|---:|
    | a\|b | 3 |
    | c | |
    """
    signs = "---|" * text + "---:|" * (len(names) - text)
    lines = ["| " + " | ".join(map(_cell, names)) + " |", f"|{signs}"]
    for row in rows:
        lines.append("|" + "".join(" |" if c is None else f" {_cell(c)} |" for c in row))
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return value if isinstance(value, Marked) else as_markdown(str(value))
