"""How a command ends that does not end as it meant to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from conjure.cli.guard import ESCAPED, guarded
from conjure.errors import ConjureError

MAIN = [sys.executable, "-c", "from conjure.cli import main; main()"]
SHORT = ["-T", "2", "-k", "1"]


def compare(folder: Path, *more: str) -> list[str]:
    return [*MAIN, "compare", "cat", "dog", *SHORT, "--model", str(folder), *more]


def test_an_error_that_nobody_foresaw(run, monkeypatch, tmp_path):
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the moon fell down\nand so on")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("conjure.operations.compare.compare", broken)
    code, out, said = run("compare", "cat", "dog", *SHORT)
    assert (code, out) == (70, "")
    assert "did not foresee: RuntimeError: the moon fell down" in said
    assert "Traceback" not in said
    (details,) = tmp_path.glob("conjure-error-*.txt")
    text = details.read_text()
    assert "Traceback" in text
    assert "'compare'" in text
    assert str(details) in said.replace("\n", "")
    with pytest.raises(RuntimeError, match="the moon"):
        run("--debug", "compare", "cat", "dog", *SHORT)


@pytest.mark.parametrize(
    ("stop", "code"),
    [(SystemExit(0), 0), (SystemExit(3), 3), (SystemExit(None), 0), (SystemExit("why"), 1)],
)
def test_exit_statuses_are_kept(stop, code):
    def command() -> None:
        raise stop

    assert guarded(command, debug=lambda: False) == code


def test_a_refusal_is_two(capsys):
    def command() -> None:
        raise ConjureError("[/bold] no [red]markup[/red]")

    assert guarded(command, debug=lambda: False) == 2
    assert "[/bold] no [red]markup[/red]" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["‖ →", "狗", "a\ud800b", "😀"])
def test_letters_that_a_stream_lacks_are_written_as_json_does(text):
    shown = text.encode("cp1252", ESCAPED).decode("cp1252")
    assert json.loads(f'"{shown}"') == text


def test_an_encoding_that_lacks_letters_loses_no_result(pipeline_folder):
    where = os.environ | {"PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(
        compare(pipeline_folder), env=where, capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode("cp1252")
    assert b"nats" in done.stdout
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="of Linux")
def test_a_full_output_is_said(pipeline_folder):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            compare(pipeline_folder, "--json"), stdout=full, stderr=subprocess.PIPE, timeout=120,
            check=False,
        )  # fmt: skip
    assert done.returncode == 74
    assert b"could not be written to standard output: No space left" in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="closes a descriptor")
def test_a_closed_output_is_refused_before_any_work(pipeline_folder):
    text = " ".join(f"'{part}'" for part in compare(pipeline_folder)) + " >&-"
    started = time.monotonic()
    done = subprocess.run(["sh", "-c", text], stderr=subprocess.PIPE, timeout=120, check=False)
    assert done.returncode == 2
    assert b"Standard output is closed" in done.stderr
    assert b"Traceback" not in done.stderr
    assert time.monotonic() - started < 60  # no model was loaded, however slow the machine


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signals_of_batch_systems_leave_nothing_behind(pipeline_folder, tmp_path, name):
    left = tmp_path / "temporary"
    left.mkdir()
    table = tmp_path / "pairs.csv"
    table.write_text("a,b\n" + "".join(f"cat{n},dog{n}\n" for n in range(500)))
    process = subprocess.Popen(
        [*MAIN, "pairs", str(table), "-T", "3", "-k", "500", "--model", str(pipeline_folder),
         "--table", str(tmp_path / "t.csv")],
        env=os.environ | {"TMPDIR": str(left)}, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not any(left.glob("conjure-*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert any(left.glob("conjure-*")), "the run has begun"
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said.decode()
    assert b"Interrupted" in said
    assert list(left.iterdir()) == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pairs.csv", "temporary"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"a": "cat", "b": "dog", "note": "\\ud800"}', "Line 1 .* half of a character"),
        ('{"a": "cat", "b": "dog", "\\udfff": 1}', "Line 1 .* half of a character"),
        ('{"a": "cat", "b": "dog", "n": ' + "9" * 6000 + "}", "Line 1 .* is not JSON"),
        ('{"a": "cat", "b": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep"),
    ],
)
def test_what_no_table_can_hold_is_refused_before_the_work(run, tmp_path, line, said):
    import re

    file = tmp_path / "t.jsonl"
    file.write_text(line + "\n")
    code, out, told = run("pairs", str(file), *SHORT, "--table", str(tmp_path / "o.csv"))
    assert (code, out) == (2, "")
    assert re.search(said, told.replace("\n", " "))
    assert not (tmp_path / "o.csv").exists()
