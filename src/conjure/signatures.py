"""Functions that take the fields of a dataclass as arguments of their own, and say so in help()."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def shows(fields: type, *, of: Callable[..., Any] | None = None) -> Callable[[F], F]:
    """Let a function's last parameter be shown as what it stands for: the fields of a dataclass.

    Its signature has them in place of the parameter, and its docstring their part of the
    dataclass's, so that each is written once.

    Args:
        fields: The dataclass.
        of: Whose signature and docstring it is, where that is another function's.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Size:
    ...     height: int = 1
    >>> @shows(Size)
    ... def draw(what: str, **size: int) -> None: ...
    >>> str(inspect.signature(draw))
    "(what: 'str', *, height: 'int' = 1) -> 'None'"
    """

    def decorate(function: F) -> F:
        shown = inspect.signature(of or function)
        own = list(shown.parameters.values())[:-1]
        kind = inspect.Parameter.KEYWORD_ONLY
        more = list(inspect.signature(fields).parameters.values())
        more = [parameter.replace(kind=kind) for parameter in more] if own else more
        function.__signature__ = shown.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
        function.__doc__ = _with_arguments((of or function).__doc__ or "", fields.__doc__ or "")
        return function

    return decorate


def _with_arguments(doc: str, other: str) -> str:
    """A docstring with the arguments that another explains, after its own."""
    added = other.partition("    Args:\n")[2].split("\n\n")[0].rstrip()
    if not added:
        return doc
    head, title, rest = doc.partition("    Args:\n")
    if not title:  # before what it raises
        head, raises, rest = doc.partition("    Raises:\n")
        return f"{head}    Args:\n{added}\n\n{raises}{rest}"
    arguments, gap, tail = rest.partition("\n\n")
    return f"{head}{title}{arguments}\n{added}{gap}{tail}"
