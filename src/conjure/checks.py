"""Small checks of values, for every room."""

from __future__ import annotations

from numbers import Integral, Number
from typing import Any

from conjure.errors import ConjureError


def whole(name: str, value: object, least: int = 1, most: int | None = None) -> int:
    """A whole number, numpy's too, as Python's own.

    Args:
        name: What it is called, for the message.
        value: As it was given.
        least: The smallest that does.
        most: The largest, or None.

    Raises:
        ConjureError: It is none, or out of range.

    >>> whole("samples", 16.5)
    Traceback (most recent call last):
    conjure.errors.ConjureError: samples is a whole number, at least 1, not 16.5.
    """
    if isinstance(value, Integral) and not isinstance(value, bool):
        number = int(value)
        if least <= number <= (number if most is None else most):
            return number
    bounds = f"at least {least}" + ("" if most is None else f" and at most {most:,}")
    raise ConjureError(f"{name} is a whole number, {bounds}, not {value!r}.")


def plain_number(value: Any) -> Any:
    """A number of numpy's as Python's own, which JSON can write; anything else as it is.

    >>> import numpy as np
    >>> plain_number(np.float32(0.5)), plain_number(np.int64(3)), plain_number("3")
    (0.5, 3, '3')
    """
    item = getattr(value, "item", None)
    return item() if isinstance(value, Number) and item is not None else value


MOST_CHARACTERS = 100_000
"""Of a prompt: of megabytes, which take a tokenizer minutes and gigabytes, encoders read a line."""


def why_no_text(prompt: object) -> str | None:
    """Why a value is no text that a model could read, or None if it is.

    >>> why_no_text("snow leopard"), why_no_text(7)
    (None, 'A prompt is a string, not int: 7.')
    """
    if not isinstance(prompt, str):
        return f"A prompt is a string, not {type(prompt).__name__}: {prompt!r}."
    if len(prompt) > MOST_CHARACTERS:
        return (
            f"{prompt[:40] + '...'!r} has {len(prompt):,} characters, and a prompt at most "
            f"{MOST_CHARACTERS:,}: it is a document. Shorten it."
        )
    try:
        prompt.encode()
    except UnicodeEncodeError:
        return (
            f"{prompt!r} holds half of a character (a surrogate that stands alone), and so is no "
            "text: it was cut or decoded wrongly."
        )
    return None
