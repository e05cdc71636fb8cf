"""Pure functions: squared differences and noise levels in, numbers out. One estimand a file."""

from conjure.divergence.base import Estimand, Squares
from conjure.divergence.statistics import Estimate, estimate, log_t_interval
from conjure.registry import Registry

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
)
"""Every estimand by name. To add one: a file beside these, and a line here."""

__all__ = ["ESTIMANDS", "Estimand", "Estimate", "Squares", "estimate", "log_t_interval"]
