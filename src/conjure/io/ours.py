"""JSON files of ours, read back: whole and of one schema, or refused in one sentence."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json

from conjure.errors import DamagedError

T = TypeVar("T")

SHOWN = 60
"""Letters of a value in a message."""


class Schema(BaseModel):
    """Of a JSON object of ours: types as they are written, and room for more than it names."""

    model_config = ConfigDict(extra="allow", strict=True)


class Kept(NamedTuple, Generic[T]):
    """What a file says.

    Args:
        raw: As it stands there: for comparing and hashing.
        value: As its schema has it.
    """

    raw: Any
    value: T


def read_ours(path: Path, remedy: str) -> bytes:
    """The bytes of a file of ours.

    Args:
        path: Of the file.
        remedy: A sentence on what to do if it cannot be read.

    Raises:
        DamagedError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise DamagedError(f"{str(path)!r} cannot be read: {reason}. {remedy}") from error


def parse_ours(data: bytes, schema: TypeAdapter[T], where: str, remedy: str) -> Kept[T]:
    """JSON that one of our files holds.

    Args:
        data: The text.
        schema: What it must be, to the type.
        where: What it is called in messages.
        remedy: A sentence on what to do if it is damaged.

    Raises:
        DamagedError: It is no JSON, or none of this schema: with the place, and the remedy.
    """
    try:
        raw = from_json(data, allow_inf_nan=False)
        _refuse_infinite(raw, ())
        return Kept(raw, schema.validate_json(data, strict=True))
    except ValidationError as error:
        reason = _reason(error.errors(include_url=False)[0])
    except ValueError as error:
        reason = str(error)
    raise DamagedError(f"{where} is damaged: {reason}. {remedy}")


def _refuse_infinite(value: Any, place: tuple[int | str, ...]) -> None:
    """JSON may spell numbers, such as 1e400, that are none once they are read."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{_spelt(place)} should be a finite number")
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _refuse_infinite(inner, (*place, key))


def _reason(fault: Any) -> str:
    """What pydantic found, in a sentence without its end."""
    place, message = _spelt(fault["loc"]), fault["msg"]
    if fault["type"] == "missing":
        return f"{place} is missing"
    if message.startswith("Input "):
        found = repr(fault["input"])
        short = found if len(found) <= SHOWN else f"{found[: SHOWN - 1]}…"
        return f"{place} {message.removeprefix('Input ')}, not {short}"
    return f"{place}: {message.removeprefix('Value error, ').removesuffix('.')}"


def _spelt(place: tuple[int | str, ...]) -> str:
    """Where in a file a value is.

    >>> _spelt(("scores", 0, "low")), _spelt(())
    ('scores[0].low', 'the whole')
    """
    parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in place)
    return "".join(parts).removeprefix(".") or "the whole"
