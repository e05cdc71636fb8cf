"""How a text table is written: its encoding, what separates cells, and what quotation marks mean.

Found from the content, because endings do not tell: tables of this field are mostly without any
quoting, spreadsheets write semicolons, and quotation marks begin many a sentence. A reading in
which every row has the same number of cells is taken; where two have and differ in the number of
rows, neither is.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from conjure.errors import ConjureError

DELIMITERS = {"comma": ",", "tab": "\t", "semicolon": ";", "bar": "|"}
QUOTINGS = ("double", "backslash", "none")
"""``"a ""b"" c"``; ``"a \\"b\\" c"``; quotation marks are letters like others."""

LONGEST = 10_000_000
"""Characters of a cell."""

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

csv.field_size_limit(LONGEST)


class Reading(NamedTuple):
    """How a user says that a table is written; None for what is to be found out.

    Args:
        delimiter: One of ``DELIMITERS``, or the character itself.
        quoting: One of ``QUOTINGS``.
        encoding: A name that Python knows.
    """

    delimiter: str | None = None
    quoting: str | None = None
    encoding: str | None = None


USUAL = Reading()


@dataclass(frozen=True)
class Dialect:
    """How a table is read.

    Args:
        name: Of the table, for messages.
        path: Of its file.
        encoding: As Python calls it.
        delimiter: Between cells.
        quoting: One of ``QUOTINGS``.
        columns: What its first line names, less empty names at its end.
        spare: Whether rows have empty cells beyond those, which are left out.
        count: Rows below the first line.
    """

    name: str
    path: Path
    encoding: str
    delimiter: str
    quoting: str
    columns: tuple[str, ...] = ()
    spare: bool = False
    count: int = 0

    def rows(self) -> Iterator[list[str]]:
        """All lines but the first, as many cells as there are columns.

        Raises:
            ConjureError: With the line, and what to do.
        """
        with open_text(self.path, self.encoding) as stream:
            lines = self.lines(stream)
            next(lines, None)
            for number, cells in lines:
                yield self.fitting(number, cells)

    def lines(self, stream: io.TextIOBase) -> Iterator[tuple[int, list[str]]]:
        """The cells of each row that has any, with the line on which it ends.

        Raises:
            ConjureError: They are not written so, with the line.
        """
        how: dict[str, Any] = {"delimiter": self.delimiter, "strict": True}
        if self.quoting == "none":
            how["quoting"] = csv.QUOTE_NONE
        elif self.quoting == "backslash":
            how |= {"doublequote": False, "escapechar": "\\"}
        reader = csv.reader(stream, **how)
        try:
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
        except csv.Error as error:
            reason = f"it is not a table as it stands: {error}."
            if "field larger" in str(error):
                reason = f"a cell has more than {LONGEST:,} characters."
            raise ConjureError(
                f"Line {reader.line_num} of {self.name}: {reason} {REMEDY}"
            ) from error

    def fitting(self, number: int, cells: list[str]) -> list[str]:
        """As many cells as there are columns.

        Raises:
            ConjureError: There are fewer, or more that are not empty.
        """
        count = len(self.columns)
        if len(cells) < count or any(cells[count:]):
            raise ConjureError(
                f"Line {number} of {self.name} does not have the {count} cells that its first line "
                f"names, but {len(cells)}. {REMEDY}"
            )
        return cells[:count]

    def remark(self, usual: str) -> str | None:
        """One line on what was taken, where it is not what the ending says."""
        said = []
        if self.delimiter != usual:
            names = {mark: name for name, mark in DELIMITERS.items()}
            said.append(f"{names.get(self.delimiter, repr(self.delimiter))}s between cells")
        if self.quoting != "double":
            marks = "with a backslash before them inside quoted cells"
            said.append(f"quotation marks {'as letters' if self.quoting == 'none' else marks}")
        if self.encoding not in ("utf-8", "utf-8-sig"):
            said.append(self.encoding)
        if self.spare:
            said.append("empty cells at the end of lines left out")
        return f"Read {self.name} with {', '.join(said)}." if said else None


REMEDY = (
    "Say how it is written: --delimiter (comma, tab, semicolon, bar), --quoting (double, "
    "backslash, none), --encoding."
)


def open_text(path: Path, encoding: str) -> io.TextIOWrapper:
    """A file as text, its line ends as they are."""
    return path.open(encoding=encoding, newline="")


def find_encoding(path: Path, name: str, given: str | None) -> str:
    """How a file's letters are written: by its mark, else UTF-8.

    Raises:
        ConjureError: It is neither, with the line; or there is no such encoding.
    """
    with path.open("rb") as raw:
        start = raw.read(4)
    encoding = given or next((e for mark, e in MARKS if start.startswith(mark)), "utf-8")
    try:
        codecs.lookup(encoding)
    except (LookupError, ValueError) as error:  # names with letters that none has
        raise ConjureError(f"There is no encoding {encoding!r}: take utf-8, latin-1 …") from error
    try:
        with open_text(path, encoding) as stream:
            for number, line in enumerate(stream, start=1):
                if "\0" in line:
                    raise ConjureError(
                        f"Line {number} of {name} has characters of value 0, as text in UTF-16 has "
                        "that is read as something else: try --encoding utf-16-le."
                    )
    except UnicodeError as error:
        reason = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
        raise ConjureError(
            f"{_where(path, encoding)}{name} is not {encoding.upper()} text: {reason}. Name its "
            "encoding, such as --encoding latin-1, cp1252 or utf-16."
        ) from error
    return encoding


def _where(path: Path, encoding: str) -> str:
    """Of the first line that is not in an encoding, if it is one whose lines can be told."""
    if encoding.startswith("utf-8"):
        with path.open("rb") as raw:
            for number, line in enumerate(raw, start=1):
                try:
                    line.decode()
                except UnicodeDecodeError:
                    return f"Line {number} of "
    return ""


def find_dialect(path: Path, name: str, usual: str, given: Reading = USUAL) -> Dialect:
    """How a table is written, from its content and what the user says of it.

    Args:
        path: Of the file.
        name: For messages.
        usual: The delimiter that its ending stands for.
        given: By the user.

    Raises:
        ConjureError: It is not to be found out, with the line and what to do.
    """
    if given.quoting is not None and given.quoting not in QUOTINGS:
        raise ConjureError(f"--quoting is {', '.join(QUOTINGS)}, not {given.quoting!r}.")
    encoding = find_encoding(path, name, given.encoding)
    delimiter = _delimiter(path, name, encoding, usual, given)
    tried = {
        quoting: _try(Dialect(name, path, encoding, delimiter, quoting))
        for quoting in _quotings(path, encoding, given)
    }
    whole = {quoting: one for quoting, one in tried.items() if one.error is None}
    if not whole:
        first = next(iter(tried.values()))
        assert first.error is not None
        raise first.error
    quoted = next((one for quoting, one in whole.items() if quoting != "none"), None)
    plain = whole.get("none")
    if quoted is None or plain is None or quoted.rows == plain.rows:
        return next(iter(whole.values())).dialect
    if quoted.headed:
        return quoted.dialect
    if delimiter == "\t":  # tables with tabs are mostly without quoting
        return plain.dialect
    raise ConjureError(
        f"{name} has {quoted.rows:,} rows if cells in quotation marks go on over line ends, and "
        f"{plain.rows:,} if they do not; the first that would begins on line {quoted.spans}. Say "
        "which with --quoting double or --quoting none."
    )


class _Tried(NamedTuple):
    """A reading of a whole table: how many rows it has, and whether all of them are whole."""

    dialect: Dialect
    rows: int = 0
    spans: int = 0
    headed: bool = False
    error: ConjureError | None = None


def _try(dialect: Dialect) -> _Tried:
    rows = spans = 0
    with open_text(dialect.path, dialect.encoding) as stream:
        headed = stream.read(1) == '"'
        stream.seek(0)
        try:
            lines = dialect.lines(stream)
            before, header = next(lines, (1, []))
            named = max((n for n, name in enumerate(header, start=1) if name), default=0)
            dialect = replace(dialect, columns=tuple(header[:named]), spare=named < len(header))
            for number, cells in lines:
                if len(dialect.fitting(number, cells)) < len(cells) and not dialect.spare:
                    dialect = replace(dialect, spare=True)
                rows += 1
                if not spans and any("\n" in cell for cell in cells):
                    spans = before + 1
                before = number
        except ConjureError as error:
            return _Tried(dialect, error=error)
    twice = next((name for name in dialect.columns if dialect.columns.count(name) > 1), None)
    if twice is not None:
        error = ConjureError(f"{dialect.name} names the column {twice!r} twice: rename one.")
        return _Tried(dialect, error=error)
    return _Tried(replace(dialect, count=rows), rows, spans, headed)


def _quotings(path: Path, encoding: str, given: Reading) -> tuple[str, ...]:
    """Those that could be meant, the most usual first."""
    if given.quoting is not None:
        return (given.quoting,)
    marks = escaped = False
    with open_text(path, encoding) as stream:
        for line in stream:
            marks = marks or '"' in line
            escaped = escaped or '\\"' in line
    if not marks:
        return ("double",)
    return ("double", "backslash", "none") if escaped else ("double", "none")


def _delimiter(path: Path, name: str, encoding: str, usual: str, given: Reading) -> str:
    """Of the first line that has letters: the usual one if it is there, else another that is."""
    if given.delimiter is not None:
        found = DELIMITERS.get(given.delimiter, given.delimiter.replace("\\t", "\t"))
        if len(found) != 1 or found in '\r\n"':
            raise ConjureError(
                f"--delimiter is {', '.join(DELIMITERS)} or one character, not {given.delimiter!r}."
            )
        return found
    with open_text(path, encoding) as stream:
        header = next((line.strip("\r\n") for line in stream if line.strip()), "")
    counts = {}
    for mark in dict.fromkeys([usual, *DELIMITERS.values()]):
        try:
            (cells,) = csv.reader([header], delimiter=mark, strict=True)
        except (csv.Error, ValueError):
            cells = header.split(mark)
        counts[mark] = len(cells)
    there = [mark for mark, count in counts.items() if count > 1]
    if usual in there or not there:
        return usual
    if len(there) > 1:
        names = [name for name, mark in DELIMITERS.items() if mark in there]
        raise ConjureError(
            f"Line 1 of {name} could have a {' or a '.join(names)} between cells. Say which "
            "with --delimiter."
        )
    return there[0]
