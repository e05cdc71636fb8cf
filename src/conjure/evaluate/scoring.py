"""Rank correlation with human judgement, and how sure it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from conjure.levels import Floats
from conjure.statistics import jackknife_error, spearman

RESAMPLES = 1000
"""Bootstrap resamples of the pairs."""

_AT_ONCE = 2_000_000
"""Numbers ranked at a time."""


def correlation(near: Floats, scores: Floats, subsets: Sequence[object] | None = None) -> float:
    """Spearman over all pairs, or the mean over subsets.

    Args:
        near: How near a method finds the pairs, larger is closer, shape ``(P,)``.
        scores: What people say.
        subsets: The subset of each pair, to take the mean over them; None to pool.
    """
    parts = _parts(len(scores), subsets)
    return float(np.mean([spearman(near[rows], scores[rows]) for rows in parts]))


def bootstrap(
    near: Floats,
    scores: Floats,
    task: str,
    subsets: Sequence[object] | None = None,
    resamples: int = RESAMPLES,
) -> Floats:
    """Correlations over pairs drawn again with replacement, shape ``(resamples,)``.

    The draws depend on the task and on nothing else, so that those of two methods belong together:
    their difference, resample by resample, is the paired bootstrap. With subsets, pairs are drawn
    within each.
    """
    label = int.from_bytes(hashlib.sha256(task.encode()).digest()[:4], "little")
    rng = np.random.default_rng([label, len(scores)])
    total = np.zeros(resamples)
    parts = _parts(len(scores), subsets)
    for rows in parts:
        step = max(1, _AT_ONCE // len(rows))
        for start in range(0, resamples, step):
            count = min(step, resamples - start)
            drawn = rows[rng.integers(len(rows), size=(count, len(rows)))]
            total[start : start + count] += spearman(near[drawn], scores[drawn])
    return total / len(parts)


def interval(draws: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval; resamples without an order to compare are left out."""
    tail = 100 * (1 - confidence) / 2
    if np.all(np.isnan(draws)):
        return (float("nan"), float("nan"))
    low, high = np.nanpercentile(draws, [tail, 100 - tail])
    return float(low), float(high)


def leave_one_out(
    samples: Floats, scores: Floats, subsets: Sequence[object] | None = None
) -> Floats:
    """The correlation without each of the samples in turn, shape ``(k,)``; k ≥ 2.

    A sample has the same noise for all pairs, so it is left out for all of them at once.

    Args:
        samples: Distances, shape ``(P, k)``.
        scores: Shape ``(P,)``.
        subsets: As in ``correlation``.
    """
    total = samples.sum(1)
    return np.array(
        [correlation(column - total, scores, subsets) for column in np.ascontiguousarray(samples.T)]
    )


def error_of_difference(
    ours: Floats | None, theirs: Floats | None, *, unknown: bool
) -> float | None:
    """What other samples would do to the difference of two correlations.

    By the jackknife, sample by sample, where both draw the same; that of one alone where the other
    draws nothing.

    Args:
        ours: From ``leave_one_out``, or None where there are not two samples.
        theirs: Likewise.
        unknown: Whether either is of a single sample, whose error nobody knows.
    """
    known = [one for one in (ours, theirs) if one is not None]
    if unknown or not known:
        return None
    if ours is None or theirs is None:
        return float(jackknife_error(known[0]))
    if len(ours) == len(theirs):  # samples that share their noise, or have none in common
        return float(jackknife_error(ours - theirs))
    return float(np.hypot(jackknife_error(ours), jackknife_error(theirs)))


def partial(near: Floats, scores: Floats, control: Floats) -> float:
    """Spearman of two rankings once a third is accounted for: what they share beyond it.

    (r_xy − r_xz r_yz) / √((1 − r_xz²)(1 − r_yz²)), of rank correlations.
    """
    xy, xz, yz = (spearman(p, q) for p, q in ((near, scores), (near, control), (scores, control)))
    return float(_partial(xy, xz, yz))


def bootstrap_partial(
    near: Floats, scores: Floats, control: Floats, task: str, resamples: int = RESAMPLES
) -> Floats:
    """``partial`` over pairs drawn again, the same draws as in ``bootstrap``."""
    three = ((near, scores), (near, control), (scores, control))
    return _partial(*(bootstrap(p, q, task, None, resamples) for p, q in three))


def _partial(xy: Floats, xz: Floats, yz: Floats) -> Floats:
    rest = (1 - xz**2) * (1 - yz**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(rest > 1e-12, (xy - xz * yz) / np.sqrt(rest), np.nan)


def _parts(count: int, subsets: Sequence[object] | None) -> list[np.ndarray]:
    if subsets is None:
        return [np.arange(count)]
    rows: dict[object, list[int]] = {}
    for number, subset in enumerate(subsets):
        rows.setdefault(subset, []).append(number)
    return [np.array(r) for r in rows.values()]
