"""The picture of several processes: their matrices in one order, and how well they agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from conjure.figures.fonts import readable
from conjure.figures.matrix import Matrix
from conjure.figures.style import INK, in_line, shorten
from conjure.levels import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAP, GAP = 2.3, 0.55
"""Side of a matrix and the space between two, in inches."""
PER_ROW = 4
TITLE = 44
"""Letters that a matrix' title has room for; the agreement's rows have the full names."""
NAMED = 30
"""Prompts up to which the first matrix of a row has their names."""


class Processes(Protocol):
    """What is drawn: one matrix a process, as ``conjure.compare_processes`` gives them."""

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def prompts(self) -> tuple[str, ...]: ...
    @property
    def matrices(self) -> Sequence[Matrix]: ...
    def agreement(self) -> Floats: ...


@readable
def processes_figure(found: Processes) -> Figure:
    """Each matrix scaled by its own largest distance, in the order of the first's clustering."""
    from matplotlib.figure import Figure

    count = len(found.names)
    order = next((m for m in found.matrices if np.ptp(m.distances) > 0), found.matrices[0]).order()
    names = [shorten(found.prompts[i], 22) for i in order]
    label = 0.068 * max(map(len, names)) + 0.25 if len(names) <= NAMED else 0.25
    columns = min(PER_ROW, count)
    rows = math.ceil(count / columns)
    table = min(2.6, 0.5 * count + 0.6)
    numbered = [f"{number}  {in_line(name)}" for number, name in enumerate(found.names, 1)]
    side = 0.075 * max(map(len, numbered)) + 0.3
    width = label + columns * (MAP + GAP)
    width = max(width, side + table + 1.6)
    height = rows * (MAP + GAP) + table + 1.1
    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")

    def place(left: float, bottom: float, w: float, h: float):
        return figure.add_axes((left / width, bottom / height, w / width, h / height))

    for number, (name, one) in enumerate(zip(numbered, found.matrices, strict=True)):
        row, column = divmod(number, columns)
        left = label + column * (MAP + GAP)
        bottom = height - (row + 1) * (MAP + GAP) + 0.1
        axes = place(left, bottom, MAP, MAP)
        values = one.distances[np.ix_(order, order)].astype(float)
        largest = float(values.max())
        shown = np.where(np.eye(len(order), dtype=bool), np.nan, values)
        axes.imshow(shown, cmap="magma_r", vmin=0, vmax=largest or 1.0, aspect="auto")
        title = name if len(name) <= TITLE else str(number + 1)
        axes.set_title(title, fontsize=8, color=INK)
        axes.set_xticks([])
        if column == 0 and len(names) <= NAMED:
            axes.set_yticks(range(len(names)), names, fontsize=6)
            axes.tick_params(length=0)
        else:
            axes.set_yticks([])
        unit = "nats" if one.kl is not None else ""
        axes.set_xlabel(f"up to {largest:.3g} {unit}".strip(), fontsize=7, color=INK)
        for edge in axes.spines.values():
            edge.set_visible(False)
    axes = place(side, 0.4, table, table)
    agreement = found.agreement()
    axes.imshow(agreement, cmap="viridis", vmin=min(0.0, np.nanmin(agreement, initial=0)), vmax=1)
    axes.set_xticks(range(count), [str(n + 1) for n in range(count)], fontsize=7)
    axes.set_yticks(range(count), numbered, fontsize=7)
    axes.tick_params(length=0)
    for i, j in np.ndindex(count, count):
        value = agreement[i, j]
        text = "–" if np.isnan(value) else f"{value:.2f}"
        ink = INK if np.isnan(value) or value > 0.6 else "white"
        axes.text(j, i, text, ha="center", va="center", fontsize=7, color=ink)
    axes.set_title("Spearman of the distances", fontsize=8, color=INK)
    for edge in axes.spines.values():
        edge.set_visible(False)
    return figure
