"""What a method of the table must offer: distances between pairs, under a name and its settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch

from conjure.engine.jobs import Pair
from conjure.levels import Floats
from conjure.loading.devices import check_device, torch_dtype
from conjure.loading.load import default_process
from conjure.process.base import Process
from conjure.store.manifest import identity


@dataclass(frozen=True)
class Request:
    """What an evaluation asks all methods for.

    Args:
        load: Gives the diffusion process that is evaluated; called once, and only if a method asks
            for ``process``.
        samples: Monte Carlo samples k, of the methods that draw any.
        seed: Of their noise.
        estimand: Which of ours stands first.
        device: For models of other kinds; None for the fastest.
        dtype: In which they compute, by name.
        offline: Whether only what is on this machine may be read.
        allow_pickle: Whether weights that are not safetensors may be read.
        progress: Whether to show bars.
    """

    load: Callable[[], Process] = default_process
    samples: int = 2
    seed: int = 0
    estimand: str = "girsanov"
    device: str | None = None
    dtype: str = "float32"
    offline: bool = False
    allow_pickle: bool = False
    progress: bool = False

    @cached_property
    def process(self) -> Process:
        """The diffusion process that is evaluated; asking for it loads it."""
        return self.load()

    @property
    def loaded(self) -> Process | None:
        """The process, where a method has asked for it."""
        return self.__dict__.get("process")

    @property
    def torch_device(self) -> torch.device:
        """Where models of other kinds go."""
        return check_device(self.device)

    @property
    def torch_dtype(self) -> torch.dtype:
        """In which they compute, whatever the checkpoint's own."""
        return torch_dtype(self.dtype)


@dataclass(frozen=True)
class Measured:
    """What a method says about some pairs.

    Args:
        distances: By column; smaller is closer. Shape ``(P, k)``, or ``(P, 1)`` where nothing is
            drawn.
        calls: Network calls that were made for it now.
        samples: What the distances are means of; 0 where nothing is drawn.
    """

    distances: Mapping[str, Floats]
    calls: int
    samples: int


class Method(Protocol):
    """One row of the table, or several from one run: a column each.

    One that is made of another's values, and asks for all that the other asks for, may name that as
    its ``host``: they have a folder in common, and nothing is asked twice.
    """

    @property
    def name(self) -> str:
        """As it was asked for."""
        ...

    @property
    def group(self) -> str:
        """The heading that it stands under."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that its numbers depend on, as JSON values."""
        ...

    def check(self, texts: Iterable[str]) -> None:
        """Refuse what it cannot take, before any work.

        Raises:
            ConjureError: With what to do instead.
        """
        ...

    def cost(self, pairs: Sequence[Pair], folder: Path | None) -> int:
        """Network calls of the process that some pairs take, less what a folder holds of them."""
        ...

    def measure(self, pairs: Sequence[Pair], folder: Path) -> Measured:
        """Distances of all pairs; what is finished is kept in the folder as it comes."""
        ...


DIFFUSION = "Text-conditioned diffusion"
CONTRASTIVE = "Contrastive embeddings"
AUTOREGRESSIVE = "Autoregressive language models"
CONTROL = "Controls"
GROUPS = (CONTRASTIVE, AUTOREGRESSIVE, DIFFUSION, CONTROL)
"""In the order of the paper's table; any other comes after them."""


def place_of(group: str) -> int:
    """Where a group stands in the table."""
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def folder_name(method: Method) -> str:
    """Of a method's values within a run: readable, and another one for other settings.

    Where a process' weights were found does not matter: a copy elsewhere has the same values.
    """
    settings = method.settings
    if "weights" in settings:  # a process' manifest: elsewhere "model" is what tells models apart
        settings = identity(settings)
    text = json.dumps(settings, sort_keys=True, ensure_ascii=False)
    digest = hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
    plain = "".join(c if c.isalnum() or c in "-." else "-" for c in method.name)
    return f"{plain[-40:].strip('-.')}-{digest}"


def host(method: Method) -> Method:
    """The method in whose folder the values of this one are kept: itself, or its ``host``."""
    return getattr(method, "host", method)
