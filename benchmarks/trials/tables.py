"""Tables that are nearly tables, made at random."""

from __future__ import annotations

import datetime
import decimal
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet", ".txt")

TEXTS = (
    "cat", "dog", "a red car", "old tree", "the sun, a moon", 'says "hello"', "it's", "O\\'Neil",
    "naïve café", "狗", "😀", "‮right to left", "zero\u200bwidth", "a\tb", "a\nb", "a\rb", "a\r\nb",
    "semi;colon", "bar|bar", "[bold]markup[/bold]", "[/]", "\x1b[31mred", "\x07", "\x00", "\x85",
    "\u2028", "", " ", "  padded  ", "-", "NA", "null", "nan", "1e999", "12", "=1+1", "x" * 300,
    "word " * 200, "\ufeffmarked", "\ud800", "\udcff", "é", "e\u0301", "'", '"', '""', "\\",
)  # fmt: skip
"""Cells, some good and some of every other sort."""

GOOD = TEXTS[:4]

NAMES = (
    ("a", "b"), ("prompt",), ("prompt1", "prompt2"), ("sentence1", "sentence2", "score"),
    ("text",), ("A", "B"), (" a ", "b"), ("a", "a"), ("", ""), ("a", "b", "distance"), ("x", "y"),
    ("a", "b", "c", "d", "e"), ("a\nb", "c"), ("狗", "猫"), ("cat", "dog"), ("a", ""),
    ("\ud800", "b"),
)  # fmt: skip
"""Headings."""

ENCODINGS = (
    "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252", "gb18030",
    "shift_jis", "utf-7", "ascii",
)  # fmt: skip


def write(rng: random.Random, folder: Path, names: tuple[str, ...], suffix: str = "") -> Path:
    """Write a table into a folder.

    Args:
        rng: Decides everything.
        folder: Where.
        names: Headings that the command can read, which most tables have.
        suffix: Of the file, or a random one.
    """
    suffix = suffix or rng.choice(SUFFIXES)
    names = names if rng.random() < 0.8 else rng.choice(NAMES)
    tame = rng.random() < 0.5
    count = rng.choice((0, 1, 2, 3, 3, 3, 4, 4, 5, 8))
    rows = [[_cell(rng, tame=tame) for _ in names] for _ in range(count)]
    path = folder / f"table{suffix if rng.random() < 0.97 else suffix.upper()}"
    if suffix == ".parquet":
        data = _parquet(rng, names, rows, folder)
    elif suffix == ".jsonl":
        data = _json_lines(rng, names, rows)
    elif suffix == ".txt":
        data = _encoded(rng, "\n".join(row[0] for row in rows) + "\n")
    else:
        data = _encoded(rng, _delimited(rng, names, rows, "\t" if suffix == ".tsv" else ","))
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
        data = rng.choice(DAMAGES)(rng, data)
    path.write_bytes(data)
    return path


def _cell(rng: random.Random, *, tame: bool) -> str:
    return rng.choice(GOOD) if tame or rng.random() < 0.5 else rng.choice(TEXTS)


def _encoded(rng: random.Random, text: str) -> bytes:
    encoding = rng.choice(ENCODINGS) if rng.random() < 0.15 else "utf-8"
    try:
        return text.encode(encoding, "surrogatepass")
    except (UnicodeError, LookupError):
        return text.encode("utf-8", "surrogatepass")


def _delimited(
    rng: random.Random, names: tuple[str, ...], rows: list[list[str]], usual: str
) -> str:
    comma = rng.choice([usual] * 6 + [",", "\t", ";", "|", ":", " ", "\x1f", "||"])
    end = rng.choice(["\n"] * 6 + ["\r\n", "\r", "\n\n", "\u2028", "\x0b", ""])
    quoting = rng.choice(("needed", "needed", "all", "none", "backslash", "odd"))

    def cell(text: str) -> str:
        needs = any(mark in text for mark in (comma, '"', "\n", "\r"))
        if quoting == "none" or (quoting == "needed" and not needs):
            return text
        if quoting == "odd":
            return rng.choice(('"{}', '{}"', "'{}'", '"{}"', "“{}”", ' "{}" ')).format(text)
        return '"{}"'.format(text.replace('"', '\\"' if quoting == "backslash" else '""'))

    lines = [comma.join(map(cell, row)) for row in rows]
    if rng.random() < 0.9:
        lines.insert(0, comma.join(map(cell, names)))
    return end.join(lines) + rng.choice((end, end, ""))


VALUES: tuple[Callable[[random.Random], str], ...] = (
    lambda rng: json.dumps(rng.choice(TEXTS)),
    lambda rng: json.dumps(rng.choice(TEXTS), ensure_ascii=False),
    lambda rng: "[" * 100_000 + "]" * 100_000,
    lambda rng: '{"a":' * 5000 + "1" + "}" * 5000,
    lambda rng: "9" * rng.choice((20, 400, 5000)),
    lambda rng: rng.choice(("NaN", "Infinity", "-Infinity", "1e999", "-0.0", "1e-400", "0.1")),
    lambda rng: rng.choice(("null", "true", "false", "12", "-1", "[]", "{}", '""')),
    lambda rng: '["a", ["b", {"c": null}]]',
    lambda rng: '{"text": "cat", "more": [1, 2]}',
    lambda rng: rng.choice(('"\\ud800"', '"\\u0000"', '"\\x"', "'cat'", "undefined", "")),
)
"""Of JSON, good and bad."""


def _json_lines(rng: random.Random, names: tuple[str, ...], rows: list[list[str]]) -> bytes:
    wild = rng.random() < 0.5
    lines = []
    for row in rows:
        cells = [
            json.dumps(name)
            + ": "
            + (rng.choice(VALUES)(rng) if wild and rng.random() < 0.3 else json.dumps(cell))
            for name, cell in zip(names, row, strict=True)
        ]
        if wild and rng.random() < 0.2:
            cells.append(rng.choice(('"note": ', '"a": ', '"": ')) + rng.choice(VALUES)(rng))
        line = "{" + ", ".join(cells) + "}"
        lines.append(rng.choice(VALUES)(rng) if wild and rng.random() < 0.1 else line)
    text = rng.choice(["\n"] * 5 + ["\r\n", "\n\n", ",\n"]).join(lines)
    return _encoded(rng, f"[{text}]" if rng.random() < 0.05 else text + "\n")


def _parquet(
    rng: random.Random, names: tuple[str, ...], rows: list[list[str]], folder: Path
) -> bytes:
    import pyarrow
    from pyarrow import parquet

    columns: list[Any] = []
    for number in range(len(names)):
        texts = [row[number].encode("utf-8", "replace").decode() for row in rows]
        columns.append(pyarrow.array(texts, pyarrow.string()))
    labels = [name.encode("utf-8", "replace").decode() for name in names]
    for _ in range(rng.choice((0, 0, 1, 2))):
        made = rng.choice(COLUMNS)(rng, len(rows))
        if rng.random() < 0.4:
            columns[rng.randrange(len(columns))] = made
        else:
            columns.append(made)
            labels.append(rng.choice(("note", "a", "", "distance", "score", "extra")))
    path = folder / "draft"
    parquet.write_table(pyarrow.Table.from_arrays(columns, names=labels), path)
    data = path.read_bytes()
    path.unlink()
    return data


def _typed(kind: str, values: tuple[Any, ...]) -> Callable[[random.Random, int], Any]:
    """A maker of columns of one type of pyarrow's."""

    def make(rng: random.Random, count: int) -> Any:
        import pyarrow

        types = {
            "decimal": pyarrow.decimal128(38, 3),
            "list": pyarrow.list_(pyarrow.string()),
            "struct": pyarrow.struct([("x", pyarrow.int64()), ("y", pyarrow.string())]),
            "map": pyarrow.map_(pyarrow.string(), pyarrow.int64()),
            "timestamp": pyarrow.timestamp("us", "UTC"),
            "duration": pyarrow.duration("ns"),
            "dictionary": pyarrow.string(),
            "fixed": pyarrow.binary(3),
            "nested": pyarrow.list_(pyarrow.list_(pyarrow.struct([("z", pyarrow.binary())]))),
            "empty struct": pyarrow.list_(pyarrow.int32()),
        }
        made = types[kind] if kind in types else getattr(pyarrow, kind)()
        column = pyarrow.array([rng.choice((*values, None)) for _ in range(count)], made)
        return column.dictionary_encode() if kind == "dictionary" else column

    return make


COLUMNS = (
    _typed("binary", (b"cat", b"\xff\x00")), _typed("fixed", (b"abc",)),
    _typed("date32", (datetime.date(2020, 1, 2), datetime.date(1, 1, 1))),
    _typed("timestamp", (datetime.datetime(2020, 1, 2, 3, 4), 0, 2**62)),
    _typed("duration", (datetime.timedelta(1), 1, 2**62)),
    _typed("decimal", (decimal.Decimal("1.5"), decimal.Decimal(10) ** 30)),
    _typed("list", (["cat"], [], [None])), _typed("struct", ({"x": 1, "y": "cat"}, {})),
    _typed("map", ([("a", 1)], [])), _typed("dictionary", ("cat", "dog")), _typed("null", ()),
    _typed("nested", ([[{"z": b"\xff"}]], [[]])), _typed("empty struct", ([], [1])),
    _typed("bool_", (True, False)), _typed("int64", (1, 2**62)), _typed("uint64", (2**64 - 1,)),
    _typed("float64", (1.5, float("nan"), float("inf"))), _typed("float16", (0.5,)),
    _typed("large_string", ("cat", "dog")), _typed("int8", (1,)),
)  # fmt: skip
"""Columns of types that no text table has."""


def _insert(*parts: bytes) -> Callable[[random.Random, bytes], bytes]:
    def damage(rng: random.Random, data: bytes) -> bytes:
        at = rng.randint(0, len(data))
        return data[:at] + rng.choice(parts) + data[at:]

    return damage


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randint(0, len(data))]


def _flip(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 8)) if data else 0):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _repeat(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    return b"\n".join([*lines[:at], *[lines[at]] * rng.choice((2, 3, 50)), *lines[at + 1 :]])


def _drop(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


DAMAGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _insert(b"\x00"), _insert(b'"', b"'", b"\\", b'""'), _insert(b",", b"\t", b";", b"|"),
    _insert(b"\n", b"\r", b"\n\n\n", b"\x0c", b"\x1a"), _insert(b"\xff", b"\xed\xa0\x80", b"\xc3"),
    _insert(b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"), _insert(b"x" * 200_000),
    _insert(b"[" * 5000, b"{" * 5000, b"\x1b]0;title\x07"),
    lambda rng, data: rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00")) + data,
    lambda rng, data: rng.choice((b"PAR1", b"PK\x03\x04", b"\x1f\x8b", b"<html>", b"#")) + data,
    lambda rng, data: rng.choice((b"", b"\n", b"PAR1", b"PAR1PAR1", b"\x00" * 100, b"{}", b"[]")),
    _cut, _flip, _repeat, _drop,
)  # fmt: skip
"""What becomes of files on their way."""
