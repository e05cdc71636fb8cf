"""Hunyuan-DiT: a transformer on latents, BERT and T5."""

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

BERT_TOKENS, T5_TOKENS = 77, 256
ORIGINAL_SIZE = (1024, 1024)
"""What the network is told of the picture that it is to imitate, by the pipeline's default."""


def load(source: Source) -> Family:
    """In the layout of diffusers' HunyuanDiTPipeline; the learned variance is left unused."""
    from diffusers import HunyuanDiTPipeline

    pipeline = load_pipeline(
        source, HunyuanDiTPipeline, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    transformer = pipeline.transformer
    config = transformer.config
    schedule, prediction = read_scheduler(pipeline)
    height, width = state_size(
        source, config.sample_size, pipeline.vae_scale_factor, config.patch_size
    )
    rotary = _rotary(transformer, height, width, source.device)
    scale = pipeline.vae_scale_factor
    size = [*ORIGINAL_SIZE, height * scale, width * scale, 0, 0]

    def encode(prompts: Sequence[str]) -> Condition:
        found = {}
        for end, length in (("", BERT_TOKENS), ("_t5", T5_TOKENS)):
            states, _, mask, _ = pipeline.encode_prompt(
                list(prompts), device=source.device, dtype=transformer.dtype,
                do_classifier_free_guidance=False, max_sequence_length=length,
                text_encoder_index=int(end != ""),
            )  # fmt: skip
            found |= {f"encoder_hidden_states{end}": states, f"text_embedding_mask{end}": mask}
        return found

    def text_features(prompts: Sequence[str]) -> Mapping[str, Tensor]:
        """``mean`` over the prompt's own tokens, of T5 and of BERT."""
        encoded = encode(prompts)
        states, mask = "encoder_hidden_states", "text_embedding_mask"
        return {
            "mean": masked_mean(encoded[f"{states}_t5"], encoded[f"{mask}_t5"]),
            "mean-bert": masked_mean(encoded[states], encoded[mask]),
        }

    def denoise(x: Tensor, timestep: float, condition: Condition) -> Tensor:
        output = transformer(
            x, times(timestep, x).to(x.dtype), **condition,
            image_meta_size=torch.tensor([size]).to(x).repeat(len(x), 1),
            style=torch.zeros(len(x), dtype=torch.long, device=x.device),
            image_rotary_emb=rotary, return_dict=False,
        )[0]  # fmt: skip
        return output[:, : x.shape[1]]

    return Family(
        pipeline=pipeline,
        networks=networks_of(pipeline, "transformer", "text_encoder", "text_encoder_2"),
        shape=(config.in_channels, height, width),
        scheduler_config=schedule,
        prediction_type=prediction,
        max_tokens=T5_TOKENS,
        read=prompt_reader(pipeline, pipeline.tokenizer_2),
        encode=encode,
        text_features=text_features,
        denoise=denoise,
        decode=decoder(pipeline, source),
    )


def _rotary(transformer: Any, height: int, width: int, device: torch.device) -> Any:
    """The positions of a state's patches, as the pipeline computes them."""
    from diffusers.models.embeddings import get_2d_rotary_pos_embed
    from diffusers.pipelines.hunyuandit.pipeline_hunyuandit import get_resize_crop_region_for_grid

    patch = transformer.config.patch_size
    grid = (height // patch, width // patch)
    return get_2d_rotary_pos_embed(
        transformer.inner_dim // transformer.num_heads,
        get_resize_crop_region_for_grid(grid, 512 // 8 // patch),
        grid, device=device, output_type="pt",
    )  # fmt: skip
