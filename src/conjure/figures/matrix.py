"""The picture of a matrix: a heat map ordered by clustering, with its dendrogram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from conjure.errors import ConjureError
from conjure.figures.fonts import readable
from conjure.figures.style import INK, fit, process_line, shorten
from conjure.levels import Floats
from conjure.process.base import Described

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL, SMALLEST, LARGEST = 0.34, 3.2, 14.0
"""Side of a cell, and of the whole map, in inches."""
NUMBERED = 16
"""Prompts up to which every cell has its number."""


class Matrix(Protocol):
    """What is drawn: distances of all prompts from all, as ``conjure.matrix`` gives them."""

    @property
    def prompts(self) -> tuple[str, ...]: ...
    @property
    def process(self) -> Described: ...
    @property
    def estimand(self) -> str: ...
    @property
    def distances(self) -> Floats: ...
    @property
    def kl(self) -> Floats | None: ...
    def linkage(self) -> Floats: ...
    def order(self) -> list[int]: ...


@readable
def matrix_figure(matrix: Matrix) -> Figure:
    """Rows and columns in the dendrogram's order; light is near, dark is far.

    Args:
        matrix: Of at least two prompts.

    Raises:
        ConjureError: There are fewer.
    """
    from matplotlib.figure import Figure
    from scipy.cluster.hierarchy import dendrogram

    count = len(matrix.prompts)
    if count < 2:
        raise ConjureError("A picture of a matrix needs at least two prompts.")
    cell = 0.62 if count <= NUMBERED else CELL
    side = min(LARGEST, max(SMALLEST, cell * count))
    names = [shorten(p) for p in matrix.prompts]
    margin = 0.075 * max(map(len, names)) + 0.25
    tree, bar, gap = 1.1, 0.16, 0.12
    width, height = margin + side + gap + tree + 0.9, side + margin + 0.5
    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")

    def place(left: float, bottom: float, w: float, h: float):
        return figure.add_axes((left / width, bottom / height, w / width, h / height))

    drawn = place(margin + side + gap, margin, tree, side)
    leaves = dendrogram(
        matrix.linkage(), orientation="right", ax=drawn, no_labels=True,
        link_color_func=lambda _: INK,
    )["leaves"]  # fmt: skip
    order = leaves[::-1]
    drawn.set_axis_off()
    values = matrix.distances[np.ix_(order, order)]
    axes = place(margin, margin, side, side)
    shown = np.where(np.eye(count, dtype=bool), np.nan, values)
    image = axes.imshow(shown, cmap="magma_r", vmin=0, aspect="auto")
    size = float(np.clip(72 * side / count * 0.5, 3, 9))
    ordered = [names[i] for i in order]
    axes.set_xticks(range(count), ordered, rotation=90, fontsize=size)
    axes.set_yticks(range(count), ordered, fontsize=size)
    axes.tick_params(length=0)
    for edge in axes.spines.values():
        edge.set_visible(False)
    if count <= NUMBERED:
        dark = 0.55 * np.nanmax(shown)
        for i, j in np.argwhere(~np.isnan(shown)):
            ink = "white" if shown[i, j] > dark else INK
            axes.text(j, i, f"{shown[i, j]:.3g}", ha="center", va="center", color=ink, fontsize=7)
    scale = place(margin + side + gap + tree + 0.15, margin, bar, side * 0.4)
    unit = "nats" if matrix.kl is not None else "score distance"
    figure.colorbar(image, cax=scale).set_label(unit, fontsize=8)
    scale.tick_params(labelsize=7)
    title = fit(f"{matrix.estimand} on {process_line(matrix.process)}", width - 0.2, 9)
    figure.text(0.1 / width, 1 - 0.22 / height, title, fontsize=9, color=INK, va="center")
    return figure
