"""What a sampler is, and the states that it visits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor

from conjure.errors import ConjureError
from conjure.levels import Floats, NoiseLevels
from conjure.process.prediction import Memory, Prediction, Transition

SchedulerConfig = Mapping[str, Any]
"""A diffusers scheduler's configuration: the model's noise schedule and how it is spaced."""

Timing = Mapping[str, Any]
"""Arguments of a scheduler's ``set_timesteps`` beside the number of steps, or instead of it."""


@dataclass(frozen=True)
class Grid:
    """The states that a sampler visits.

    Args:
        levels: Noise levels of the T states that are scored.
        timesteps: What the network is told at each visit.
        final: α and σ of what the last step leads to.
        prior_scale: The first state is this times standard normal noise.
        visits: The level of each visit; see ``conjure.process.base.Process.visits``. Left
            empty where each level is visited once.
    """

    levels: NoiseLevels
    timesteps: Floats
    final: tuple[float, float]
    prior_scale: float = 1.0
    visits: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.visits:
            object.__setattr__(self, "visits", tuple(range(len(self.levels))))

    def at(self, visit: int) -> tuple[float, float]:
        """α and σ at a visit; after the last, those of the clean end."""
        if visit == len(self.visits):
            return self.final
        level = self.visits[visit]
        return float(self.levels.alpha[level]), float(self.levels.sigma[level])


class Sampler(Protocol):
    """How a path is advanced. Frozen: its options are its fields."""

    @property
    def name(self) -> str:
        """How users ask for it."""
        ...

    def grid(self, config: SchedulerConfig, steps: int, timing: Timing) -> Grid:
        """The states it visits on the noise schedule of a model.

        Args:
            config: Of the model's scheduler.
            steps: T.
            timing: What the model's pipeline hands a scheduler's ``set_timesteps`` beside that.
        """
        ...

    def transition(
        self, grid: Grid, x: Tensor, step: int, prediction: Prediction, memory: Memory
    ) -> Transition:
        """Its step from visit ``step``; see ``conjure.process.base.Process``."""
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
        """Name and options, as JSON values."""
        ...


Build = Callable[[SchedulerConfig, float | None], Sampler]
"""Makes a sampler for a model's scheduler and an η (None: not given)."""


@dataclass(frozen=True)
class WithoutEta:
    """A ``Build`` of samplers that have no η: it says so to whoever gives one.

    Args:
        name: Of the sampler.
        make: Makes it.
    """

    name: str
    make: Callable[[SchedulerConfig], Sampler]
    takes_eta: ClassVar[bool] = False

    def __call__(self, config: SchedulerConfig, eta: float | None) -> Sampler:
        """The sampler for a model.

        Raises:
            ConjureError: An η was given.
        """
        if eta is not None:
            raise ConjureError(f"eta is an option of the ddim sampler; {self.name} has none.")
        return self.make(config)


def without_eta(name: str) -> Callable[[Callable[[SchedulerConfig], Sampler]], WithoutEta]:
    """Mark a function that makes a sampler as one without η."""
    return lambda make: WithoutEta(name, make)
