"""PixArt-α and PixArt-Σ: a transformer on latents, T5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from conjure.process.families.base import Condition, Family, Source
from conjure.process.families.decoding import decoder
from conjure.process.families.shared import (
    load_pipeline,
    masked_mean,
    networks_of,
    prompt_reader,
    read_scheduler,
    state_size,
    times,
)


def load_alpha(source: Source) -> Family:
    """In the layout of diffusers' PixArtAlphaPipeline; prompts of 120 tokens."""
    from diffusers import PixArtAlphaPipeline

    return _family(source, PixArtAlphaPipeline, 120)


def load_sigma(source: Source) -> Family:
    """In the layout of diffusers' PixArtSigmaPipeline; prompts of 300 tokens."""
    from diffusers import PixArtSigmaPipeline

    return _family(source, PixArtSigmaPipeline, 300)


def _family(source: Source, kind: Any, length: int) -> Family:
    """The learned variance is left unused, as the pipelines do; captions are not cleaned."""
    pipeline = load_pipeline(source, kind)
    config = pipeline.transformer.config
    schedule, prediction = read_scheduler(pipeline)
    height, width = state_size(
        source, config.sample_size, pipeline.vae_scale_factor, config.patch_size
    )
    # The α network at full size is told the size of the picture.
    told_size = kind.__name__ == "PixArtAlphaPipeline" and config.sample_size == 128

    def encode(prompts: Sequence[str]) -> Condition:
        states, mask, _, _ = pipeline.encode_prompt(
            list(prompts), do_classifier_free_guidance=False, device=source.device,
            clean_caption=False, max_sequence_length=length,
        )  # fmt: skip
        return {"encoder_hidden_states": states, "encoder_attention_mask": mask}

    def text_features(prompts: Sequence[str]) -> Mapping[str, Tensor]:
        """``mean``, over the prompt's own tokens."""
        encoded = encode(prompts)
        return {
            "mean": masked_mean(encoded["encoder_hidden_states"], encoded["encoder_attention_mask"])
        }

    def denoise(x: Tensor, timestep: float, condition: Condition) -> Tensor:
        size, ratio = None, None
        if told_size:
            scale = pipeline.vae_scale_factor
            size = torch.tensor([[height * scale, width * scale]]).to(x).repeat(len(x), 1)
            ratio = torch.tensor([[height / width]]).to(x).repeat(len(x), 1)
        output = pipeline.transformer(
            x, timestep=times(timestep, x), **condition, return_dict=False,
            added_cond_kwargs={"resolution": size, "aspect_ratio": ratio},
        )[0]  # fmt: skip
        return output[:, : x.shape[1]]

    return Family(
        pipeline=pipeline,
        networks=networks_of(pipeline, "transformer", "text_encoder"),
        shape=(config.in_channels, height, width),
        scheduler_config=schedule,
        prediction_type=prediction,
        max_tokens=length,
        read=prompt_reader(pipeline, pipeline.tokenizer),
        encode=encode,
        text_features=text_features,
        denoise=denoise,
        decode=decoder(pipeline, source),
    )
