"""The methods of the evaluation's table, ours among them: one a file.

Imports nothing at start, so that ``--help`` need not wait for torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from conjure.registry import Registry, imported_when_used

if TYPE_CHECKING:
    from conjure.methods.base import Measured, Method, Request

__all__ = ["METHODS", "Measured", "Method", "Request"]

METHODS: Registry[Callable[[Request, str | None], Method]] = Registry(
    "method",
    {
        "conjuring": "conjure.methods.conjuring:build",
        "relative": "conjure.methods.relative:build",
        "landmarks": "conjure.methods.landmarks:build",
        "initial-timestep": "conjure.methods.initial_timestep:build",
        "direct-output": "conjure.methods.direct_output:build",
        "text-encoder": "conjure.methods.text_encoder:build",
        "sentence-transformers": "conjure.methods.sentence_transformers:build",
        "trajectories": "conjure.methods.trajectories:build",
        "trajectories+prompt": "conjure.methods.trajectories:build_prompted",
    },
    group="conjure.methods",
)
"""Rows of the evaluation's table: functions of what is asked and of what follows the colon."""

__getattr__ = imported_when_used(
    __name__,
    {
        "Request": "conjure.methods.base",
        "Measured": "conjure.methods.base",
        "Method": "conjure.methods.base",
    },
)
