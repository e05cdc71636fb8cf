"""What can go wrong, each with a message that says what was wrong and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConjureWarning(UserWarning):
    """What a user should know, though work goes on."""


class ConjureError(ValueError):
    """Any input or condition that conjure refuses; the message names the remedy."""


class UnknownNameError(ConjureError):
    """A sampler, estimand or other named choice that does not exist."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(set(known))
        near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.4)
        hint = f"Did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
        super().__init__(f"Unknown {kind} {name!r}. {hint}Known: {', '.join(names)}.")


class ModelError(ConjureError):
    """A model that cannot be found, or is not a pipeline that conjure can run."""


class UnsafeWeightsError(ModelError):
    """Weights that exist only as pickles, which can run code when they are read."""


class PromptTooLongError(ConjureError):
    """A prompt beyond the text encoder's length, which would be cut without a word."""


class UnreadPromptError(ConjureError):
    """A prompt in characters that the text encoder does not know: its distances mean nothing."""


class EstimandUnavailableError(ConjureError):
    """An estimand that this process has no value for."""


class NonFinitePredictionError(ConjureError):
    """The network returned infinities or NaNs."""


class DamagedError(ConjureError):
    """A file of ours that is not as it was written."""


class RunMismatchError(ConjureError):
    """A run directory that was made with other settings."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an allocator gave up; those of the CPU and of MPS have no class of their own."""
    message = str(error).lower()
    return type(error).__name__ == "OutOfMemoryError" or any(
        sign in message for sign in ("out of memory", "can't allocate memory", "not enough memory")
    )
