"""The exact KL divergence between the chains that a stochastic sampler really runs."""

from __future__ import annotations

import numpy as np

from conjure.divergence.base import Estimand, Squares
from conjure.levels import Floats, NoiseLevels


def terms(squares: Squares, levels: NoiseLevels) -> Floats:
    """‖Δμ‖²/σ̃² over the steps that add noise, by the chain rule of KL; shape ``(k, 2, T)``.

    The step from state i to i + 1 stands at i; the last state has none.
    """
    return np.nan_to_num(squares.step, nan=0.0)


ESTIMAND = Estimand("ancestral", terms, "chain", minimum_steps=2)
