"""A control: the diffusion model's own text encoder, which asks what the pictures add."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from conjure.engine.jobs import Pair
from conjure.errors import ConjureError
from conjure.methods.base import CONTROL, Measured, Request
from conjure.methods.shared import cosine_distances, needs_pipeline
from conjure.operations.arguments import check_texts
from conjure.process.pipeline import PipelineProcess
from conjure.store.manifest import make_manifest


@dataclass(frozen=True)
class TextEncoder:
    """Columns: 1 − cosine, of the vector of the whole prompt and of the mean over its tokens."""

    process: PipelineProcess
    name: str = "text-encoder"
    group: str = CONTROL

    @property
    def settings(self) -> dict[str, Any]:
        """The process, of which the text encoder alone matters."""
        return {"method": self.name, **make_manifest(self.process, 0)}

    def check(self, texts: Iterable[str]) -> None:
        """By the length that the text encoder reads: its vectors are of one window."""
        family, windows = self.process.family, self.process.settings.long == "chunk"
        for text in check_texts(self.process, texts):
            if windows and self.process.count_tokens(text) > family.max_tokens:
                raise ConjureError(
                    f"text-encoder has one vector for at most {family.max_tokens} tokens, and "
                    f"{text[:60]!r} has more, which the process reads in windows: leave it out, or "
                    "take --long truncate."
                )

    def cost(self, pairs: Sequence[Pair], folder: Path | None) -> int:
        """None: another network does the work."""
        return 0

    def measure(self, pairs: Sequence[Pair], folder: Path) -> Measured:
        """No network calls: a prompt's vectors take the time of a tenth of one."""
        prompts = list(dict.fromkeys(chain.from_iterable(pairs)))
        vectors = self.process.text_features(prompts)
        return Measured(cosine_distances(prompts, pairs, vectors), 0, 0)


def build(request: Request, argument: str | None) -> TextEncoder:
    """The method ``text-encoder``."""
    if argument is not None:
        raise ConjureError(
            "text-encoder is that of --model; for another one take sentence-transformers:NAME."
        )
    return TextEncoder(needs_pipeline(request, "text-encoder"))
