"""Named choices that are imported only when one is used, so that listing them is free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar

from conjure.errors import UnknownNameError

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Names mapped to ``"module:attribute"`` strings; a lookup imports the module.

    Args:
        kind: What the names are, for error messages (``"sampler"``).
        places: One line an entry, e.g. ``{"ddim": "conjure.process.samplers.ddim:Ddim"}``.

    >>> names = Registry("number", {"pi": "math:pi"})
    >>> names["pi"] > 3
    True
    >>> names["pie"]
    Traceback (most recent call last):
        ...
    conjure.errors.UnknownNameError: Unknown number 'pie'. Did you mean 'pi'? Known: pi.
    """

    def __init__(self, kind: str, places: Mapping[str, str]) -> None:
        self._kind = kind
        self._places = dict(places)

    def __getitem__(self, name: str) -> T:
        """Import and return the entry.

        Raises:
            UnknownNameError: No such name; the message has the nearest ones.
        """
        if name not in self._places:
            raise UnknownNameError(self._kind, str(name), self._places)
        module, attribute = self._places[name].split(":")
        return getattr(import_module(module), attribute)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
