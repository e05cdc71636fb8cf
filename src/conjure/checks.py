"""Small checks of values, for every room."""

from __future__ import annotations


def is_whole(value: object, least: int) -> bool:
    """Whether a value is a whole number, at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def why_no_text(prompt: object) -> str | None:
    """Why a value is no text that a model could read, or None if it is.

    >>> why_no_text("snow leopard"), why_no_text(7)
    (None, 'A prompt is a string, not int: 7.')
    """
    if not isinstance(prompt, str):
        return f"A prompt is a string, not {type(prompt).__name__}: {prompt!r}."
    try:
        prompt.encode()
    except UnicodeEncodeError:
        return (
            f"{prompt!r} holds half of a character (a surrogate that stands alone), and so is no "
            "text: it was cut or decoded wrongly."
        )
    return None
