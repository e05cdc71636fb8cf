"""What a sampler is, and the one family of steps that the first-order samplers share."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from conjure.errors import ConjureError
from conjure.levels import Floats, NoiseLevels
from conjure.process.base import Memory, Prediction, Transition

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


def ddim_variance(grid: Grid, step: int, eta: float) -> float:
    """σ̃² of DDIM's step from state ``step`` (Song et al. 2021, eq. 16), η² times DDPM's."""
    alpha, sigma = grid.at(step)
    alpha_next, sigma_next = grid.at(step + 1)
    if sigma_next == 0:
        return 0.0
    return eta**2 * (sigma_next / sigma) ** 2 * (1 - (alpha / alpha_next) ** 2)


def ddim_step(grid: Grid, step: int, prediction: Prediction, eta: float) -> Transition:
    """α′x̂₀ + √(σ′² − σ̃²) ε̂, with fresh noise of variance σ̃².

    In variance-preserving units DDIM, DDPM (η = 1), Euler (η = 0) and Euler-ancestral (η = 1) are
    this one step on different grids.
    """
    alpha_next, sigma_next = grid.at(step + 1)
    variance = ddim_variance(grid, step, eta)
    direction = max(sigma_next**2 - variance, 0.0) ** 0.5
    return Transition(alpha_next * prediction.picture + direction * prediction.noise, variance**0.5)


def grid_from_alphas_cumprod(
    alphas_cumprod: Floats, timesteps: Floats, final: float, prior_scale: float = 1.0
) -> Grid:
    """A grid on a discrete schedule, at integer timesteps, noisiest first.

    Args:
        alphas_cumprod: ᾱ = α² of every training timestep.
        timesteps: Those that are visited, shape ``(T,)``.
        final: ᾱ where the last step ends.
        prior_scale: See ``Grid``.

    Raises:
        ConjureError: A timestep lies beyond the schedule.
    """
    if timesteps.max() >= len(alphas_cumprod):
        raise ConjureError(
            f"With {len(timesteps)} steps this scheduler's spacing and offset ask for timestep "
            f"{timesteps.max():.0f}, and the model has {len(alphas_cumprod)} (from 0): take fewer."
        )
    squared = alphas_cumprod[timesteps.astype(int)].astype(np.float64)
    return Grid(
        NoiseLevels(np.sqrt(squared), np.sqrt(1 - squared)),
        timesteps,
        (float(np.sqrt(final)), float(np.sqrt(1 - final))),
        prior_scale,
    )


def check_steps(config: SchedulerConfig, steps: int) -> None:
    """Refuse more steps than the model has timesteps, or fewer than one."""
    limit = int(config.get("num_train_timesteps", 1000))
    if steps < 1:
        raise ConjureError(f"steps is at least 1, not {steps}.")
    if steps > limit:
        raise ConjureError(f"This model has {limit} timesteps: steps is at most that, not {steps}.")


@dataclass(frozen=True)
class Bound:
    """How far x̂₀ may go: not further than ±``clip``, or dynamically (Saharia et al. 2022, 2.3).

    Either bends the drift, so that `girsanov` is no KL with it.

    Args:
        clip: Largest |x̂₀|, where it is clipped.
        quantile: Where it is thresholded: values beyond this quantile of a picture's own |x̂₀|,
            at least 1 and at most ``most``, are cut there, and the picture divided by it.
        most: See there.
    """

    clip: float | None = None
    quantile: float | None = None
    most: float = 1.0

    def __call__(self, picture: Tensor) -> Tensor:
        """The bounded x̂₀, each row by itself."""
        if self.quantile is not None:
            sizes = picture.flatten(1).abs()
            # torch's quantile interpolates, as in diffusers.
            edge = torch.quantile(sizes, self.quantile, dim=1).clamp(1, max(1.0, self.most))
            edge = edge.view(-1, *(1 for _ in picture.shape[1:]))
            return picture.clamp(-edge, edge) / edge
        return picture if self.clip is None else picture.clamp(-self.clip, self.clip)

    @property
    def idle(self) -> bool:
        """Whether it bounds nothing."""
        return self.clip is None and self.quantile is None

    def describe(self) -> dict[str, Any]:
        """As JSON values."""
        if self.quantile is not None:
            return {"clip": None, "threshold": [self.quantile, self.most]}
        return {"clip": self.clip}


UNBOUNDED = Bound()


def bound_from(config: SchedulerConfig, *, clips: bool = True) -> Bound:
    """The bound on x̂₀ that a scheduler's configuration asks for.

    Args:
        config: Of the scheduler.
        clips: Whether diffusers' scheduler of this sampler knows ``clip_sample``.
    """
    if config.get("thresholding"):
        return Bound(
            quantile=float(config.get("dynamic_thresholding_ratio", 0.995)),
            most=float(config.get("sample_max_value", 1.0)),
        )
    # A missing key means no clipping, as diffusers' latent pipelines set it themselves.
    if clips and config.get("clip_sample"):
        return Bound(clip=float(config.get("clip_sample_range", 1.0)))
    return UNBOUNDED


def is_flow(config: SchedulerConfig) -> bool:
    """Whether a model's schedule is that of a flow, x = (1 − s)x₀ + sε."""
    return (
        str(config.get("_class_name", "")).startswith("FlowMatch")
        or config.get("prediction_type") == "flow_prediction"
        or bool(config.get("use_flow_sigmas"))
    )


def refuse_flow(sampler: str, config: SchedulerConfig, instead: str) -> None:
    """Refuse a sampler that has no form for flow models."""
    if is_flow(config):
        raise ConjureError(f"{sampler} has no form for flow models such as this one: {instead}.")


def make_scheduler(name: str, config: SchedulerConfig, **changes: Any) -> Any:
    """A scheduler of diffusers with a model's configuration, as its pipelines would swap it in.

    Raises:
        ConjureError: It does not know a spacing that was asked for.
    """
    import diffusers

    kind: Any = getattr(diffusers, name)
    known = inspect.signature(kind.__init__).parameters
    for key, said in SPACINGS.items():
        if config.get(said) is True and said not in known:
            raise ConjureError(
                f"diffusers' {name} has no {key} spacing. Take a sampler that has (euler, heun, "
                "dpm++, dpm++-sde, unipc), or, where the model's file asks for it and not you, "
                "spacing='leading' (--spacing leading)."
            )
    settings = {k: v for k, v in config.items() if k != "_class_name"}
    return kind.from_config(settings, **changes)


SPACINGS = {
    "karras": "use_karras_sigmas",
    "exponential": "use_exponential_sigmas",
    "beta": "use_beta_sigmas",
}
"""Spacings of noise levels by the switch of diffusers' configurations that turns them on."""


def lay_out(sampler: Sampler, config: SchedulerConfig, steps: int, timing: Timing) -> Grid:
    """A sampler's grid, or words for what is wrong with it.

    Raises:
        ConjureError: The steps do not fit the schedule.
    """
    try:
        grid = sampler.grid(config, steps, timing)
    except ConjureError:
        raise
    except ValueError as error:
        raise ConjureError(
            f"{sampler.name} cannot lay out {steps} steps on this model's schedule: {error}. Take "
            "fewer, or another spacing."
        ) from error
    if len(grid.levels) != steps:
        raise ConjureError(
            f"{sampler.name} lays out {len(grid.levels)} noise levels where {steps} are asked for: "
            "take another number of steps, or another spacing."
        )
    return grid


def set_timesteps(scheduler: Any, steps: int, timing: Timing) -> None:
    """Lay out a scheduler's steps, as the model's pipeline does.

    With some numbers of steps diffusers' trailing spacing has one too many, by rounding: timestep
    −1, which no network was trained on. It is left out.

    Raises:
        ConjureError: diffusers refuses the number of steps.
    """
    try:
        if "sigmas" in timing:
            scheduler.set_timesteps(**timing)
        else:
            scheduler.set_timesteps(steps, **timing)
    except (ValueError, IndexError, TypeError, AssertionError) as error:
        raise ConjureError(f"diffusers cannot lay out {steps} steps: {error}") from error
    surplus = int((np.asarray(scheduler.timesteps) < 0).sum())
    if surplus:
        scheduler.timesteps = scheduler.timesteps[:-surplus]
        if getattr(scheduler, "sigmas", None) is not None:
            sigmas = scheduler.sigmas
            scheduler.sigmas = torch.cat([sigmas[: -1 - surplus], sigmas[-1:]])


def grid_from_sigmas(scheduler: Any, *, flow: bool) -> Grid:
    """A grid from the noise levels that a scheduler lists, of which the last is the clean end.

    Args:
        scheduler: With its timesteps set.
        flow: Whether they are s of x = (1 − s)x₀ + sε, or σ/α.
    """
    levels = scheduler.sigmas.double().numpy()
    if flow:
        alpha, sigma = vp_from_flow(levels)
        blind, start = levels[0] > 1 - ROUNDING, float(alpha[0] + sigma[0])
    else:
        alpha, sigma = vp_from_ratio(levels)
        blind, start = bool(scheduler.config.get("rescale_betas_zero_snr")), 1.0
        blind = blind and levels[0] > MOST_RATIO
    return Grid(
        NoiseLevels(alpha[:-1], sigma[:-1], pure_noise=bool(blind)),
        np.asarray(scheduler.timesteps, dtype=np.float64),
        (float(alpha[-1]), float(sigma[-1])),
        start,
    )


ROUNDING = 1e-5
"""A flow's s nearer to 1 than this is 1: diffusers computes it in single precision."""

MOST_RATIO = 4095
"""diffusers' σ/α of a schedule without signal at its end is 2¹²: its solvers divide by α."""


def half_log_snr(alpha: float, sigma: float) -> float:
    """log(α/σ), the λ of DPM-Solver: half of ours; ±∞ at either end."""
    with np.errstate(divide="ignore"):
        return float(np.log(alpha) - np.log(sigma))


def vp_from_ratio(ratio: Floats) -> tuple[Floats, Floats]:
    """α and σ where σ/α is given."""
    alpha = 1 / np.sqrt(1 + ratio**2)
    return alpha, ratio * alpha


def vp_from_flow(level: Floats) -> tuple[Floats, Floats]:
    """α and σ where a flow's s is given: (1 − s, s), scaled to α² + σ² = 1."""
    size = np.hypot(1 - level, level)
    return (1 - level) / size, level / size


def flow_solver_grid(
    name: str, config: SchedulerConfig, steps: int, timing: Timing, **changes: Any
) -> Grid:
    """The noise levels that one of diffusers' solvers lays out, on a flow or not.

    Raises:
        ConjureError: A spacing of levels was asked for, which they compute in σ/α on flows too.
    """
    flow = is_flow(config)
    if flow:
        spacing = next((key for key, said in SPACINGS.items() if config.get(said)), None)
        if spacing is not None:
            raise ConjureError(
                f"diffusers' {name} has no {spacing} spacing for flows. Take euler or heun."
            )
        shift = config.get("flow_shift", config.get("shift", 1.0))
        changes |= {"prediction_type": "flow_prediction", "flow_shift": shift}
        timing = {key: value for key, value in timing.items() if key != "sigmas"}
    scheduler = make_scheduler(name, config, use_flow_sigmas=flow, **changes)
    set_timesteps(scheduler, steps, timing)
    return grid_from_sigmas(scheduler, flow=flow)


def flow_grid(config: SchedulerConfig, steps: int, timing: Timing) -> Grid:
    """The noise levels of diffusers' FlowMatchEulerDiscreteScheduler."""
    scheduler = make_scheduler(
        "FlowMatchEulerDiscreteScheduler", config,
        shift=config.get("shift", config.get("flow_shift", 1.0)), stochastic_sampling=False,
    )  # fmt: skip
    set_timesteps(scheduler, steps, timing)
    levels = scheduler.sigmas
    scheduler.sigmas = torch.where((levels - 1).abs() < ROUNDING, 1.0, levels.double())
    return grid_from_sigmas(scheduler, flow=True)


def refuse_eta(sampler: str, eta: float | None) -> None:
    """Refuse an η that the sampler would ignore."""
    if eta is not None:
        raise ConjureError(f"eta is an option of the ddim sampler; {sampler} has none.")
