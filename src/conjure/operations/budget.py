"""What a run over many pairs may spend: samples, a tolerance, a ranking's head, network calls."""

from __future__ import annotations

from dataclasses import dataclass

from conjure.checks import is_whole
from conjure.errors import ConjureError
from conjure.operations.arguments import check_antithetic

FIRST_ROUND, FIRST_ROUND_OF_TOP = 12, 2
"""Samples before a tolerance is looked at, and before a ranking is first halved."""

SAMPLES = 16
"""Samples a pair, where nothing is said."""

SAMPLES_AT_MOST = 256
"""Likewise, where a tolerance stops most pairs before."""

FIRST_ROUND_OF_PAIRS = 24
"""Antithetic samples before a tolerance is looked at: as many independent pairs."""


@dataclass(frozen=True)
class Budget:
    """What a run may spend.

    Args:
        samples: Samples a pair, at most.
        tolerance: A pair has enough where its standard error is at most this times its distance;
            None to take all samples.
        top: Of a ranking, only the so many nearest pairs matter; None where all do.
        first_round: Samples before either is looked at; they double from there.
        max_calls: Network calls of the whole run, or None. Without a tolerance or a top, fewer
            samples are taken to keep to it; with one, a round that does not fit is not begun.
    """

    samples: int
    tolerance: float | None = None
    top: int | None = None
    first_round: int = FIRST_ROUND
    max_calls: int | None = None

    @property
    def in_rounds(self) -> bool:
        """Whether some pairs may get fewer samples than others."""
        return self.tolerance is not None or self.top is not None

    def __post_init__(self) -> None:
        if not is_whole(self.samples, 1):
            raise ConjureError(f"samples is a whole number, at least 1, not {self.samples!r}.")
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            raise ConjureError(
                f"tolerance is a fraction between 0 and 1, not {self.tolerance!r}: a pair has "
                "enough samples where its standard error is at most that times its distance."
            )
        if self.top is not None and not is_whole(self.top, 1):
            raise ConjureError(f"top is a whole number, at least 1, not {self.top!r}.")
        if self.top is not None and self.tolerance is not None:
            raise ConjureError("top and tolerance are two ways to stop sampling: give one.")
        if not is_whole(self.first_round, 2):
            raise ConjureError(
                f"first_round is a whole number, at least 2, not {self.first_round!r}: one sample "
                "says nothing about its error."
            )
        if self.max_calls is not None and not is_whole(self.max_calls, 1):
            raise ConjureError(f"max_calls is a whole number, at least 1, not {self.max_calls!r}.")


def make_budget(
    samples: int | None = None,
    tolerance: float | None = None,
    top: int | None = None,
    first_round: int | None = None,
    max_calls: int | None = None,
    *,
    antithetic: bool = False,
) -> Budget:
    """What a run may spend, with what was not given filled in; as ``compare_pairs`` takes it.

    Raises:
        ConjureError: Numbers that are out of range, or do not go together.
    """
    if first_round is not None and tolerance is None and top is None:
        raise ConjureError("first_round goes with tolerance or top: without them all samples do.")
    if samples is None:
        samples = SAMPLES if tolerance is None else SAMPLES_AT_MOST
    if first_round is None:
        usual = FIRST_ROUND_OF_PAIRS if antithetic else FIRST_ROUND
        first_round = usual if top is None else FIRST_ROUND_OF_TOP
    budget = Budget(samples, tolerance, top, first_round, max_calls)
    check_antithetic(samples, antithetic=antithetic)
    check_antithetic(first_round, antithetic=antithetic)
    if tolerance is not None and first_round >= samples:
        raise ConjureError(
            f"A tolerance is first looked at after {first_round} samples, and a pair has at most "
            f"{samples}: allow more (samples), or look earlier (first_round)."
        )
    if top is not None and first_round >= samples:
        raise ConjureError(
            f"A ranking is first halved after {first_round} samples, and a pair has at most "
            f"{samples}: allow more (samples), or look earlier (first_round)."
        )
    return budget
