"""The trials of the whole command line, a small share of them, and that they see what is wrong."""

from __future__ import annotations

import os
import pickle
import sqlite3
from contextlib import closing

import pytest

if not hasattr(os, "fork"):
    pytest.skip("every trial is a forked process", allow_module_level=True)

from benchmarks.trials import damaged, fuzz, hostile, kills
from benchmarks.trials.__main__ import KINDS, Row, failures, table, trials
from benchmarks.trials.forked import Outcome, run
from benchmarks.trials.good import Good, make
from benchmarks.trials.verdict import (
    HUNG,
    INTERRUPTED,
    REFUSED,
    SUCCEEDED,
    TRACEBACK,
    WRONG,
    Verdict,
    cause,
    judge,
)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Good:
    return make(tmp_path_factory.mktemp("trials") / "good")


@pytest.mark.parametrize(("kind", "count"), [("fuzz", 120), ("damaged", 30), ("hostile", 8)])
def test_a_share_of_all_trials(good, kind, count):
    row = trials(kind, good, seed=1, count=count)
    assert len(row.verdicts) == count
    assert not row.failures(), f"{failures(row, 1)}\n{table([row])}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_is_made_from_its_seed_and_number_alone(good, kind, tmp_path, monkeypatch):
    seen: list[tuple[object, ...]] = []

    def noted(arguments, folder, **_):
        files = {str(f.relative_to(folder)): f.lstat().st_size for f in folder.rglob("*.*")}
        seen.append((list(arguments), files))
        return Outcome(2, "", "refused", "", False)

    monkeypatch.setattr(KINDS[kind], "run", noted)
    monkeypatch.setattr(kills, "_killed", lambda *_: True)
    monkeypatch.setattr(kills, "uninterrupted", lambda good, which: (tmp_path, 1.0))
    told = [KINDS[kind].trial(good, 5, 7, tmp_path / part / "x").command for part in "ab"]
    other = KINDS[kind].trial(good, 6, 7, tmp_path / "c" / "x").command
    assert told[0] == told[1] != other
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("outcome", "kind", "why"),
    [
        (Outcome(0, "done", "", "", False), SUCCEEDED, ""),
        (Outcome(2, "", "Error: no", "", False), REFUSED, ""),
        (Outcome(2, "", "", "", False), WRONG, "without a word"),
        (Outcome(130, "", "Interrupted: nothing", "", False), INTERRUPTED, ""),
        (Outcome(1, "", "Error", "", False), WRONG, "exit status 1"),
        (Outcome(-11, "", "", "", False), TRACEBACK, "signal 11"),
        (Outcome(None, "", "", "", False), HUNG, "hung"),
        (Outcome(0, "", "Exception ignored in: x", "", False), TRACEBACK, "ignored"),
        (Outcome(2, "", "Error: \x1b[31m", "", False), WRONG, "terminal"),
        (Outcome(0, '{"x": NaN}', "", "", False), WRONG, "NaN is no JSON"),
    ],
)
def test_what_is_made_of_an_end(outcome, kind, why):
    verdict = judge(["compare", "--json"] if outcome.out[:1] == "{" else ["compare"], outcome)
    assert verdict.kind == kind
    assert why in verdict.why


def test_an_unforeseen_error_is_told_with_its_place(good, tmp_path):
    def broken() -> None:
        import conjure.operations.compare

        conjure.operations.compare.compare = None  # type: ignore[assignment]

    folder = good.copy(tmp_path / "work")
    outcome = run(["compare", "cat", "dog", "-m", "pipeline"], folder, before=broken)
    verdict = judge(["compare"], outcome)
    assert (outcome.code, verdict.kind) == (70, TRACEBACK)
    assert verdict.why.startswith("TypeError in cli/compare.py:")


def test_a_process_is_held_to_its_time_its_calls_and_its_input(good, tmp_path):
    def endless() -> None:
        while True:
            pass

    def reading() -> None:
        input()

    folder, short = good.copy(tmp_path / "work"), ["compare", "cat", "dog", "-m", "pipeline"]
    assert run(short, folder, seconds=0.3, before=endless).code is None
    assert run(short, folder, calls=3).code == 130
    assert run(["--version"], folder, stdin=b"y\n" * 9, before=reading).read
    assert not run(["--version"], folder, stdin=b"y\n" * 9).read


def test_the_cause_is_the_last_place_in_conjure():
    trace = (
        'File "/x/conjure/cli/pairs.py", line 5, in pairs\n'
        'File "/x/conjure/io/rows.py", line 7, in rows\n'
        'File "/x/json/decoder.py", line 1, in decode\n'
        "json.decoder.JSONDecodeError: no: it is not\nand more"
    )
    assert cause(trace) == "json.decoder.JSONDecodeError in io/rows.py:7 rows"


def test_pickles_that_are_tried_would_run(tmp_path):
    canary = tmp_path / "canary"
    pickle.loads(hostile.evil_pickle(str(canary), archived=False))
    assert canary.exists()


def test_new_options_are_tried_by_themselves():
    """Values are made for all that there is; those named there are still there."""
    known = {one.name for command in fuzz.commands().values() for one in command.params}
    assert {*fuzz.USUAL, *fuzz.FEW} | fuzz.FILES <= known
    assert "compiled" in known & fuzz.LEFT_OUT
    assert set(fuzz.READERS) | set(fuzz.NEEDED) <= set(fuzz.commands())


def test_rounding_is_no_difference():
    assert damaged.differ("a 1.0000001 b", "a 1.0000002 b") is None
    assert damaged.differ("a 1.0 b", "a 1.1 b") is not None
    assert damaged.differ("a 1.0 b", "a 1.0 c") is not None


def test_lost_rows_and_what_was_left_are_seen(good, tmp_path):
    whole, folder = (good.copy(tmp_path / name) for name in ("whole", "killed"))
    for place in (whole, folder):
        (place / "run").rename(place / "kept")
    command = kills.Killed([], ("pairs.csv",))
    assert kills.compare(whole, folder, command) == (0, [])
    file = folder / "kept/samples.sqlite"
    with closing(sqlite3.connect(file, isolation_level=None)) as base:
        base.execute("DELETE FROM samples WHERE sample = 0")
        base.execute("UPDATE samples SET squares = zeroblob(length(squares))")
    (folder / ".out-abcdefgh.csv").touch()
    (folder / "pairs.csv").write_text("a,b\ncat,dog\n")
    lost, wrong = kills.compare(whole, folder, command)
    assert lost == 4
    assert [line.split()[0] for line in wrong] == ["rows", "stored", "pairs.csv", "left"]
    assert wrong[-1] == "left behind: .out-*.csv"


def test_the_table_has_a_line_a_kind():
    verdicts = {0: Verdict(SUCCEEDED, "conjure"), 1: Verdict(TRACEBACK, "conjure x", "E in y:1 z")}
    row = Row("fuzz", 3, verdicts, 2.0)
    head, line = (text.split() for text in table([row]).replace(" of ", "/").splitlines())
    found = dict(zip(head, line, strict=False))
    assert found["tried"] == "2/3"
    assert (found["succeeded"], found["tracebacks"], found["hung"]) == ("1", "1", "0")
    assert "E in y:1 z" in failures(row, 4)
    assert "--only fuzz --seed 4 --case 1" in failures(row, 4)
    assert row.record()["tracebacks"] == 1
