"""The model card, from a template and `report.json`; and the picture of how training went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2

import conjure
from benchmarks.scale import rows as scale_rows
from recipes.common import write_atomically
from recipes.drawings.data import PACKAGES, SHA256
from recipes.wordnet import WORDNET_SHA256

from . import HERE
from .curves import STAGES, load_curves
from .evaluate import GUIDANCE, REPORT
from .sheets import COLUMNS, EACH, IMAGES, STEPS, STYLES

TEMPLATE, PAGE = HERE / "card.md", HERE / "page.md"


def percent(value: float | list[float]) -> str:
    """`79.3%`, with its interval where there is one: `79.3% [74.4, 83.5]`."""
    if not isinstance(value, list):
        return f"{100 * value:.1f}%"
    middle, low, high = (100 * v for v in value)
    return f"{middle:.1f}% [{low:.1f}, {high:.1f}]"


def rank(value: float | list[float], sign: str = "") -> str:
    """Spearman × 100, with its interval where there is one: `63.3 [58.0, 67.9]`."""
    if not isinstance(value, list):
        return f"{100 * value:{sign}.1f}"
    middle, low, high = (f"{100 * v:{sign}.1f}" for v in value)
    return f"{middle} [{low}, {high}]"


def render(report: dict[str, Any]) -> str:
    """The card's text.

    Raises:
        jinja2.UndefinedError: The report lacks a figure.
    """
    return template(TEMPLATE).render(
        **report, packages=PACKAGES, hashes=SHA256, wordnet=WORDNET_SHA256, curves=load_curves()
    )


def render_page(report: dict[str, Any], scale: str) -> str:
    """The model's page of the docs: the card, and sheets of pictures with their captions.

    Args:
        report: Of the evaluation.
        scale: What `python -m benchmarks.scale` prints.
    """
    return template(PAGE).render(
        **report, scale=scale, steps=STEPS, guidance=f"{GUIDANCE:g}", columns=COLUMNS, each=EACH,
        styles=STYLES,
    )  # fmt: skip


def template(path: Path) -> jinja2.Template:
    """A template that refuses to leave anything blank."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True,
        autoescape=False,
    )  # fmt: skip
    environment.filters |= {"percent": percent, "rank": rank}
    return environment.from_string(path.read_text(encoding="utf-8"))


def write_card(folder: Path) -> None:
    """`README.md` of the model's folder, the curves' picture, and the model's page of the docs.

    Raises:
        ValueError: The report is of other weights.
    """
    report = json.loads(REPORT.read_text(encoding="utf-8"))
    if report.get("model") != conjure.load(folder, device="cpu").fingerprint():
        raise ValueError(f"{REPORT} is of other weights than {folder}: evaluate them first")
    text = render(report)
    write_atomically(folder / "README.md", lambda p: p.write_text(text, encoding="utf-8"))
    draw_curves(IMAGES / "emoji-training.png")
    page = render_page(report, "\n".join(scale_rows()))
    write_atomically(IMAGES.parent / "emoji.md", lambda p: p.write_text(page, encoding="utf-8"))


def draw_curves(path: Path) -> None:
    """A panel for each stage of training: loss by minutes, on logarithmic axes."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure = Figure(figsize=(12, 2.9), dpi=120, layout="constrained")
    curves = load_curves()
    panels = figure.subplots(1, len(curves))
    for panel, stage in zip(panels, (s for s in STAGES if s in curves), strict=True):
        curve = curves[stage]
        panel.plot(curve["minutes"], curve["loss"], linewidth=1.2)
        panel.set(title=f"{stage}\n{curve['steps'][-1]:,} steps", xlabel="minutes", yscale="log")
        panel.set_xlim(left=0)
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 6), numticks=20))
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("training loss")
    write_atomically(path, lambda p: figure.savefig(p))
