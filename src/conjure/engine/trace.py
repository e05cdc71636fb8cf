"""The paths of one job, kept for looking at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from conjure.engine.crossing import Group
from conjure.process.prediction import Prediction


@dataclass(frozen=True)
class Trace:
    """The paths of one job, for looking at.

    Args:
        sample: Which.
        states: Shape ``(2, T, *state)``: path, scored state; float32.
        pictures: x̂₀ of that state under either prompt, shape ``(2, T, 2, *state)``: path, state,
            prompt; float32.
    """

    sample: int
    states: np.ndarray
    pictures: np.ndarray


def see(
    group: Group, place: int, x: Tensor, own: Prediction, crossed: Prediction
) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    """Of one job: both paths' states, and what each becomes under either prompt."""
    n = len(group.jobs)
    a, b = int(group.at[place]), int(group.at[n + place])
    pictures = [
        [as_array(own.picture[a]), as_array(crossed.picture[place])],
        [as_array(crossed.picture[n + place]), as_array(own.picture[b])],
    ]
    return [as_array(x[a]), as_array(x[b])], pictures


def as_array(x: Tensor) -> np.ndarray:
    return x.detach().float().cpu().numpy()
