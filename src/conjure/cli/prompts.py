"""What commands read and where they write: prompts, columns, and outputs that do not collide."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from conjure.errors import ConjureError
from conjure.io.dialect import Reading
from conjure.io.files import check_figure_path
from conjure.io.tables import TableFile, check_table_path, open_table

PAIRS_OF_COLUMNS = (
    ("a", "b"),
    ("prompt1", "prompt2"),
    ("sentence1", "sentence2"),
    ("text1", "text2"),
    ("word1", "word2"),
    ("source", "target"),
)


EMPTY = ("refuse", "unconditional")
"""What may become of empty cells."""

SINGLE_COLUMNS = ("prompt", "text", "sentence", "caption", "label", "word")


class Prompts(NamedTuple):
    """The prompts of a file.

    Args:
        prompts: Each once, in the order of the file.
        source: The file.
        column: Theirs.
        guessed: Whether its name was; else the user said it.
    """

    prompts: list[str]
    source: TableFile
    column: str
    guessed: bool

    def remark(self, verb: str) -> str | None:
        """What is to be said of guesses."""
        said = [] if self.source.remark is None else [self.source.remark]
        if self.guessed:
            said.append(f"{verb} the prompts in the column {self.column!r}.")
        return " ".join(said) or None

    def rows_with(self, found: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """The file's rows with what was found of their prompts, in the order of that."""
        rows: dict[str, list[dict[str, Any]]] = {prompt: [] for prompt in found}
        for row in self.source.rows():
            rows[row.get(self.column) or ""].append(dict(row))
        for prompt, same in rows.items():
            yield from ({**row, **found[prompt]} for row in same)


def open_source(file: str, reading: Mapping[str, Any]) -> tuple[TableFile, str]:
    """A table to read as the user says, and what its empty cells are.

    Raises:
        ConjureError: There is no such file, or it cannot be told how it is written.
    """
    how = dict(reading)
    empty = how.pop("empty")
    if empty not in EMPTY:
        raise ConjureError(f"--empty is {' or '.join(EMPTY)}, not {empty!r}.")
    return open_table(file, Reading(**how)), empty


def read_prompts(file: str, columns: str | None, reading: Mapping[str, Any]) -> Prompts:
    """The prompts of a table or list.

    Args:
        file: Where; ``-`` is standard input.
        columns: The column that the user named, or None to guess.
        reading: The options of ``takes_reading``.

    Raises:
        ConjureError: There is no such file or column, or a row has no text.
    """
    source, empty = open_source(file, reading)
    names, guessed = choose_columns(source, columns, 1)
    check_empty(source, names, empty)
    prompts = list(dict.fromkeys(prompt for (prompt,) in texts(source, names)))
    return Prompts(prompts, source, names[0], guessed)


def check_outputs(
    *, table: Path | None = None, figure: Path | None = None, as_json: bool = False
) -> None:
    """Refuse outputs that cannot be written, or not both, before any work.

    Raises:
        ConjureError: With what to do instead.
    """
    if table is not None:
        check_table_path(table)
        if as_json and str(table) == "-":
            raise ConjureError("--table - and --json both write to standard output: take one.")
    if figure is not None:
        check_figure_path(figure)


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


def check_empty(table: TableFile, columns: Sequence[str], empty: str) -> None:
    """Refuse empty cells, unless they are said to be the unconditional prompt.

    Raises:
        ConjureError: With how many there are.
    """
    if empty == "unconditional":
        return
    count = first = 0
    for number, row in enumerate(table.rows(columns), start=1):
        if any(_is_empty(row, column) for column in columns):
            count, first = count + 1, first or number
    if count:
        many = f"{count:,} rows of {table} have" if count > 1 else f"A row of {table} has"
        where = f"no text in {' or '.join(map(repr, columns))} (the first is row {first:,})"
        raise ConjureError(
            f"{many} {where}. An empty prompt is the unconditional one: fill the cells, drop the "
            "rows, or say --empty unconditional if that is meant."
        )


def refuse_taken(source: TableFile, columns: Sequence[str]) -> None:
    """Refuse a table that has a column of the results' name already."""
    taken = [name for name in columns if name in source.columns()]
    if taken:
        raise ConjureError(
            f"{source} has a column {taken[0]!r} already, which the results would overwrite: "
            "rename it."
        )


def _is_empty(row: Mapping[str, Any], column: str) -> bool:
    value = row.get(column)
    return value is None or (isinstance(value, str) and not value.strip())


def texts(table: TableFile, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The chosen columns of every row; where there is nothing, the empty text.

    Raises:
        ConjureError: One of them is something else than text.
    """
    for number, row in enumerate(table.rows(columns), start=1):
        for name in columns:
            if not _is_empty(row, name) and not isinstance(row[name], str):
                raise ConjureError(
                    f"Row {number} of {table} has no text in the column {name!r}: {row[name]!r}."
                )
        yield tuple(row.get(name) or "" for name in columns)
