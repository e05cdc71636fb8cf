"""DeepFloyd IF, its first stage: a UNet on pixels with a learned variance, T5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from conjure.process.families.base import Condition, Family, Source
from conjure.process.families.decoding import as_pictures
from conjure.process.families.shared import (
    load_pipeline,
    networks_of,
    prompt_reader,
    read_scheduler,
    state_size,
    times,
)

LENGTH = 77


def load(source: Source) -> Family:
    """In the layout of diffusers' IFPipeline. What it draws is small, and whole in itself."""
    from diffusers import IFPipeline

    pipeline = load_pipeline(
        source, IFPipeline, safety_checker=None, feature_extractor=None, watermarker=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.unet.to(memory_format=torch.channels_last)
    config = pipeline.unet.config
    schedule, prediction = read_scheduler(pipeline)

    def encode(prompts: Sequence[str]) -> Condition:
        states, _ = pipeline.encode_prompt(
            list(prompts), do_classifier_free_guidance=False, device=source.device
        )
        return {"encoder_hidden_states": states}

    def text_features(prompts: Sequence[str]) -> Mapping[str, Tensor]:
        """``mean``, over T5's states."""
        return {"mean": encode(prompts)["encoder_hidden_states"].mean(1)}

    def denoise(x: Tensor, timestep: float, condition: Condition) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        return pipeline.unet(x, times(timestep, x), **condition, return_dict=False)[0]

    return Family(
        pipeline=pipeline,
        networks=networks_of(pipeline, "unet", "text_encoder"),
        shape=(config.in_channels, *state_size(source, config.sample_size, 1)),
        scheduler_config=schedule,
        prediction_type=prediction,
        max_tokens=LENGTH,
        read=prompt_reader(pipeline, pipeline.tokenizer),
        encode=encode,
        text_features=text_features,
        denoise=denoise,
        decode=as_pictures,
    )
