"""Pure functions: squared differences and noise levels in, numbers out. One estimand a file."""

from conjure.divergence.base import FIELDS, Estimand, Squares
from conjure.divergence.statistics import Estimate, estimate, log_t_interval

__all__ = ["FIELDS", "Estimand", "Estimate", "Squares", "estimate", "log_t_interval"]
