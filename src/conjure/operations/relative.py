"""How far apart two prompts are for how much they say: a divergence over those from saying nothing.

J(y₁, y₂) is large for vivid prompts and small for vague ones, whatever they mean. J(y, ∅), from the
process of the empty prompt, is how much one prompt says. Where predictions are vectors at common
states, J(y₁, y₂) / (J(y₁, ∅) + J(y₂, ∅)) is 1 − 2⟨u, v⟩ / (‖u‖² + ‖v‖²) of what the two prompts
change: 0 for one meaning, 1 for two that have nothing in common, 2 for opposites. Along paths,
which are each prompt's own, it has no upper bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import numpy as np

from conjure.engine.jobs import Job, Pair, count_calls
from conjure.errors import ConjureError
from conjure.io.brief import listed, measured
from conjure.levels import Floats
from conjure.loading.load import default_process
from conjure.operations.arguments import CheckedPairs, is_repeatable
from conjure.operations.compare import Comparison
from conjure.operations.estimates import estimate_all
from conjure.operations.pair_run import PairRun
from conjure.operations.pairs import compare_pairs
from conjure.operations.sampling import Sampling, SamplingOptions
from conjure.process.base import Process
from conjure.signatures import shows
from conjure.statistics import independent, log_t_interval, standard_error

SAMPLES = 4
"""Of what two prompts say, where they have been compared: enough for a number with an error."""


@dataclass(frozen=True)
class Relative:
    """A distance between two prompts, and how much either says.

    Args:
        pair: Between the two prompts.
        first: Between the first one and the reference.
        second: Between the second one and the reference.
    """

    pair: Comparison
    first: Comparison
    second: Comparison

    def __repr__(self) -> str:
        found = measured(self.distance, self.standard_error)
        return f"<Relative {listed(self.prompts)}: {found} of what both say, {self.pair!r}>"

    @property
    def prompts(self) -> tuple[str, str]:
        """y₁ and y₂."""
        return self.pair.prompts

    @property
    def said(self) -> float:
        """How much the two say together: the distances of both from the reference."""
        return self.first.distance + self.second.distance

    @property
    def distance(self) -> float:
        """The ratio of means; 0 where neither prompt says anything."""
        return self.pair.distance / self.said if self.said > 0 else 0.0

    @property
    def per_sample(self) -> Floats:
        """See `samples_of_ratio`, shape ``(k,)``."""
        one, two = self.first.estimate.per_sample, self.second.estimate.per_sample
        return samples_of_ratio(self.pair.estimate.per_sample, one + two)

    @property
    def standard_error(self) -> float | None:
        """Of the ratio, by the delta method; None where it is unknown."""
        return standard_error(independent(self.per_sample, self.replicate))

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """Confidence interval for the ratio; None where its error is unknown."""
        return log_t_interval(independent(self.per_sample, self.replicate), confidence)

    @property
    def near_floor(self) -> bool:
        """Whether rounding in half precision is much of any distance that it is made of."""
        return self.pair.near_floor or self.first.near_floor or self.second.near_floor

    @property
    def replicate(self) -> int:
        """Samples of an independent replicate."""
        return self.pair.estimate.replicate


def samples_of_ratio(distances: Floats, said: Floats) -> Floats:
    """Samples whose mean is the ratio of two means, and whose spread is its own.

    r + (dᵢ − r sᵢ)/s̄ with r = d̄/s̄, the linear part of the ratio in the samples (delta method).

    Args:
        distances: dᵢ, shape ``(..., k)``.
        said: sᵢ, likewise: a distance and what it is divided by have the noise in common. Where
            they are 0 the ratio is.

    >>> samples_of_ratio(np.array([1.0, 3.0]), np.array([2.0, 6.0]))  # always half
    array([0.5, 0.5])
    """
    whole = said.mean(-1, keepdims=True)
    scale = np.where(whole > 0, whole, 1.0)
    value = distances.mean(-1, keepdims=True) / scale
    return np.where(whole > 0, value + (distances - value * said) / scale, 0.0)


class RelativeRun(Iterator[Relative]):
    """A run over many pairs, for how much they say. Iterate to work through it.

    Attributes:
        run: That of the pairs and of each prompt with the reference, which says what all of it
            costs: ``planned``, ``calls``, ``seconds_per_call``.
    """

    def __init__(self, run: PairRun) -> None:
        self.run = run
        self._related = relate(run)

    def __next__(self) -> Relative:
        return next(self._related)


@shows(Sampling)
def relative_pairs(
    pairs: Iterable[Pair],
    *,
    process: Process | None = None,
    reference: str | None = None,
    out: str | Path | None = None,
    progress: bool = False,
    **sampling: Unpack[SamplingOptions],
) -> RelativeRun:
    """Compare pairs of prompts for how much they say.

    Every distinct prompt is compared with the reference too, along the path that it walks anyway:
    2(T − 1)k network calls more each, so that pairs of which no prompt comes twice cost double.

    Args:
        pairs: Of prompts: a list, or a stream, as for ``conjure.compare_pairs``.
        process: From ``conjure.load``; None for the embedded model with its defaults.
        reference: What says nothing; None for the process' negative prompt, the empty one by
            default.
        out: A run directory of ``conjure.compare_pairs``: what it holds already is not run again.
        progress: Show a bar on standard error.

    Returns:
        An iterator of ``Relative``, in the order of the pairs, which also says what it costs.

    Raises:
        ConjureError: As ``conjure.compare_pairs``; a tolerance or a ranking, by which some pairs
            would have fewer samples than others.

    Examples:
        >>> import numpy as np
        >>> from conjure import Gaussian, GaussianProcess
        >>> means = {"": [0, 0], "a": [1, 0], "2a": [2, 0], "b": [0, 1], "-a": [-1, 0]}
        >>> meanings = {name: Gaussian(np.array(m), np.eye(2)) for name, m in means.items()}
        >>> process = GaussianProcess.build(meanings)
        >>> pairs = [("a", "2a"), ("a", "b"), ("a", "-a")]
        >>> found = relative_pairs(pairs, process=process, samples=4)
        >>> [round(result.distance, 6) for result in found]
        [0.2, 1.0, 2.0]
    """
    process = default_process() if process is None else process
    if Sampling(**sampling).in_rounds:
        raise ConjureError(
            "A ratio needs the same samples of all that it is made of: take it without tolerance "
            "and top."
        )
    listed = with_reference(pairs, process.negative if reference is None else reference)
    run = compare_pairs(
        list(listed) if is_repeatable(pairs) else listed, process=process, out=out,
        progress=progress, **sampling,
    )  # fmt: skip
    return RelativeRun(run)


def relative(
    comparison: Comparison, *, samples: int = SAMPLES, reference: str | None = None,
    progress: bool = False,
) -> Relative:  # fmt: skip
    """The same for a comparison that has been made: the distances from the reference are added.

    Args:
        comparison: Of two prompts, by a process that is still there.
        samples: The first so many of its samples are taken.
        reference: As for ``relative_pairs``.
        progress: Show a bar on standard error.

    Raises:
        ConjureError: As ``conjure.compare_pairs``.
    """
    process = comparison.process
    nothing = process.negative if reference is None else reference
    some = min(samples, comparison.samples)
    first, second = compare_pairs(
        [(prompt, nothing) for prompt in comparison.prompts], process=process, samples=some,
        seed=comparison.seed, estimand=comparison.estimand, antithetic=comparison.antithetic,
        progress=progress,
    )  # fmt: skip
    squares = comparison.squares.first(some)
    return Relative(replace(
        comparison, squares=squares, estimands=estimate_all(
            process, squares, replicate=2 if comparison.antithetic else 1
        ),
    ), first, second)  # fmt: skip


def calls_of_said(process: Process, prompts: Sequence[str], samples: int = SAMPLES) -> int:
    """Network calls that it takes to know how much prompts say."""
    jobs = [
        Job(prompt, process.negative, sample)
        for prompt in dict.fromkeys(prompts)
        for sample in range(samples)
    ]
    return count_calls(process, jobs)


def with_reference(pairs: Iterable[Pair], reference: str) -> Iterator[Pair]:
    """The pairs, and behind each those of its prompts that are new, with the reference.

    So close that they are planned together, and a prompt's path is walked once for both.

    Raises:
        ConjureError: One is not two prompts.

    >>> list(with_reference([("a", "b"), ("a", "c")], ""))
    [('a', 'b'), ('a', ''), ('b', ''), ('a', 'c'), ('c', '')]
    """
    met = set[str]()
    for pair in CheckedPairs(pairs):
        yield pair
        for prompt in pair:
            if prompt not in met:
                met.add(prompt)
                yield prompt, reference


def relate(run: Iterator[Comparison]) -> Iterator[Relative]:
    """From the results of a run over ``with_reference``, in that order.

    Raises:
        ConjureError: The run took fewer samples for some than for others.
    """
    says: dict[str, Comparison] = {}
    for pair in run:
        for prompt in pair.prompts:
            if prompt not in says:
                says[prompt] = next(run)
        first, second = (says[prompt] for prompt in pair.prompts)
        if {first.samples, second.samples} != {pair.samples}:
            raise ConjureError("A ratio needs the same samples of all that it is made of.")
        yield Relative(pair, first, second)
