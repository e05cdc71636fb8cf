"""Sana: a flow by a linear transformer on deep latents, Gemma as the text encoder."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

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

LENGTH = 300
"""States that the network is given."""

PROMPT = 299
"""Tokens of a prompt with its start: diffusers takes one off, beside the instruction's."""


def load(source: Source) -> Family:
    """In the layout of diffusers' SanaPipeline, with the instruction that it puts first."""
    from diffusers import SanaPipeline

    pipeline = load_pipeline(source, SanaPipeline)
    config = pipeline.transformer.config
    schedule, prediction = read_scheduler(pipeline)
    usual = inspect.signature(SanaPipeline.__call__).parameters["complex_human_instruction"]

    def encode(prompts: Sequence[str]) -> Condition:
        states, mask, _, _ = pipeline.encode_prompt(
            list(prompts), do_classifier_free_guidance=False, device=source.device,
            clean_caption=False, max_sequence_length=LENGTH,
            complex_human_instruction=usual.default,
        )  # fmt: skip
        return {"encoder_hidden_states": states, "encoder_attention_mask": mask}

    def encode_negative(prompt: str) -> Condition:
        """Without the instruction."""
        _, _, states, mask = pipeline.encode_prompt(
            prompt, do_classifier_free_guidance=True, negative_prompt=prompt,
            device=source.device, clean_caption=False, max_sequence_length=LENGTH,
        )  # fmt: skip
        return {"encoder_hidden_states": states, "encoder_attention_mask": mask}

    def text_features(prompts: Sequence[str]) -> Mapping[str, Tensor]:
        """``mean``, over the tokens that the network reads."""
        encoded = encode(prompts)
        return {
            "mean": masked_mean(encoded["encoder_hidden_states"], encoded["encoder_attention_mask"])
        }

    def denoise(x: Tensor, timestep: float, condition: Condition) -> Tensor:
        output = pipeline.transformer(
            x, timestep=times(timestep, x) * config.timestep_scale, **condition, return_dict=False
        )[0]
        return output[:, : x.shape[1]]

    return Family(
        pipeline=pipeline,
        networks=networks_of(pipeline, "transformer", "text_encoder"),
        shape=(
            config.in_channels,
            *state_size(source, config.sample_size, pipeline.vae_scale_factor, config.patch_size),
        ),
        scheduler_config=schedule,
        prediction_type=prediction,
        max_tokens=PROMPT,
        read=prompt_reader(pipeline, pipeline.tokenizer),
        encode=encode,
        text_features=text_features,
        denoise=denoise,
        decode=decoder(pipeline, source),
        encode_negative=encode_negative,
    )
