"""How a path is advanced: one sampler a file."""

from conjure.process.samplers.base import Grid, Sampler, SchedulerConfig

__all__ = ["Grid", "Sampler", "SchedulerConfig"]
