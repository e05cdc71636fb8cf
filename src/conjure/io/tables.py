"""Tables in and out: CSV, TSV, JSON lines and Parquet, by the file's ending; plain lists in."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from conjure.errors import ConjureError
from conjure.io.files import check_place, written_whole
from conjure.io.parquet import need_pyarrow, read_parquet, write_parquet
from conjure.io.rows import Row, as_cell, plain

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
READABLE = (*SUFFIXES, ".txt")


@dataclass(frozen=True)
class TableFile:
    """A table that can be read as often as one likes, a row at a time.

    Args:
        path: Of a CSV, TSV, JSON lines or Parquet file.
        spooled: The file that standard input was copied to, gone with this object; or None.
    """

    path: Path
    spooled: Any = field(default=None, repr=False)

    @cached_property
    def suffix(self) -> str:
        """The format: of the file's ending, or guessed from how standard input begins."""
        if self.spooled is None:
            return self.path.suffix.lower()
        with self._open() as stream:
            head = stream.read(2**16)
        line = head.partition("\n")[0]
        return ".jsonl" if head.lstrip()[:1] == "{" else ".tsv" if "\t" in line else ".csv"

    def __iter__(self) -> Iterator[Row]:
        try:
            yield from self._rows()
        except UnicodeDecodeError as error:
            raise ConjureError(f"{self} is not UTF-8 text: {error.reason}.") from error

    def __str__(self) -> str:
        return repr(str(self.path)) if self.spooled is None else "Standard input"

    def columns(self) -> list[str]:
        """Names of all columns, in the order in which they first occur. Reads the whole table.

        Raises:
            ConjureError: It has no rows, or one of them is broken.
        """
        found: dict[str, None] = {}
        for row in self:
            found.update(dict.fromkeys(row))
        if not found:
            raise ConjureError(f"{self} has no rows.")
        return list(found)

    def _rows(self) -> Iterator[Row]:
        if self.suffix == ".parquet":
            yield from read_parquet(self.path)
            return
        with self._open() as stream:
            if self.suffix == ".txt":
                yield from ({"prompt": line.strip()} for line in stream if line.strip())
                return
            if self.suffix == ".jsonl":
                yield from _read_jsonl(stream, str(self))
                return
            delimiter = "\t" if self.suffix == ".tsv" else ","
            reader = csv.DictReader(stream, delimiter=delimiter, strict=True)
            try:
                named = reader.fieldnames or []
                twice = next((name for name in named if list(named).count(name) > 1), None)
                if twice is not None:
                    raise ConjureError(f"{self} names the column {twice!r} twice: rename one.")
                for number, row in enumerate(reader, start=2):
                    if None in row or None in row.values():
                        named = len(reader.fieldnames or [])
                        raise ConjureError(
                            f"Row {number} of {self} does not have the {named} fields that its "
                            "first line names."
                        )
                    yield row
            except csv.Error as error:
                raise ConjureError(f"{self} is not a table: {error}.") from error

    def _open(self) -> io.TextIOBase:
        # A byte-order mark, as spreadsheets write it, is no part of the first name.
        return self.path.open(encoding="utf-8-sig", newline="")


def _read_jsonl(stream: io.TextIOBase, name: str) -> Iterator[Row]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ConjureError(f"Line {number} of {name} is not JSON: {error}.") from error
        if not isinstance(row, dict):
            raise ConjureError(f"Line {number} of {name} is not a JSON object.")
        yield row


def open_table(path: str | Path) -> TableFile:
    """A table to read; ``-`` is standard input.

    Raises:
        ConjureError: There is no such file, or its ending says nothing.
    """
    if str(path) == "-":
        spooled = tempfile.NamedTemporaryFile(prefix="conjure-")  # noqa: SIM115 - as long as it is
        shutil.copyfileobj(sys.stdin.buffer, spooled)
        spooled.flush()
        return TableFile(Path(spooled.name), spooled)
    place = Path(path)
    if not place.is_file():
        raise ConjureError(f"There is no file {str(place)!r}.")
    if place.suffix.lower() not in READABLE:
        raise ConjureError(
            f"A table ends in {', '.join(READABLE)}, which decides its format; {place.name!r} does "
            "not."
        )
    return TableFile(place)


def check_table_path(path: str | Path) -> Path:
    """Refuse a place where no table can be written, before the work is done.

    Raises:
        ConjureError: The ending is unknown, the folder does not exist, or pyarrow is missing.
    """
    target = Path(path)
    if str(path) == "-":
        return target
    if target.suffix.lower() not in SUFFIXES:
        raise ConjureError(
            f"A table ends in {', '.join(SUFFIXES)}, which decides its format; {target.name!r} "
            "does not."
        )
    if target.suffix.lower() == ".parquet":
        need_pyarrow()
    return check_place(target)


def write_table(path: str | Path, rows: Iterator[Row], columns: Sequence[str]) -> int:
    """Write rows to a file, whole or not at all; ``-`` writes CSV to standard output as they come.

    Args:
        path: By whose ending the format goes.
        rows: What a row lacks is left empty.
        columns: Names of all columns.

    Returns:
        How many rows there were.
    """
    if str(path) == "-":
        return _write_text(sys.stdout, ".csv", rows, columns)
    target = Path(path)
    with written_whole(target) as draft:
        if target.suffix.lower() == ".parquet":
            return write_parquet(draft, rows, columns)
        with draft.open("w", encoding="utf-8", newline="") as stream:
            return _write_text(stream, target.suffix.lower(), rows, columns)


def _write_text(stream: Any, suffix: str, rows: Iterator[Row], columns: Sequence[str]) -> int:
    count = 0
    delimiter = "\t" if suffix == ".tsv" else ","
    how: Any = {"delimiter": delimiter, "lineterminator": "\n"}
    writer = csv.DictWriter(stream, columns, **how)
    quoted = csv.DictWriter(stream, columns, **how, quoting=csv.QUOTE_ALL)
    if suffix != ".jsonl":
        (quoted if any("\r" in name for name in columns) else writer).writeheader()
    for row in map(plain, rows):
        count += 1
        if suffix == ".jsonl":
            stream.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            continue
        cells = {name: as_cell(value) for name, value in row.items()}
        # A carriage return ends a line for readers, but not for Python's writer.
        breaks = any(isinstance(cell, str) and "\r" in cell for cell in cells.values())
        (quoted if breaks else writer).writerow(cells)
    return count
