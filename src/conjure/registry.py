"""Names for choices: each is imported only when it is used, so that listing them is free.

The registries themselves stand in the doors of the folders whose entries they list.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar

from conjure.errors import ConjureError, ConjureWarning, UnknownNameError

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Names mapped to ``"module:attribute"`` strings; a lookup imports the module.

    Args:
        kind: What the names are, for error messages (``"sampler"``).
        places: One line an entry.
        group: Of entry points: what installed packages declare under it is known, too.

    >>> names = Registry("number", {"pi": "math:pi"})
    >>> names["pi"] > 3
    True
    >>> names["pie"]
    Traceback (most recent call last):
        ...
    conjure.errors.UnknownNameError: Unknown number 'pie'. Did you mean 'pi'? Known: pi.
    """

    def __init__(self, kind: str, places: Mapping[str, str], group: str | None = None) -> None:
        self._kind, self._group = kind, group
        self._places = dict(places)

    def _known(self) -> dict[str, str]:
        """The places, with those of installed packages, which are looked for once."""
        if self._group is not None:
            from importlib.metadata import entry_points

            found, self._group = entry_points(group=self._group), None
            for point in found:
                if point.name in self._places:
                    warnings.warn(
                        f"A package declares the {self._kind} {point.name!r}, which there is "
                        f"already: {point.value!r} is left out.",
                        ConjureWarning, stacklevel=4,
                    )  # fmt: skip
                else:
                    self.register(point.name, point.value)
        return self._places

    def __getitem__(self, name: str) -> T:
        """Import and return the entry.

        Raises:
            UnknownNameError: No such name; the message has the nearest ones.
        """
        self.check(name)
        module, attribute = self._known()[name].split(":")
        return getattr(import_module(module), attribute)

    def check(self, name: str) -> None:
        """Refuse an unknown name, without importing anything.

        Raises:
            UnknownNameError: No such name; the message has the nearest ones.
        """
        if name not in self._known():
            raise UnknownNameError(self._kind, str(name), self._known())

    def __contains__(self, name: object) -> bool:
        return name in self._known()

    def register(self, name: str, place: str) -> None:
        """Add an entry of a package of yours, from then on known as any other.

        Args:
            name: How users ask for it.
            place: ``"module:attribute"``, imported when it is first used.

        Raises:
            ConjureError: The name is taken, or the place has another form.

        >>> names = Registry("number", {"pi": "math:pi"})
        >>> names.register("e", "math:e")
        >>> sorted(names)
        ['e', 'pi']
        """
        if name in self._known():
            raise ConjureError(f"There is a {self._kind} {name!r} already: take another name.")
        if place.count(":") != 1:
            raise ConjureError(f"A place is 'module:attribute', unlike {place!r}.")
        self._places[name] = place

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())


def imported_when_used(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package whose names are imported when they are first asked for.

    Args:
        package: Its name.
        places: The module of each name.

    >>> __getattr__ = imported_when_used("numbers", {"pi": "math"})
    >>> __getattr__("pi") > 3
    True
    """

    def look_up(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(places[name]), name)

    return look_up
