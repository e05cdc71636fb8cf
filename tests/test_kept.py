"""What was computed is not lost: where it cannot be written, its folder goes, another has it."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import conjure
from conjure import ConjureError, Gaussian, GaussianProcess
from conjure.io import tables
from conjure.io.tables import write_table
from conjure.store import database
from conjure.store.run import open_run

PAIRS = [("a", "b"), ("b", "c"), ("a", "c")]
PROCESS = GaussianProcess.build(
    {n: Gaussian(np.full(2, i), np.eye(2)) for i, n in enumerate("abc")}
)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where results that cannot be written are kept."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def kept_in(folder: Path) -> list[dict]:
    (file,) = folder.glob("conjure-results-*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_rows_that_cannot_be_written_are_kept_elsewhere(tmp_path, temporary, monkeypatch, suffix):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tables, "_write_rows", full)
    monkeypatch.setattr(tables, "write_parquet", full)
    target = tmp_path / f"t{suffix}"
    with pytest.raises(ConjureError, match=r"No space left.*rows that were finished are in"):
        write_table(target, iter([{"a": 1}, {"a": 2}]), ["a"])
    assert kept_in(temporary) == [{"a": 1}, {"a": 2}]
    assert not target.exists()


def test_rows_before_one_that_fails_are_kept(tmp_path, temporary):
    def rows():
        yield {"a": "cat"}
        raise ConjureError("The network's prediction is not finite.")

    with pytest.raises(ConjureError, match=r"is not finite\. The row that was finished is in"):
        write_table(tmp_path / "t.csv", rows(), ["a"])
    assert kept_in(temporary) == [{"a": "cat"}]


def test_a_failed_table_of_a_command_says_where_its_run_is(run, tmp_path, temporary, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    pairs = tmp_path / "p.csv"
    pairs.write_text("a,b\ncat,dog\n")
    asked = ("pairs", str(pairs), "-T", "2", "-k", "1", "--table", str(tmp_path / "o.csv"))
    monkeypatch.setattr(tables, "_write_rows", full)
    code, _, err = run(*asked, "--out", str(tmp_path / "run"))
    said = " ".join(err.split())
    assert code == 2
    assert f"What was finished is in {tmp_path / 'run'}" in said
    assert kept_in(temporary)[0]["a"] == "cat"
    monkeypatch.undo()
    code, _, err = run(*asked, "--out", str(tmp_path / "run"))
    assert code == 0
    assert "Nothing to compute" in err
    with (tmp_path / "o.csv").open() as stream:
        assert float(next(csv.DictReader(stream))["distance"]) > 0


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_run_that_goes_while_it_is_used_is_told(tmp_path, how):
    place = tmp_path / "run"
    run = conjure.compare_pairs(PAIRS, process=PROCESS, samples=2, out=place, window=1)
    next(run)
    shutil.rmtree(place)
    if how == "replaced":
        list(conjure.compare_pairs(PAIRS[:1], process=PROCESS, samples=1, out=place))
    with pytest.raises(ConjureError, match="was deleted, moved or replaced while it was in use"):
        next(run)


def test_a_lock_of_another_process_is_said_to_be_one(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE", 0.3)
    list(conjure.compare_pairs(PAIRS[:1], process=PROCESS, samples=1, out=tmp_path / "run"))
    other = sqlite3.connect(tmp_path / "run" / "samples.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    with closing(other), pytest.raises(ConjureError, match=r"Another process holds .*wait until"):
        list(conjure.compare_pairs(PAIRS, process=PROCESS, samples=1, out=tmp_path / "run"))
    assert time.monotonic() - started < 10


def test_patience_is_within_ten_seconds():
    assert database.PATIENCE < 10


def test_a_run_may_be_used_and_closed_in_another_thread(tmp_path):
    run = conjure.compare_pairs(PAIRS, process=PROCESS, samples=1, out=tmp_path / "run")
    found = []
    thread = threading.Thread(target=lambda: found.extend(run))
    thread.start()
    thread.join()
    assert len(found) == 3
    with closing(open_run(None, {})) as kept:
        other = threading.Thread(target=kept.close)
        other.start()
        other.join()
