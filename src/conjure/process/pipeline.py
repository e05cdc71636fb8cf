"""Any diffusers text-to-image pipeline as a process."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from conjure.errors import PromptTooLongError
from conjure.io.brief import shortened
from conjure.process.base import Defaults, Stays
from conjure.process.families.base import Condition, Family, Source
from conjure.process.fingerprint import hash_model, hash_weights
from conjure.process.parametrization import network_input, to_prediction
from conjure.process.prediction import Prediction
from conjure.process.prompts import ONE_AT_A_TIME, EncodedPrompts, Negative
from conjure.process.reading import Read, check_read
from conjure.process.samplers.base import Grid, Sampler
from conjure.process.settings import Settings, described


@dataclass(frozen=True)
class PipelineProcess(Stays, Defaults):
    """A model, a sampler, its steps and its guidance: what gives prompts their meaning.

    States are kept in float64 (float32 on devices that have no more), whatever the precision of
    the network, so that the difference of two close predictions is exact in everything but the
    network itself. Threads and coroutines may share one.

    Args:
        family: The loaded model.
        sampler: How paths are advanced.
        grid: The states it visits.
        source: Where the model came from, and where it runs.
        settings: What it was loaded with.
        batch_size: Rows a network pass may hold.
    """

    family: Family
    sampler: Sampler
    grid: Grid
    source: Source = field(repr=False, compare=False)
    settings: Settings
    batch_size: int
    _prompts: EncodedPrompts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        windows = self.settings.long == "chunk"
        prompts = EncodedPrompts(self.family, self.source, windows=windows)
        object.__setattr__(self, "_prompts", prompts)

    def __repr__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        return (
            f"<PipelineProcess {self.model}: {self.sampler.name}, {len(self.levels)} steps, "
            f"guidance {self.guidance:g}, {dtype} on {self.device}>"
        )

    @property
    def model(self) -> str:
        """The model's name, as the user gave it."""
        return self.source.name

    @property
    def revision(self) -> str | None:
        """Of the model on the hub, as the user gave it."""
        return self.settings.revision

    @property
    def variant(self) -> str | None:
        """Of its weights, likewise."""
        return self.settings.variant

    @property
    def guidance(self) -> float:
        """W ≥ 1."""
        return self.settings.guidance or 1.0

    @property
    def negative(self) -> str:
        """A ``Negative`` where the family encodes it in a way of its own."""
        text = self.settings.negative
        return text if self.family.encode_negative is None else Negative(text)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one (latent) state."""
        return self.family.shape

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the network."""
        return self.source.dtype

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self.source.device

    @property
    def tunable(self) -> bool:
        """Where no batch size was given; a compiled network likes the sizes that it has met."""
        return self.settings.batch_size is None and not self.settings.compiled

    def describe(self) -> dict[str, Any]:
        """Everything that makes the process what it is."""
        always = {
            **self.sampler.describe(),
            "steps": len(self.levels),
            "guidance": self.guidance,
            "negative": str(self.negative),
            "prediction": self.family.prediction_type,
            "shape": list(self.shape),
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "long": self.settings.long,
        }
        # The other settings are named only where they are there, so that older runs know
        # themselves.
        values = vars(self.settings) | {
            "embedded_guidance": self.family.embedded_guidance,
            "lora": [list(lora) for lora in self.source.loras],
            "size": list(self.settings.sides or ()),
            "partial_lora": self.settings.partial_lora or None,
        }
        return always | {k: v for k, v in described(values).items() if k not in always}

    def fingerprint(self) -> str:
        """Of all that a prompt's meaning depends on, as it is in memory.

        Weights with fine-tunes, adapters and precision, configurations, tokenizers; what decodes
        pictures does not count, see ``picture_fingerprint``.
        """
        return hash_model(self.family.networks, self.family.pipeline.components, self.family.rules)

    def picture_fingerprint(self) -> str:
        """Of what the last step leads to, and of the network that makes it a picture."""
        weights = "" if self.codec is None else hash_weights({"vae": self.codec})
        parts = f"{weights} {self.grid.final}"
        return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()

    def count_tokens(self, prompt: str) -> int:
        """How many a prompt has with its start and end, for the encoder that reads the most."""
        return self._prompts.read([prompt])[0].tokens

    def check(self, *prompts: str) -> None:
        """Refuse a prompt that the text encoder would cut, or of which it knows nothing.

        Raises:
            PromptTooLongError: With the token count.
            UnreadPromptError: With the characters; those of prompts that are partly read are
                warned of.
        """
        found, limit = self._prompts.read(prompts), self.family.max_tokens
        for prompt, reading in zip(prompts, found, strict=True):
            if self.settings.long == "refuse" and reading.tokens > limit:
                raise PromptTooLongError(_too_long(self, prompt, reading.tokens))
        check_read(self.model, dict(zip(prompts, found, strict=True)), self.settings.unread)

    def read(self, prompts: Sequence[str]) -> list[Read]:
        """Within the encoders' length, unless they read in windows."""
        windows = self.settings.long == "chunk"
        return [each.within(windows=windows) for each in self._prompts.read(prompts)]

    @property
    def unread(self) -> str:
        """As it was set."""
        return self.settings.unread

    def place(self, noise: Tensor) -> Tensor:
        """Noise on the device, in the precision of states."""
        kept = torch.float32 if self.device.type == "mps" else torch.float64
        return noise.to(device=self.device, dtype=kept)

    @torch.inference_mode()
    def predict(self, x: Tensor, step: int, prompts: Sequence[str]) -> Prediction:
        """One network pass; shape ``(n, *shape)``."""
        alpha, sigma = self.grid.at(step)
        kind = self.family.prediction_type
        seen = network_input(kind, x, alpha, sigma).to(self.dtype)
        conditions = self._prompts.conditions(prompts)
        # An offloaded network is moved on and off its device by whoever reads a prompt.
        with ONE_AT_A_TIME if self.settings.offload else nullcontext():
            output, variance = self._denoise(seen, step, conditions), None
        if output.shape[1] == 2 * x.shape[1]:  # with a learned variance
            output, variance = output.to(x.dtype).chunk(2, dim=1)
        prediction = to_prediction(kind, output.to(x.dtype), x, alpha, sigma)
        return Prediction(prediction.noise, prediction.picture, variance)

    def _denoise(self, x: Tensor, step: int, conditions: list[Condition]) -> Tensor:
        """The network's output, asked once for each length that the encoded prompts have."""
        lengths = [tuple(part.shape for part in c.values()) for c in conditions]
        if len(set(lengths)) > 1:
            output: Tensor | None = None
            for length in dict.fromkeys(lengths):
                rows = [row for row, found in enumerate(lengths) if found == length]
                part = self._denoise(x[rows], step, [conditions[row] for row in rows])
                output = part.new_empty(len(x), *part.shape[1:]) if output is None else output
                output[rows] = part
            assert output is not None
            return output
        count = len(x)
        missing = 2 ** math.ceil(math.log2(count)) - count if self.settings.compiled else 0
        if missing > 0:
            x = torch.cat([x, x[-1:].expand(missing, *x.shape[1:])])
            conditions = conditions + conditions[-1:] * missing
        condition = {
            key: torch.cat([c[key] for c in conditions]).to(self.device) for key in conditions[0]
        }
        condition = {
            key: part.to(self.dtype) if part.is_floating_point() else part
            for key, part in condition.items()
        }
        return self.family.denoise(x, float(self.grid.timesteps[step]), condition)[:count]

    @property
    def has_pictures(self) -> bool:
        """True."""
        return True

    @property
    def codec(self) -> Any:
        """The pipeline's autoencoder, where it has one."""
        return getattr(self.family.pipeline, "vae", None)

    @torch.inference_mode()
    def decode(self, states: Tensor) -> np.ndarray:
        """Clean states as pictures: ``(n, height, width, 3)`` in [0, 1]."""
        return self.family.decode(states)

    def text_features(self, prompts: Sequence[str]) -> dict[str, np.ndarray]:
        """What the text encoder makes of whole prompts: vectors ``(n, d)`` by the way of taking."""
        return self._prompts.features(prompts)

    def prepare(self, prompts: Iterable[str]) -> None:
        """Encode prompts that are not yet, some at a time; room is made for all of them."""
        self._prompts.prepare(prompts)


def _too_long(process: PipelineProcess, prompt: str, count: int) -> str:
    """What is wrong with a prompt of so many tokens, and what can be done."""
    windows = ""
    if process.family.encode_windows is not None:
        windows = ", or have it read in windows with long='chunk' (--long chunk)"
    return (
        f"The prompt {shortened(prompt)} has {count} tokens with its start and end, and the text "
        f"encoder of {process.model} reads {process.family.max_tokens}: what comes after would not "
        "count. "
        f"Shorten it, or accept the cut with long='truncate' (--long truncate){windows}."
    )
