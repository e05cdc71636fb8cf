"""Parquet in and out, by pyarrow."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from conjure.errors import ConjureError
from conjure.io.rows import Row, plain


def read_parquet(path: Path) -> Iterator[Row]:
    parquet = need_pyarrow()
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise ConjureError(f"{str(path)!r} is not a Parquet file: {error}") from error
    with file:
        for batch in file.iter_batches(batch_size=1024):
            yield from batch.to_pylist()


def need_pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ConjureError(
            "Parquet needs pyarrow: pip install 'conjure[parquet]', or use .csv, .tsv or .jsonl."
        ) from error
    return pyarrow.parquet


def write_parquet(path: Path, rows: Iterator[Row], columns: Sequence[str]) -> int:
    """Twice through the rows, which wait in a file: their types are known after the last one."""
    parquet = need_pyarrow()
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
