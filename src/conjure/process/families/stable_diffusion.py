"""Stable Diffusion 1.x and 2.x: a UNet on latents, one CLIP text encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from conjure.errors import ModelError
from conjure.process.families.base import Condition, Source

DECODE_BATCH = 16
"""Pictures decoded at a time: at full size they need far more memory than latents."""


@dataclass(frozen=True)
class StableDiffusion:
    """A family in the layout of diffusers' StableDiffusionPipeline.

    Args:
        pipeline: The loaded pipeline, without a safety checker.
    """

    pipeline: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Latent channels, height and width at the model's own resolution."""
        config = self.pipeline.unet.config
        size = config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return (config.in_channels, height, width)

    @property
    def scheduler_config(self) -> Mapping[str, Any]:
        """Of the pipeline's scheduler."""
        return self.pipeline.scheduler.config

    def timing(self, steps: int) -> Mapping[str, Any]:
        """Nothing."""
        return {}

    @property
    def prediction_type(self) -> str:
        """``epsilon``, ``v_prediction`` or ``sample``, as the scheduler's configuration says."""
        return self.pipeline.scheduler.config.get("prediction_type", "epsilon")

    @property
    def max_tokens(self) -> int:
        """Of the tokenizer; 77 for CLIP."""
        return self.pipeline.tokenizer.model_max_length

    @property
    def networks(self) -> Mapping[str, torch.nn.Module]:
        """UNet and text encoder; the VAE only shows what they made."""
        return {"unet": self.pipeline.unet, "text_encoder": self.pipeline.text_encoder}

    def count_tokens(self, prompt: str) -> int:
        """With start and end."""
        return len(self.pipeline.tokenizer(prompt, truncation=False, verbose=False).input_ids)

    def encode(self, prompts: Sequence[str]) -> Condition:
        """Hidden states of the text encoder, ``(n, max_tokens, width)``, with its padding."""
        embeddings, _ = self.pipeline.encode_prompt(
            list(prompts), self.pipeline.unet.device, 1, do_classifier_free_guidance=False
        )
        return {"encoder_hidden_states": embeddings}

    def text_features(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        """``pooled``, CLIP's vector at the end token, and ``mean`` over the prompt's own tokens."""
        encoder, tokenizer = self.pipeline.text_encoder, self.pipeline.tokenizer
        tokens = tokenizer(
            list(prompts), padding="max_length", truncation=True, return_tensors="pt"
        )
        said = encoder(tokens.input_ids.to(encoder.device))
        own = tokens.attention_mask.clone()
        own[:, 0] = 0  # the start
        own[torch.arange(len(own)), own.sum(1)] = 0  # the end
        own[own.sum(1) == 0, 1] = 1  # of the empty prompt, the end is all there is
        weight = own.to(said.last_hidden_state)[:, :, None]
        mean = (said.last_hidden_state * weight).sum(1) / weight.sum(1)
        return {"pooled": said.pooler_output, "mean": mean}

    def denoise(self, x: Tensor, timestep: float, condition: Condition) -> Tensor:
        """One pass of the UNet."""
        kind = torch.int64 if float(timestep).is_integer() else torch.float32
        times = torch.full((len(x),), timestep, dtype=kind, device=x.device)
        x = x.contiguous(memory_format=torch.channels_last)
        return self.pipeline.unet(x, times, **condition, return_dict=False)[0]

    def decode(self, states: Tensor) -> np.ndarray:
        """Through the VAE, a few at a time."""
        vae = self.pipeline.vae
        pictures = []
        for part in states.to(vae.device, vae.dtype).split(DECODE_BATCH):
            decoded = vae.decode(part / vae.config.scaling_factor, return_dict=False)[0]
            pictures.append((decoded / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).float().cpu())
        return torch.cat(pictures).numpy()


def load(source: Source) -> StableDiffusion:
    """Load the pipeline from a folder or the hub.

    Raises:
        ModelError: It cannot be read, or is a variant with other inputs (inpainting, LCM).
    """
    pipeline = StableDiffusionPipeline.from_pretrained(
        source.location,
        revision=source.revision,
        variant=source.variant,
        torch_dtype=source.dtype,
        use_safetensors=None if source.allow_pickle else True,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    config = pipeline.unet.config
    if config.in_channels != config.out_channels:
        raise ModelError(
            f"{source.name!r} takes {config.in_channels} channels and returns "
            f"{config.out_channels}: an inpainting or editing model, not text-to-image."
        )
    if config.get("time_cond_proj_dim") is not None:
        raise ModelError(
            f"{source.name!r} takes guidance as an input of its network (a distilled model such "
            "as LCM), which is not supported."
        )
    pipeline.to(source.device)
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        part.eval().requires_grad_(False)
    # Convolutions run faster over channels that lie together, on CPUs as on GPUs.
    pipeline.unet.to(memory_format=torch.channels_last)
    return StableDiffusion(pipeline)
