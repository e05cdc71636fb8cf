"""Algorithm 1's weighting: the mean of ‖Δs‖² over steps, without g²."""

from __future__ import annotations

from conjure.divergence.base import Estimand, Squares
from conjure.levels import Floats, NoiseLevels


def terms(squares: Squares, levels: NoiseLevels) -> Floats:
    """‖Δε̂‖²/(Tσ²): scores s = −ε̂/σ in variance-preserving units; shape ``(k, 2, T)``."""
    return squares.noise / (len(levels) * levels.sigma**2)


ESTIMAND = Estimand("score", terms, "", "Liu & Soatto 2026, the weighting of Algorithm 1")
