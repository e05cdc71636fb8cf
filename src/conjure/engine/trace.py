"""The paths of one job, kept for looking at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from conjure.engine.crossing import Group
from conjure.engine.jobs import Block
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

    def __repr__(self) -> str:
        return f"<Trace of sample {self.sample} at {self.states.shape[1]} states>"


class Tracer:
    """Keeps what is seen of one job of a block, or of none.

    Args:
        block: The jobs.
        job: Number of the one; None to keep nothing.
    """

    def __init__(self, block: Block, job: int | None) -> None:
        self._block, self._job = block, job
        self._states: list[list[np.ndarray]] = []
        self._pictures: list[list[list[np.ndarray]]] = []

    def see(self, group: Group, x: Tensor, own: Prediction, crossed: Prediction) -> None:
        """Keep both paths' states, and what each becomes under either prompt, if the job is here.

        Args:
            group: Some jobs.
            x: The states of all paths.
            own: The guided predictions there.
            crossed: The other prompt's at the group's states.
        """
        if self._job is None or self._job not in group.jobs:
            return
        n, place = len(group.jobs), group.jobs.tolist().index(self._job)
        a, b = int(group.at[place]), int(group.at[n + place])
        self._states.append([as_array(x[a]), as_array(x[b])])
        self._pictures.append(
            [
                [as_array(own.picture[a]), as_array(crossed.picture[place])],
                [as_array(crossed.picture[n + place]), as_array(own.picture[b])],
            ]
        )

    def see_same(self, step: int, x: Tensor, own: Prediction) -> None:
        """Keep a prompt against itself, which is in no group."""
        if self._job is None or len(self._states) > step:
            return
        path = int(self._block.ends[self._job, 0])
        self._states.append([as_array(x[path])] * 2)
        self._pictures.append([[as_array(own.picture[path])] * 2] * 2)

    def trace(self) -> Trace | None:
        """All that was seen."""
        if self._job is None:
            return None
        states, pictures = (np.array(p).swapaxes(0, 1) for p in (self._states, self._pictures))
        return Trace(self._block.jobs[self._job].sample, states, pictures)


def as_array(x: Tensor) -> np.ndarray:
    """A state as float32 on the CPU."""
    return x.detach().float().cpu().numpy()
