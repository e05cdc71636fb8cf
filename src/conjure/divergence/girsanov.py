"""The path divergence by Girsanov's theorem: ∫‖Δε̂‖² dλ. The default.

The closed form of Liu & Soatto (2026), with g².
"""

from __future__ import annotations

import numpy as np

from conjure.divergence.base import Estimand, Squares
from conjure.levels import Floats, NoiseLevels


def trapezoid_weights(log_snr: Floats) -> Floats:
    """Trapezoid weights for unevenly spaced nodes: half of the neighbouring intervals.

    >>> trapezoid_weights(np.array([0.0, 1.0, 3.0]))
    array([0.5, 1.5, 1. ])
    """
    intervals = np.diff(log_snr)
    weights = np.zeros_like(log_snr)
    weights[:-1] += intervals / 2
    weights[1:] += intervals / 2
    return weights


def terms(squares: Squares, levels: NoiseLevels) -> Floats:
    """g²‖Δs‖² dt = ‖Δε̂‖² dλ, by the trapezoid rule over [λ₁, λ_T]; shape ``(k, 2, T)``.

    Where the first state is noise alone (λ₁ = −∞, or a stand-in for that) its cell is ‖Δx̂₀‖² ΔSNR
    instead, since ‖Δε̂‖² dλ = ‖Δx̂₀‖² d(SNR).
    """
    if not levels.pure_noise:
        return squares.noise * trapezoid_weights(levels.log_snr)
    weights = np.concatenate([[0.0], trapezoid_weights(levels.log_snr[1:])])
    result = squares.noise * weights
    result[..., 0] = squares.picture[..., 0] * (levels.snr[1] - levels.snr[0])
    return result


ESTIMAND = Estimand("girsanov", terms, "sde", minimum_steps=2)
