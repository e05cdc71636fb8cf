"""How a run samples, and what it may spend: a tolerance, a ranking's head, network calls."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypedDict

from conjure.checks import plain_number, whole
from conjure.divergence import ESTIMANDS
from conjure.errors import ConjureError

FIRST_ROUND, FIRST_ROUND_OF_TOP = 12, 2
"""Samples before a tolerance is looked at, and before a ranking is first halved."""

FIRST_ROUND_OF_PAIRS = 24
"""Antithetic samples before a tolerance is looked at: as many independent pairs."""

SAMPLES = 16
"""Samples a pair, where nothing is said."""

SAMPLES_AT_MOST = 256
"""Likewise, where a tolerance stops most pairs before."""

MOST_SAMPLES = 1_000_000
"""Of a pair: the error is a thousandth of one sample's by then, and no table waits for more."""


class SamplingOptions(TypedDict, total=False):
    """The fields of ``Sampling``, as keyword arguments for a type checker."""

    samples: int | None
    seed: int
    estimand: str
    antithetic: bool
    tolerance: float | None
    top: int | None
    first_round: int | None
    max_calls: int | None


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How pairs are sampled. Functions over many pairs take these as their arguments.

    Args:
        samples: Monte Carlo samples a pair, at most; None for 16, or with a tolerance 256.
        seed: Of the noise, which all pairs share.
        estimand: Reported first, and the one whose error ``tolerance`` is about.
        antithetic: Draw samples in pairs of opposite noise, see ``conjure.compare``.
        tolerance: Stop sampling a pair where its standard error is at most this times its distance.
        top: Spend samples on the nearest so many pairs: after each round, the further half of those
            still in the running stops (successive halving), until ``top`` are left. All pairs are
            planned together then. A pair that left on few samples may look nearer than one that
            stayed: rank by samples first, the most before fewer, and then by distance.
        first_round: Samples before either is looked at; they double from there. By default 12 with
            a tolerance (24 antithetic ones), since stopping early on fewer makes intervals lie, and
            2 with ``top``.
        max_calls: Network calls that this run may make: fewer samples are taken to keep to it. With
            a tolerance, pairs that come first spend what is left over first. One that goes on from
            another has its own; measuring the speed, and paths that must be walked again because
            the cache was full, come on top, and so does the floor of half precision.

    Raises:
        ConjureError: Numbers that are out of range, or do not go together.
    """

    samples: int | None = None
    seed: int = 0
    estimand: str = "girsanov"
    antithetic: bool = False
    tolerance: float | None = None
    top: int | None = None
    first_round: int | None = None
    max_calls: int | None = None

    @property
    def most(self) -> int:
        """Samples a pair, at most."""
        if self.samples is not None:
            return self.samples
        return SAMPLES if self.tolerance is None else SAMPLES_AT_MOST

    @property
    def first(self) -> int:
        """Samples of the first round; all of them, where there are no rounds."""
        if not self.in_rounds:
            return self.most
        if self.first_round is not None:
            return self.first_round
        usual = FIRST_ROUND_OF_PAIRS if self.antithetic else FIRST_ROUND
        return usual if self.top is None else FIRST_ROUND_OF_TOP

    @property
    def in_rounds(self) -> bool:
        """Whether some pairs may get fewer samples than others."""
        return self.tolerance is not None or self.top is not None

    @property
    def replicate(self) -> int:
        """Samples of an independent replicate."""
        return 2 if self.antithetic else 1

    def __post_init__(self) -> None:
        for one in fields(self):  # numpy's numbers are no JSON
            object.__setattr__(self, one.name, plain_number(getattr(self, one.name)))
        if self.first_round is not None and not self.in_rounds:
            raise ConjureError(
                "first_round goes with tolerance or top: without them all samples do."
            )
        check_sampling(self.most, self.seed)
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            raise ConjureError(
                f"tolerance is a fraction between 0 and 1, not {self.tolerance!r}: a pair has "
                "enough samples where its standard error is at most that times its distance."
            )
        if self.top is not None:
            whole("top", self.top)
        if self.top is not None and self.tolerance is not None:
            raise ConjureError("top and tolerance are two ways to stop sampling: give one.")
        if self.first_round is not None:
            whole("first_round", self.first_round, 2)  # one says nothing about its error
        if self.max_calls is not None:
            whole("max_calls", self.max_calls)
        check_antithetic(self.most, antithetic=self.antithetic)
        check_antithetic(self.first, antithetic=self.antithetic)
        if self.in_rounds and self.first >= self.most:
            what = "A tolerance is first looked at"
            if self.top is not None:
                what = "A ranking is first halved"
            earlier = "" if self.first_round is None else ", or a smaller first_round"
            raise ConjureError(
                f"{what} after {self.first} samples, and a pair has at most {self.most}: give "
                f"more samples{earlier}."
            )
        ESTIMANDS[self.estimand]


def with_usual(sampling: SamplingOptions, samples: int) -> SamplingOptions:
    """Options with another usual number of samples, where neither that nor a tolerance is given."""
    if sampling.get("samples") is None and sampling.get("tolerance") is None:
        return {**sampling, "samples": samples}
    return sampling


def check_sampling(samples: int, seed: int) -> tuple[int, int]:
    """Refuse what nothing can be drawn with.

    Returns:
        The two as Python's own integers.

    Raises:
        ConjureError: With what to do instead.
    """
    return whole("samples", samples, 1, MOST_SAMPLES), whole("seed", seed, 0)


def check_budget(sampling: Sampling, steps: int, prompts: int, pairs: int) -> None:
    """Refuse a budget of calls that no model could keep to, before one is loaded.

    Every prompt walks a path, and every pair asks at all states but the first of both: samplers
    that ask twice a step, and guidance, take more.

    Args:
        sampling: How pairs are sampled.
        steps: T.
        prompts: Distinct, under each process that they walk in.
        pairs: Distinct, of two that differ.

    Raises:
        ConjureError: It does not allow the first samples of each pair.
    """
    each = prompts * steps + 2 * pairs * (steps - 1)  # a prompt with itself crosses nothing
    first = sampling.first if sampling.in_rounds else sampling.replicate
    if sampling.max_calls is not None and first * each > sampling.max_calls:
        raise ConjureError(beyond_budget(first, pairs, first * each, sampling.max_calls))


def beyond_budget(first: int, pairs: int, calls: int, allowed: int) -> str:
    """That a budget of calls does not allow the first samples of each comparison."""
    some = "One sample" if first == 1 else f"The first {first} samples"
    verb = "takes" if first == 1 else "take"
    each = f"each of {pairs:,} comparisons" if pairs > 1 else "the comparison"
    return (
        f"{some} of {each} {verb} {calls:,} network calls, and max_calls is {allowed:,}. Allow "
        "more, or give fewer prompts."
    )


def check_antithetic(samples: int, *, antithetic: bool) -> None:
    """Refuse half a pair.

    Raises:
        ConjureError: Antithetic samples in an odd number.
    """
    if antithetic and samples % 2:
        raise ConjureError(
            f"Antithetic samples come in pairs of opposite noise: {samples} is odd, take "
            f"{samples + 1}."
        )
