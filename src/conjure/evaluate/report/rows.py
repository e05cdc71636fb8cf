"""The report's tables, row by row, whatever they are written in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conjure.errors import UnknownNameError
from conjure.evaluate.analysis import Kind, kinds, whole
from conjure.evaluate.results import Evaluation, Score, TaskResult


def pick_column(evaluation: Evaluation, name: str | None = None) -> tuple[str, str]:
    """Method and column by the name of either, as ``conjuring`` or ``conjuring/epsilon``.

    Args:
        evaluation: What was run.
        name: None for those of ``Evaluation.lead``; a method alone stands for its headline.

    Raises:
        UnknownNameError: It was not run.
    """
    if name is None:
        lead = evaluation.lead()
        return lead.method, lead.column
    known = {f"{s.method}/{s.column}": (s.method, s.column) for s in evaluation.scores}
    known |= {s.method: (s.method, s.column) for s in evaluation.scores if s.headline}
    if name not in known:
        raise UnknownNameError("method of this evaluation", name, list(known))
    return known[name]


ERRORS = (
    "task", "method", "pairs", "samples", "other samples", "other pairs",
    "beyond the text encoder",
)  # fmt: skip


ABOUT_ERRORS = (
    "Other samples: the standard error that new Monte Carlo noise would bring, by a jackknife over "
    "samples. Other pairs: the bootstrap interval. Beyond the text encoder: partial Spearman given "
    "its cosine."
)


DIFFERENCES = (
    "task", "difference", "Spearman × 100", "95%, paired bootstrap", "other samples",
)  # fmt: skip


ABOUT_DIFFERENCES = (
    "Each interval is for itself, over pairs alone: among many some miss 0 by chance, those of one "
    "task together, since they meet the same pairs."
)


def error_rows(evaluation: Evaluation) -> list[list[Any]]:
    return [
        [
            score.task, f"{score.method}, {score.column}", score.pairs, score.samples or "none",
            "–" if score.monte_carlo is None else f"±{100 * score.monte_carlo:.2f}",
            f"{100 * score.low:.1f} to {100 * score.high:.1f}",
            _beyond(score),
        ]
        for score in evaluation.scores
        if score.headline
    ]  # fmt: skip


def _beyond(score: Score) -> str:
    if score.beyond_text is None:
        return "–"
    text = f"{100 * score.beyond_text:.1f}"
    if score.beyond_low is None or score.beyond_high is None:
        return text
    return f"{text} [{100 * score.beyond_low:.1f}, {100 * score.beyond_high:.1f}]"


def difference_rows(evaluation: Evaluation) -> list[list[Any]]:
    return [
        [gap.task, f"{gap.method} − {gap.other}", f"{100 * gap.value:+.1f}",
         f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f}",
         "–" if gap.monte_carlo is None else f"±{100 * gap.monte_carlo:.2f}"]
        for gap in evaluation.differences
    ]  # fmt: skip


KINDS = ("pairs", "Spearman × 100 [95%]", "rank error, %", "by chance, %")


def kind_rows(
    evaluation: Evaluation, result: TaskResult, chosen: tuple[str, str]
) -> dict[str, list[list[Any]]]:
    """By respect the rows of its table, the last one of the whole task."""
    total = whole(result, chosen)
    if evaluation.settings["conventions"]["pooling"] == "mean":  # ranks are of the whole task
        total = replace(total, name="all, pooled")
    return {
        respect: [
            [
                kind.name,
                kind.pairs,
                _with_ends(kind),
                _hundred(kind.rank_error),
                _hundred(kind.chance),
            ]
            for kind in (*some, total)
        ]
        for respect, some in kinds(result, chosen).items()
    }


def _with_ends(kind: Kind) -> str:
    text = _hundred(kind.spearman)
    return text if text == "–" else f"{text} [{_hundred(kind.low)}, {_hundred(kind.high)}]"


def _hundred(value: float) -> str:
    return "–" if value != value else f"{100 * value:.1f}"
