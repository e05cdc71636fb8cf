"""Which pipelines can be run: one architecture family a file.

Imports nothing at start, so that ``--help`` need not wait for torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from conjure.registry import Registry, imported_when_used

if TYPE_CHECKING:
    from conjure.process.families.base import Condition, Family, Source

__all__ = ["FAMILIES", "Condition", "Family", "Source"]

FAMILIES: Registry[Callable[[Source], Family]] = Registry(
    "pipeline",
    {
        "StableDiffusionPipeline": "conjure.process.families.stable_diffusion:load",
        "LatentConsistencyModelPipeline": "conjure.process.families.stable_diffusion:load_lcm",
        "StableDiffusionXLPipeline": "conjure.process.families.sdxl:load",
        "StableDiffusion3Pipeline": "conjure.process.families.sd3:load",
        "FluxPipeline": "conjure.process.families.flux:load",
        "PixArtAlphaPipeline": "conjure.process.families.pixart:load_alpha",
        "PixArtSigmaPipeline": "conjure.process.families.pixart:load_sigma",
        "SanaPipeline": "conjure.process.families.sana:load",
        "HunyuanDiTPipeline": "conjure.process.families.hunyuan:load",
        "IFPipeline": "conjure.process.families.deepfloyd:load",
        "AuraFlowPipeline": "conjure.process.families.aura_flow:load",
    },
    group="conjure.families",
)
"""Loaders of models, by the ``_class_name`` in a pipeline's ``model_index.json``."""

__getattr__ = imported_when_used(
    __name__,
    {
        "Condition": "conjure.process.families.base",
        "Family": "conjure.process.families.base",
        "Source": "conjure.process.families.base",
    },
)
