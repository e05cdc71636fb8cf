"""The mean of ‖Δε̂‖² over steps: g = 1 on the noise prediction.

As the experiments of Liu & Soatto (2026) are reported.
"""

from __future__ import annotations

from conjure.divergence.base import Estimand, Squares
from conjure.levels import Floats, NoiseLevels


def terms(squares: Squares, levels: NoiseLevels) -> Floats:
    """‖Δε̂‖²/T; shape ``(k, 2, T)``."""
    return squares.noise / len(levels)


ESTIMAND = Estimand("epsilon", terms)
