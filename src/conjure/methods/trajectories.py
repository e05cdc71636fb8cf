"""Meaning as the distribution over continuations, in any autoregressive language model.

Liu, Trager, Achille, Perera, Zancato & Soatto, "Meaning Representations from Trajectories in
Autoregressive Models", ICLR 2024. Continuations t are sampled from either text, and scored under
both; the distance is the mean over all of |(1/|t|) log p(t|u) − (1/|t|) log p(t|v)|.

Beside it stands the exact analogue of our divergence: the Jeffreys divergence between the two
distributions over continuations, as the sum along sampled ones of the divergences between the
distributions of the next token.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from conjure.engine.jobs import Job, Pair
from conjure.errors import ConjureError, NonFinitePredictionError
from conjure.io.files import known_path
from conjure.io.progress import progress_bar
from conjure.methods.base import AUTOREGRESSIVE, Measured, Request
from conjure.methods.shared import loading, network_options, short_name
from conjure.process.fingerprint import hash_tokenizer, hash_weights
from conjure.store.manifest import versions
from conjure.store.values import kept_values

CONTINUATIONS, TOKENS = 20, 20
"""n and m of the paper."""

TEMPLATE = 'This sentence: "{}" implies: '
"""That of the paper's prompted variant."""

AT_ONCE = 200
"""Tokens whose distributions over the vocabulary are held at a time."""

COLUMNS = ("trajectories", "path-kl")

GGUF = ".gguf"


class Continuations(NamedTuple):
    """Sampled from one text.

    Args:
        tokens: Shape ``(n, m)``; padded after the end.
        lengths: Tokens of each, with the end token where it came, shape ``(n,)``.
    """

    tokens: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class Trajectories:
    """Columns: ``trajectories``, the paper's distance, and ``path-kl``.

    A sample is one continuation from either text, so that k = ``continuations`` in its errors.
    """

    request: Request
    model: Any
    tokenizer: Any
    argument: str
    label: str
    template: str | None
    continuations: int = CONTINUATIONS
    tokens: int = TOKENS
    group: str = AUTOREGRESSIVE

    @property
    def name(self) -> str:
        """With ``+prompt`` for the variant with the paper's template."""
        kind = "trajectories" if self.template is None else "trajectories+prompt"
        return f"{kind}:{self.label}"

    @property
    def settings(self) -> dict[str, Any]:
        """The model and its tokenizer, the template, n and m, the seed, versions."""
        return {
            "method": "trajectories",
            "model": hash_weights({"model": self.model}),
            "template": self.template,
            "continuations": self.continuations,
            "tokens": self.tokens,
            "seed": self.request.seed,
            "dtype": str(self.model.dtype),
            "tokenizer": hash_tokenizer(self.tokenizer),
            "versions": versions(),
        }

    def check(self, texts: Iterable[str]) -> None:
        """By the length that the model reads, and whether it keeps what it has read."""
        limit = getattr(self.model.config, "max_position_embeddings", None)
        cached = False
        for text in texts:
            count = self._ids(text).shape[1]
            if count == 0:
                raise ConjureError(f"The tokenizer of {self.argument} makes nothing of {text!r}.")
            if limit is not None and count + self.tokens > limit:
                raise ConjureError(
                    f"{text[:60]!r} takes {count + self.tokens} tokens with its continuation, and "
                    f"{self.argument} reads {limit}."
                )
            if not cached:
                cache = getattr(self._read(text), "past_key_values", None)
                cached = hasattr(cache, "batch_repeat_interleave")
                if not cached:
                    raise ConjureError(
                        f"{self.argument} keeps no cache of keys and values, by which the same "
                        "text is read once: take a transformer."
                    )

    def cost(self, pairs: Sequence[Pair], folder: Path | None) -> int:
        """None: another network does the work."""
        return 0

    def measure(self, pairs: Sequence[Pair], folder: Path) -> Measured:
        """A pair at a time, its n continuations in a batch; each pair is kept when it is done."""
        passes = 0
        made: dict[str, Continuations] = {}
        with progress_bar("Continuations", None, shown=self.request.progress) as bar:

            def compute(jobs: Sequence[Job]) -> np.ndarray:
                nonlocal passes
                rows = []
                for a, b, _ in jobs:
                    for text in (a, b):
                        if text not in made:
                            made[text] = self.sample(text)
                            passes += self.tokens
                    rows.append(self.compare(a, b, made[a], made[b]).T.reshape(-1))
                    passes += 2 * (1 + len(self._parts()))
                    bar.advance(2)
                while len(made) > 1024:
                    del made[next(iter(made))]
                return np.stack(rows)

            jobs = [Job(a, b, 0) for a, b in pairs]
            columns = 2 * self.continuations
            found = kept_values(
                folder, jobs, columns, compute, 1, lambda missing: bar.expect(2 * len(missing))
            )
        shaped = found.reshape(len(pairs), 2, self.continuations)
        distances = {name: shaped[:, n] for n, name in enumerate(COLUMNS)}
        return Measured(distances, passes, self.continuations)

    def _ids(self, text: str) -> Tensor:
        put = text if self.template is None else self.template.replace("{}", text)
        return torch.tensor([self.tokenizer(put).input_ids], dtype=torch.long)

    @torch.inference_mode()
    def sample(self, text: str) -> Continuations:
        """Draw n continuations of at most m tokens, at temperature 1.

        From noise of their own for each number and place, the same for all texts (Gumbel's trick):
        a text's continuations depend on nothing else, and close texts tend to get the same ones.
        """
        n, end = self.continuations, self.tokenizer.eos_token_id
        ids = self._ids(text).to(self.model.device).expand(n, -1)
        output = self.model(ids, use_cache=True)
        tokens = torch.full((n, self.tokens), 0 if end is None else end, dtype=torch.long)
        lengths = torch.full((n,), self.tokens, dtype=torch.long)
        alive = torch.ones(n, dtype=torch.bool)
        for place in range(self.tokens):
            logs = self._log_softmax(output.logits[:, -1])
            noise = gumbel(self.request.seed, n, place, logs.shape[1])
            drawn = (logs + noise).argmax(-1)
            tokens[alive, place] = drawn[alive]
            if end is not None:
                ended = alive & (drawn == end)
                lengths[ended] = place + 1
                alive &= ~ended
            if not alive.any() or place + 1 == self.tokens:
                break
            step = tokens[:, place : place + 1].to(self.model.device)
            output = self.model(step, past_key_values=output.past_key_values, use_cache=True)
        return Continuations(tokens, lengths)

    def compare(self, a: str, b: str, from_a: Continuations, from_b: Continuations) -> np.ndarray:
        """Both distances of one pair by sample, shape ``(n, 2)``."""
        n = self.continuations
        tokens = torch.cat([from_a.tokens, from_b.tokens])
        lengths = torch.cat([from_a.lengths, from_b.lengths])
        inside = torch.arange(self.tokens) < lengths[:, None]
        gaps, jeffreys = [], []
        after_a, after_b = self._read(a), self._read(b)
        for rows in self._parts():
            under_a, under_b = (self._score(output, tokens[rows]) for output in (after_a, after_b))
            chosen_a, chosen_b = (
                logs.gather(2, tokens[rows, :, None])[:, :, 0] for logs in (under_a, under_b)
            )
            gaps.append(((chosen_a - chosen_b) * inside[rows]).sum(1) / lengths[rows])
            # Of the text that a continuation is from, against the other one.
            from_first = (rows < n)[:, None, None]
            own = torch.where(from_first, under_a, under_b)
            other = torch.where(from_first, under_b, under_a)
            # A token that the own model never says counts for nothing, whatever the other says.
            each = torch.where(own > -torch.inf, own.exp() * (own - other), 0.0).sum(2)
            jeffreys.append((each * inside[rows]).sum(1))
        mean = torch.cat(gaps).abs().reshape(2, n).mean(0)
        return torch.stack([mean, torch.cat(jeffreys).reshape(2, n).sum(0)], 1).numpy()

    def _parts(self) -> tuple[Tensor, ...]:
        """The numbers of both texts' continuations, some at a time."""
        return torch.arange(2 * self.continuations).split(max(1, AT_ONCE // self.tokens))

    @torch.inference_mode()
    def _read(self, text: str) -> Any:
        """What the model says after a text, with its cache."""
        return self.model(self._ids(text).to(self.model.device), use_cache=True)

    @torch.inference_mode()
    def _score(self, output: Any, tokens: Tensor) -> Tensor:
        """The log p of every next token along the continuations, shape ``(n, m, vocabulary)``."""
        count = len(tokens)
        given = tokens[:, :-1].to(self.model.device)
        first = output.logits[:, -1:].expand(count, -1, -1)
        if given.shape[1] == 0:
            return self._log_softmax(first)
        kept = copy.deepcopy(output.past_key_values)
        kept.batch_repeat_interleave(count)
        rest = self.model(given, past_key_values=kept, use_cache=True).logits
        return self._log_softmax(torch.cat([first, rest], 1))

    def _log_softmax(self, logits: Tensor) -> Tensor:
        """Over the vocabulary, on the CPU in double precision.

        Raises:
            NonFinitePredictionError: The network did not say numbers.
        """
        logs = logits.double().log_softmax(-1).cpu()
        if logs.isnan().any():
            raise NonFinitePredictionError(
                f"The language model {self.argument!r} returned infinities or NaNs. In half "
                "precision a network may overflow: take dtype='float32' (--dtype float32)."
            )
        return logs


@lru_cache(maxsize=TOKENS)
def gumbel(seed: int, continuations: int, place: int, count: int) -> Tensor:
    """Noise of its own for each continuation and place, shape ``(continuations, count)``."""
    rows = []
    for number in range(continuations):
        sequence = np.random.SeedSequence(seed, spawn_key=(number, place))
        rows.append(np.random.Generator(np.random.Philox(sequence)).gumbel(size=count))
    return torch.from_numpy(np.stack(rows))


def load(request: Request, argument: str | None, template: str | None) -> Trajectories:
    """A causal language model and its tokenizer.

    Raises:
        ConjureError: No name, or no such model.
    """
    if argument is None:
        raise ConjureError("Name the model: trajectories:NAME, a hub id, a folder or a .gguf file.")
    place, name, file = argument, short_name(argument), {}
    if argument.endswith(GGUF):
        path = gguf_file(argument)
        place, name, file = str(path.parent), path.stem, {"gguf_file": path.name}
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with loading("language model", place, request) as told:
        tokenizer = AutoTokenizer.from_pretrained(place, **told, **file)
        model: Any = AutoModelForCausalLM.from_pretrained(
            place, **told, **file, **network_options(request)
        )
    model.to(request.torch_device)
    model.eval()
    return Trajectories(request, model, tokenizer, argument, name, template)


def gguf_file(argument: str) -> Path:
    """A file of llama.cpp's format, whose weights transformers makes floats of again.

    Raises:
        ConjureError: It is not there, or nothing is that reads it.
    """
    path = known_path(argument)
    if not path.is_file():
        raise ConjureError(
            f"There is no file {argument!r}: trajectories:FILE.gguf reads a local one."
        )
    if find_spec("gguf") is None:
        raise ConjureError(
            f"{argument!r} is read with the package gguf: pip install 'conjure[evaluate]'."
        )
    return path


def build(request: Request, argument: str | None) -> Trajectories:
    """The method ``trajectories:NAME``."""
    return load(request, argument, None)


def build_prompted(request: Request, argument: str | None) -> Trajectories:
    """The method ``trajectories+prompt:NAME``."""
    return load(request, argument, TEMPLATE)
