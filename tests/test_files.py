"""Files that are written whole, wherever they are and whatever happens meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conjure import ConjureError
from conjure.io.files import check_place, written_whole
from conjure.io.tables import open_table, write_table

ROWS = [{"a": "cat", "b": "dog"}]


def write(path: Path) -> None:
    check_place(path)
    write_table(path, iter(ROWS), ["a", "b"])


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    real, link = tmp_path / "elsewhere" / "real.dat", tmp_path / "link.csv"
    for begun in (True, False):
        if begun:
            real.write_text("old")
        else:
            real.unlink()  # a link to nothing leads to where it will be
        link.unlink(missing_ok=True)
        link.symlink_to(real)
        write(link)
        assert link.is_symlink()
        assert real.read_text() == "a,b\ncat,dog\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["elsewhere", "link.csv"]
    assert [p.name for p in real.parent.iterdir()] == ["real.dat"]


def test_links_in_circles_are_refused(tmp_path):
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    one.symlink_to(two)
    two.symlink_to(one)
    with pytest.raises(ConjureError, match="cannot be used as a path"):
        check_place(one)


def test_what_cannot_be_replaced_is_refused(tmp_path):
    pipe, kept = tmp_path / "pipe.csv", tmp_path / "kept.csv"
    os.mkfifo(pipe)
    with pytest.raises(ConjureError, match="a pipe or a device"):
        check_place(pipe)
    kept.write_text("mine")
    kept.chmod(0o444)
    with pytest.raises(ConjureError, match="is read-only"):
        check_place(kept)
    assert kept.read_text() == "mine"


def killed(code: str, *arguments: object) -> None:
    """Run Python until it says that it is ready, then kill it."""
    child = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.kill()
    child.wait()


def test_drafts_of_killed_processes_go_and_no_others(tmp_path):
    target = tmp_path / "t.csv"
    code = """
import sys, time
from conjure.io.files import written_whole
with written_whole(sys.argv[1]) as draft:
    draft.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""
    killed(code, target)
    (left,) = tmp_path.iterdir()
    mine = tmp_path / ".t-notes.csv"
    mine.write_text("mine")
    with written_whole(target) as draft:
        draft.write_text("whole")
        check_place(target)  # another process about to write there, too
        assert draft.exists()
    assert not left.exists()
    just, long_ago = (tmp_path / f".t.conjure-new-{name}.csv" for name in ("aaaaaaaa", "bbbbbbbb"))
    just.touch()
    long_ago.touch()
    os.utime(long_ago, (0, 0))
    check_place(target)  # what was just begun may not be held yet
    assert just.exists()
    assert not long_ago.exists()
    just.unlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == [".t-notes.csv", "t.csv"]
    assert target.read_text() == "whole"


def test_temporary_folders_of_killed_processes_go_and_no_others(tmp_path, monkeypatch):
    code = """
import sys, time
from conjure.io.scratch import scratch
(scratch() / "something").write_text("large")
print("ready", flush=True)
time.sleep(float(sys.argv[1]))
"""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    killed(code, 60)
    (left,) = tmp_path.iterdir()
    living = subprocess.Popen([sys.executable, "-c", code, "60"], stdout=subprocess.PIPE)
    assert living.stdout is not None
    living.stdout.readline()
    (other,) = tmp_path.iterdir()
    assert other != left
    subprocess.run([sys.executable, "-c", code, "0"], check=True)
    assert list(tmp_path.iterdir()) == [other]
    living.kill()
    living.wait()


def test_a_table_that_grows_meanwhile_stays_the_one_that_was_opened(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\ncat,dog\n")
    table = open_table(path)
    with path.open("a") as stream:
        stream.write("lion,tiger\n")
    assert [dict(row) for row in table] == ROWS
    path.unlink()
    assert write_table(tmp_path / "o.csv", iter([{"c": 1}]), ["c"], beside=table) == 1
    assert (tmp_path / "o.csv").read_text() == "a,b,c\ncat,dog,1\n"
