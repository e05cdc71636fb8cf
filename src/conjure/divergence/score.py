"""Algorithm 1's weighting: the mean of ‖Δs‖² over steps, without g².

Liu & Soatto (2026), who sum scores at different states: see ``as_printed``.
"""

from __future__ import annotations

from conjure.divergence.base import Estimand, Squares
from conjure.levels import Floats, NoiseLevels


def terms(squares: Squares, levels: NoiseLevels) -> Floats:
    """‖Δε̂‖²/(Tσ²): scores s = −ε̂/σ in variance-preserving units; shape ``(k, 2, T)``."""
    return squares.noise / (len(levels) * levels.sigma**2)


ESTIMAND = Estimand("score", terms)
