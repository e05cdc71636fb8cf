"""Pure functions: squared differences and noise levels in, numbers out. One estimand a file.

Imports nothing at start, so that ``--help`` need not wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conjure.registry import Registry, imported_when_used

if TYPE_CHECKING:
    from conjure.divergence.base import Estimand, Squares
    from conjure.divergence.estimate import Estimate, estimate

__all__ = ["ESTIMANDS", "Estimand", "Estimate", "Squares", "estimate"]

ESTIMANDS: Registry[Estimand] = Registry(
    "estimand",
    {
        "girsanov": "conjure.divergence.girsanov:ESTIMAND",
        "ancestral": "conjure.divergence.ancestral:ESTIMAND",
        "score": "conjure.divergence.score:ESTIMAND",
        "epsilon": "conjure.divergence.epsilon:ESTIMAND",
        "picture": "conjure.divergence.picture:ESTIMAND",
        "as-printed": "conjure.divergence.as_printed:ESTIMAND",
    },
    group="conjure.estimands",
)
"""Ways to sum a run's squared differences into a distance."""

__getattr__ = imported_when_used(
    __name__,
    {
        "Estimand": "conjure.divergence.base",
        "Estimate": "conjure.divergence.estimate",
        "Squares": "conjure.divergence.base",
        "estimate": "conjure.divergence.estimate",
        "log_t_interval": "conjure.statistics",
    },
)
