"""A row of a table, and its values as files hold them."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]


def as_cell(value: Any) -> Any:
    """A value for a table without types: what is nested is written as JSON."""
    nested = isinstance(value, (list, dict))
    return json.dumps(value, ensure_ascii=False) if nested else value


def plain(row: Row) -> dict[str, Any]:
    """A row as JSON values: numbers that are none are missing, and what JSON lacks is text.

    Bytes are in base64, as JSON has them elsewhere.

    >>> from pathlib import Path
    >>> plain({"a": float("nan"), "b": Path("x"), "c": {"d": [1.5, float("inf")]}})
    {'a': None, 'b': 'x', 'c': {'d': [1.5, None]}}
    """

    def value(found: Any) -> Any:
        if isinstance(found, float):
            return found if math.isfinite(found) else None
        if isinstance(found, bytes):
            return base64.b64encode(found).decode("ascii")
        if isinstance(found, Mapping):
            return {str(name): value(inner) for name, inner in found.items()}
        if isinstance(found, (list, tuple)):
            return [value(inner) for inner in found]
        return found if found is None or isinstance(found, (str, int)) else str(found)

    return {name: value(found) for name, found in row.items()}
