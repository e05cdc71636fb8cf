"""Parquet: what is not ours passes as it came, only what is needed is read, damage is said."""

from __future__ import annotations

import datetime
import decimal
import json
import tracemalloc

import numpy as np
import pytest

from conjure import ConjureError
from conjure.cli.prompts import check_empty, texts
from conjure.io.tables import check_passage, open_table, write_table

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def odd_columns(rows: int):
    """Columns of kinds that JSON lacks."""
    day = datetime.date(2024, 2, 29)
    each = {
        "when": (pyarrow.timestamp("ns", "UTC"), 1_700_000_000_123_456_789),
        "day": (pyarrow.date32(), day),
        "price": (pyarrow.decimal128(9, 3), decimal.Decimal("1.250")),
        "raw": (pyarrow.binary(), b"\x89PNG\xff\x00"),
        "image": (
            pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]),
            {"bytes": b"\xff", "path": "x.png"},
        ),
        "words": (pyarrow.dictionary(pyarrow.int32(), pyarrow.string()), "again"),
        "emb": (pyarrow.list_(pyarrow.float32()), [0.5, None]),
        "pairs": (pyarrow.map_(pyarrow.string(), pyarrow.int8()), [("k", 1)]),
        "half": (pyarrow.float16(), np.float16(0.5)),
        "id": (pyarrow.uint64(), 2**64 - 1),
        "span": (pyarrow.duration("ms"), datetime.timedelta(milliseconds=5)),
        "nothing": (pyarrow.null(), None),
        "far": (pyarrow.timestamp("s"), 5 * 10**11),  # beyond what Python's dates hold
    }
    return {name: pyarrow.array([value] * rows, kind) for name, (kind, value) in each.items()}


@pytest.fixture
def source(tmp_path):
    own = {"a": [f"cat {n}" for n in range(150)], "b": ["dog"] * 150}
    table = pyarrow.table({**own, **odd_columns(150)})
    table = table.replace_schema_metadata({"made by": "somebody"})
    path = tmp_path / "in.parquet"
    parquet.write_table(table, path)
    return path


def found(count: int = 150):
    return iter([{"distance": n / 2, "samples": 4, "low": None} for n in range(count)])


FOUND = ["distance", "samples", "low"]


def test_columns_that_nobody_compares_pass_as_they_came(source, tmp_path):
    out = tmp_path / "out.parquet"
    assert write_table(out, found(), FOUND, beside=open_table(source)) == 150
    before, after = parquet.read_table(source), parquet.read_table(out)
    assert after.column_names == [*before.column_names, *FOUND]
    assert after.select(before.column_names).equals(before)
    assert after.schema.metadata[b"made by"] == b"somebody"
    assert after.column("distance").to_pylist() == [n / 2 for n in range(150)]
    assert parquet.ParquetFile(out).num_row_groups == 1


def test_text_formats_hold_them_as_text(source, tmp_path):
    out = tmp_path / "out.jsonl"
    table = open_table(source)
    check_passage(out, table)
    write_table(out, found(), FOUND, beside=table)
    first = json.loads(out.read_text().splitlines()[0])
    assert first["raw"] == "iVBOR/8A"
    assert first["image"] == {"bytes": "/w==", "path": "x.png"}
    assert (first["price"], first["day"], first["id"]) == ("1.250", "2024-02-29", 2**64 - 1)
    assert first["when"].startswith("2023-11-14 22:13:20.123456789")
    assert first["far"].startswith("17814-05-16")
    assert (first["words"], first["emb"], first["distance"]) == ("again", [0.5, None], 0.0)


def test_only_the_columns_that_are_needed_are_unpacked(tmp_path):
    """A file of some kilobytes that says a megabyte two thousand times."""
    path = tmp_path / "bomb.parquet"
    large = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array(np.zeros(2000, np.int32)), pyarrow.array(["x" * 2**20])
    )
    some = pyarrow.array([f"p{n}" for n in range(2000)])
    parquet.write_table(
        pyarrow.table({"a": some, "b": some, "large": large}), path, compression="zstd"
    )
    assert path.stat().st_size < 2**17
    table = open_table(path)
    tracemalloc.start()
    check_empty(table, ["a", "b"], "refuse")
    assert sum(1 for _ in texts(table, ["a", "b"])) == 2000
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
    assert table.columns() == ["a", "b", "large"]


def test_cells_that_are_documents_are_refused_before_they_are_unpacked(tmp_path):
    path = tmp_path / "documents.parquet"
    parquet.write_table(
        pyarrow.table({"a": ["x" * 500_000], "b": ["dog"]}), path, use_dictionary=False
    )
    with pytest.raises(ConjureError, match="more than 100,000 characters in the column 'a'"):
        list(texts(open_table(path), ["a", "b"]))


def test_damage_anywhere_is_a_sentence(source, tmp_path):
    whole = source.read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / "damaged.parquet"
    refused = []
    for place in random.integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place : place + 8] = random.bytes(8)
        path.write_bytes(damaged)
        try:
            table = open_table(path)
            list(texts(table, ["a", "b"]))
            check_passage("out.csv", table)
        except ConjureError as error:
            refused.append(str(error))
    assert len(refused) > 5
    assert all("damaged.parquet" in sentence for sentence in refused)


def test_a_name_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "twice.parquet"
    parquet.write_table(pyarrow.table([["x"], ["y"]], names=["a", "a"]), path)
    with pytest.raises(ConjureError, match="names the column 'a' twice"):
        open_table(path).columns()
