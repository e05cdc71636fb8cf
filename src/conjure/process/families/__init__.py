"""Which pipelines can be run: one architecture family a file."""

from collections.abc import Callable

from conjure.process.families.base import Condition, Family, Source
from conjure.registry import Registry

FAMILIES: Registry[Callable[[Source], Family]] = Registry(
    "pipeline",
    {
        "StableDiffusionPipeline": "conjure.process.families.stable_diffusion:load",
    },
)
"""Loaders by the ``_class_name`` in a pipeline's ``model_index.json``."""

__all__ = ["FAMILIES", "Condition", "Family", "Source"]
