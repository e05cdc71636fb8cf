"""Stable Diffusion XL: a UNet, two CLIP encoders, a pooled vector and the picture's size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from conjure.process.families.base import Condition, Family, Source
from conjure.process.families.decoding import decoder
from conjure.process.families.shared import (
    clip_windows,
    concatenated,
    embedded_guidance,
    load_pipeline,
    networks_of,
    prompt_reader,
    read_scheduler,
    state_size,
    times,
)
from conjure.process.families.unet import guidance_input, refuse_other_inputs

GUIDANCE = 5.0
"""Of diffusers' pipeline, for a UNet that is told its guidance."""


def load(source: Source) -> Family:
    """In the layout of diffusers' StableDiffusionXLPipeline, Turbo and Lightning among them.

    An empty negative prompt is none at all: in its place the network sees zeros, as in diffusers,
    if the pipeline's configuration says so.
    """
    from diffusers import StableDiffusionXLPipeline

    pipeline = load_pipeline(source, StableDiffusionXLPipeline, add_watermarker=False)
    pipeline.unet.to(memory_format=torch.channels_last)
    config = pipeline.unet.config
    refuse_other_inputs(source, config)
    guidance = embedded_guidance(source, GUIDANCE, taken=bool(config.get("time_cond_proj_dim")))
    schedule, prediction = read_scheduler(pipeline)
    height, width = state_size(source, config.sample_size, pipeline.vae_scale_factor)
    pixels = (height * pipeline.vae_scale_factor, width * pipeline.vae_scale_factor)
    pairs = [
        (getattr(pipeline, f"tokenizer{end}"), getattr(pipeline, f"text_encoder{end}"))
        for end in ("", "_2")
        if getattr(pipeline, f"text_encoder{end}") is not None
    ]

    encode, encode_negative, encode_windows = _encoders(pipeline, pairs, pixels, source.device)

    def text_features(prompts: Sequence[str]) -> Mapping[str, Tensor]:
        """``pooled``, of the second encoder, as the network gets it."""
        return {"pooled": encode(prompts)["text_embeds"]}

    def denoise(x: Tensor, timestep: float, condition: Condition) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        added = {name: condition[name] for name in ("text_embeds", "time_ids")}
        return pipeline.unet(
            x, times(timestep, x), encoder_hidden_states=condition["encoder_hidden_states"],
            timestep_cond=guidance_input(pipeline, guidance, x), added_cond_kwargs=added,
            return_dict=False,
        )[0]  # fmt: skip

    return Family(
        pipeline=pipeline,
        networks=networks_of(pipeline, "unet", "text_encoder", "text_encoder_2"),
        shape=(config.in_channels, height, width),
        scheduler_config=schedule,
        prediction_type=prediction,
        max_tokens=pairs[-1][0].model_max_length,
        read=prompt_reader(pipeline, pairs[-1][0]),
        encode=encode,
        text_features=text_features,
        denoise=denoise,
        decode=decoder(pipeline, source),
        encode_windows=encode_windows,
        encode_negative=encode_negative,
        embedded_guidance=guidance,
        distilled=guidance is not None,
        rules=str(pipeline.config.force_zeros_for_empty_prompt),
    )


def _encoders(
    pipeline: Any, pairs: Sequence[tuple[Any, Any]], pixels: tuple[int, int], device: torch.device
) -> tuple[
    Callable[[Sequence[str]], Condition],
    Callable[[str], Condition],
    Callable[[str], Condition],
]:
    """How prompts are encoded, the negative one, and one in windows.

    Args:
        pipeline: Of diffusers.
        pairs: Its tokenizers and encoders that are there.
        pixels: Height and width of the picture.
        device: Where to.
    """

    def sizes(count: int, dtype: torch.dtype) -> Tensor:
        """Original size, crop and target size, all of them the model's own."""
        row = pipeline._get_add_time_ids(
            pixels, (0, 0), pixels, dtype=dtype,
            text_encoder_projection_dim=pairs[-1][1].config.projection_dim,
        )  # fmt: skip
        return row.to(device).repeat(count, 1)

    def encode(prompts: Sequence[str]) -> Condition:
        states, _, pooled, _ = pipeline.encode_prompt(
            list(prompts), device=device, do_classifier_free_guidance=False
        )
        return {
            "encoder_hidden_states": states,
            "text_embeds": pooled,
            "time_ids": sizes(len(pooled), pooled.dtype),
        }

    def encode_negative(prompt: str) -> Condition:
        found = dict(encode([prompt]))
        if not prompt and pipeline.config.force_zeros_for_empty_prompt:
            for name in ("encoder_hidden_states", "text_embeds"):
                found[name] = torch.zeros_like(found[name])
        return found

    def encode_windows(prompt: str) -> Condition:
        """Each window by both encoders; the pooled vector is that of the first."""
        windows = [
            clip_windows(pipeline, tokenizer, prompt)[0].to(device) for tokenizer, _ in pairs
        ]
        outputs = [
            encoder(tokens, output_hidden_states=True)
            for tokens, (_, encoder) in zip(windows, pairs, strict=True)
        ]
        pooled = outputs[-1][0][:1]
        return {
            "encoder_hidden_states": concatenated(part.hidden_states[-2] for part in outputs),
            "text_embeds": pooled,
            "time_ids": sizes(1, pooled.dtype),
        }

    return encode, encode_negative, encode_windows
