"""What is refused before any work, with what to do instead."""

from __future__ import annotations

from collections.abc import Iterable

from conjure.errors import ConjureError, EstimandUnavailableError
from conjure.process.base import Process
from conjure.registry import ESTIMANDS


def why_unavailable(process: Process, estimand: str) -> str | None:
    """Why a process has no value for an estimand, or None if it has one.

    Raises:
        UnknownNameError: No such estimand.
    """
    sampler = process.describe().get("sampler", "this sampler")
    return why_without(estimand, len(process.levels), sampler, draws_noise=process.draws_noise)


def why_without(estimand: str, steps: int, sampler: str, *, draws_noise: bool) -> str | None:
    """The same of a process that is not loaded yet."""
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


def is_whole(value: object, least: int) -> bool:
    """Whether a value is a whole number, at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def check_sampling(samples: int, seed: int) -> None:
    """Refuse what nothing can be drawn with.

    Raises:
        ConjureError: With what to do instead.
    """
    if not is_whole(samples, 1):
        raise ConjureError(f"samples is a whole number, at least 1, not {samples!r}.")
    if not is_whole(seed, 0):
        raise ConjureError(f"seed is a whole number, at least 0, not {seed!r}.")


def check_arguments(process: Process, samples: int, seed: int, estimand: str) -> None:
    """Refuse what no run can be made with, before any work.

    Raises:
        ConjureError: With what to do instead.
    """
    check_sampling(samples, seed)
    reason = why_unavailable(process, estimand)
    if reason is not None:
        raise EstimandUnavailableError(reason)


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


def check_prompt(process: Process | None, prompt: str) -> None:
    """Refuse what is no prompt, or not one for this process.

    Raises:
        ConjureError: With what to do instead.
    """
    if not isinstance(prompt, str):
        raise ConjureError(f"A prompt is a string, not {type(prompt).__name__}: {prompt!r}.")
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise ConjureError(
            f"{prompt!r} holds half of a character (a surrogate that stands alone), and so is no "
            "text: it was cut or decoded wrongly."
        ) from error
    if process is not None:
        process.check(prompt)


def check_texts(process: Process | None, prompts: Iterable[str]) -> tuple[str, ...]:
    """Refuse what is no list of prompts, or holds one that is not for this process.

    Raises:
        ConjureError: With what to do instead.
    """
    if isinstance(prompts, str):
        raise ConjureError(f"Prompts come in a list: [{prompts!r}], not {prompts!r}.")
    found = tuple(prompts)
    for prompt in found:
        check_prompt(process, prompt)
    return found
