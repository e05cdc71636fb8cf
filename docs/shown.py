"""For the page of the API: signatures and docstrings that functions get when they are imported."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import Any

import griffe

KINDS = {
    inspect.Parameter.POSITIONAL_OR_KEYWORD: griffe.ParameterKind.positional_or_keyword,
    inspect.Parameter.KEYWORD_ONLY: griffe.ParameterKind.keyword_only,
}


TRIAL = re.compile(r"(?:^|(?<=\n\n))(?=>>> )(.+?)(?=\n\s*\n|\Z)", re.DOTALL)
"""A doctest, up to the blank line after it."""


class Shown(griffe.Extension):
    """Shows what ``help()`` shows, where a function takes the fields of a dataclass.

    A doctest is code: Markdown would have nested quotes of it.
    """

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Of modules, classes, functions and attributes alike."""
        if obj.docstring is not None and ">>> " in obj.docstring.value:
            text = re.sub(r" *# doctest: .*", "", inspect.cleandoc(obj.docstring.value))
            obj.docstring.value = TRIAL.sub(r"```pycon\n\1\n```", text)

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        """Of functions that are so marked alone."""
        if not any(str(d.value).startswith(("shows(", "_takes(")) for d in func.decorators):
            return
        module, _, name = func.path.rpartition(".")
        function = getattr(import_module(module), name)
        func.parameters = griffe.Parameters(*map(_parameter, _parameters(function)))
        if func.docstring is not None:
            func.docstring.value = inspect.cleandoc(function.__doc__)


def _parameters(function: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


def _parameter(one: inspect.Parameter) -> griffe.Parameter:
    empty = inspect.Parameter.empty
    return griffe.Parameter(
        one.name,
        annotation=None if one.annotation is empty else str(one.annotation),
        kind=KINDS[one.kind],
        default=None if one.default is empty else repr(one.default),
    )
