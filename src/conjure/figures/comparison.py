"""The paper's figure: one noisy state, and the pictures it becomes under either prompt."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from conjure.divergence import ESTIMANDS
from conjure.divergence.estimate import Estimate
from conjure.engine.trace import Trace
from conjure.errors import ConjureError
from conjure.figures.columns import Columns, choose_columns
from conjure.figures.fonts import readable
from conjure.figures.style import process_line, shorten
from conjure.process.base import Description, Process

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL = 0.82
"""Side of a picture, in inches."""
LABELS = 1.55
"""Width of the row labels, in inches."""
LETTER = 0.104
"""Width of a bold letter at 12 points, in inches."""
LINES = 6.2
"""Width of the lines above and below the pictures, in inches."""
RED = "#d62728"
INK = "#222222"
GREY = "#767676"


class Comparison(Protocol):
    """What is drawn: two prompts under one process, as ``conjure.compare`` gives them."""

    @property
    def prompts(self) -> tuple[str, str]: ...
    @property
    def process(self) -> Process: ...
    @property
    def estimand(self) -> str: ...
    @property
    def estimate(self) -> Estimate: ...
    @property
    def is_kl(self) -> bool: ...
    @property
    def samples(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def standing(self) -> str | None: ...
    def paths(self) -> Trace: ...


@readable
def comparison_figure(
    comparison: Comparison, *, columns: int = 10, process: Process | None = None
) -> Figure:
    """Two halves, one a path. In each: the noisy states, and their x̂₀ under either prompt.

    Under each column stands the share of the whole distance that its states contribute, on
    average over all samples; the pictures are those of the first sample. The fewest cells that
    make up half of the distance are framed in red.

    Args:
        comparison: Its process must be able to decode its states.
        columns: At most how many states are shown; each stands for a run of its neighbours.
        process: To decode with, if not the comparison's own.

    Raises:
        ConjureError: The process has no pictures, ``columns`` is below 1, or the estimand's terms
            belong to neither path.
    """
    from matplotlib.figure import Figure

    if columns < 1:
        raise ConjureError(f"columns is at least 1, not {columns}.")
    if not ESTIMANDS[comparison.estimand].by_path:
        raise ConjureError(
            f"{comparison.estimand} compares predictions at states of both paths at once, which no "
            "picture of one path shows: draw another estimand."
        )
    chosen = choose_columns(comparison.estimate.per_state, columns)
    pictures = _decode(comparison, chosen, process or comparison.process)
    count = chosen.shares.shape[1]

    width, head, foot, gap = max(LABELS + count * CELL + 0.15, LINES), 0.9, 0.3, 0.42
    half = 3 * CELL + 0.3
    height = head + 2 * half + gap + foot
    figure = Figure(figsize=(width, height), dpi=200, facecolor="white")
    a, b = (f"“{shorten(prompt, 48)}”" for prompt in comparison.prompts)
    _head(figure, comparison, a, b, width, height)
    for path, own in enumerate((a, b)):
        top = height - head - path * (half + gap)
        labels = ("noisy state", f"as {a}", f"as {b}")
        _text(figure, 0.1, top + 0.07, f"Path of {own}", width, height, weight="bold", size=9)
        for row, label in enumerate(labels):
            y = top - (row + 0.5) * CELL
            wrapped = "\n".join(textwrap.wrap(label, 20))
            bold = "bold" if row == path + 1 else "normal"
            _text(figure, 0.1, y, wrapped, width, height, va="center", weight=bold)
            for column in range(count):
                left, bottom = LABELS + column * CELL, top - (row + 1) * CELL
                axes = figure.add_axes(
                    (left / width, bottom / height, 0.95 * CELL / width, 0.95 * CELL / height)
                )
                axes.imshow(pictures[path, column, row], interpolation="nearest")
                _frame(axes, red=row > 0 and bool(chosen.framed[path, column]))
        _shares(figure, comparison, chosen, path, top - 3 * CELL - 0.08, width, height)
    _text(
        figure,
        LABELS,
        0.12,
        "noise  →  picture, by log-SNR λ.   Red: the cells that make up half of the distance.",
        width,
        height,
        color=GREY,
        size=7,
    )
    return figure


def _decode(comparison: Comparison, chosen: Columns, process: Process) -> np.ndarray:
    """The cells' pictures, shape ``(2, columns, 3, height, width, 3)``."""
    if isinstance(process, Description):
        raise ConjureError(
            f"This comparison was pickled, without its model: name one that decodes its pictures, "
            f"figure(process=conjure.load({process.model!r}))."
        )
    if not process.has_pictures:
        raise ConjureError("This process has no pictures to show: its states cannot be decoded.")
    trace = comparison.paths()
    states = np.stack(
        [
            np.stack([trace.states[path, i], *trace.pictures[path, i]])
            for path in (0, 1)
            for i in chosen.states[path]
        ]
    )
    if process.shape != states.shape[2:]:
        raise ConjureError(
            f"{process.model!r} has states of shape {process.shape}, and those of this comparison "
            f"are {states.shape[2:]}: name the process that it was made by."
        )
    flat = process.decode(torch.from_numpy(states.reshape(-1, *states.shape[2:])))
    return flat.reshape(2, chosen.shares.shape[1], 3, *flat.shape[1:])


def _head(
    figure: Figure, comparison: Comparison, a: str, b: str, width: float, height: float
) -> None:
    found = comparison.estimate
    interval = found.interval()
    unit = " nats" if comparison.is_kl else ""
    error = f" ± {found.standard_error:.3g}" if found.standard_error is not None else ""
    kind = "Jeffreys divergence" if comparison.is_kl else "score distance"
    line = f"{kind} ({comparison.estimand}): {found.distance:.4g}{error}{unit}"
    if interval is not None:
        line += f"   95% interval {interval[0]:.4g} to {interval[1]:.4g}"
    if comparison.is_kl:
        line += f"   KL → {found.kl_forward:.4g}, KL ← {found.kl_reverse:.4g}"
    if comparison.standing is not None:
        line += f"   {comparison.standing.partition(', ')[0]}"
    title = f"{a} and {b}"
    size = min(12, 12 * (width - 0.2) / (LETTER * len(title)))
    _text(figure, 0.1, height - 0.24, title, width, height, size=size, weight="bold")
    _text(figure, 0.1, height - 0.44, line, width, height, size=8)
    about = f"{process_line(comparison.process)}, k = {comparison.samples}, seed {comparison.seed}"
    about += "; pictures: sample 1, shares: means"
    size = min(6.5, 6.5 * (width - 0.2) / (0.05 * len(about)))
    _text(figure, 0.1, height - 0.6, about, width, height, size=size, color=GREY)


def _shares(
    figure: Figure,
    comparison: Comparison,
    chosen: Columns,
    path: int,
    y: float,
    width: float,
    height: float,
) -> None:
    log_snr = comparison.process.levels.log_snr
    _text(figure, 0.1, y - 0.07, "share of the total", width, height, color=GREY, size=7)
    _text(figure, 0.1, y - 0.2, "log-SNR λ", width, height, color=GREY, size=7)
    for column, share in enumerate(chosen.shares[path]):
        red = bool(chosen.framed[path, column])
        x = LABELS + (column + 0.475) * CELL
        _text(
            figure,
            x,
            y - 0.07,
            _percent(share),
            width,
            height,
            ha="center",
            color=RED if red else INK,
            weight="bold" if red else "normal",
        )
        level = log_snr[chosen.states[path, column]]
        _text(figure, x, y - 0.2, f"{level:+.1f}", width, height, ha="center", color=GREY, size=6.5)


def _frame(axes: Axes, *, red: bool) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(RED if red else "#cccccc")
        spine.set_linewidth(1.8 if red else 0.5)


def _text(
    figure: Figure, x: float, y: float, text: str, width: float, height: float, **style: object
) -> None:
    """Text at a place in inches from the lower left."""
    style = {"size": 7.5, "color": INK, "va": "baseline"} | style
    figure.text(x / width, y / height, text, **style)  # pyright: ignore[reportArgumentType]


def _percent(share: float) -> str:
    return "<0.1%" if 0 < share < 0.001 else f"{100 * share:.1f}%"
