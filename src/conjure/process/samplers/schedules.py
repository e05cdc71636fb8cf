"""Noise levels and timesteps as diffusers' schedulers lay them out."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from conjure.errors import ConjureError
from conjure.levels import Floats, NoiseLevels
from conjure.process.samplers.base import Grid, Sampler, SchedulerConfig, Timing
from conjure.process.samplers.spacings import LEVEL_SPACINGS


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
    for key, switch in LEVEL_SPACINGS.items():
        if config.get(switch) is True and switch not in known:
            raise ConjureError(
                f"diffusers' {name} has no {key} spacing. Take a sampler that has (euler, heun, "
                "dpm++, dpm++-sde, unipc), or, where the model's file asks for it and not you, "
                "spacing='leading' (--spacing leading)."
            )
    settings = {k: v for k, v in config.items() if k != "_class_name"}
    return kind.from_config(settings, **changes)


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
        spacing = next((key for key, switch in LEVEL_SPACINGS.items() if config.get(switch)), None)
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


def spaced(
    config: Mapping[str, Any], spacing: str | None, shift: float | None
) -> Mapping[str, Any]:
    """A scheduler's configuration with another spacing of its steps.

    Raises:
        ConjureError: A flow has no timestep spacing, and only a flow has a shift.
    """
    changed: dict[str, Any] = {}
    if spacing is not None:
        for switch in LEVEL_SPACINGS.values():
            changed[switch] = False
        if spacing in LEVEL_SPACINGS:
            changed[LEVEL_SPACINGS[spacing]] = True
        elif is_flow(config):
            raise ConjureError(
                f"This model is a flow, whose levels have no {spacing} spacing: use shift, or "
                "karras, exponential or beta."
            )
        else:
            changed["timestep_spacing"] = spacing
    if shift is not None:
        if not is_flow(config):
            raise ConjureError("shift moves the noise levels of a flow, and this model is none.")
        if not (math.isfinite(shift) and shift > 0):
            raise ConjureError(f"shift is a number above 0, not {shift!r}.")
        changed |= {"shift": shift, "flow_shift": shift, "use_dynamic_shifting": False}
    # diffusers drops what a scheduler's file did not say when it makes another one of it.
    silent = [key for key in config.get("_use_default_values", []) if key not in changed]
    return {**config, **changed, "_use_default_values": silent}
