"""Walked paths, kept on disk for the blocks that need them again."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Container, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from conjure.engine.jobs import PathKey
from conjure.process.prediction import Prediction

CACHE_BYTES = 4 * 2**30
"""Disk for kept paths, by default."""

STARTS = 64
"""Samples whose first unconditional prediction is kept."""


class PathCache:
    """What the network said along paths: their states follow from that without asking again.

    In one file without a name, which is gone with its process, however that ends. A path is
    written state by state while it is walked, and read state by state when a later block needs it,
    so that memory holds one state of each path and no more.

    Args:
        folder: Where the file is made; None for the system's folder of temporary files.
        size: Bytes it may have, but half of what the disk has left: the run's own samples need
            room too. Paths beyond that are not kept, and are walked again.

    Attributes:
        hits: Paths that did not have to be walked again.
        starts: The unconditional prediction at a sample's first state, which all paths share, for
            the most recent samples.
    """

    def __init__(self, folder: Path | None = None, size: int = CACHE_BYTES) -> None:
        self._folder, self._size = folder, size
        self._file = None
        self._slots: dict[PathKey, int] = {}
        self._shape: tuple[int, ...] = ()
        self._whole: set[PathKey] = set()
        self._free: list[int] = []
        self._used = 0
        self.hits = 0
        self.starts: OrderedDict[int, Prediction] = OrderedDict()

    def __contains__(self, key: object) -> bool:
        return key in self._whole

    def begin(self, sample: int, prediction: Prediction) -> None:
        """Keep what the network says at a sample's first state under the negative prompt."""
        # Copies: a row of a pass would keep the whole pass alive.
        self.starts[sample] = Prediction(prediction.noise.clone(), prediction.picture.clone())
        while len(self.starts) > STARTS:
            self.starts.popitem(last=False)

    def reserve(self, keys: Sequence[PathKey], path_bytes: int) -> list[PathKey]:
        """Make room for paths of so many bytes each.

        Returns:
            Those that there is room for.
        """
        if self._file is None:
            with suppress(OSError):
                free = shutil.disk_usage(self._folder or tempfile.gettempdir()).free
                self._size = min(self._size, free // 2)
        found = []
        for key in keys:
            if self._free:
                self._slots[key] = self._free.pop()
            elif (self._used + 1) * path_bytes <= self._size:
                self._slots[key] = self._used
                self._used += 1
            else:
                break
            found.append(key)
        return found

    def write(self, keys: Sequence[PathKey], step: int, steps: int, rows: np.ndarray) -> None:
        """Keep what was said at one visit.

        Args:
            keys: Paths that room was made for.
            step: Which visit.
            steps: Of how many; with the last one the path is whole.
            rows: A row a path, ``(n, parts, *state)``, float64; of one shape for all paths.
        """
        self._shape = rows.shape[1:]
        if self._file is None:
            try:
                # Without a buffer, which would find out too late that a disk is full.
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
            except OSError:
                self._stop()
                return
        for key, row in zip(keys, np.ascontiguousarray(rows), strict=True):
            if key not in self._slots:
                continue
            try:
                self._file.seek((self._slots[key] * steps + step) * row.nbytes)
                written = self._file.write(row.tobytes())
            except OSError:
                written = 0
            if written != row.nbytes:
                self._stop()
            elif step + 1 == steps:
                self._whole.add(key)

    def _stop(self) -> None:
        """Keep no more paths: the disk is full. Those that are whole can still be read."""
        self._size = 0
        self._free.clear()
        self._slots = {key: slot for key, slot in self._slots.items() if key in self._whole}

    def read(self, keys: Sequence[PathKey], step: int, steps: int) -> np.ndarray:
        """What was said at one visit, ``(n, parts, *state)``."""
        assert self._file is not None
        shape = self._shape
        size = 8 * math.prod(shape)
        rows = np.empty((len(keys), *shape))
        for number, key in enumerate(keys):
            self._file.seek((self._slots[key] * steps + step) * size)
            rows[number] = np.frombuffer(self._file.read(size)).reshape(shape)
        return rows

    def forget(self, prompts: Container[str]) -> None:
        """Drop all paths of some prompts."""
        for key in [key for key in self._slots if key[0] in prompts]:
            self.drop(key)

    def drop(self, key: PathKey) -> None:
        """Give a path's room to others."""
        self._whole.discard(key)
        slot = self._slots.pop(key, None)
        if slot is not None and self._size:
            self._free.append(slot)


def to_rows(own: Prediction, unconditional: Prediction | None) -> np.ndarray:
    """Predictions of some paths at one visit as ``(n, parts, *state)``, float64."""
    parts = [own.noise, own.picture]
    if own.variance is not None:
        parts.append(own.variance)
    if unconditional is not None:
        parts += [unconditional.noise, unconditional.picture]
    return torch.stack(parts, 1).cpu().double().numpy()


def from_rows(
    rows: np.ndarray, like: torch.Tensor, *, guided: bool
) -> tuple[Prediction, Prediction | None]:
    """The inverse of ``to_rows``, on the device and in the precision of ``like``."""
    own = torch.from_numpy(rows).to(like).unbind(1)
    free = Prediction(*own[-2:]) if guided else None
    return Prediction(*(own[:-2] if guided else own)), free
