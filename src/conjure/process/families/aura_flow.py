"""AuraFlow: a flow by a transformer on latents, one T5-like encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from conjure.process.families.base import Condition, Family, Source
from conjure.process.families.shared import (
    decoder,
    load_pipeline,
    networks_of,
    read_scheduler,
    state_size,
    times,
    token_counter,
)

LENGTH = 256


def load(source: Source) -> Family:
    """In the layout of diffusers' AuraFlowPipeline."""
    from diffusers import AuraFlowPipeline

    pipeline = load_pipeline(source, AuraFlowPipeline)
    config = pipeline.transformer.config
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
        told = times(timestep, x).to(x.dtype) / 1000
        return pipeline.transformer(x, timestep=told, **condition, return_dict=False)[0]

    return Family(
        pipeline=pipeline,
        networks=networks_of(pipeline, "transformer", "text_encoder"),
        shape=(
            config.in_channels,
            *state_size(source, config.sample_size, pipeline.vae_scale_factor, config.patch_size),
        ),
        scheduler_config=schedule,
        prediction_type=prediction,
        max_tokens=LENGTH,
        count_tokens=token_counter(pipeline.tokenizer),
        encode=encode,
        text_features=text_features,
        denoise=denoise,
        decode=decoder(pipeline, source),
    )
