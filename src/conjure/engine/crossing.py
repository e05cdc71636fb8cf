"""Both prompts at both paths' states: the crossed predictions of a block, in groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from conjure.engine.jobs import Block
from conjure.engine.network import Network, Rows, even_size
from conjure.engine.recall import Answers
from conjure.process.base import Process
from conjure.process.prediction import Memory, Prediction, Transition, guide


@dataclass(frozen=True)
class Group:
    """Jobs whose crossed predictions share a pass. Fixed, since a sampler remembers by batch.

    Args:
        jobs: Their numbers, shape ``(n,)``.
        at: The paths where they are asked, first of each job and then second, shape ``(2n,)``.
        other: The paths whose prompts they are asked under, likewise.
    """

    jobs: np.ndarray
    at: Tensor
    other: Tensor

    def rows(self, x: Tensor, prompts: list[str]) -> Rows:
        """States and prompts of the crossed predictions."""
        return x[self.at], [prompts[p] for p in self.other.tolist()]


class Crossing:
    """Asks, at the states of every job's two paths, what the other prompt says.

    Args:
        process: The process.
        network: Its counted network.
        block: The jobs.
        heads: Rows that share a pass with the first group.
    """

    def __init__(self, process: Process, network: Network, block: Block, heads: int) -> None:
        self._process, self._network = process, network
        self._prompts = [prompt for prompt, _ in block.paths]
        self._groups = group_jobs(block, network.batch_size, heads)
        self._memories: list[Memory] = [None] * len(self._groups)

    def first_rows(self, visit: int, x: Tensor) -> list[Rows]:
        """What the first group asks, to share the passes of the paths.

        Nothing at the first visit, where all paths of a sample are at one state.
        """
        first = self._groups[:1] if visit > 0 else []
        return [group.rows(x, self._prompts) for group in first]

    def ask(
        self, visit: int, x: Tensor, paths: Answers, first: Sequence[Prediction]
    ) -> Iterator[tuple[int, Group, Prediction]]:
        """The guided crossed predictions, a group after another.

        Args:
            visit: Where the paths are.
            x: The states of all paths.
            paths: The answers at all of them.
            first: Those to ``first_rows``.

        Yields:
            The number of a group, the group, and the other prompt's predictions at its states.
        """
        for number, group in enumerate(self._groups):
            if visit == 0:
                yield number, group, paths.own[group.other]
                continue
            rows = group.rows(x, self._prompts)
            crossed = first[0] if number == 0 else self._network.predict(rows[0], visit, rows[1])
            if paths.unconditional is not None:
                free = paths.unconditional[group.at]
                crossed = guide(crossed, free, self._process.guidance)
            yield number, group, crossed

    def turn(self, number: int, visit: int, x: Tensor, crossed: Prediction) -> Transition:
        """Where the sampler would go from a group's states under the other prompt."""
        group = self._groups[number]
        memory = self._memories[number]
        turned = self._process.transition(x[group.at], visit, crossed, memory)
        self._memories[number] = turned.memory
        return turned


def group_jobs(block: Block, batch_size: int, heads: int) -> list[Group]:
    """Cut a block's jobs so that passes are of one size; the first shares one with ``heads``."""
    jobs = np.flatnonzero(block.ends[:, 0] != block.ends[:, 1])
    if not len(jobs):
        return []
    rows = even_size(heads + 2 * len(jobs), batch_size)
    rows = min(rows + rows % 2, batch_size)  # a job's two rows stay together
    size = max(1, rows // 2)
    first = (-heads % rows) // 2
    cuts = [0, *range(first, len(jobs), size), len(jobs)]
    groups = []
    for start, stop in pairwise(cuts):
        ends = block.ends[jobs[start:stop]]
        if len(ends):
            at, other = (torch.from_numpy(e.T.reshape(-1).copy()) for e in (ends, ends[:, ::-1]))
            groups.append(Group(jobs[start:stop], at, other))
    return groups
