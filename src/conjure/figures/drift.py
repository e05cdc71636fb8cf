"""The picture of a drift: how far each prompt has moved, and what the furthest conjure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from conjure.figures.fonts import readable
from conjure.figures.style import INK, LETTER, shorten
from conjure.process.base import Process

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL, BAR, ROW = 0.85, 3.2, 0.2
"""Side of a picture, length of the longest bar, and height of a bar's row, in inches."""
LISTED = 40
SHOWN, SAMPLES = 6, 3
"""Prompts with pictures, and pictures of each under either process."""
WIDEST = 1.8
"""Times the longest bar: as far as an interval is drawn."""
GREY = "#767676"
BLUE = "#1f5fa8"


class Distance(Protocol):
    """How far one prompt has moved."""

    @property
    def estimand(self) -> str: ...
    @property
    def distance(self) -> float: ...
    @property
    def is_kl(self) -> bool: ...
    def interval(self) -> tuple[float, float] | None: ...


class Drift(Protocol):
    """What is drawn: prompts under two processes, as ``conjure.drift`` gives them."""

    @property
    def prompts(self) -> tuple[str, ...]: ...
    @property
    def first(self) -> Process: ...
    @property
    def second(self) -> Process: ...
    @property
    def named(self) -> tuple[str, str]: ...
    def ranked(self) -> Sequence[tuple[str, Distance]]: ...
    def pictures(
        self, count: int, samples: int, *, progress: bool
    ) -> tuple[list[str], np.ndarray]: ...


@readable
def drift_figure(found: Drift, *, count: int = SHOWN, progress: bool = False) -> Figure:
    """Bars with their 95% intervals; beside them the pictures of the most changed prompts.

    Args:
        found: The drift.
        count: Prompts whose pictures are shown; none where the processes have no pictures.
        progress: Show a bar while they are drawn.
    """
    from matplotlib.figure import Figure

    ranked = found.ranked()[:LISTED]
    names = [shorten(prompt, 30) for prompt, _ in ranked]
    label = 0.078 * max(map(len, names)) + 0.3
    shows = count > 0 and found.first.has_pictures and found.second.has_pictures
    most = min(count, len(ranked))
    drawn = found.pictures(most, SAMPLES, progress=progress) if shows else None
    listing = ROW * len(ranked) + 0.3
    gallery = 0.0 if drawn is None else len(drawn[0]) * (CELL + 0.24)
    side = 0.0 if drawn is None else 2 * SAMPLES * CELL + 0.9
    width, height = label + BAR + 0.5 + side, max(listing, gallery) + 0.95
    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")
    top = height - 0.62
    for letter, name, y in zip("AB", found.named, (0.2, 0.38), strict=True):
        text = shorten(f"{letter}: {name}", int((width - 0.2) / (8 * LETTER)))
        _write(figure, 0.1, height - y, text, fontsize=8, va="center")
    axes = figure.add_axes(
        (label / width, (top - listing + 0.3) / height, BAR / width, (listing - 0.3) / height)
    )
    _bars(axes, ranked, names)
    rest = len(found.prompts) - len(ranked)
    more = f"; the first {len(ranked)} of {len(found.prompts):,} prompts" if rest else ""
    unit = "nats" if ranked[0][1].is_kl else "score distance"
    lines = "" if ranked[0][1].interval() is None else "; lines: 95% intervals"
    axes.set_xlabel(f"{ranked[0][1].estimand}, {unit}{lines}{more}", fontsize=7, color=INK)
    if drawn is not None:
        _gallery(figure, *drawn, left=label + BAR + 0.45, top=top)
    return figure


def _bars(axes: Axes, ranked: Sequence[tuple[str, Distance]], names: Sequence[str]) -> None:
    """A bar a prompt, with the interval of its distance."""
    values = [result.distance for _, result in ranked]
    places = np.arange(len(ranked))
    axes.barh(places, values, height=0.7, color=BLUE)
    for place, (_, result) in zip(places, ranked, strict=True):
        interval = result.interval()
        if interval is not None:
            axes.plot(interval, [place, place], color=INK, linewidth=0.8)
    axes.set_ylim(len(ranked) - 0.5, -0.5)
    # With few samples an interval may be many times its bar: it then runs off, with an arrow.
    most = WIDEST * max(max(values), 1e-12)
    ends = [high for _, result in ranked if (high := (result.interval() or (0, 0))[1]) <= most]
    limit = 1.05 * max([*values, *ends, 1e-12])
    axes.set_xlim(0, limit)
    for place, (_, result) in zip(places, ranked, strict=True):
        if (result.interval() or (0, 0))[1] > limit:
            axes.plot([limit], [place], marker=">", color=INK, markersize=3, clip_on=False)
    axes.set_yticks(places, names, fontsize=7)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7)
    for name in ("top", "right", "left"):
        axes.spines[name].set_visible(False)


def _gallery(
    figure: Figure, prompts: Sequence[str], pictures: np.ndarray, *, left: float, top: float
) -> None:
    """The pictures of some prompts under either process, a row a prompt."""
    width, height = figure.get_size_inches()
    for half, letter in enumerate("AB"):
        x = left + half * (SAMPLES * CELL + 0.3) + SAMPLES * CELL / 2
        _write(figure, x, top + 0.12, letter, fontsize=9, weight="bold", ha="center")
    for row, (prompt, drawn) in enumerate(zip(prompts, pictures, strict=True)):
        y = top - row * (CELL + 0.24)
        _write(figure, left, y - 0.08, shorten(prompt, 40), fontsize=7, va="center", color=GREY)
        for half, sample in np.ndindex(2, SAMPLES):
            x = left + half * (SAMPLES * CELL + 0.3) + sample * CELL
            cell = figure.add_axes(
                (x / width, (y - CELL - 0.14) / height, 0.95 * CELL / width, 0.95 * CELL / height)
            )
            cell.imshow(drawn[half, sample], interpolation="nearest")
            cell.set_axis_off()


def _write(figure: Figure, x: float, y: float, text: str, **how) -> None:
    """Text at a place in inches from the lower left."""
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, **{"color": INK, **how})
