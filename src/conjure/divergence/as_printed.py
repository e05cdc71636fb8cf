"""Algorithm 1 exactly as it is printed, which compares scores at different states."""

from __future__ import annotations

from conjure.divergence.base import Estimand, Squares
from conjure.levels import Floats, NoiseLevels


def terms(squares: Squares, levels: NoiseLevels) -> Floats:
    """(2/T)‖ŝ(x¹|y₁) − ŝ(x²|y₂)‖² and its twin with the prompts swapped; shape ``(k, 2, T)``.

    Half of their sum is (1/T)Σ of both squares, the printed algorithm. It contradicts the closed
    form, in which both scores are taken at the same state; kept so that anyone can compare.
    """
    return 2 * squares.printed / len(levels)


ESTIMAND = Estimand("as-printed", terms, by_path=False)
