"""What a model family must offer: a network, a text encoder and a way to see a state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjure.process.reading import Tokenized
from conjure.process.settings import Settings

Condition = Mapping[str, Tensor]
"""Encoded prompts: named tensors with a row each."""


@dataclass(frozen=True)
class Source:
    """Where a model is and how it may be read.

    Args:
        name: As the user gave it.
        location: A local folder, a single checkpoint file or a hub id.
        device: Where it is to run.
        dtype: In what precision.
        settings: The process's; what of them concerns a model is read there.
        config: Folder in diffusers' layout, or hub id, that says what a single checkpoint is.
        loras: Adapters to put on the weights, each with its scale.
        pipeline: The model itself, where it is in memory already.
    """

    name: str
    location: str | Path
    device: torch.device
    dtype: torch.dtype
    settings: Settings
    config: str | None = None
    loras: tuple[tuple[str, float], ...] = ()
    pipeline: Any = None


def no_timing(steps: int) -> Mapping[str, Any]:
    """Nothing beside the number of steps."""
    return {}


@dataclass(frozen=True)
class Family:
    """A loaded model of one architecture family. It knows nothing of samplers and guidance.

    Args:
        pipeline: Of diffusers.
        networks: Every network that a prompt's meaning depends on, by name; the denoiser first.
        shape: Of one state.
        scheduler_config: Of the pipeline's own scheduler: its noise schedule.
        prediction_type: What the network predicts; see ``conjure.process.parametrization``.
        max_tokens: How many tokens a prompt may have, with its start and end, for the encoder that
            reads the most.
        read: What the encoders take of some prompts; tokens are counted for that encoder.
        encode: Some prompts, a row each; beyond ``max_tokens`` they are cut.
        text_features: One vector for each whole prompt, ``(n, d)``, by the way it is taken; the
            usual first.
        denoise: The network's raw output for states ``(n, *shape)`` in its own precision and units,
            at a timestep. Twice the channels where it has learned a variance, which comes second.
        decode: Clean states as pictures: ``(n, height, width, 3)`` in [0, 1], float32.
        timing: What the pipeline hands its scheduler's ``set_timesteps`` beside the steps.
        encode_windows: A prompt beyond ``max_tokens`` in windows, as one row of more states; None
            where the architecture does not allow it.
        encode_negative: The negative prompt, where the pipeline encodes it otherwise.
        embedded_guidance: Guidance that is an input of the network; None where there is none.
        distilled: Whether it is all the guidance there is: the network knows no unconditional
            branch.
        rules: What else an encoded prompt depends on beside weights and tokenizers, for the
            fingerprint.
    """

    pipeline: Any
    networks: Mapping[str, torch.nn.Module]
    shape: tuple[int, ...]
    scheduler_config: Mapping[str, Any]
    prediction_type: str
    max_tokens: int
    read: Callable[[Sequence[str]], list[Tokenized]]
    encode: Callable[[Sequence[str]], Condition]
    text_features: Callable[[Sequence[str]], Mapping[str, Tensor]]
    denoise: Callable[[Tensor, float, Condition], Tensor]
    decode: Callable[[Tensor], np.ndarray]
    timing: Callable[[int], Mapping[str, Any]] = no_timing
    encode_windows: Callable[[str], Condition] | None = None
    encode_negative: Callable[[str], Condition] | None = None
    embedded_guidance: float | None = None
    distilled: bool = False
    rules: str = ""
