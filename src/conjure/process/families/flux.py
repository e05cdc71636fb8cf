"""Flux: a flow by a transformer on packed latents, CLIP's pooled vector and T5; dev and schnell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjure.process.families.base import Condition, Family, Source
from conjure.process.families.decoding import decoder
from conjure.process.families.shared import (
    dynamic_shift,
    embedded_guidance,
    load_pipeline,
    networks_of,
    prompt_reader,
    read_scheduler,
    state_size,
    times,
)

GUIDANCE = 3.5
"""The default of diffusers' FluxPipeline for the guidance that the network is told."""


def load(source: Source) -> Family:
    """In the layout of diffusers' FluxPipeline.

    Guidance that the network takes as an input is ``embedded_guidance``; `guidance` above 1 is
    classifier-free (diffusers' ``true_cfg_scale``).
    """
    from diffusers import FluxPipeline

    pipeline = load_pipeline(source, FluxPipeline)
    config = pipeline.transformer.config
    schedule, prediction = read_scheduler(pipeline)
    side = pipeline.default_sample_size
    height, width = state_size(source, side, pipeline.vae_scale_factor, 2)
    length = min(512, pipeline.tokenizer_2.model_max_length)
    guidance = embedded_guidance(source, GUIDANCE, taken=config.guidance_embeds)

    def encode(prompts: Sequence[str]) -> Condition:
        states, pooled, _ = pipeline.encode_prompt(
            list(prompts), list(prompts), device=source.device, max_sequence_length=length
        )
        return {"encoder_hidden_states": states, "pooled_projections": pooled}

    def text_features(prompts: Sequence[str]) -> Mapping[str, Tensor]:
        """``pooled``, of CLIP; ``mean``, over T5's states."""
        encoded = encode(prompts)
        mean = encoded["encoder_hidden_states"].mean(1)
        return {"pooled": encoded["pooled_projections"], "mean": mean}

    def denoise(x: Tensor, timestep: float, condition: Condition) -> Tensor:
        count, place = len(x), (x.device, x.dtype)
        packed = pipeline._pack_latents(x, *x.shape)
        where = pipeline._prepare_latent_image_ids(count, height // 2, width // 2, *place)
        words = torch.zeros(condition["encoder_hidden_states"].shape[1], 3).to(x)
        guided = None
        if guidance is not None:
            guided = torch.full((count,), guidance, dtype=torch.float32, device=x.device)
        output = pipeline.transformer(
            hidden_states=packed, timestep=times(timestep, x).to(x.dtype) / 1000, guidance=guided,
            txt_ids=words, img_ids=where, **condition, return_dict=False,
        )[0]  # fmt: skip
        scale = pipeline.vae_scale_factor
        return pipeline._unpack_latents(output, height * scale, width * scale, scale)

    def timing(steps: int) -> Mapping[str, Any]:
        shift = dynamic_shift(schedule, height * width // 4)
        if schedule.get("use_flow_sigmas"):
            return shift
        return {"sigmas": np.linspace(1.0, 1 / steps, steps), **shift}

    return Family(
        pipeline=pipeline,
        networks=networks_of(pipeline, "transformer", "text_encoder", "text_encoder_2"),
        shape=(config.in_channels // 4, height, width),
        scheduler_config=schedule,
        prediction_type=prediction,
        max_tokens=length,
        read=prompt_reader(pipeline, pipeline.tokenizer_2),
        encode=encode,
        text_features=text_features,
        denoise=denoise,
        decode=decoder(pipeline, source),
        timing=timing,
        embedded_guidance=guidance,
    )
