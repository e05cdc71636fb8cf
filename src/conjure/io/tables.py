"""Tables in and out: CSV, TSV, JSON lines and Parquet, by the file's ending; plain lists in."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from conjure.errors import ConjureError
from conjure.io.dialect import USUAL, Dialect, Reading, find_dialect, find_encoding, open_text
from conjure.io.files import check_file, check_place, written_whole
from conjure.io.parquet import need_pyarrow, parquet_columns, read_parquet, write_parquet
from conjure.io.rows import Row, as_cell, plain
from conjure.io.scratch import scratch
from conjure.io.spool import spooled
from conjure.io.visible import DataOutput

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
READABLE = (*SUFFIXES, ".txt")


@dataclass(frozen=True)
class TableFile:
    """A table that can be read as often as one likes, a row at a time, and is the same each time.

    Args:
        copied: What was in the file, or came by standard input: gone with this object. Others may
            go on writing to the file meanwhile.
        given: Its path; None for standard input.
        reading: What the user says of how it is written.
    """

    copied: Any = field(repr=False)
    given: Path | None = None
    reading: Reading = USUAL

    @property
    def path(self) -> Path:
        """Where it is read."""
        return Path(self.copied.name)

    @cached_property
    def suffix(self) -> str:
        """The format: of the file's ending, or guessed from how standard input begins."""
        if self.given is not None:
            suffix = self.given.suffix.lower()
            return ".csv" if suffix == ".txt" and self.reading.delimiter is not None else suffix
        with open_text(self.path, self._encoding) as stream:
            head = stream.read(2**16)
        line = head.partition("\n")[0]
        return ".jsonl" if head.lstrip()[:1] == "{" else ".tsv" if "\t" in line else ".csv"

    @cached_property
    def _encoding(self) -> str:
        return find_encoding(self.path, str(self), self.reading.encoding)

    @cached_property
    def _dialect(self) -> Dialect:
        return find_dialect(self.path, str(self), self._usual, self.reading)

    @property
    def _usual(self) -> str:
        return "\t" if self.suffix == ".tsv" else ","

    @property
    def remark(self) -> str | None:
        """One line on how it is read, where that is not what its ending says."""
        return self._dialect.remark(self._usual) if self.suffix in (".csv", ".tsv") else None

    def __str__(self) -> str:
        return repr(str(self.given)) if self.given is not None else "Standard input"

    def columns(self) -> list[str]:
        """Names of all columns, in the order in which they first occur.

        Raises:
            ConjureError: It has no rows, or one of them is broken.
        """
        return self._columns

    @cached_property
    def _columns(self) -> list[str]:
        if self.suffix == ".parquet":
            found = dict.fromkeys(parquet_columns(self.path, str(self)))
        elif self.suffix in (".csv", ".tsv"):
            found = dict.fromkeys(self._dialect.columns if self._dialect.count else ())
        else:
            found = dict[str, None]()
            for row in self:
                found.update(dict.fromkeys(row))
        if not found:
            raise ConjureError(f"{self} has no rows.")
        return list(found)

    def __iter__(self) -> Iterator[Row]:
        return self.rows()

    def rows(self, names: Sequence[str] | None = None) -> Iterator[Row]:
        """All rows.

        Args:
            names: Columns that are wanted, where others would be read for nothing; None for all.
        """
        if self.suffix == ".parquet":
            yield from read_parquet(self.path, str(self), names)
        elif self.suffix in (".csv", ".tsv"):
            columns = self._dialect.columns
            for cells in self._dialect.rows():
                yield dict(zip(columns, cells, strict=True))
        else:
            with open_text(self.path, self._encoding) as stream:
                read = _read_list if self.suffix == ".txt" else _read_jsonl
                yield from read(stream, str(self))


def _read_list(stream: io.TextIOBase, name: str) -> Iterator[Row]:
    for number, line in enumerate(stream, start=1):
        prompt = line.strip()
        if "\t" in prompt:
            raise ConjureError(
                f"Line {number} of {name} has a tab, and a list has one prompt a line. If it is a "
                "table, call it .tsv, or say --delimiter tab."
            )
        if prompt:
            yield {"prompt": prompt}


def _read_jsonl(stream: io.TextIOBase, name: str) -> Iterator[Row]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:  # numbers of thousands of digits; nesting
            reason = "it is nested too deep" if isinstance(error, RecursionError) else error
            raise ConjureError(f"Line {number} of {name} is not JSON: {reason}.") from error
        if not isinstance(row, dict):
            raise ConjureError(f"Line {number} of {name} is not a JSON object.")
        if "\\u" in line:
            _refuse_half_characters(row, f"Line {number} of {name}")
        yield row


def _object(pairs: list[tuple[str, Any]]) -> Row:
    """What a JSON object says, if it says everything once."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has {twice!r} twice")
    return found


def _refuse_half_characters(row: Row, where: str) -> None:
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise ConjureError(
            f"{where} holds half of a character ({half!r}, a surrogate that stands alone), which "
            "no file can hold: it was cut wrongly. Mend or drop it."
        ) from error


def open_table(path: str | Path, reading: Reading = USUAL) -> TableFile:
    """A table to read; ``-`` is standard input.

    Args:
        path: Of the file.
        reading: What the user says of how it is written; the rest is found out.

    Raises:
        ConjureError: There is no such file, it cannot be read, or its ending says nothing.
    """
    if str(path) == "-":
        if sys.stdin is None:
            raise ConjureError("Standard input is closed: there is no table to read.")
        return TableFile(_copy(sys.stdin.buffer), None, reading)
    place = check_file(path)
    if place.suffix.lower() not in READABLE:
        raise ConjureError(
            f"A table ends in {', '.join(READABLE)}, which decides its format; {place.name!r} does "
            "not."
        )
    with place.open("rb") as stream:
        return TableFile(_copy(stream), place, reading)


def _copy(stream: BinaryIO) -> Any:
    """What a stream holds now, in a file of our own.

    Raises:
        ConjureError: The disk is full.
    """
    copied = tempfile.NamedTemporaryFile(dir=scratch(), delete=False)  # noqa: SIM115 - for long
    # Not by itself, which fails where the folder went before it, at the end of the process.
    weakref.finalize(copied, Path(copied.name).unlink, missing_ok=True)
    try:
        shutil.copyfileobj(stream, copied, 2**20)
        copied.flush()
    except OSError as error:
        raise ConjureError(
            f"The table could not be copied to {tempfile.gettempdir()!r} ({error}): make room "
            "there, or name another folder in TMPDIR."
        ) from error
    return copied


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


def check_passage(path: str | Path, source: TableFile) -> None:
    """Read once all that is to be written again, where that is not as simple as copying.

    Raises:
        ConjureError: Something in a column that nobody compares cannot be read, or written there.
    """
    if source.suffix == ".parquet" and Path(path).suffix.lower() != ".parquet":
        for _ in map(plain, source):
            pass


def write_table(
    path: str | Path,
    rows: Iterator[Row],
    columns: Sequence[str],
    beside: TableFile | None = None,
) -> int:
    """Write rows to a file, whole or not at all; ``-`` writes CSV to standard output as they come.

    Rows that cannot be written there, or that came before one that failed, are kept elsewhere.

    Args:
        path: By whose ending the format goes.
        rows: What a row lacks is left empty.
        columns: Names of all columns.
        beside: A table to whose rows these add theirs. From Parquet to Parquet, what it holds
            passes as it is.

    Returns:
        How many rows there were.

    Raises:
        ConjureError: They cannot be written; with where they are.
    """
    target = Path(path) if str(path) == "-" else check_table_path(path)
    suffix = target.suffix.lower()
    joined = beside is not None and suffix == beside.suffix == ".parquet"
    if beside is not None and not joined:
        rows = ({**old, **new} for old, new in zip(beside, rows, strict=True))
        columns = [*beside.columns(), *columns]
    if str(path) == "-":
        data = DataOutput()
        data.write(_heading(".csv", columns, spans=False))
        return _write_rows(data, ".csv", map(plain, rows), columns)
    with spooled(rows, target) as spool, written_whole(target) as draft:
        if suffix == ".parquet":
            source = (beside.path, str(beside)) if beside is not None and joined else None
            write_parquet(draft, spool, columns, source)
            return spool.count
        with draft.open("w", encoding="utf-8", newline="") as stream:
            if suffix != ".jsonl":
                spans = any(map(_goes_on, spool))
                stream.write(_heading(suffix, columns, spans=spans))
            return _write_rows(stream, suffix, iter(spool), columns)


def _goes_on(row: Row) -> bool:
    """Whether one of its cells goes on over line ends."""
    texts = (value for value in row.values() if isinstance(value, str))
    return any("\n" in text or "\r" in text for text in texts)


def _writing(suffix: str) -> dict[str, Any]:
    return {"delimiter": "\t" if suffix == ".tsv" else ",", "lineterminator": "\n"}


def _heading(suffix: str, columns: Sequence[str], *, spans: bool) -> str:
    """The first line, all in quotation marks where a cell goes on over line ends.

    By which the table is known for one with quoting, whatever its cells look like.
    """
    spans = spans or any("\r" in name for name in columns)
    line = io.StringIO()
    quoting = csv.QUOTE_ALL if spans else csv.QUOTE_MINIMAL
    csv.writer(line, **_writing(suffix), quoting=quoting).writerow(columns)
    return line.getvalue()


def _write_rows(stream: Any, suffix: str, rows: Iterator[Row], columns: Sequence[str]) -> int:
    """How many rows there were."""
    count = 0
    writer = csv.DictWriter(stream, columns, **_writing(suffix))
    quoted = csv.DictWriter(stream, columns, **_writing(suffix), quoting=csv.QUOTE_ALL)
    for row in rows:
        count += 1
        if suffix == ".jsonl":
            stream.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            continue
        cells = {name: as_cell(value) for name, value in row.items()}
        # A carriage return ends a line for readers, but not for Python's writer.
        returns = any(isinstance(cell, str) and "\r" in cell for cell in cells.values())
        (quoted if returns else writer).writerow(cells)
    return count
