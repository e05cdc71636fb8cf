"""How a path is advanced: one sampler a file.

Imports nothing at start, so that ``--help`` need not wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conjure.registry import Registry, imported_when_used

if TYPE_CHECKING:
    from conjure.process.samplers.base import Build, Grid, Sampler, SchedulerConfig

__all__ = ["SAMPLERS", "Grid", "Sampler", "SchedulerConfig"]

SAMPLERS: Registry[Build] = Registry(
    "sampler",
    {
        "ddim": "conjure.process.samplers.ddim:build",
        "ddpm": "conjure.process.samplers.ddpm:build",
        "euler": "conjure.process.samplers.euler:build",
        "euler-ancestral": "conjure.process.samplers.euler:build_ancestral",
        "heun": "conjure.process.samplers.heun:build",
        "dpm++": "conjure.process.samplers.dpm:build",
        "dpm++-sde": "conjure.process.samplers.dpm:build_sde",
        "unipc": "conjure.process.samplers.unipc:build",
        "pndm": "conjure.process.samplers.pndm:build",
        "lcm": "conjure.process.samplers.lcm:build",
        "flow-stochastic": "conjure.process.samplers.flow_stochastic:build",
        "own": "conjure.process.samplers.own:build",
    },
    group="conjure.samplers",
)
"""Ways to advance a path: functions of a scheduler's configuration and η (None: not given)."""

__getattr__ = imported_when_used(
    __name__,
    {
        "Grid": "conjure.process.samplers.base",
        "Sampler": "conjure.process.samplers.base",
        "SchedulerConfig": "conjure.process.samplers.base",
    },
)
