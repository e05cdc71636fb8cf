"""Tables in and out: CSV, TSV, JSON lines and Parquet, by the file's ending; plain lists in."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from conjure.errors import ConjureError
from conjure.files import check_place, written_whole

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
READABLE = (*SUFFIXES, ".txt")
PAIRS_OF_COLUMNS = (
    ("a", "b"),
    ("prompt1", "prompt2"),
    ("sentence1", "sentence2"),
    ("text1", "text2"),
    ("word1", "word2"),
    ("source", "target"),
)
SINGLE_COLUMNS = ("prompt", "text", "sentence", "caption", "label", "word")

Row = Mapping[str, Any]


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
            yield from _read_parquet(self.path)
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


def _read_parquet(path: Path) -> Iterator[Row]:
    parquet = _pyarrow()
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise ConjureError(f"{str(path)!r} is not a Parquet file: {error}") from error
    with file:
        for batch in file.iter_batches(batch_size=1024):
            yield from batch.to_pylist()


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ConjureError(
            "Parquet needs pyarrow: pip install 'conjure[parquet]', or use .csv, .tsv or .jsonl."
        ) from error
    return pyarrow.parquet


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


def choose_columns(table: TableFile, named: str | None, count: int) -> tuple[list[str], bool]:
    """Which columns hold the prompts.

    Args:
        table: Where.
        named: Their names with a comma between, as the user gave them, or None to guess.
        count: How many there must be, one or two.

    Returns:
        Their names, and whether they were guessed.

    Raises:
        ConjureError: They are not there, or cannot be guessed.
    """
    there = table.columns()
    if named is not None:
        # A name with a comma is quoted, as in a table; one with spaces at its ends may leave them.
        parts = next(csv.reader([named], skipinitialspace=True), [])
        bare = {name.strip(): name for name in reversed(there)}
        chosen = [n if n in there else bare.get(n.strip(), n.strip()) for n in parts]
        if len(chosen) != count:
            many = "one column" if count == 1 else "two columns, with a comma between"
            raise ConjureError(f"--columns names {many}, not {named!r}.")
        missing = [name for name in chosen if name not in there]
        if missing:
            raise ConjureError(
                f"{table} has no column {missing[0]!r}. It has {', '.join(map(repr, there))}."
            )
        return chosen, False
    known = [[name] for name in SINGLE_COLUMNS] if count == 1 else map(list, PAIRS_OF_COLUMNS)
    by_name = {name.strip().lower(): name for name in there}
    for names in known:
        if all(name in by_name for name in names):
            return [by_name[name] for name in names], True
    if len(there) == count and table.suffix not in (".csv", ".tsv"):
        return there, True
    what = "column holds" if count == 1 else "two columns hold"
    hint = ""
    if len(there) == count:  # what looks like a name may be the first prompt
        header = "prompt" if count == 1 else "a,b"
        hint = f" If its first line is no heading, put one above it: {header}"
        hint += ", or call a list of prompts, one a line, .txt." if count == 1 else "."
    raise ConjureError(
        f"Which {what} the prompts of {table} cannot be guessed: it has "
        f"{', '.join(map(repr, there))}. Say it with --columns.{hint}"
    )


def texts(table: TableFile, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The chosen columns of every row.

    Raises:
        ConjureError: One of them is missing or no text.
    """
    for number, row in enumerate(table, start=1):
        for name in columns:
            if not isinstance(row.get(name), str):
                raise ConjureError(
                    f"Row {number} of {table} has no text in the column {name!r}: "
                    f"{row.get(name)!r}."
                )
        yield tuple(row[name] for name in columns)


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
        _pyarrow()
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
            return _write_parquet(draft, rows, columns)
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
        cells = {name: _as_cell(value) for name, value in row.items()}
        # A carriage return ends a line for readers, but not for Python's writer.
        breaks = any(isinstance(cell, str) and "\r" in cell for cell in cells.values())
        (quoted if breaks else writer).writerow(cells)
    return count


def _as_cell(value: Any) -> Any:
    """A value for a table without types: what is nested is written as JSON."""
    nested = isinstance(value, (list, dict))
    return json.dumps(value, ensure_ascii=False) if nested else value


def _write_parquet(path: Path, rows: Iterator[Row], columns: Sequence[str]) -> int:
    """Twice through the rows, which wait in a file: their types are known after the last one."""
    parquet = _pyarrow()
    import pyarrow

    count, types = 0, dict.fromkeys(columns, pyarrow.null())
    with tempfile.TemporaryFile("w+", encoding="utf-8") as spooled:
        for batch in _batched(map(plain, rows)):
            count += len(batch)
            for name in columns:
                types[name] = _common_type(types[name], [row.get(name) for row in batch])
            spooled.writelines(json.dumps(row) + "\n" for row in batch)
        schema = pyarrow.schema(list(types.items()))
        spooled.seek(0)
        with parquet.ParquetWriter(path, schema) as writer:
            for batch in _batched(map(json.loads, spooled)):
                arrays = [
                    pyarrow.array([_as_typed(row.get(name), kind) for row in batch], kind)
                    for name, kind in types.items()
                ]
                writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
    return count


def _common_type(known: Any, values: list[Any]) -> Any:
    """The type of a column, given what it was so far; text where nothing else holds all of it."""
    import pyarrow

    try:
        fields = [pyarrow.schema([("", kind)]) for kind in (known, pyarrow.array(values).type)]
        kind = pyarrow.unify_schemas(fields, promote_options="permissive").field(0).type
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
        return pyarrow.string()
    return kind if _has_columns(kind) else pyarrow.string()


def _has_columns(kind: Any) -> bool:
    """Whether Parquet can hold a type: it has no column for an object without fields."""
    import pyarrow

    if pyarrow.types.is_struct(kind):
        return bool(kind.num_fields) and all(map(_has_columns, (f.type for f in kind.fields)))
    return _has_columns(kind.value_type) if pyarrow.types.is_list(kind) else True


def _as_typed(value: Any, kind: Any) -> Any:
    """A value for a column: in one of text, what is none is written as JSON."""
    import pyarrow

    if pyarrow.types.is_floating(kind) and value is not None:
        return float(value)  # of whole numbers pyarrow takes only those that it can hold exactly
    mixed = value is not None and not isinstance(value, str) and pyarrow.types.is_string(kind)
    return json.dumps(value, ensure_ascii=False) if mixed else value


def _batched(rows: Iterator[Any], size: int = 1024) -> Iterator[list[Any]]:
    while batch := list(islice(rows, size)):
        yield batch


def plain(row: Row) -> dict[str, Any]:
    """A row as JSON values: numbers that are none are missing, and what JSON lacks is text.

    >>> plain({"a": float("nan"), "b": Path("x"), "c": {"d": [1.5, float("inf")]}})
    {'a': None, 'b': 'x', 'c': {'d': [1.5, None]}}
    """

    def value(found: Any) -> Any:
        if isinstance(found, float):
            return found if math.isfinite(found) else None
        if isinstance(found, Mapping):
            return {str(name): value(inner) for name, inner in found.items()}
        if isinstance(found, (list, tuple)):
            return [value(inner) for inner in found]
        return found if found is None or isinstance(found, (str, int)) else str(found)

    return {name: value(found) for name, found in row.items()}
