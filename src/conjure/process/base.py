"""What has meaning: a generative process, as the engine sees it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from conjure.errors import NonFinitePredictionError
from conjure.levels import NoiseLevels
from conjure.process.prediction import Memory, Prediction, Transition

OPTIONAL = (
    "decode",  # latent states to pictures (N, H, W, 3) in [0, 1]: figures, finished pictures
    "picture_fingerprint",  # a hash of what decodes
    "reads",  # False where no prompt is read, so that all distances are 0
    "revision", "variant",  # of the model, where it has any: manifests
    "sampler", "grid", "family",  # what two processes must share to be compared on one path
)  # fmt: skip
"""What a process may have beside ``Process``."""


class Process(Protocol):
    """A generative process: a network, a sampler, its steps, its guidance.

    States are tensors of shape ``(n, *shape)`` in variance-preserving units. All methods are
    pure: the same arguments give the same answer, and each row depends on its own inputs alone.
    Randomness is the caller's.
    """

    @property
    def model(self) -> str:
        """The model's name, as it was asked for."""
        ...

    @property
    def levels(self) -> NoiseLevels:
        """The T levels at which the network is asked."""
        ...

    @property
    def visits(self) -> Sequence[int]:
        """The level at which the network is asked at each pass along a path, in order.

        0 … T − 1 for most samplers. Where one asks twice at a level (Heun's method, PNDM), the
        first is a look ahead, at a state off the path; the last is the path's own, and is scored.
        """
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one state."""
        ...

    @property
    def guidance(self) -> float:
        """Classifier-free guidance w ≥ 1; at 1 the unconditional branch is never asked."""
        ...

    @property
    def negative(self) -> str:
        """The prompt of the unconditional branch."""
        ...

    @property
    def batch_size(self) -> int:
        """How many rows one network pass may hold."""
        ...

    @property
    def tunable(self) -> bool:
        """Whether that is a guess, which a long run may better by measuring."""
        ...

    @property
    def draws_noise(self) -> bool:
        """Whether its steps are random: then its chain has a KL divergence."""
        ...

    @property
    def is_sde(self) -> bool:
        """Whether small steps tend to the reverse SDE with the forward g: then that has one."""
        ...

    def describe(self) -> dict[str, Any]:
        """Everything that makes the process what it is, as JSON values."""
        ...

    def fingerprint(self) -> str:
        """A hash of the model's own numbers: what ``describe`` cannot say."""
        ...

    def check(self, prompt: str) -> None:
        """Raise a ConjureError if the process cannot take this prompt."""
        ...

    def prepare(self, prompts: Iterable[str]) -> None:
        """Get ready to be asked under these prompts: encode them together where that is faster."""
        ...

    def place(self, noise: Tensor) -> Tensor:
        """Bring CPU float32 noise to the device and precision in which states are kept."""
        ...

    def prior(self, noise: Tensor) -> Tensor:
        """The first state of a path, from standard normal noise ``(n, *shape)``."""
        ...

    def predict(self, x: Tensor, step: int, prompts: Sequence[str]) -> Prediction:
        """Ask the network: ``x`` of shape ``(n, *shape)`` at visit ``step``, a prompt a row.

        Without guidance: this is the one expensive call, and the engine counts its rows.
        """
        ...

    def transition(
        self, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """Where the sampler goes from visit ``step``, given the guided prediction there.

        ``memory`` is None at the first visit and afterwards what the last transition returned.
        The transition from the last visit leads to the clean picture.
        """
        ...


def check_finite(prediction: Prediction, step: int, process: Process) -> None:
    """Refuse infinities and NaNs.

    Raises:
        NonFinitePredictionError: With the step, the precision and a way out.
    """
    said = (prediction.noise, prediction.picture, prediction.variance)
    if all(bool(torch.isfinite(part).all()) for part in said if part is not None):
        return
    dtype = process.describe().get("dtype", "float64")
    remedy = (
        f"{dtype} overflows in some networks: use dtype='float32' (or 'bfloat16')."
        if dtype == "float16"
        else "The weights may be damaged, or the model may not fit its scheduler: try its "
        "pipeline in diffusers, or another sampler."
    )
    raise NonFinitePredictionError(
        f"The network's prediction is not finite at step {process.visits[step] + 1} of "
        f"{len(process.levels)}, in {dtype}. {remedy}"
    )
