"""Clean states as pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjure.errors import ConjureError, is_out_of_memory
from conjure.process.families.base import Source
from conjure.process.families.shared import is_offloaded, is_placed

DECODED = 16 * 512 * 512
"""Pixels decoded at a time: pictures need far more memory than latents."""


def decoder(pipeline: Any, source: Source) -> Callable[[Tensor], np.ndarray]:
    """Clean latents through the VAE, a few at a time; it comes to the device when first asked."""

    def decode(states: Tensor) -> np.ndarray:
        vae = pipeline.vae
        if is_offloaded(pipeline):
            pipeline.maybe_free_model_hooks()
        elif not is_placed(vae):
            vae.to(source.device)
        config, own = vae.config, vae.dtype
        # SDXL's overflows in half precision, as its configuration says.
        upcast = own == torch.float16 and getattr(config, "force_upcast", False)
        if upcast:
            vae.to(torch.float32)
        shift = getattr(config, "shift_factor", None) or 0.0
        latents = states.to(source.device, vae.dtype) / config.scaling_factor
        if getattr(config, "latents_mean", None) and getattr(config, "latents_std", None):
            mean, std = (
                torch.tensor(part).view(1, -1, 1, 1).to(latents)
                for part in (config.latents_mean, config.latents_std)
            )
            latents = latents * std + mean
        scale = getattr(pipeline, "vae_scale_factor", 8)
        size = max(1, DECODED // (scale**2 * states.shape[-1] * states.shape[-2]))
        pictures: list[np.ndarray] = []
        done = 0
        try:
            while done < len(latents):
                part = latents[done : done + size] + shift
                try:
                    pictures.append(as_pictures(vae.decode(part, return_dict=False)[0]))
                except RuntimeError as error:
                    if not is_out_of_memory(error):
                        raise
                    if size == 1:
                        raise ConjureError(
                            "Memory ran out while one picture was decoded. Use offload=True "
                            "(--offload), a smaller size, or another device."
                        ) from error
                    size = max(1, size // 2)
                    continue
                done += len(part)
        finally:
            if upcast:
                vae.to(own)
        return np.concatenate(pictures)

    return decode


def as_pictures(pixels: Tensor) -> np.ndarray:
    """Pixels in [−1, 1], channels first, as pictures in [0, 1], channels last.

    Raises:
        ConjureError: They are no numbers.
    """
    if not torch.isfinite(pixels).all():
        raise ConjureError(
            f"The decoder's pictures are not finite in {str(pixels.dtype).removeprefix('torch.')}: "
            "use dtype='float32' (or 'bfloat16')."
        )
    return (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).float().cpu().numpy()
