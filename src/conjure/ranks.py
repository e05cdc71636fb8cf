"""Correlation of rankings, and the error that other samples would bring."""

from __future__ import annotations

import numpy as np

from conjure.levels import Floats


def spearman(x: Floats, y: Floats) -> Floats:
    """Spearman's rank correlation along the last axis, with mean ranks for ties.

    Args:
        x: Shape ``(…, P)``.
        y: Likewise; the two broadcast.

    Returns:
        Shape ``(…)``; NaN where either is constant.

    >>> float(spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0])))
    1.0
    """
    from scipy.stats import rankdata  # here, since it takes its time

    return pearson(rankdata(x, axis=-1), rankdata(y, axis=-1))


def pearson(x: Floats, y: Floats) -> Floats:
    """Pearson's correlation along the last axis, shape ``(…)``; NaN where either is constant."""
    x, y = (v - v.mean(-1, keepdims=True) for v in (x, y))
    scale = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > 0, (x * y).sum(-1) / scale, np.nan)


def jackknife_error(without: Floats) -> Floats:
    """The standard error of a function of samples, from its values without each of them in turn.

    Args:
        without: Shape ``(k, …)``, k ≥ 2.

    Returns:
        Shape ``(…)``.

    >>> float(jackknife_error(np.array([1.0, 2.0, 3.0])))  # √(2/3 · 2)
    1.1547005383792515
    """
    count = len(without)
    return np.sqrt((count - 1) / count * ((without - without.mean(0)) ** 2).sum(0))
