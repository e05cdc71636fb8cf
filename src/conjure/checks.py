"""Small checks of values, for every room."""

from __future__ import annotations


def is_whole(value: object, least: int) -> bool:
    """Whether a value is a whole number, at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
