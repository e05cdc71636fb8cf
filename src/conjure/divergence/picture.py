"""The mean of ‖Δx̂₀‖² over steps: the difference between the pictures that the figure shows."""

from __future__ import annotations

from conjure.divergence.base import Estimand, Squares
from conjure.levels import Floats, NoiseLevels


def terms(squares: Squares, levels: NoiseLevels) -> Floats:
    """‖Δx̂₀‖²/T, in the model's own (latent) units; shape ``(k, 2, T)``."""
    return squares.picture / len(levels)


ESTIMAND = Estimand("picture", terms)
