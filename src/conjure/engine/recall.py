"""What a block need not ask the network, since blocks before it have: paths, and their starts."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

import torch
from torch import Tensor

from conjure.engine.jobs import Block, PathKey
from conjure.engine.paths import PathCache, from_rows, to_rows
from conjure.process.prediction import Prediction


class Answers(NamedTuple):
    """What the network says at the states of some paths.

    Args:
        own: Under each path's own prompt, guided.
        unconditional: Under the negative prompt; None without guidance.
    """

    own: Prediction
    unconditional: Prediction | None

    def __len__(self) -> int:
        return len(self.own.noise)

    def rows(self, chosen: Tensor) -> Answers:
        """Those of some paths."""
        free = self.unconditional
        return Answers(self.own[chosen], None if free is None else free[chosen])


class Recall:
    """Which paths of a block are known already, and which of it are worth keeping for others.

    Args:
        block: Its paths.
        cache: Where paths are kept.
        keep: Which of the block's paths to put there.
        visits: How many a path has.

    Attributes:
        fresh: Numbers of the paths that must be walked.
        unstarted: Numbers of the samples whose first unconditional prediction must be asked.
    """

    def __init__(
        self, block: Block, cache: PathCache, keep: Container[PathKey], visits: int
    ) -> None:
        keys = list(block.paths)
        self._cache, self._keys, self._visits = cache, keys, visits
        self._known = [p for p, key in enumerate(keys) if key in cache]
        self._room: list[PathKey] = []
        cache.hits += len(self._known)
        fresh = [p for p, key in enumerate(keys) if key not in cache]
        self.fresh = torch.tensor(fresh, dtype=torch.long)
        self._kept = torch.tensor([p for p in fresh if keys[p] in keep], dtype=torch.long)
        self._samples = list(block.samples)
        lacking = [n for s, n in block.samples.items() if fresh and s not in cache.starts]
        self.unstarted = torch.tensor(lacking, dtype=torch.long)

    def start(self, answers: Prediction) -> Prediction:
        """The unconditional prediction at every sample's first state, just asked or known before.

        Args:
            answers: Those of the ``unstarted``.
        """
        numbers = self.unstarted.tolist()
        new = {self._samples[n]: answers[row : row + 1] for row, n in enumerate(numbers)}
        found = [new[s] if s in new else self._cache.starts[s] for s in self._samples]
        for sample, prediction in new.items():
            self._cache.begin(sample, prediction)
        return Prediction.concatenate(found)

    def complete(self, visit: int, fresh: Answers) -> Answers:
        """The answers at all paths, in their order, given those at the fresh ones.

        What is to be kept of them is written down.
        """
        whole = fresh
        if self._known:
            keys = [self._keys[p] for p in self._known]
            rows = self._cache.read(keys, visit, self._visits)
            guided = fresh.unconditional is not None
            whole = self._merge(fresh, Answers(*from_rows(rows, fresh.own.noise, guided=guided)))
        if len(self._kept):
            self._write(visit, whole.rows(self._kept))
        return whole

    def _merge(self, fresh: Answers, known: Answers) -> Answers:
        places = torch.cat([self.fresh, torch.tensor(self._known)])
        order = torch.empty(len(places), dtype=torch.long)
        order[places] = torch.arange(len(places))
        own = Prediction.concatenate([fresh.own, known.own])[order]
        if fresh.unconditional is None or known.unconditional is None:
            return Answers(own, None)
        free = Prediction.concatenate([fresh.unconditional, known.unconditional])
        return Answers(own, free[order])

    def _write(self, visit: int, kept: Answers) -> None:
        rows = to_rows(kept.own, kept.unconditional)
        if visit == 0:
            keys = [self._keys[p] for p in self._kept.tolist()]
            self._room = self._cache.reserve(keys, self._visits * rows[0].nbytes)
        if self._room:
            self._cache.write(self._room, visit, self._visits, rows[: len(self._room)])
