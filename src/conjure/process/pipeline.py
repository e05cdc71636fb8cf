"""Any diffusers text-to-image pipeline as a process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjure.errors import PromptTooLongError
from conjure.levels import NoiseLevels
from conjure.process.base import Memory, Prediction, Transition
from conjure.process.families import Condition, Family
from conjure.process.fingerprint import hash_weights
from conjure.process.parametrization import network_input, to_prediction
from conjure.process.samplers import Grid, Sampler

CACHED_PROMPTS = 256
"""Encoded prompts kept at least; each is about 0.2 MB for Stable Diffusion."""

ENCODED_TOGETHER = 32
"""Prompts in a pass of the text encoder."""


@dataclass(frozen=True)
class PipelineProcess:
    """A model, a sampler, its steps and its guidance: what gives prompts their meaning.

    States are kept in float64 (float32 on devices that have no more), whatever the precision of
    the network, so that the difference of two close predictions is exact in everything but the
    network itself.

    Args:
        model: The model's name, as it was asked for.
        family: The loaded model.
        sampler: How paths are advanced.
        grid: The states it visits.
        guidance: w ≥ 1.
        negative: The prompt of the unconditional branch.
        device: Where the network runs.
        dtype: In what precision.
        batch_size: Rows a network pass may hold.
        tunable: Whether that is a guess.
        revision: Of the model on the hub, as it was asked for.
        variant: Of its weights, likewise.
        truncate: Whether prompts beyond the text encoder's length are cut, not refused.
    """

    model: str
    family: Family
    sampler: Sampler
    grid: Grid
    guidance: float
    negative: str
    device: torch.device
    dtype: torch.dtype
    batch_size: int
    tunable: bool = False
    revision: str | None = None
    variant: str | None = None
    truncate: bool = False
    _encoded: OrderedDict[str, Condition] = field(
        default_factory=OrderedDict, repr=False, compare=False
    )

    @property
    def levels(self) -> NoiseLevels:
        """The T levels at which the network is asked."""
        return self.grid.levels

    @property
    def visits(self) -> tuple[int, ...]:
        """As the sampler goes."""
        return self.grid.visits

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one (latent) state."""
        return self.family.shape

    def is_kl(self, estimand: str) -> bool:
        """As the sampler says."""
        return self.sampler.is_kl(estimand)

    def describe(self) -> dict[str, Any]:
        """Everything that makes the process what it is."""
        return {
            **self.sampler.describe(),
            "steps": len(self.levels),
            "guidance": self.guidance,
            "negative": self.negative,
            "prediction": self.family.prediction_type,
            "shape": list(self.shape),
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "long": "truncate" if self.truncate else "refuse",
        }

    def fingerprint(self) -> str:
        """Of all weights, as they are in memory: fine-tunes, adapters and precision count."""
        return hash_weights(self.family.networks)

    def check(self, prompt: str) -> None:
        """Refuse a prompt that the text encoder would cut.

        Raises:
            PromptTooLongError: With the token count.
        """
        if self.truncate:
            return
        count, limit = self.family.count_tokens(prompt), self.family.max_tokens
        if count > limit:
            shown = prompt if len(prompt) <= 60 else prompt[:57] + "..."
            raise PromptTooLongError(
                f"The prompt {shown!r} has {count} tokens with its start and end, and the text "
                f"encoder of {self.model} reads {limit}: what comes after would not count. "
                "Shorten it, or accept the cut with long='truncate' (--long truncate)."
            )

    def place(self, noise: Tensor) -> Tensor:
        """Noise on the device, in the precision of states."""
        kept = torch.float32 if self.device.type == "mps" else torch.float64
        return noise.to(device=self.device, dtype=kept)

    def prior(self, noise: Tensor) -> Tensor:
        """The first state."""
        return self.grid.prior_scale * noise

    @torch.inference_mode()
    def predict(self, x: Tensor, step: int, prompts: Sequence[str]) -> Prediction:
        """One network pass; shape ``(n, *shape)``."""
        if any(prompt not in self._encoded for prompt in prompts):
            self.prepare(dict.fromkeys(prompts))
        conditions = [self._encoded[prompt] for prompt in prompts]
        condition = {
            key: torch.cat([c[key] for c in conditions]).to(self.device, self.dtype)
            for key in conditions[0]
        }
        alpha, sigma = self.grid.at(step)
        kind = self.family.prediction_type
        seen = network_input(kind, x, alpha, sigma).to(self.dtype)
        output = self.family.denoise(seen, float(self.grid.timesteps[step]), condition)
        variance = None
        if output.shape[1] == 2 * x.shape[1]:  # with a learned variance
            output, variance = output.to(x.dtype).chunk(2, dim=1)
        said = to_prediction(kind, output.to(x.dtype), x, alpha, sigma)
        return Prediction(said.noise, said.picture, variance)

    def transition(
        self, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """The sampler's step."""
        return self.sampler.transition(self.grid, x, step, prediction, memory)

    @torch.inference_mode()
    def decode(self, states: Tensor) -> np.ndarray:
        """Clean states as pictures: ``(n, height, width, 3)`` in [0, 1]."""
        return self.family.decode(states)

    @torch.inference_mode()
    def text_features(self, prompts: Sequence[str]) -> dict[str, np.ndarray]:
        """What the text encoder makes of whole prompts: vectors ``(n, d)`` by the way of taking."""
        found: dict[str, list[np.ndarray]] = {}
        for start in range(0, len(prompts), ENCODED_TOGETHER):
            rows = self.family.text_features(prompts[start : start + ENCODED_TOGETHER])
            for name, vectors in rows.items():
                found.setdefault(name, []).append(vectors.double().cpu().numpy())
        return {name: np.concatenate(parts) for name, parts in found.items()}

    @torch.inference_mode()
    def prepare(self, prompts: Iterable[str]) -> None:
        """Encode prompts that are not yet, some at a time; room is made for all of them."""
        wanted = list(prompts)
        missing = [prompt for prompt in wanted if prompt not in self._encoded]
        for start in range(0, len(missing), ENCODED_TOGETHER):
            some = missing[start : start + ENCODED_TOGETHER]
            rows = self.family.encode(some)
            for row, prompt in enumerate(some):
                self._encoded[prompt] = {k: v[row : row + 1] for k, v in rows.items()}
        for prompt in wanted:
            self._encoded.move_to_end(prompt)
        while len(self._encoded) > max(CACHED_PROMPTS, len(wanted)):
            self._encoded.popitem(last=False)
