"""Correlation of rankings, and the error that other samples would bring."""

from __future__ import annotations

import math

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


LEAST_REPLICATES = 8
"""Replicates from which the error of dependent samples is known."""


def independent(samples: Floats, replicate: int) -> Floats:
    """The means of independent replicates, each of so many neighbouring samples.

    Too few of them say nothing about their error, and come as one.

    >>> independent(np.array([1.0, 3.0]), 1), len(independent(np.ones(16), 2))
    (array([1., 3.]), 8)
    >>> independent(np.array([1.0, 3.0, 2.0, 2.0]), 2)
    array([2.])
    """
    if replicate == 1:
        return samples
    means = samples.reshape(-1, replicate).mean(1)
    return means if len(means) >= LEAST_REPLICATES else means.mean(keepdims=True)


def standard_error(samples: Floats) -> float | None:
    """Standard error of the mean of independent samples; None if there is only one.

    >>> standard_error(np.array([1.0, 3.0]))
    1.0
    >>> standard_error(np.array([1.0])) is None
    True
    """
    if len(samples) < 2:
        return None
    return float(np.std(samples, ddof=1) / math.sqrt(len(samples)))


def log_t_interval(samples: Floats, confidence: float = 0.95) -> tuple[float, float] | None:
    """Student-t interval on the logarithm of the mean, for positive, right-skewed samples.

    A sample of a squared distance is like a weighted sum of χ² variables, so that a symmetric
    interval lies too low too often. m·exp(±t·se/m) stretches upwards by as much as it shrinks
    downwards. On χ² samples with 4 degrees of freedom it covers 94.3% at 8 samples where the
    plain t interval covers 92.2%, with 2 degrees 93.1% against 89.5%.

    Args:
        samples: Independent, non-negative, shape ``(k,)``.
        confidence: Between 0 and 1.

    Returns:
        The bounds; None for a single sample, and (0, 0) where every sample is 0.

    >>> low, high = log_t_interval(np.array([1.0, 2.0, 3.0]))
    >>> round(low * high, 9) == 2.0**2
    True
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is between 0 and 1, not {confidence}")
    error = standard_error(samples)
    if error is None:
        return None
    mean = float(np.mean(samples))
    if mean == 0:
        return (0.0, 0.0)
    wide = t_quantile((1 + confidence) / 2, len(samples) - 1) * error / mean
    stretch = math.exp(wide) if wide < 700 else math.inf  # of two samples that lie far apart
    return (mean / stretch, mean * stretch)


def t_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t distribution."""
    from scipy.stats import t

    return float(t.ppf(probability, degrees))
