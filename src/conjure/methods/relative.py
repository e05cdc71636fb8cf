"""Ours over how much the two texts say: the divergence divided by those from saying nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from conjure.engine.jobs import Pair
from conjure.methods.base import DIFFUSION, Measured, Request
from conjure.methods.conjuring import Conjuring
from conjure.methods.conjuring import build as build_conjuring
from conjure.operations.relative import samples_of_ratio, with_reference


@dataclass(frozen=True)
class RelativeDistance:
    """Columns: the estimands that the process has, the one that is asked for first.

    Args:
        host: ``conjuring``, in whose folder its samples are.
        reference: The text that says nothing.
        name: As it was asked for.
        group: Its heading.
    """

    host: Conjuring
    reference: str
    name: str
    group: str = DIFFUSION

    @property
    def settings(self) -> dict[str, Any]:
        """Those of ``conjuring``, and what says nothing."""
        return {**self.host.settings, "method": "relative", "reference": self.reference}

    def check(self, texts: Iterable[str]) -> None:
        """By the length that the text encoder reads."""
        self.host.check([*texts, self.reference])

    def cost(self, pairs: Sequence[Pair], folder: Path | None) -> int:
        """That of ``conjuring``, and of each text with the reference."""
        return self.host.cost(list(with_reference(pairs, self.reference)), folder)

    def measure(self, pairs: Sequence[Pair], folder: Path) -> Measured:
        """From samples of ``conjuring``: what the one has asked, the other need not ask again."""
        listed = list(with_reference(pairs, self.reference))
        found = self.host.measure(listed, folder)
        row = {pair: number for number, pair in enumerate(listed)}
        own = np.array([row[a, b] for a, b in pairs])
        ends = np.array([[row[text, self.reference] for text in pair] for pair in pairs])
        return Measured(
            {
                column: samples_of_ratio(values[own], values[ends].sum(1))
                for column, values in found.distances.items()
            },
            found.calls,
            found.samples,
        )


def build(request: Request, argument: str | None) -> RelativeDistance:
    """The method ``relative``, or ``relative:REFERENCE``."""
    conjuring = build_conjuring(request, None)
    reference = request.process.negative if argument is None else argument
    name = "relative" if argument is None else f"relative:{argument}"
    return RelativeDistance(conjuring, reference, name)
