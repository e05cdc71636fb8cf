"""What a model family must offer: a network, a text encoder and a way to see a state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

Condition = Mapping[str, Tensor]
"""Encoded prompts: named tensors with a row each."""


@dataclass(frozen=True)
class Source:
    """Where a model is and how it may be read.

    Args:
        name: As the user asked for it.
        location: A local folder or a hub id.
        device: Where it is to run.
        dtype: In what precision.
        revision: Branch, tag or commit on the hub.
        variant: Weights variant, such as ``fp16``.
        allow_pickle: Whether weights that are not safetensors may be read.
    """

    name: str
    location: str | Path
    device: torch.device
    dtype: torch.dtype
    revision: str | None = None
    variant: str | None = None
    allow_pickle: bool = False


class Family(Protocol):
    """A loaded model of one architecture family. It knows nothing of samplers and guidance."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one state."""
        ...

    @property
    def scheduler_config(self) -> Mapping[str, Any]:
        """Configuration of the pipeline's own scheduler: its noise schedule."""
        ...

    def timing(self, steps: int) -> Mapping[str, Any]:
        """What the pipeline hands its scheduler's ``set_timesteps`` beside the steps."""
        ...

    @property
    def prediction_type(self) -> str:
        """What the network predicts; see :mod:`conjure.process.parametrization`."""
        ...

    @property
    def max_tokens(self) -> int:
        """How many tokens a prompt may have, with its start and end."""
        ...

    @property
    def networks(self) -> Mapping[str, torch.nn.Module]:
        """Every network that a prompt's meaning depends on, by name."""
        ...

    def count_tokens(self, prompt: str) -> int:
        """How many it has."""
        ...

    def encode(self, prompts: Sequence[str]) -> Condition:
        """Encode some prompts, a row each; beyond ``max_tokens`` they are cut."""
        ...

    def text_features(self, prompts: Sequence[str]) -> Mapping[str, Tensor]:
        """One vector for each whole prompt, ``(n, d)``, by the way it is taken; the usual first."""
        ...

    def denoise(self, x: Tensor, timestep: float, condition: Condition) -> Tensor:
        """The network's raw output for states ``(n, *shape)`` in its own precision and units.

        Twice the channels where it has learned a variance, which comes second.
        """
        ...

    def decode(self, states: Tensor) -> np.ndarray:
        """Clean states as pictures: ``(n, height, width, 3)`` in [0, 1], float32."""
        ...
