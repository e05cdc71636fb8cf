"""A model's prompts, encoded: each once, together where that is faster, and forgotten in turn."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from conjure.process.families.base import Condition, Family, Source
from conjure.process.fingerprint import adapters
from conjure.process.marked import Marked
from conjure.process.quiet import quiet
from conjure.process.reading import Tokenized

CACHED_PROMPTS = 256
"""Encoded prompts kept at least; each is about 0.2 MB for Stable Diffusion."""

LARGE = 2**20
"""Bytes from which an encoded prompt is kept on the CPU: T5's are megabytes."""

ENCODED_TOGETHER = 32
"""Prompts in a pass of the text encoder."""

PROBED = 64
"""Numbers of a weight that are looked at to see whether it was trained."""


ONE_AT_A_TIME = threading.RLock()
"""Whoever has it reads prompts, whatever the process: fast tokenizers hold padding and truncation
between calls, and pipelines may share them."""


class Negative(Marked):
    """The prompt of an unconditional branch that is encoded otherwise than the same prompt is."""

    __slots__ = ()


class EncodedPrompts:
    """What a model's text encoder makes of prompts, for as long as there is room.

    Args:
        family: The loaded model.
        source: Where it came from: a pipeline in memory may be trained meanwhile.
        windows: Whether prompts beyond the encoder's length are read in windows.
    """

    def __init__(self, family: Family, source: Source, *, windows: bool) -> None:
        self._family, self._source = family, source
        self._windows = family.encode_windows if windows else None
        self._encoded: OrderedDict[str, Condition] = OrderedDict()
        self._encoders_were: int | None = None

    def conditions(self, prompts: Sequence[str]) -> list[Condition]:
        """Each prompt's condition, encoded now if it is not yet."""
        with ONE_AT_A_TIME:
            if any(prompt not in self._encoded for prompt in prompts):
                self.prepare(dict.fromkeys(prompts))
            return [self._encoded[prompt] for prompt in prompts]

    def read(self, prompts: Sequence[str]) -> list[Tokenized]:
        """What the encoders take of each prompt."""
        with ONE_AT_A_TIME:
            return self._family.read(prompts) if prompts else []

    @torch.inference_mode()
    def prepare(self, prompts: Iterable[str]) -> None:
        """Encode prompts that are not yet, some at a time; room is made for all of them."""
        with ONE_AT_A_TIME:
            self._prepare(list(prompts))

    def _prepare(self, wanted: Sequence[str]) -> None:
        if self._source.pipeline is not None:
            self._forget_if_changed()
        missing = [prompt for prompt in wanted if prompt not in self._encoded]
        self._make_room(wanted, len(missing))
        if missing and self._source.settings.offload:
            self._family.pipeline.maybe_free_model_hooks()  # or the denoiser would stay beside them
        with quiet():  # long prompts are cut because somebody said so
            self._encode(missing)

    def _encode(self, missing: Sequence[str]) -> None:
        for prompt in missing:
            alone = self._encode_alone(prompt)
            if alone is not None:
                self._encoded[prompt] = alone
        rest = [prompt for prompt in missing if prompt not in self._encoded]
        for start in range(0, len(rest), ENCODED_TOGETHER):
            some = rest[start : start + ENCODED_TOGETHER]
            rows = self._family.encode(some)
            for row, prompt in enumerate(some):
                self._encoded[prompt] = {k: _kept(v[row : row + 1]) for k, v in rows.items()}

    @torch.inference_mode()
    def features(self, prompts: Sequence[str]) -> dict[str, np.ndarray]:
        """One vector for each whole prompt, ``(n, d)``, by the way of taking it; not kept."""
        found: dict[str, list[np.ndarray]] = {}
        for start in range(0, len(prompts), ENCODED_TOGETHER):
            with ONE_AT_A_TIME, quiet():
                rows = self._family.text_features(prompts[start : start + ENCODED_TOGETHER])
            for name, vectors in rows.items():
                found.setdefault(name, []).append(vectors.double().cpu().numpy())
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def _make_room(self, wanted: Sequence[str], missing: int) -> None:
        for prompt in wanted:
            if prompt in self._encoded:  # now the last to go
                there = self._encoded.pop(prompt)
                self._encoded[prompt] = {k: _alone(row) for k, row in there.items()}
        room = max(CACHED_PROMPTS, len(wanted)) - missing
        while len(self._encoded) > room:  # before the new ones come, so that they share the room
            self._encoded.popitem(last=False)

    def _encode_alone(self, prompt: str) -> Condition | None:
        """A prompt that is encoded by itself, in windows or as the negative one; else None."""
        family, windows = self._family, self._windows
        if windows and self.read([prompt])[0].tokens > family.max_tokens:
            return windows(str(prompt))
        if isinstance(prompt, Negative) and family.encode_negative is not None:
            return family.encode_negative(str(prompt))
        return None

    def _forget_if_changed(self) -> None:
        """Encode anew what a pipeline in memory encoded before its encoders were trained."""
        encoders = dict(list(self._family.networks.items())[1:])
        weights = [p for e in encoders.values() for p in e.parameters()]
        state = [(p.data_ptr(), p._version) for p in weights]
        now = hash((*state, *adapters(encoders), *_probes(weights)))
        if self._encoders_were != now:
            self._encoded.clear()
            self._encoders_were = now


def _probes(weights: Sequence[Tensor]) -> tuple[float, ...]:
    """A few numbers of each weight, added up: what is written through ``.data`` leaves no mark.

    Those of an encoder that is not there now (offloaded to disk) say nothing.
    """
    sums: dict[torch.device, list[Tensor]] = {}
    for weight in weights:
        if weight.device.type != "meta":
            flat = weight.detach().flatten()
            some = flat[:: max(1, len(flat) // PROBED)].float().sum()
            sums.setdefault(weight.device, []).append(some)
    return tuple(value for each in sums.values() for value in torch.stack(each).tolist())


def _kept(row: Tensor) -> Tensor:
    """A large row waits on the CPU. Small ones stay in their pass, and go with it.

    A copy of each, between the passes of the denoiser, would break the heap into pieces.
    """
    return row.cpu().clone() if row.nbytes > LARGE else row


def _alone(row: Tensor) -> Tensor:
    """A row that outlives its pass must not keep the rest of it alive."""
    return row.clone() if row.untyped_storage().nbytes() > row.nbytes else row
