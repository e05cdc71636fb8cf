"""What was computed is not lost: where it cannot be written, its folder goes, another has it."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import conjure
from conjure import ConjureError, Gaussian, GaussianProcess
from conjure.engine.jobs import Job
from conjure.engine.speed import Speed
from conjure.io import tables
from conjure.io.tables import write_table
from conjure.store import database
from conjure.store.manifest import make_manifest
from conjure.store.opening import open_run
from conjure.store.run import Run
from conjure.store.status import look

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


def slow(monkeypatch, seconds_per_call):
    """As if the network took so long."""
    pace = Speed(64, seconds_per_call, 1)
    for room in ("costs", "embedding.embeddings"):
        monkeypatch.setattr(f"conjure.operations.{room}.find_pace", lambda *_: pace)


@pytest.mark.parametrize("seconds", [0.01, 0.2, 100.0])
def test_results_are_stored_in_time_however_slow_the_network_is(tmp_path, monkeypatch, seconds):
    slow(monkeypatch, seconds)
    stored: list[int] = []
    add = Run.add
    monkeypatch.setattr(Run, "add", lambda *given: (stored.append(len(given[1])), add(*given))[1])
    found = list(conjure.compare_pairs(PAIRS, process=PROCESS, samples=40, out=tmp_path / "run"))
    calls = sum(f.calls for f in found) / sum(stored)
    assert max(stored) == 1 or max(stored) * calls * seconds <= 10
    monkeypatch.undo()
    alone = conjure.compare_pairs(PAIRS, process=PROCESS, samples=40)
    assert [f.distance for f in found] == pytest.approx([f.distance for f in alone], rel=1e-12)


def test_a_run_that_goes_on_cuts_where_it_was_cut_at_first(tmp_path):
    with closing(open_run(tmp_path / "run", make_manifest(PROCESS, 0))) as run:
        assert run.calls_kept(256) == 256
        assert run.calls_kept(512) == 256
        assert run.calls_kept(128) == 256
        assert run.calls_kept(4) == 4, "a machine that is far slower"
        assert run.stays
    with closing(open_run(None, {})) as run:
        assert not run.stays


def test_embeddings_are_stored_in_time(tmp_path, monkeypatch):
    slow(monkeypatch, 0.1)
    stored: list[int] = []
    add = Run.add_vectors
    monkeypatch.setattr(
        Run, "add_vectors", lambda *given: (stored.append(len(given[1])), add(*given))[1]
    )
    conjure.embed(list("abc"), process=OF_EMPTY, out=tmp_path / "run", dimensions=None)
    assert stored == [3]  # 2 paths of 10 states each
    slow(monkeypatch, 1.0)
    conjure.embed(list("abc"), process=OF_EMPTY, out=tmp_path / "slow", dimensions=None)
    assert stored == [3, 1, 1, 1]


OF_EMPTY = GaussianProcess.build(
    {n: Gaussian(np.full(2, i), np.eye(2)) for i, n in enumerate(["", *"abc"])}
)


@pytest.mark.parametrize("after", [0, 2])
def test_what_an_interrupt_leaves_is_counted(run, tmp_path, monkeypatch, after):
    pairs = tmp_path / "p.csv"
    pairs.write_text("a,b\ncat,dog\nox,elk\n")
    add = Run.add

    def interrupted(*given):
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(given)
        return add(*given)

    done: list[object] = []
    slow(monkeypatch, 100.0)
    monkeypatch.setattr(Run, "add", interrupted)
    asked = ("pairs", str(pairs), "-T", "2", "-k", "2", "--out", str(tmp_path / "run"))
    code, _, err = run(*asked)
    said = " ".join(err.split())
    assert code == 130
    left = "nothing was finished yet" if after == 0 else "2 results are"
    assert f"Interrupted: {left} in {tmp_path / 'run'}" in said


MANY = [(f"{n}", f"{n + 1}") for n in range(12)]
SLOW = GaussianProcess.build({f"{n}": Gaussian(np.full(2, n / 4), np.eye(2)) for n in range(13)})


def test_processes_on_one_run_share_the_work(tmp_path, monkeypatch):
    slow(monkeypatch, 0.5)
    done: list[tuple[int, Job]] = []
    add, predict = Run.add, GaussianProcess.predict

    def noted(run, jobs, squares):
        done.extend((threading.get_ident(), job) for job in jobs)
        return add(run, jobs, squares)

    def slowly(*given):
        time.sleep(0.001)
        return predict(*given)

    monkeypatch.setattr(Run, "add", noted)
    monkeypatch.setattr(GaussianProcess, "predict", slowly)

    def work(_):
        run = conjure.compare_pairs(MANY, process=SLOW, samples=4, out=tmp_path / "run")
        return [found.distance for found in run]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))
    monkeypatch.undo()
    alone = [f.distance for f in conjure.compare_pairs(MANY, process=SLOW, samples=4)]
    for distances in found:
        assert distances == pytest.approx(alone, rel=1e-9)
    assert len(done) == len({job for _, job in done}) == 12 * 4, "nothing is done twice"
    assert len({thread for thread, _ in done}) > 1


def test_samples_of_a_process_that_is_gone_are_taken_over(tmp_path, monkeypatch):
    jobs = [Job("a", "b", n) for n in range(3)]
    manifest = make_manifest(PROCESS, 0)
    with (
        closing(open_run(tmp_path / "run", manifest)) as first,
        closing(open_run(tmp_path / "run", manifest)) as second,
    ):
        assert first.take(jobs[:2]) == jobs[:2] == first.take(jobs[:2])
        assert second.take(jobs) == jobs[2:]
        monkeypatch.setattr("psutil.pid_exists", lambda _: False)
        assert second.take(jobs) == jobs
        monkeypatch.undo()
        assert first.take(jobs) == []
        monkeypatch.setattr(time, "time", lambda now=time.time: now() + 61)
        assert first.take(jobs) == jobs, "a lease runs out"
        first.close()
        monkeypatch.undo()
        assert second.take(jobs) == jobs, "and ends with its run"


def test_status_says_who_is_at_work(tmp_path, run, monkeypatch):
    folder = tmp_path / "run"
    with closing(open_run(folder, make_manifest(PROCESS, 0))) as one:
        one.take([Job("a", "b", n) for n in range(3)])
        with closing(open_run(folder, make_manifest(PROCESS, 0))) as other:
            other.take([Job("a", "b", 5)])
            (found,) = look(folder)
            assert (found.processes, found.in_work, found.samples) == (2, 4, 0)
            code, _, err = run("status", str(folder), model=False)
            assert code == 0
            assert "2 processes are at work on samples.sqlite, on 4 samples now" in err
        code, out, _ = run("status", str(folder), "--json", model=False)
        assert [(f["processes"], f["in_work"]) for f in json.loads(out)] == [(1, 3)]
        monkeypatch.setattr("psutil.pid_exists", lambda _: False)
        assert look(folder)[0].processes == 0
    monkeypatch.undo()
    assert look(folder)[0].processes == 0


def test_what_another_left_undone_is_done_in_the_end(tmp_path):
    manifest = make_manifest(PROCESS, 0)
    with closing(open_run(tmp_path / "run", manifest)) as other:
        other.take([Job("a", "b", 0)])
        run = conjure.compare_pairs(PAIRS, process=PROCESS, samples=2, out=tmp_path / "run")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(lambda: [found.distance for found in run])
            time.sleep(0.5)
            assert not waiting.done()
            other.close()
            found = waiting.result(timeout=20)
    alone = conjure.compare_pairs(PAIRS, process=PROCESS, samples=2)
    assert found == pytest.approx([f.distance for f in alone], rel=1e-9)


@pytest.mark.parametrize("command", ["pairs", "matrix", "embed", "drift"])
def test_another_list_is_added_to_a_run_with_a_word(run, tmp_path, command):
    def go(*rows):
        if command == "pairs":
            file = tmp_path / "list.csv"
            file.write_text("a,b\n" + "".join(f"{a},{a} {a}\n" for a in rows))
        else:
            file = tmp_path / "list.txt"
            file.write_text("\n".join(rows))
        more = {
            "embed": ["--save", str(tmp_path / "v.safetensors")],
            "drift": ["-k", "1", "--change", "guidance=2"],
        }.get(command, ["-k", "1"])
        code, _, err = run(command, str(file), "-T", "2", *more, "--out", str(tmp_path / "run"))
        assert code == 0, err
        return " ".join(err.split())

    assert "is one of" not in go("cat", "dog")
    assert "is one of" not in go("cat", "dog"), "the same once more"
    assert "is one of another list: what this one has beside is added" in go("cat", "dog", "ox")
    assert "is one of 2 other lists" in go("cat", "elk")
    assert "is one of" not in go("cat", "dog")
    (tmp_path / "run" / ".lists.json").write_text("{")
    assert "is one of" not in go("cat", "dog"), "what is damaged is begun anew"
