"""Prompts in figures: as text, in any script for which a font is installed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from conjure.errors import ConjureWarning

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

FALLBACKS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC",
    "WenQuanYi Zen Hei", "Microsoft YaHei", "PingFang SC", "Hiragino Sans", "Malgun Gothic",
    "Apple SD Gothic Neo", "Arial Unicode MS", "Noto Sans Arabic", "Noto Sans Hebrew",
    "Noto Sans Devanagari", "Noto Sans Thai", "Noto Emoji", "Segoe UI Emoji", "Symbola",
)  # fmt: skip
"""Of systems that are in use, for what DejaVu Sans lacks."""


@cache
def families() -> tuple[str, ...]:
    """DejaVu Sans, which matplotlib brings, and those of the others that are there."""
    from matplotlib import font_manager

    there = {font.name for font in font_manager.fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in FALLBACKS if name in there))


def readable(draw: Callable[P, R]) -> Callable[P, R]:
    """Let a function's figure have texts in any script for which there is a font.

    A ``$`` in them is a letter, as in every text of a figure.
    """

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib as mpl

        fonts = list(families())
        with mpl.rc_context({"font.family": fonts, "text.parse_math": False, "text.usetex": False}):
            return draw(*args, **kwargs)

    return drawn


def warn_of_boxes(figure: Figure) -> None:
    """Say which letters of a figure no font has: they are drawn as empty boxes."""
    from matplotlib.text import Text

    letters = {c for text in figure.findobj(Text) for c in text.get_text()}
    missing = "".join(
        sorted(c for c in letters if not c.isspace() and not any(ord(c) in f for f in _alphabets()))
    )
    if missing:
        shown = missing if len(missing) <= 20 else missing[:20] + "…"
        warnings.warn(
            f"No font here has {shown}, which the figure shows as boxes: install one that has, "
            "such as Noto Sans CJK or Noto Emoji.",
            ConjureWarning,
            stacklevel=3,
        )


@cache
def _alphabets() -> tuple[frozenset[int], ...]:
    from matplotlib import font_manager

    fonts = (font_manager.get_font(font_manager.findfont(name)) for name in families())
    return tuple(frozenset(font.get_charmap()) for font in fonts)
