"""Tables in every format, as people write them and as they get them wrong."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conjure.cli.prompts import choose_columns, texts
from conjure.errors import ConjureError
from conjure.io.dialect import Reading
from conjure.io.tables import check_table_path, open_table, write_table

ROWS = [
    {"a": "a cat, asleep", "b": 'the "dog"', "score": 1.5},
    {"a": "naïve café", "b": "two\nlines", "score": None},
]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_what_is_written_can_be_read(tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    assert write_table(path, iter(ROWS), list(ROWS[0])) == 2
    table = open_table(path)
    assert list(texts(table, ["a", "b"])) == [(row["a"], row["b"]) for row in ROWS]
    assert list(table) == list(table)  # as often as one likes
    assert [row["score"] or None for row in table] in (["1.5", None], [1.5, None])


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "table.parquet"
    write_table(path, iter(ROWS), list(ROWS[0]))
    assert list(open_table(path)) == ROWS


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(ConjureError, match=r"pip install 'conjure\[parquet\]'"):
        check_table_path(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("text", "suffix"),
    [("a,b\nx,y\n", ".csv"), ("a\tb\nx\ty\n", ".tsv"), ('{"a": "x", "b": "y"}\n', ".jsonl")],
)
def test_standard_input_is_recognised(monkeypatch, text, suffix):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    table = open_table("-")
    assert table.suffix == suffix
    assert list(texts(table, ["a", "b"])) == [("x", "y")]


def test_a_closed_standard_input_is_said(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(ConjureError, match="Standard input is closed"):
        open_table("-")


def test_a_refused_table_leaves_nothing_on_the_screen(tmp_path):
    """Its copy goes with the process, whose last breath nobody wants to read."""
    (tmp_path / "t.csv").write_text("a,a\ncat,dog\n")
    command = [sys.executable, "-c", "from conjure.cli import main; main()", "pairs", "t.csv"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert found.returncode == 2
    assert found.stderr == "Error: 't.csv' names the column 'a' twice: rename one.\n"
    assert found.stdout == ""


def test_a_name_that_stands_twice_in_an_object_is_refused(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": "cat", "b": "dog", "a": "lion"}\n')
    with pytest.raises(ConjureError, match=r"Line 1 of .* it has 'a' twice"):
        list(open_table(tmp_path / "t.jsonl"))


def test_a_spreadsheets_byte_order_mark_is_no_name(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\ufeffa,b\nx,y\n", encoding="utf-8")
    assert open_table(path).columns() == ["a", "b"]


@pytest.mark.parametrize(
    ("header", "named", "expected"),
    [
        ("id,sentence1,sentence2", None, ["sentence1", "sentence2"]),
        ("Word1,Word2,score", None, ["Word1", "Word2"]),
        ("x,y,z", "z, x", ["z", "x"]),
    ],
)
def test_columns_are_guessed_or_named(tmp_path, header, named, expected):
    path = tmp_path / "t.csv"
    path.write_text(f"{header}\n{','.join('p' * (header.count(',') + 1))}\n")
    columns, guessed = choose_columns(open_table(path), named, 2)
    assert columns == expected
    assert guessed == (named is None)


def test_a_plain_list_has_a_prompt_a_line_and_json_needs_no_known_names(tmp_path):
    (tmp_path / "t.txt").write_text("cat\n\n  a dog, asleep \n", encoding="utf-8")
    table = open_table(tmp_path / "t.txt")
    assert choose_columns(table, None, 1) == (["prompt"], True)
    assert list(texts(table, ["prompt"])) == [("cat",), ("a dog, asleep",)]
    (tmp_path / "t.jsonl").write_text('{"left": "x", "right": "y"}\n')
    assert choose_columns(open_table(tmp_path / "t.jsonl"), None, 2)[0] == ["left", "right"]


@pytest.mark.parametrize(
    ("name", "content", "named", "message"),
    [
        ("t.csv", "x,y,z\n1,2,3\n", None, "cannot be guessed: it has 'x', 'y', 'z'"),
        ("t.csv", "a cat,a dog\n1,2\n", None, "its first line is no heading"),
        ("t.csv", "x,y\n1,2\n", "x,w", "no column 'w'. It has 'x', 'y'"),
        ("t.csv", "x,y\n1,2\n", "x", "names two columns"),
        ("t.csv", "a,b\n", None, "has no rows"),
        ("t.csv", "", None, "has no rows"),
        ("t.csv", "a,b\nx\n", None, "Line 2 .* does not have the 2 cells"),
        ("t.csv", "a,b\nx,y,z\n", None, "Line 2 .* does not have the 2 cells"),
        ("t.csv", 'a,b\n"x"y,z,w\n', None, "not a table as it stands.*--quoting"),
        ("t.jsonl", "{oops\n", None, "Line 1 .* is not JSON"),
        ("t.jsonl", "[1]\n", None, "not a JSON object"),
        ("t.csv", "a,b,a\nx,y,z\n", None, "names the column 'a' twice"),
        ("t.jsonl", '{"a": "x", "b": 3}\n', None, "no text in the column 'b': 3"),
    ],
)
def test_bad_tables_are_refused(tmp_path, name, content, named, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ConjureError, match=message):
        list(texts(open_table(path), choose_columns(open_table(path), named, 2)[0]))


def test_text_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n\xff\xfe,y\n")
    with pytest.raises(ConjureError, match="not UTF-8"):
        list(open_table(path))


def test_places_are_checked_before_the_work(tmp_path):
    for path, message in {
        tmp_path / "t.xls": "A table ends in",
        tmp_path / "no" / "t.csv": "does not exist",
    }.items():
        with pytest.raises(ConjureError, match=message):
            check_table_path(path)
    with pytest.raises(ConjureError, match="no file"):
        open_table(tmp_path / "none.csv")


def test_a_table_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    def failing():
        yield ROWS[0]
        raise RuntimeError

    path = tmp_path / "t.csv"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ConjureError, match=r"RuntimeError: .* is in '.*conjure-results"):
        write_table(path, failing(), list(ROWS[0]))
    assert [kept.suffix for kept in tmp_path.iterdir()] == [".jsonl"]


def test_numbers_that_are_none_are_missing(capsys):
    write_table("-", iter([{"a": float("nan"), "b": 1.0}]), ["a", "b"])
    assert capsys.readouterr().out == "a,b\n,1.0\n"


def test_rows_need_not_have_the_same_columns(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": "x", "b": "y"}\n{"a": "x", "b": "z", "note": "late"}\n')
    table = open_table(path)
    assert table.columns() == ["a", "b", "note"]
    write_table(tmp_path / "t.csv", iter(table), table.columns())
    assert (tmp_path / "t.csv").read_text() == "a,b,note\nx,y,\nx,z,late\n"


def test_parquet_types_are_those_of_all_rows(tmp_path):
    pytest.importorskip("pyarrow")
    rows = [{"n": None, "x": 1, "mixed": 1, "text": "é"} for _ in range(1500)]
    rows += [{"n": 3, "x": 0.5, "mixed": "a"}]
    assert write_table(tmp_path / "t.parquet", iter(rows), list(rows[0])) == 1501
    found = list(open_table(tmp_path / "t.parquet"))
    assert found[0] == {"n": None, "x": 1.0, "mixed": "1", "text": "é"}
    assert found[-1] == {"n": 3, "x": 0.5, "mixed": "a", "text": None}


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_odd_values_are_written_and_read(tmp_path, suffix):
    """Nested numbers that are none, wholes beyond 64 bits, carriage returns, empty things."""
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    rows = [
        {"a": "one\rtwo", "meta": {"s": [float("nan"), 1]}, "big": 2**70, "wide": 2**60, "no": {}},
        {"a": "b", "meta": {"s": [None]}, "big": 1, "wide": 0.5, "no": {}},
    ]
    path = tmp_path / f"table{suffix}"
    write_table(path, iter(rows), list(rows[0]))
    first, second = open_table(path)
    assert (first["a"], second["a"]) == ("one\rtwo", "b")
    assert str(first["big"]) == str(2**70)
    if suffix in (".jsonl", ".parquet"):
        assert first["meta"] == {"s": [None, 1]}
        assert str(second["wide"]) == "0.5"
    else:
        assert first["meta"] == '{"s": [null, 1]}'


def test_columns_with_commas_and_spaces_can_be_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('sentence1, sentence2,"a, b"\nx,y,z\n')
    table = open_table(path)
    assert choose_columns(table, None, 2) == (["sentence1", " sentence2"], True)
    assert choose_columns(table, "sentence1,sentence2", 2)[0] == ["sentence1", " sentence2"]
    assert choose_columns(table, '"a, b"', 1)[0] == ["a, b"]


def readings(tmp_path, name, content, **given):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table = open_table(path, Reading(**given))
    return [list(row.values()) for row in table], table.remark


MERGING = 'a\tb\ts\nA man.\t"It rains.\t1\nA dog.\tHe went."\t2\nA bird.\tA crow.\t3\n'


@pytest.mark.parametrize(
    ("name", "content", "expected", "said"),
    [
        ("t.tsv", MERGING, 3, "quotation marks as letters"),
        ("t.tsv", 'a\tb\n"Go on," she said.\tShe told him.\n', 1, "quotation marks as letters"),
        ("t.tsv", 'a\tb\n"a cat"\tdog\n', 1, None),
        ("t.tsv", 'a\tb\n5" screen\t"quoted"\n', 1, None),
        ("t.tsv", "a,b\ncat,dog\n", 1, "commas between cells"),
        ("t.csv", "a\tb\ncat, big\tdog\n", 1, "tabs between cells"),
        ("t.csv", "a;b\ncat;dog\nlion, big;tiger\n", 2, "semicolons between cells"),
        ("t.csv", "a|b\ncat|dog\n", 1, "bars between cells"),
        ("t.csv", "a,b,,\ncat,dog,,\n", 1, "left out"),
        ("t.csv", "a,b\ncat,dog,\nlion,tiger\n", 2, "left out"),
        ("t.csv", 'a,b\n"He said \\"hi\\", ok",dog\n', 1, "backslash"),
        ("t.csv", 'a,b\nhe said "hi,dog\n"oh",cat\n', 2, None),
        ("t.csv", 'a,b\n"oh, he said,dog\nx,y,z\n', 0, "error"),
        ("t.csv", 'a,b\n"oh he said,dog\nx,y\n', 2, "quotation marks as letters"),
        ("t.csv", 'a,b\n"two\nlines",dog\n', 1, None),
        ("t.csv", '"a","b"\n"two,\nlines",dog\n', 1, None),
        ("t.csv", "a,b\r\ncat,dog\r\n", 1, None),
        ("t.csv", "\na,b\n\ncat,dog\n\n", 1, None),
        ("t.csv", "a,b\nnaïve,café\n".encode("utf-16"), 1, "utf-16"),
        ("t.csv", "a,b\nnaïve,café\n".encode("utf-8-sig"), 1, None),
        ("t.csv", "a,b\n" + "x" * 200_000 + ",dog\n", 1, None),
    ],
)
def test_a_table_is_read_as_it_is_written(tmp_path, name, content, expected, said):
    if said == "error":
        with pytest.raises(ConjureError, match="Line"):
            readings(tmp_path, name, content)
        return
    rows, remark = readings(tmp_path, name, content)
    assert len(rows) == expected
    assert all(len(row) == len(rows[0]) for row in rows)
    assert (remark is None) == (said is None)
    assert said is None or said in str(remark)


def test_what_its_cells_are(tmp_path):
    assert readings(tmp_path, "t.tsv", MERGING)[0][0] == ["A man.", '"It rains.', "1"]
    assert readings(tmp_path, "t.csv", "a;b\ncat, x;dog\n")[0] == [["cat, x", "dog"]]
    text = 'a,b\n"He said \\"hi\\", ok",dog\n'
    assert readings(tmp_path, "t.csv", text)[0] == [['He said "hi", ok', "dog"]]
    assert readings(tmp_path, "t.csv", "a,b\nnaïve,é\n".encode("utf-16"))[0] == [["naïve", "é"]]


@pytest.mark.parametrize(
    ("given", "content", "expected"),
    [
        ({"quoting": "none"}, 'a,b\n"x",y\n', [['"x"', "y"]]),
        ({"quoting": "double"}, MERGING.replace("\t", ","), None),
        ({"delimiter": "semicolon"}, "a;b,c\nx;y\n", [["x", "y"]]),
        ({"delimiter": ":"}, "a:b\nx:y\n", [["x", "y"]]),
        ({"encoding": "latin-1"}, "a,b\ncafé,x\n".encode("latin-1"), [["café", "x"]]),
        ({"encoding": "utf-16-le"}, "a,b\nx,y\n".encode("utf-16-le"), [["x", "y"]]),
    ],
)
def test_what_a_user_says_is_taken(tmp_path, given, content, expected):
    rows, _ = readings(tmp_path, "t.csv", content, **given)
    assert rows == expected if expected else len(rows) == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", MERGING.replace("\t", ","), "has 2 rows if .* 3 if .* line 2.*--quoting none"),
        ("t.csv", "a,b\ncafé,x\n".encode("latin-1"), "^Line 2 of .*not UTF-8.*--encoding latin-1"),
        ("t.csv", "a,b\nx,y\n".encode("utf-16-le"), "Line 1 .* value 0.*utf-16-le"),
        ("t.csv", "a;b|c\nx;y|z\n", "Line 1 .* a semicolon or a bar.*--delimiter"),
        ("t.csv", "a,b\n" + "x" * 11_000_000 + ",dog\n", "Line 2 .* more than 10,000,000"),
        ("t.txt", "a\tb\ncat\tdog\n", "Line 1 .* has a tab.*--delimiter tab"),
    ],
)
def test_what_stays_ambiguous_is_refused(tmp_path, name, content, message):
    with pytest.raises(ConjureError, match=message):
        readings(tmp_path, name, content)


@pytest.mark.parametrize("given", [{"delimiter": "ab"}, {"quoting": "some"}, {"encoding": "x-y"}])
def test_what_cannot_be_said_is_refused(tmp_path, given):
    with pytest.raises(ConjureError):
        readings(tmp_path, "t.csv", "a,b\nx,y\n", **given)


ODD = st.text(st.sampled_from('ab ,;\t"\\\n\r|é'), max_size=6)


@given(rows=st.lists(st.tuples(ODD, ODD), min_size=1, max_size=4), data=st.data())
def test_whatever_is_written_comes_back(rows, data, tmp_path_factory):
    suffix = data.draw(st.sampled_from([".csv", ".tsv", ".jsonl"]))
    path = tmp_path_factory.mktemp("t") / f"t{suffix}"
    write_table(path, ({"a": a, "b": b} for a, b in rows), ["a", "b"])
    assert [(row["a"], row["b"]) for row in open_table(path)] == rows
