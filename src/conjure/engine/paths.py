"""Walked paths, kept for the blocks that need them again: in memory, then on disk."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from conjure.files import written_whole
from conjure.process.base import Prediction

PathKey = tuple[str, int]
"""Prompt and sample."""

CACHE_BYTES = 64 * 2**20
"""Memory for kept paths, by default."""


STARTS = 64
"""Samples whose first unconditional prediction is kept."""


@dataclass(frozen=True)
class WalkedPath:
    """What the network said along a path. Its states follow from that without asking again.

    Args:
        own: Guided predictions at every state: noise and picture, shape ``(T, 2, *state)``.
        unconditional: Likewise where there is guidance, else None.
    """

    own: Tensor
    unconditional: Tensor | None

    def at(self, step: int) -> tuple[Prediction, Prediction | None]:
        """The predictions at a state, as one row."""
        free = self.unconditional
        return _row(self.own[step]), None if free is None else _row(free[step])

    @property
    def size(self) -> int:
        """In bytes."""
        tensors = [self.own, *([] if self.unconditional is None else [self.unconditional])]
        return sum(t.numel() * t.element_size() for t in tensors)


def _row(both: Tensor) -> Prediction:
    return Prediction(both[:1], both[1:])


class PathCache:
    """Least recently used out first: to ``folder`` where there is one, else forgotten.

    Args:
        size: Bytes to hold in memory.
        folder: Where paths that do not fit are written, as safetensors.

    Attributes:
        hits: Paths that did not have to be walked again.
        starts: The unconditional prediction at a sample's first state, which all paths share, for
            the most recent samples.
    """

    def __init__(self, size: int = CACHE_BYTES, folder: Path | None = None) -> None:
        self._size, self._folder, self._held = size, folder, 0
        self._paths: OrderedDict[PathKey, WalkedPath] = OrderedDict()
        self.hits = 0
        self.starts: OrderedDict[int, Prediction] = OrderedDict()

    def begin(self, sample: int, prediction: Prediction) -> None:
        """Keep what the network says at a sample's first state under the negative prompt."""
        self.starts[sample] = prediction
        while len(self.starts) > STARTS:
            self.starts.popitem(last=False)

    def get(self, key: PathKey) -> WalkedPath | None:
        """The path, if it is still there."""
        if key in self._paths:
            self._paths.move_to_end(key)
            self.hits += 1
            return self._paths[key]
        file = self._file(key)
        if file is None or not file.is_file():
            return None
        stored = load_file(file)
        self.hits += 1
        return WalkedPath(stored["own"], stored.get("unconditional"))

    def put(self, key: PathKey, path: WalkedPath) -> None:
        """Keep a path."""
        self._paths[key] = path
        self._held += path.size
        while self._held > self._size and self._paths:
            oldest, evicted = self._paths.popitem(last=False)
            self._held -= evicted.size
            self._spill(oldest, evicted)

    def drop(self, key: PathKey) -> None:
        """Forget a path that no block needs any more."""
        path = self._paths.pop(key, None)
        if path is not None:
            self._held -= path.size
        file = self._file(key)
        if file is not None:
            file.unlink(missing_ok=True)

    def _file(self, key: PathKey) -> Path | None:
        if self._folder is None:
            return None
        name = hashlib.blake2b(repr(key).encode(), digest_size=16).hexdigest()
        return self._folder / f"{name}.safetensors"

    def _spill(self, key: PathKey, path: WalkedPath) -> None:
        file = self._file(key)
        if file is None:
            return
        file.parent.mkdir(exist_ok=True)
        tensors = {"own": path.own.cpu()}
        if path.unconditional is not None:
            tensors["unconditional"] = path.unconditional.cpu()
        with written_whole(file) as draft:
            save_file(tensors, draft)


def stack(steps: list[Prediction], row: int) -> Tensor:
    """One row's predictions at every state, shape ``(T, 2, *state)``."""
    return torch.stack([torch.stack([p.noise[row], p.picture[row]]) for p in steps])
