"""Stable Diffusion 1.x and 2.x, LCMs made of them, and their like: a UNet, one text encoder.

That is CLIP's, or one that masks the pads of its prompts (``use_attention_mask``), such as BERT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from conjure.process.families.base import Condition, Family, Source
from conjure.process.families.decoding import decoder
from conjure.process.families.shared import (
    as_encoded,
    clip_windows,
    embedded_guidance,
    load_pipeline,
    masked_mean,
    networks_of,
    prompt_reader,
    read_scheduler,
    state_size,
    times,
)
from conjure.process.families.unet import guidance_input, refuse_other_inputs

GUIDANCE, LCM_GUIDANCE = 7.5, 8.5
"""Of diffusers' pipelines, for a UNet that is told its guidance."""


def load(source: Source) -> Family:
    """In the layout of diffusers' StableDiffusionPipeline.

    Raises:
        ModelError: It is a variant with other inputs (inpainting, editing).
    """
    from diffusers import StableDiffusionPipeline

    return _family(source, StableDiffusionPipeline)


def load_lcm(source: Source) -> Family:
    """In the layout of diffusers' LatentConsistencyModelPipeline."""
    from diffusers import LatentConsistencyModelPipeline

    return _family(source, LatentConsistencyModelPipeline)


def _family(source: Source, kind: Any) -> Family:
    pipeline = load_pipeline(
        source, kind, safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    # Convolutions run faster over channels that lie together, on CPUs as on GPUs.
    pipeline.unet.to(memory_format=torch.channels_last)
    config, tokenizer, encoder = pipeline.unet.config, pipeline.tokenizer, pipeline.text_encoder
    refuse_other_inputs(source, config)
    usual = LCM_GUIDANCE if kind.__name__.startswith("LatentConsistency") else GUIDANCE
    guidance = embedded_guidance(source, usual, taken=bool(config.get("time_cond_proj_dim")))
    masks_pads = bool(getattr(encoder.config, "use_attention_mask", False))  # as diffusers asks
    schedule, prediction = read_scheduler(pipeline)
    size = state_size(source, config.sample_size, pipeline.vae_scale_factor)

    def encode(prompts: Sequence[str]) -> Condition:
        states, _ = pipeline.encode_prompt(
            list(prompts), source.device, 1, do_classifier_free_guidance=False
        )
        return {"encoder_hidden_states": states}

    def encode_windows(prompt: str) -> Condition:
        windows, mask = clip_windows(pipeline, tokenizer, prompt)
        states = states_of(windows, mask)[0]
        return {"encoder_hidden_states": states.reshape(1, -1, states.shape[-1])}

    def states_of(tokens: Tensor, mask: Tensor) -> Any:
        told = mask.to(source.device) if masks_pads else None
        return encoder(tokens.to(source.device), attention_mask=told)

    def text_features(prompts: Sequence[str]) -> Mapping[str, Tensor]:
        """``pooled``, CLIP's vector at the end token; ``mean``, over the prompt's own tokens.

        Encoders that mask their pads are sentence encoders, whose authors take the mean over all
        tokens, start and end too (Reimers & Gurevych, 2019): they have that alone.
        """
        texts = [as_encoded(pipeline, tokenizer, prompt) for prompt in prompts]
        tokens = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
        output, own = states_of(tokens.input_ids, tokens.attention_mask), tokens.attention_mask
        if masks_pads:
            return {"mean": masked_mean(output.last_hidden_state, own)}
        own = own.clone()
        own[:, 0] = 0  # the start
        own[torch.arange(len(own)), own.sum(1)] = 0  # the end
        own[own.sum(1) == 0, 1] = 1  # of the empty prompt, the end is all there is
        mean = masked_mean(output.last_hidden_state, own)
        return {"pooled": output.pooler_output, "mean": mean}

    def denoise(x: Tensor, timestep: float, condition: Condition) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        guided = guidance_input(pipeline, guidance, x)
        return pipeline.unet(
            x, times(timestep, x), timestep_cond=guided, **condition, return_dict=False
        )[0]

    return Family(
        pipeline=pipeline,
        networks=networks_of(pipeline, "unet", "text_encoder"),
        shape=(config.in_channels, *size),
        scheduler_config=schedule,
        prediction_type=prediction,
        max_tokens=tokenizer.model_max_length,
        read=prompt_reader(pipeline, tokenizer),
        encode=encode,
        text_features=text_features,
        denoise=denoise,
        decode=decoder(pipeline, source),
        encode_windows=encode_windows,
        embedded_guidance=guidance,
        distilled=guidance is not None,
    )
