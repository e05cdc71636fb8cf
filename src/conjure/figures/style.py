"""What the figures have in common: ink, labels, and files."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from conjure.figures.fonts import warn_of_boxes
from conjure.io.files import check_figure_path, written_whole
from conjure.io.visible import visible
from conjure.process.base import Described

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#222222"


LETTER = 0.0074
"""Width of a letter for each point of its size, in inches."""


def process_line(process: Described) -> str:
    """What a process is, in a line for a figure."""
    description = process.describe()
    line = (
        f"{shorten(process.model, 60)}, {description.get('sampler', '')}, T = {len(process.levels)}"
    )
    if description.get("eta") not in (None, 1.0):
        line += f", η = {description['eta']:g}"
    return line + (f", guidance {process.guidance:g}" if process.guidance > 1 else "")


def fit(line: str, width: float, size: float) -> str:
    """A line on as many as it takes.

    Args:
        line: Of text.
        width: There is, in inches.
        size: Of the letters, in points.
    """
    return textwrap.fill(line, max(20, int(width / (size * LETTER))), break_on_hyphens=False)


def in_line(text: str) -> str:
    """A text in one line, of letters that can be drawn."""
    return visible(" ".join(text.split()))


def shorten(prompt: str, most: int = 32) -> str:
    """A prompt for a label, in one line; the empty one is said to be.

    Its middle goes: prompts of one template differ at either end.

    >>> shorten("a photo of a house in the style of Monet", 24)
    'a photo of …yle of Monet'
    """
    shown = in_line(prompt) or "(empty)"
    if len(shown) <= most:
        return shown
    head = (most - 1) // 2
    return f"{shown[:head]}…{shown[head + 1 - most :]}"


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, SVG or PDF, by the file's ending, whole or not at all.

    Raises:
        ConjureError: Another ending, or a folder that does not exist.
    """
    target = check_figure_path(path)
    warn_of_boxes(figure)
    # Without a date, and with fixed ids in SVG, the same figure is the same file.
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(target.suffix.lower())
    import matplotlib as mpl

    with (
        mpl.rc_context({"svg.hashsalt": "conjure", "pdf.fonttype": 42}),
        written_whole(target) as draft,
    ):
        figure.savefig(draft, metadata=metadata)
