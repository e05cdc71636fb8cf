"""Prompts that are not what users wrote, though they read the same."""

from __future__ import annotations


class Marked(str):
    """A prompt of a kind of its own: equal to prompts of that kind alone, and to no text.

    The mark is the class, so that it cannot be mistaken for something that somebody wrote.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        """Equal to its own kind alone."""
        return type(other) is type(self) and str(self) == str(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((type(self).__name__, str(self)))
