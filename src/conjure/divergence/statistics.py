"""From independent samples to a mean, its standard error and an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from conjure.divergence.base import Estimand, Squares
from conjure.levels import Floats, NoiseLevels


@dataclass(frozen=True)
class Estimate:
    """What one estimand says about one pair.

    Args:
        distance: The mean over samples.
        standard_error: Of that mean; None with a single sample, where it is unknown.
        kl_forward: KL(P₁‖P₂) in nats, or None where the value is not a KL of this process.
        kl_reverse: KL(P₂‖P₁) in nats, likewise; the two sum to the distance.
        per_sample: The samples themselves, shape ``(k,)``.
        per_state: Mean contribution of each path and state, shape ``(2, T)``; half of its sum is
            the distance.
        replicate: Samples of an independent replicate: 2 where they are antithetic, else 1.
    """

    distance: float
    standard_error: float | None
    kl_forward: float | None
    kl_reverse: float | None
    per_sample: Floats
    per_state: Floats
    replicate: int = 1

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """Confidence interval for the distance, or None where its error is unknown."""
        return log_t_interval(independent(self.per_sample, self.replicate), confidence)


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


def estimate(
    estimand: Estimand, squares: Squares, levels: NoiseLevels, *, kl: bool, replicate: int = 1
) -> Estimate:
    """Sum a run's squares into one estimand.

    Args:
        estimand: Which.
        squares: Of ``k`` samples.
        levels: The T levels they were scored at.
        kl: Whether this estimand is a KL divergence of the process they come from.
        replicate: Samples of an independent replicate.
    """
    terms = estimand.terms(squares, levels)
    halves = terms.sum(axis=2) / 2
    per_sample = halves.sum(axis=1)
    forward, reverse = halves.mean(axis=0)
    return Estimate(
        # The sum of the means, so that the two KLs add up to the distance to the last bit.
        distance=float(forward + reverse),
        standard_error=standard_error(independent(per_sample, replicate)),
        kl_forward=float(forward) if kl else None,
        kl_reverse=float(reverse) if kl else None,
        per_sample=per_sample,
        per_state=terms.mean(axis=0),
        replicate=replicate,
    )
