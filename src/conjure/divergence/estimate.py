"""From independent samples to a mean, its standard error and an interval."""

from __future__ import annotations

from dataclasses import dataclass, field

from conjure.divergence.base import Estimand, Squares
from conjure.levels import Floats, NoiseLevels
from conjure.statistics import independent, log_t_interval, standard_error


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
    per_sample: Floats = field(repr=False)
    per_state: Floats = field(repr=False)
    replicate: int = 1

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """Confidence interval for the distance, or None where its error is unknown."""
        return log_t_interval(independent(self.per_sample, self.replicate), confidence)


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
