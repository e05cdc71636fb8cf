"""AuraFlow: a flow by a transformer on latents, one T5-like encoder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from conjure.process.families.base import Condition, Family, Source
from conjure.process.families.decoding import decoder
from conjure.process.families.shared import (
    load_pipeline,
    networks_of,
    prompt_reader,
    read_scheduler,
    state_size,
    times,
)

LENGTH, PIXELS = 256, 1024


def load(source: Source) -> Family:
    """In the layout of diffusers' AuraFlowPipeline."""
    from diffusers import AuraFlowPipeline

    pipeline = load_pipeline(source, AuraFlowPipeline)
    config = pipeline.transformer.config
    # Its file says the size of a network that was not trained yet; diffusers draws at 1,024.
    most = math.isqrt(config.pos_embed_max_size) * config.patch_size
    size = min(PIXELS // pipeline.vae_scale_factor, most)
    schedule, prediction = read_scheduler(pipeline)

    def encode(prompts: Sequence[str]) -> Condition:
        states, *_ = pipeline.encode_prompt(
            list(prompts), do_classifier_free_guidance=False, device=source.device,
            max_sequence_length=LENGTH,
        )  # fmt: skip
        return {"encoder_hidden_states": states}

    def text_features(prompts: Sequence[str]) -> Mapping[str, Tensor]:
        """``mean``, over the encoder's states, which are 0 where there is no token."""
        return {"mean": encode(prompts)["encoder_hidden_states"].mean(1)}

    def denoise(x: Tensor, timestep: float, condition: Condition) -> Tensor:
        time = (times(timestep, x) / 1000).to(x.dtype)
        return pipeline.transformer(x, timestep=time, **condition, return_dict=False)[0]

    return Family(
        pipeline=pipeline,
        networks=networks_of(pipeline, "transformer", "text_encoder"),
        shape=(
            config.in_channels,
            *state_size(source, size, pipeline.vae_scale_factor, config.patch_size),
        ),
        scheduler_config=schedule,
        prediction_type=prediction,
        max_tokens=LENGTH,
        read=prompt_reader(pipeline, pipeline.tokenizer),
        encode=encode,
        text_features=text_features,
        denoise=denoise,
        decode=decoder(pipeline, source),
    )
