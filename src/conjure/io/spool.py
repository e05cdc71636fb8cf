"""Rows that wait in a file of ours: to be read twice, and not to be lost if they go nowhere."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conjure.errors import ConjureError
from conjure.io.rows import Row, plain
from conjure.io.scratch import scratch


@dataclass
class Spool:
    """Rows as JSON lines.

    Args:
        path: Where.
        count: How many.
    """

    path: Path
    count: int = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self.path.open(encoding="utf-8") as stream:
            yield from map(json.loads, stream)


@contextmanager
def spooled(rows: Iterator[Row], target: str | Path) -> Iterator[Spool]:
    """All of some rows, which stay where they are if anything goes wrong before they are written.

    Args:
        rows: Which may take hours to come.
        target: Where they are to go, for messages.

    Raises:
        ConjureError: That went wrong, or a row; with where those that there were are.
    """
    handle, name = tempfile.mkstemp(suffix=".jsonl", dir=scratch())
    spool = Spool(Path(name))
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            for row in map(plain, rows):
                stream.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
                spool.count += 1
        yield spool
    except Exception as error:
        if not spool.count:
            raise
        known = isinstance(error, ConjureError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        said = reason if known else f"{str(target)!r} could not be written: {reason}."
        raise ConjureError(f"{said} {_kept(spool)}") from error
    finally:
        spool.path.unlink(missing_ok=True)


def _kept(spool: Spool) -> str:
    """Put the rows where they stay, and say where."""
    handle, name = tempfile.mkstemp(prefix="conjure-results-", suffix=".jsonl")
    os.close(handle)
    rows = "The row that was finished is" if spool.count == 1 else "The rows that were finished are"
    try:
        spool.path.replace(name)
    except OSError:
        return "What was finished could not be kept."
    return f"{rows} in {name!r}."
