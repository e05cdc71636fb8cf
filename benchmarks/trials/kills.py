"""Runs killed at random moments, against ones that never were: every command that keeps a run.

In the end the same rows are stored, with the same numbers, none of them lost or computed twice, the
results are the same, and nothing lies about that an uninterrupted run does not leave.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.trials.damaged import CLOSE, differ, read
from benchmarks.trials.forked import run, start
from benchmarks.trials.good import Good
from benchmarks.trials.verdict import GOOD, SUCCEEDED, WRONG, Verdict, judge

COUNT = 24

KILLS = 5
"""Of one run, at most."""

LONG = ["-T", "4", "-k", "12", "-m", "pipeline", "--batch-size", "4"]
"""Enough to be killed in."""


@dataclass(frozen=True)
class Killed:
    """A command with a run.

    Args:
        arguments: But for the run.
        results: Files that it writes.
    """

    arguments: list[str]
    results: tuple[str, ...]


COMMANDS = (
    Killed(["pairs", "many.csv", "--table", "out.csv", *LONG], ("out.csv",)),
    Killed(["matrix", "prompts.txt", "--table", "out.csv", *LONG], ("out.csv",)),
    Killed(["processes", "prompts.txt", "--vary", "guidance=1,3", "-f", "out.png", *LONG], ()),
    Killed(["drift", "prompts.txt", "--change", "guidance=3", "-o", "out.csv", *LONG],
           ("out.csv",)),
    Killed(["embed", "many.csv", "-c", "a", "-o", "out.safetensors", "-p", "2", "-d", "16",
            "-T", "20", "-m", "pipeline", "--batch-size", "4"], ("out.safetensors",)),
    Killed(["evaluate", "--data", "data", "-t", "mine", "--methods",
            "conjuring,landmarks,direct-output,initial-timestep,relative:thing", *LONG],
           ("kept/pairs.jsonl",)),
)  # fmt: skip


def trial(good: Good, seed: int, number: int, place: Path) -> Verdict:
    """One command, killed several times."""
    rng = random.Random(f"{seed}/kills/{number}")
    which = number % len(COMMANDS)
    command = COMMANDS[which]
    arguments = [*command.arguments, "--out", "kept"]
    whole, seconds = uninterrupted(good, which)
    folder = _copy(good, place / "work")
    moments = []
    for _ in range(KILLS):
        moment = rng.uniform(0, seconds) * rng.choice((0.3, 1.0))
        kept = rng.random() < 0.8  # else a run in a temporary folder
        moments.append(f"{moment:.2f}{'' if kept else ' without --out'}")
        if not _killed(arguments[: None if kept else -2], folder, place, moment) and kept:
            break
    outcome = run(arguments, folder, seconds=300, before=lambda: _log(place / "log"))
    verdict = judge(arguments, outcome)
    told = f"{verdict.command}   # killed after {', '.join(moments)} s"
    if verdict.kind != SUCCEEDED:
        kind = verdict.kind if verdict.kind not in GOOD else WRONG
        return Verdict(kind, told, verdict.why or "refused to go on", verdict.said)
    lost, wrong = compare(whole, folder, command)
    twice = _twice(place / "log")
    if twice:
        wrong.append(f"{twice} finished rows were computed twice")
    kind = WRONG if wrong or lost else SUCCEEDED
    said = "\n".join(wrong)
    return Verdict(kind, told, wrong[0] if wrong else "", f"{verdict.said}\n{said}", lost)


def compare(whole: Path, folder: Path, command: Killed) -> tuple[int, list[str]]:
    """Rows that are lost, and all else that is not as in an uninterrupted run."""
    wrong = []
    expected, found = rows(whole / "kept"), rows(folder / "kept")
    lost = len(expected.keys() - found.keys())
    if lost:
        wrong.append(f"rows are lost in {min(key[0] for key in expected.keys() - found.keys())}")
    if more := found.keys() - expected.keys():
        wrong.append(f"rows are there that were not asked for, in {min(key[0] for key in more)}")
    apart = [key for key in expected.keys() & found.keys() if _apart(expected[key], found[key])]
    if apart:
        wrong.append(f"stored numbers differ in {min(key[0] for key in apart)}")
    for name in command.results:
        if differ(read(whole / name), read(folder / name)) is not None:
            wrong.append(f"{name} differs")
    there, usual = (
        {str(file.relative_to(place)) for file in place.rglob("*")} for place in (folder, whole)
    )
    stray = there - usual
    roots = {name for name in stray if str(Path(name).parent) not in stray}
    if roots:
        unnamed = {re.sub(r"(-|tmp)[a-z0-9_]{8}(?=\.|$)", r"\1*", name) for name in roots}
        wrong.append(f"left behind: {', '.join(sorted(unnamed))}")
    return lost, wrong


@cache
def uninterrupted(good: Good, which: int) -> tuple[Path, float]:
    """The folder in which a command ran in one go, and the seconds that it took."""
    folder = _copy(good, good.files.parent / f"whole-{which}")
    arguments = [*COMMANDS[which].arguments, "--out", "kept"]
    started = time.monotonic()
    outcome = run(arguments, folder, seconds=300)
    if outcome.code != 0:
        raise RuntimeError(f"conjure {' '.join(arguments)}: {outcome}")
    return folder, time.monotonic() - started


def _copy(good: Good, place: Path) -> Path:
    good.copy(place, "pipeline", "prompts.txt", "data")
    lines = [f"cat {n},dog {n}" for n in range(10)]
    (place / "many.csv").write_text("\n".join(["a,b", *lines]) + "\n")
    return place


def _killed(arguments: list[str], folder: Path, place: Path, moment: float) -> bool:
    """Start a command and kill it; whether it was still at work."""
    notes = place / "notes"
    shutil.rmtree(notes, ignore_errors=True)
    notes.mkdir()
    pid = start(arguments, folder, notes, before=lambda: _log(place / "log"))
    time.sleep(moment)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def _log(file: Path) -> None:
    """Note of all that is stored how much of it was new."""
    from conjure.store.database import Base

    executemany = Base.executemany

    def logged(self: Base, statement: str, values: Any) -> None:
        listed, before = list(values), self.changes
        executemany(self, statement, listed)
        if statement.startswith("INSERT") and "walks" not in statement:
            with file.open("a") as stream:
                stream.write(f"{len(listed)} {self.changes - before}\n")

    Base.executemany = logged  # type: ignore[method-assign]


def _twice(log: Path) -> int:
    lines = log.read_text().splitlines() if log.exists() else []
    return sum(int(given) - int(new) for given, new in map(str.split, lines))


KEPT = {
    "samples": "SELECT a, b, sample, squares FROM samples JOIN pairs ON id = pair",
    "vectors": "SELECT prompt, vector FROM vectors",
    "floors": "SELECT prompt, squares FROM floors",
    "kept": "SELECT a, b, sample, numbers FROM kept",
}
"""Rows of each table, the numbers last."""


def rows(folder: Path) -> dict[tuple[Any, ...], bytes]:
    """All that the databases of a folder hold: numbers by file, table and what they belong to."""
    found: dict[tuple[Any, ...], bytes] = {}
    for file in sorted(folder.rglob("*.sqlite")):
        with closing(sqlite3.connect(file)) as base:
            names = {name for (name,) in base.execute("SELECT name FROM sqlite_master")}
            for table in KEPT.keys() & names:
                for *key, blob in base.execute(KEPT[table]):
                    whose = (str(file.relative_to(folder)), table, *key)
                    if whose in found:
                        raise AssertionError(f"stored twice: {whose}")
                    found[whose] = blob
    return found


def _apart(one: bytes, other: bytes) -> bool:
    """Whether numbers differ by more than the rounding of what was computed in other batches."""
    kind = "<f8" if len(one) % 8 == 0 else "<f4"
    a, b = (np.frombuffer(blob[:-8], kind) for blob in (one, other))
    return a.shape != b.shape or not np.allclose(a, b, rtol=CLOSE, atol=1e-9, equal_nan=True)
