"""What has meaning: a generative process, as the rest of the house sees it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from conjure.errors import ConjureError, NonFinitePredictionError
from conjure.levels import NoiseLevels
from conjure.process.prediction import Memory, Prediction, Transition
from conjure.process.reading import Read
from conjure.process.samplers.base import Grid, Sampler


class Described(Protocol):
    """What results and figures tell of a process, also when its model is gone."""

    @property
    def model(self) -> str:
        """The model's name, as the user gave it."""
        ...

    @property
    def levels(self) -> NoiseLevels:
        """The T levels at which the network is asked."""
        ...

    @property
    def guidance(self) -> float:
        """Classifier-free guidance w ≥ 1; at 1 the unconditional branch is never asked."""
        ...

    @property
    def draws_noise(self) -> bool:
        """Whether its steps are random: then its chain has a KL divergence."""
        ...

    @property
    def is_sde(self) -> bool:
        """Whether small steps tend to the reverse SDE with the forward g: then that has one."""
        ...

    @property
    def revision(self) -> str | None:
        """Of the model on the hub, as the user gave it."""
        ...

    @property
    def variant(self) -> str | None:
        """Of its weights, likewise."""
        ...

    def describe(self) -> dict[str, Any]:
        """Everything that makes the process what it is, as JSON values."""
        ...


class Process(Described, Protocol):
    """A generative process: a network, a sampler, its steps, its guidance.

    States are tensors of shape ``(n, *shape)`` in variance-preserving units. All methods are
    pure: the same arguments give the same answer, and each row depends on its own inputs alone.
    Randomness is the caller's. This is all that a process is asked for; ``Defaults`` has answers
    to what follows from a sampler and its grid, or is the same for most.
    """

    @property
    def sampler(self) -> Sampler:
        """How a path is advanced."""
        ...

    @property
    def grid(self) -> Grid:
        """The states that the sampler visits."""
        ...

    @property
    def visits(self) -> Sequence[int]:
        """The level at which the network is asked at each pass along a path, in order.

        0 … T − 1 for most samplers. Where one asks twice at a level (Heun's method, PNDM), the
        first is a look ahead, at a state off the path; the last is the path's own, and is scored.
        """
        ...

    @property
    def negative(self) -> str:
        """The prompt of the unconditional branch."""
        ...

    @property
    def reads_prompts(self) -> bool:
        """Whether the prompt matters at all; where not, every distance is 0 without measuring."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one state."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the network."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        ...

    @property
    def batch_size(self) -> int:
        """How many rows one network pass may hold."""
        ...

    @property
    def tunable(self) -> bool:
        """Whether that is a guess, which a long run may better by measuring."""
        ...

    def calls_for(self, rows: int) -> int:
        """Network calls that so many predictions take."""
        ...

    def fingerprint(self) -> str:
        """A hash of the model's own numbers: what ``describe`` cannot say."""
        ...

    def check(self, *prompts: str) -> None:
        """Raise a ConjureError if the process cannot take one of these prompts."""
        ...

    def read(self, prompts: Sequence[str]) -> Sequence[Read]:
        """What it takes of each prompt: which are one to it, and what it does not know."""
        ...

    @property
    def unread(self) -> str:
        """What to do where two prompts differ in nothing that it reads: ``refuse`` or ``warn``."""
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

    @property
    def has_pictures(self) -> bool:
        """Whether its states can be decoded."""
        ...

    def decode(self, states: Tensor) -> np.ndarray:
        """Clean states ``(n, *shape)`` as pictures ``(n, height, width, 3)`` in [0, 1].

        Raises:
            ConjureError: It has none.
        """
        ...

    def picture_fingerprint(self) -> str | None:
        """A hash of what makes a picture of the last state; None where nothing does."""
        ...

    @property
    def codec(self) -> Any:
        """The autoencoder between pictures and states; None where states are no latents."""
        ...


class Defaults:
    """What follows from a sampler and its grid, and what most processes answer otherwise."""

    sampler: Sampler
    grid: Grid

    @property
    def levels(self) -> NoiseLevels:
        """The T levels at which the network is asked."""
        return self.grid.levels

    @property
    def visits(self) -> tuple[int, ...]:
        """The level of each pass along a path."""
        return self.grid.visits

    @property
    def draws_noise(self) -> bool:
        """Whether the sampler's steps are random."""
        return self.sampler.draws_noise

    @property
    def is_sde(self) -> bool:
        """Whether the sampler tends to the reverse SDE."""
        return self.sampler.is_sde

    @property
    def reads_prompts(self) -> bool:
        """True."""
        return True

    @property
    def dtype(self) -> torch.dtype:
        """Float64, for a process that computes in nothing less."""
        return torch.float64

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    @property
    def revision(self) -> str | None:
        """None: it is on no hub."""
        return None

    @property
    def variant(self) -> str | None:
        """None."""
        return None

    @property
    def tunable(self) -> bool:
        """False: the batch size is meant."""
        return False

    def read(self, prompts: Sequence[str]) -> list[Read]:
        """All of each."""
        return [Read(prompt) for prompt in prompts]

    @property
    def unread(self) -> str:
        """Refuse."""
        return "refuse"

    def calls_for(self, rows: int) -> int:
        """One a row."""
        return rows

    def prior(self, noise: Tensor) -> Tensor:
        """Standard normal, at the sampler's scale."""
        return self.grid.prior_scale * noise

    def transition(
        self, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """The sampler's step on the grid."""
        return self.sampler.transition(self.grid, x, step, prediction, memory)

    @property
    def has_pictures(self) -> bool:
        """False."""
        return False

    def decode(self, states: Tensor) -> np.ndarray:
        """Refuse: there are no pictures."""
        raise ConjureError("This process has no pictures to show: its states cannot be decoded.")

    def picture_fingerprint(self) -> str | None:
        """None."""
        return None

    @property
    def codec(self) -> Any:
        """None: states are no latents."""
        return None


@dataclass(frozen=True)
class Description:
    """What is kept of a process when its model is gone.

    Args:
        model: Its name.
        levels: Its noise levels.
        guidance: w.
        settings: All that ``Process.describe`` gave.
        draws_noise: Whether its steps were random.
        is_sde: Whether they tend to the reverse SDE.
        revision: Of the model on the hub, as the user gave it.
        variant: Of its weights, likewise.
    """

    model: str
    levels: NoiseLevels
    guidance: float
    settings: dict[str, Any]
    draws_noise: bool
    is_sde: bool
    revision: str | None
    variant: str | None

    @staticmethod
    def of(process: Described) -> Description:
        """The description of a process."""
        return Description(
            process.model, process.levels, process.guidance, process.describe(),
            process.draws_noise, process.is_sde, process.revision, process.variant,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<Description {self.model}: {len(self.levels)} steps, guidance {self.guidance:g}>"

    def describe(self) -> dict[str, Any]:
        """Everything that made the process what it was."""
        return self.settings

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pickle and copy ask for methods that may not be there
            raise AttributeError(name)
        raise AttributeError(
            f"What is here of the process of {self.model!r} is its description, which has no "
            f"{name!r}: a model is neither pickled nor sent to other processes of the computer, "
            "but loaded there with conjure.load."
        )


class Stays:
    """A process whose model stays where it is: copies share it, and what is pickled describes it.

    So results are data, and hold no gigabytes of weights.
    """

    def __copy__(self) -> Stays:
        """Itself: nothing of it changes."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Stays:
        """Itself, so that a result can be copied without a model."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Its description."""
        return Description, tuple(vars(Description.of(cast(Described, self))).values())


def check_finite(prediction: Prediction, step: int, process: Process) -> None:
    """Refuse infinities and NaNs.

    Raises:
        NonFinitePredictionError: With the step, the precision and a way out.
    """
    parts = (prediction.noise, prediction.picture, prediction.variance)
    if all(bool(torch.isfinite(part).all()) for part in parts if part is not None):
        return
    dtype = str(process.dtype).removeprefix("torch.")
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
