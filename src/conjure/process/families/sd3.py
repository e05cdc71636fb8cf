"""Stable Diffusion 3 and 3.5: a flow by a transformer, two CLIP encoders and T5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from conjure.process.families.base import Condition, Family, Source
from conjure.process.families.decoding import decoder
from conjure.process.families.shared import (
    dynamic_shift,
    load_pipeline,
    networks_of,
    prompt_reader,
    read_scheduler,
    state_size,
    times,
)

T5_TOKENS = 256


def load(source: Source) -> Family:
    """In the layout of diffusers' StableDiffusion3Pipeline, with T5 or without."""
    from diffusers import StableDiffusion3Pipeline

    pipeline = load_pipeline(
        source, StableDiffusion3Pipeline, spares=("text_encoder_3", "tokenizer_3")
    )
    config = pipeline.transformer.config
    schedule, prediction = read_scheduler(pipeline)
    height, width = state_size(
        source, config.sample_size, pipeline.vae_scale_factor, config.patch_size
    )
    reads_far = pipeline.text_encoder_3 is not None
    tokenizer = pipeline.tokenizer_3 if reads_far else pipeline.tokenizer

    def encode(prompts: Sequence[str]) -> Condition:
        some = list(prompts)
        states, _, pooled, _ = pipeline.encode_prompt(
            some, some, some, device=source.device, do_classifier_free_guidance=False,
            max_sequence_length=T5_TOKENS,
        )  # fmt: skip
        return {"encoder_hidden_states": states, "pooled_projections": pooled}

    def text_features(prompts: Sequence[str]) -> Mapping[str, Tensor]:
        """``pooled``, of both CLIP encoders, as the network gets it."""
        return {"pooled": encode(prompts)["pooled_projections"]}

    def denoise(x: Tensor, timestep: float, condition: Condition) -> Tensor:
        return pipeline.transformer(
            hidden_states=x, timestep=times(timestep, x).float(), **condition, return_dict=False
        )[0]

    def timing(steps: int) -> Mapping[str, Any]:
        tokens = (height // config.patch_size) * (width // config.patch_size)
        return dynamic_shift({"max_shift": 1.16, **schedule}, tokens)

    return Family(
        pipeline=pipeline,
        networks=networks_of(
            pipeline, "transformer", "text_encoder", "text_encoder_2", "text_encoder_3"
        ),
        shape=(config.in_channels, height, width),
        scheduler_config=schedule,
        prediction_type=prediction,
        max_tokens=T5_TOKENS if reads_far else tokenizer.model_max_length,
        read=prompt_reader(pipeline, tokenizer),
        encode=encode,
        text_features=text_features,
        denoise=denoise,
        decode=decoder(pipeline, source),
        timing=timing,
    )
