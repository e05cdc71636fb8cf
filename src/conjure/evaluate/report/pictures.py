"""The report's pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from conjure.evaluate.results import TaskResult
from conjure.figures.fonts import readable
from conjure.figures.style import in_line, shorten
from conjure.io.progress import progress_bar
from conjure.io.visible import as_html
from conjure.process.pipeline import PipelineProcess

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THUMBNAIL = 128
"""Side of a picture in the report, in pixels."""


def draw(
    process: PipelineProcess, prompts: Sequence[str], seed: int, *, progress: bool = False
) -> list[str]:
    """One picture of each prompt from the same noise, as inline images: T calls each."""
    from PIL import Image

    from conjure.engine.ends import finished_pictures
    from conjure.engine.network import Network

    keys = [(prompt, 0) for prompt in prompts]
    calls = len(keys) * len(process.visits) * (2 if process.guidance > 1 else 1)
    with progress_bar("Drawing pairs", calls, shown=progress) as bar:
        latents = finished_pictures(process, Network(process, bar.advance), keys, seed)
    found = []
    for picture in process.decode(latents):
        stream = io.BytesIO()
        image = Image.fromarray((255 * picture).round().astype(np.uint8))
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        image.save(stream, "PNG")
        encoded = base64.b64encode(stream.getvalue()).decode()
        found.append(f'<img alt="" src="data:image/png;base64,{encoded}">')
    return found


@readable
def scatter(result: TaskResult, chosen: tuple[str, str]) -> Figure:
    """Human score against distance, a point a pair, parts of speech apart where they are known."""
    from matplotlib.figure import Figure

    examples, distances = result.examples, result.distances[chosen]
    figure = Figure(figsize=(6.2, 3.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    labels = examples.more.get("pos") or ["pairs"] * len(examples)
    size = float(np.clip(4000 / len(examples), 3, 18))
    names, points = sorted({str(label) for label in labels}), []
    for name in names:
        rows = [i for i, label in enumerate(labels) if str(label) == name]
        near = examples.scores[rows]
        points.append(axes.scatter(near, distances[rows], s=size, alpha=0.5, linewidths=0))
    if len(names) > 1:
        axes.legend(points, [shorten(name) for name in names], fontsize=8, frameon=False)
    positive = distances[distances > 0]
    if len(positive) and positive.max() > 20 * np.median(positive):
        axes.set_yscale("symlog", linthresh=float(np.quantile(positive, 0.02)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")  # the usual one is of TeX
    axes.set_xlabel("human score (larger is closer)")
    axes.set_ylabel(f"{in_line(chosen[1])} distance")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def as_image(figure: Figure, name: str) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    encoded = base64.b64encode(stream.getvalue()).decode()
    return f'<figure><img alt="{as_html(name)}" src="data:image/png;base64,{encoded}"></figure>'
