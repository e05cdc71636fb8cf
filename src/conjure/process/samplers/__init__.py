"""How a path is advanced: one sampler a file."""

from collections.abc import Callable

from conjure.process.samplers.base import Grid, Sampler, SchedulerConfig
from conjure.registry import Registry

SAMPLERS: Registry[Callable[[SchedulerConfig, float | None], Sampler]] = Registry(
    "sampler",
    {
        "ddim": "conjure.process.samplers.ddim:build",
        "ddpm": "conjure.process.samplers.ddpm:build",
        "euler": "conjure.process.samplers.euler:build",
        "euler-ancestral": "conjure.process.samplers.euler:build_ancestral",
    },
)
"""Every sampler by name: a function of a scheduler's configuration and η (None: not given)."""

__all__ = ["SAMPLERS", "Grid", "Sampler", "SchedulerConfig"]
