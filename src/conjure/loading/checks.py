"""Settings of a process that none can have, refused before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NoReturn

import torch

from conjure.checks import is_whole
from conjure.errors import ConjureError, UnknownNameError
from conjure.loading.settings import WITH_ETA
from conjure.process.samplers import SAMPLERS
from conjure.process.samplers.schedules import SPACINGS, refuse_eta

LONG = ("refuse", "truncate", "chunk")
"""What may become of prompts beyond the text encoder's length."""


TIMESTEP_SPACINGS = ("leading", "trailing", "linspace")


ALL_SPACINGS = (*TIMESTEP_SPACINGS, *SPACINGS)


def check_settings(asked: Mapping[str, Any]) -> None:
    """Refuse settings of a process that none can have, whatever the model.

    Args:
        asked: ``sampler``, ``eta``, ``spacing``, ``steps``, ``guidance``, ``long`` and
            ``batch_size``.

    Raises:
        ConjureError: With what to do instead.
    """
    check_guidance(asked["guidance"])
    if asked["long"] not in LONG:
        raise UnknownNameError("choice for long prompts", asked["long"], LONG)
    check_whole("steps", asked["steps"])
    if asked["batch_size"] is not None:
        check_whole("batch_size", asked["batch_size"])
    SAMPLERS[asked["sampler"]]
    if asked["sampler"] not in WITH_ETA:
        refuse_eta(asked["sampler"], asked["eta"])
    if asked["spacing"] is not None and asked["spacing"] not in ALL_SPACINGS:
        raise UnknownNameError("spacing", asked["spacing"], ALL_SPACINGS)
    if asked["spacing"] in TIMESTEP_SPACINGS and asked["sampler"] == "lcm":
        refuse_lcm_spacing()


def refuse_lcm_spacing() -> NoReturn:
    """The steps of consistency models are those that they were distilled on."""
    raise ConjureError("lcm has a spacing of its own, that of its distillation: leave it out.")


def check_size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = (size, size) if isinstance(size, int) and not isinstance(size, bool) else size
    if (
        not isinstance(sides, tuple | list)
        or len(sides) != 2
        or not all(isinstance(side, int) and side > 0 for side in sides)
    ):
        raise ConjureError(f"size is one whole number of pixels, or (height, width), not {size!r}.")
    return sides[0], sides[1]


def check_offload(place: torch.device, *, offload: bool) -> bool:
    if offload and place.type == "cpu":
        raise ConjureError("offload spares a device's memory; the model runs on the CPU anyway.")
    return offload


def check_guidance(guidance: float | None) -> float:
    if guidance is None:
        return 1.0
    try:
        w = float(guidance)
    except (TypeError, ValueError):
        w = math.nan
    if not math.isfinite(w):
        raise ConjureError(f"guidance is a number, at least 1, not {guidance!r}.")
    if w < 1:
        raise ConjureError(
            f"guidance is at least 1, not {w:g}. At 1 there is none: the plain conditional model "
            "(diffusers also writes 0 for that). Below 1 the prompt would be weakened towards the "
            "negative prompt, which is another process than the one the prompts name."
        )
    return w


def check_whole(name: str, value: int) -> None:
    if not is_whole(value, 1):
        raise ConjureError(f"{name} is a whole number, at least 1, not {value!r}.")
