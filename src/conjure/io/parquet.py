"""Parquet in and out, by pyarrow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from conjure.checks import MOST_CHARACTERS
from conjure.errors import ConjureError, DamagedError
from conjure.io.rows import Row

AT_ONCE = 64
"""Rows in memory: a file of a kilobyte may say a long text a million times."""

GROUP_ROWS, GROUP_BYTES = 2**16, 2**26
"""Of what is written together, at most."""


def parquet_columns(path: Path, name: str) -> list[str]:
    """Names of all columns; none where there are no rows.

    Args:
        path: Of the file.
        name: For messages.

    Raises:
        ConjureError: It is no Parquet file, or two of its columns have one name.
    """
    with _opened(path, name) as file:
        return file.schema_arrow.names if file.metadata.num_rows else []


def read_parquet(path: Path, name: str, names: Sequence[str] | None = None) -> Iterator[Row]:
    """All rows, of all columns or of some, as JSON values.

    Args:
        path: Of the file.
        name: For messages.
        names: Columns to read; texts in them that are longer than any prompt are refused.

    Raises:
        ConjureError: It is no Parquet file, or damaged.
    """
    with _opened(path, name) as file:
        if names is not None:
            _refuse_documents(file, name, names)
        for batch in _batches(file, names):
            columns = [_as_json(batch.column(column)) for column in batch.schema.names]
            for values in zip(*columns, strict=True):
                yield dict(zip(batch.schema.names, values, strict=True))


@contextmanager
def _opened(path: Path, name: str) -> Iterator[Any]:
    """The file, whatever is wrong with it in words."""
    parquet = need_pyarrow()
    import pyarrow

    reading = False
    try:
        with parquet.ParquetFile(path) as file:
            reading = True
            names = file.schema_arrow.names
            twice = next((column for column in names if names.count(column) > 1), None)
            if twice is not None:
                raise ConjureError(f"{name} names the column {twice!r} twice: rename one.")
            yield file
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, ConjureError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if not reading:
            raise ConjureError(f"{name} is not a Parquet file: {reason}.") from error
        raise DamagedError(
            f"{name} is damaged: a part of it cannot be read ({reason}). Make it again."
        ) from error


def _batches(file: Any, names: Sequence[str] | None = None) -> Iterator[Any]:
    columns = None if names is None else list(dict.fromkeys(names))
    return file.iter_batches(batch_size=AT_ONCE, columns=columns, use_threads=False)


def _refuse_documents(file: Any, name: str, names: Sequence[str]) -> None:
    """What would be unpacked to more than prompts have is not unpacked."""
    meta = file.metadata
    for group in range(meta.num_row_groups):
        rows = max(1, meta.row_group(group).num_rows)
        for number in range(meta.num_columns):
            column = meta.row_group(group).column(number)
            top = column.path_in_schema.split(".")[0]
            whole = column.path_in_schema in names or top in names
            if whole and column.total_uncompressed_size > 4 * MOST_CHARACTERS * rows:
                raise ConjureError(
                    f"{name} has cells of more than {MOST_CHARACTERS:,} characters in the column "
                    f"{top!r}, which are no prompts."
                )


def _as_json(column: Any) -> list[Any]:
    """A column's values nearly as JSON has them: dates and decimals, which know more, as text."""
    import pyarrow
    from pyarrow import compute, types

    kind = column.type
    if types.is_dictionary(kind):
        return _as_json(column.dictionary_decode())
    if types.is_temporal(kind) or types.is_decimal(kind):
        return compute.cast(column, pyarrow.string()).to_pylist()
    return column.to_pylist()


def need_pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ConjureError(
            "Parquet needs pyarrow: pip install 'conjure[parquet]', or use .csv, .tsv or .jsonl."
        ) from error
    return pyarrow.parquet


def write_parquet(
    path: Path,
    rows: Iterable[Row],
    columns: Sequence[str],
    beside: tuple[Path, str] | None = None,
) -> None:
    """Twice through the rows: their types are known after the last one.

    Args:
        path: To write to.
        rows: Theirs.
        columns: Names of all of them.
        beside: A Parquet file whose columns come first, as they are, and its name for messages.
    """
    need_pyarrow()
    import pyarrow

    types = dict.fromkeys(columns, pyarrow.null())
    for batch in _batched(rows):
        for column in columns:
            types[column] = _common_type(types[column], [row.get(column) for row in batch])
    own = pyarrow.schema(list(types.items()))
    if beside is None:
        _write_groups(path, own, (_as_table(batch, own) for batch in _batched(rows)))
        return
    with _opened(*beside) as file:
        schema = file.schema_arrow
        for one in own:
            schema = schema.append(one)
        _write_groups(path, schema, _joined(file, iter(rows), own, schema))


def _joined(file: Any, found: Iterator[Row], own: Any, schema: Any) -> Iterator[Any]:
    """The rows of a file, each with what was found beside it."""
    import pyarrow

    for batch in _batches(file):
        table = _as_table(list(islice(found, batch.num_rows)), own)
        theirs = pyarrow.Table.from_batches([batch]).columns
        yield pyarrow.Table.from_arrays([*theirs, *table.columns], schema=schema)


def _write_groups(path: Path, schema: Any, tables: Iterator[Any]) -> None:
    """Small tables as few row groups."""
    import pyarrow

    with need_pyarrow().ParquetWriter(path, schema) as writer:
        waiting: list[Any] = []
        rows = size = 0
        for table in tables:
            waiting.append(table)
            rows, size = rows + table.num_rows, size + table.nbytes
            if rows >= GROUP_ROWS or size >= GROUP_BYTES:
                writer.write_table(pyarrow.concat_tables(waiting))
                waiting, rows, size = [], 0, 0
        if waiting:
            writer.write_table(pyarrow.concat_tables(waiting))


def _as_table(batch: Sequence[Row], schema: Any) -> Any:
    import pyarrow

    arrays = [
        pyarrow.array([_as_typed(row.get(one.name), one.type) for row in batch], one.type)
        for one in schema
    ]
    return pyarrow.Table.from_arrays(arrays, schema=schema)


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


def _batched(rows: Iterable[Any], size: int = 1024) -> Iterator[list[Any]]:
    stream = iter(rows)
    while batch := list(islice(stream, size)):
        yield batch
