"""What UNets of Stable Diffusion have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from conjure.errors import ModelError
from conjure.process.families.base import Source


def refuse_other_inputs(source: Source, config: Mapping[str, Any]) -> None:
    """Refuse a UNet that takes more than it gives.

    Raises:
        ModelError: It is for inpainting or editing.
    """
    if config["in_channels"] != config["out_channels"]:
        raise ModelError(
            f"{source.name!r} takes {config['in_channels']} channels and returns "
            f"{config['out_channels']}: an inpainting or editing model, not text-to-image."
        )


def guidance_input(pipeline: Any, guidance: float | None, x: Tensor) -> Tensor | None:
    """The embedding of a distilled UNet's guidance, a row each."""
    if guidance is None:
        return None
    size = pipeline.unet.config.time_cond_proj_dim
    # diffusers subtracts 1: its guidance is Imagen's, that of LCM counts from 0.
    guidances = torch.full((len(x),), guidance - 1)
    return pipeline.get_guidance_scale_embedding(guidances, embedding_dim=size).to(
        x.device, x.dtype
    )
