"""What is refused before any work, with what to do instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import islice

from conjure.checks import why_no_text
from conjure.divergence import ESTIMANDS
from conjure.engine.jobs import Pair
from conjure.errors import ConjureError, EstimandUnavailableError
from conjure.operations.sampling import check_sampling
from conjure.operations.unread import Alike
from conjure.process.base import Process


def why_unavailable(process: Process, estimand: str) -> str | None:
    """Why a process has no value for an estimand, or None if it has one.

    Raises:
        UnknownNameError: No such estimand.
    """
    sampler, steps = process.sampler.name, len(process.levels)
    return why_without(estimand, steps, sampler, draws_noise=process.draws_noise)


def why_without(estimand: str, steps: int, sampler: str, *, draws_noise: bool) -> str | None:
    """Why a process that is not loaded yet will have no value for an estimand, or None."""
    chosen = ESTIMANDS[estimand]
    if steps < chosen.minimum_steps:
        others = ", ".join(name for name, e in ESTIMANDS.items() if e.minimum_steps <= steps)
        return (
            f"{estimand} needs at least {chosen.minimum_steps} steps, and there is {steps}. Take "
            f"more, or use one that needs fewer: {others}."
        )
    if chosen.of == "chain" and not draws_noise:
        return (
            f"{estimand} is the divergence of a chain that draws noise, and {sampler} with these "
            "settings draws none. Use girsanov, or a stochastic sampler (ddim with eta 1, ddpm, "
            "euler-ancestral)."
        )
    return None


def check_arguments(process: Process, samples: int, seed: int, estimand: str) -> tuple[int, int]:
    """Refuse what no run can be made with, before any work.

    Returns:
        Samples and seed as Python's own integers.

    Raises:
        ConjureError: With what to do instead.
    """
    whole_numbers = check_sampling(samples, seed)
    reason = why_unavailable(process, estimand)
    if reason is not None:
        raise EstimandUnavailableError(reason)
    return whole_numbers


CHECKED_TOGETHER = 1024
"""Prompts: tokenizers are several times faster on many."""


def check_texts(process: Process | None, prompts: Iterable[str]) -> tuple[str, ...]:
    """Refuse what is no list of prompts, or holds one that is not for this process.

    Raises:
        ConjureError: With what to do instead.
    """
    if isinstance(prompts, str):
        raise ConjureError(f"Prompts come in a list: [{prompts!r}], not {prompts!r}.")
    found = tuple(prompts)
    for reason in map(why_no_text, found):
        if reason is not None:
            raise ConjureError(reason)
    if process is not None:
        for start in range(0, len(found), CHECKED_TOGETHER):
            process.check(*found[start : start + CHECKED_TOGETHER])
    return found


MOST_JOBS = 2**17
"""Jobs that are planned at once, if a window has more: so many samples after so many others."""


def is_repeatable(pairs: Iterable[Pair]) -> bool:
    """Whether it can be read twice: first for its cost."""
    return iter(pairs) is not pairs


def check_prompts(process: Process, pairs: Iterable[Pair]) -> None:
    """Refuse a prompt that the process cannot take, and two that are one to it: see ``unread``."""
    known, stream = set[str](), iter(pairs)
    alike = Alike(process)
    while some := list(islice(stream, CHECKED_TOGETHER)):
        fresh = dict.fromkeys(prompt for pair in some for prompt in pair if prompt not in known)
        check_texts(process, fresh)
        alike.look(some)
        known.update(fresh)
        if len(known) > MOST_JOBS:  # an endless input must not fill the memory
            known.clear()
    alike.warn()


@dataclass(frozen=True)
class CheckedPairs(Iterable[Pair]):
    """The pairs, each refused as it comes if it is not two strings."""

    pairs: Iterable[Pair]

    def __iter__(self) -> Iterator[Pair]:
        for number, pair in enumerate(self.pairs):
            loose = isinstance(pair, (str, Mapping, Set)) or not hasattr(pair, "__len__")
            if loose or len(pair) != 2 or not all(isinstance(p, str) for p in pair):
                raise ConjureError(f"Pair {number + 1} is not two prompts: {pair!r}.")
            yield (pair[0], pair[1])
