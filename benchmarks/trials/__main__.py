"""All trials, or some, and one table of what came of them."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from benchmarks.trials import damaged, fuzz, good, hostile, kills
from benchmarks.trials.verdict import GOOD, VERDICTS, Verdict
from conjure.cli.console import quiet_libraries

KINDS: dict[str, ModuleType] = {
    "fuzz": fuzz, "damaged": damaged, "hostile": hostile, "kills": kills,
}  # fmt: skip
SHOWN = 3
"""Command lines of one cause that are printed."""


@dataclass
class Row:
    """What came of the trials of one kind.

    Attributes:
        kind: Which.
        asked: How many there were to be.
        verdicts: By number.
        seconds: That they took.
    """

    kind: str
    asked: int
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    seconds: float = 0.0

    def failures(self) -> dict[str, list[int]]:
        """The numbers of those that went wrong, by cause, the most frequent first."""
        found: dict[str, list[int]] = {}
        for number, verdict in self.verdicts.items():
            if verdict.kind not in GOOD:
                found.setdefault(verdict.why, []).append(number)
        return dict(sorted(found.items(), key=lambda cause: -len(cause[1])))

    def record(self) -> dict[str, object]:
        """For machines."""
        counts = Counter(verdict.kind for verdict in self.verdicts.values())
        return {
            "kind": self.kind, "asked": self.asked, "tried": len(self.verdicts),
            **{name: counts[name] for name in VERDICTS},
            "lost": sum(verdict.lost for verdict in self.verdicts.values()),
            "seconds": round(self.seconds, 1),
            "failures": [
                {"why": why, "cases": numbers, "command": self.verdicts[numbers[0]].command}
                for why, numbers in self.failures().items()
            ],
        }  # fmt: skip


def trials(
    kind: str, files: good.Good, *, seed: int, count: int, until: float = float("inf")
) -> Row:
    """Trials 0 … count − 1 of a kind, as far as the time allows.

    Args:
        kind: One of ``KINDS``.
        files: The good ones.
        seed: Of all of them.
        count: How many.
        until: The moment of ``time.monotonic`` after which none begins.
    """
    row, started = Row(kind, count), time.monotonic()
    for number in range(count):
        if time.monotonic() > until:
            break
        with tempfile.TemporaryDirectory(prefix="trial-") as place:
            row.verdicts[number] = KINDS[kind].trial(files, seed, number, Path(place).resolve())
        if sys.stderr.isatty():
            print(f"\r{kind} {number + 1}/{count}", end="", file=sys.stderr, flush=True)
    row.seconds = time.monotonic() - started
    return row


def table(rows: list[Row]) -> str:
    """A line a kind."""
    lines: list[tuple[str, ...]] = [("trials", "tried", *VERDICTS, "lost rows", "time")]
    for row in rows:
        found = row.record()
        done = found["tried"] == row.asked
        tried = f"{row.asked}" if done else f"{found['tried']} of {row.asked}"
        counts = (str(found[name]) for name in (*VERDICTS, "lost"))
        lines.append((row.kind, tried, *counts, f"{row.seconds:.0f} s"))
    return "\n".join("".join(f"{cell:>12}" for cell in line) for line in lines)


def failures(row: Row, seed: int) -> str:
    """Every cause, with some of the command lines, and how to see one again."""
    lines = []
    for why, numbers in row.failures().items():
        lines.append(f"\n{row.kind}, {len(numbers)} ×: {why}")
        for number in numbers[:SHOWN]:
            command = row.verdicts[number].command
            lines.append(f"  {command if len(command) < 300 else command[:300] + '…'}")
            lines.append(f"    --only {row.kind} --seed {seed} --case {number}")
    return "\n".join(lines)


def again(kind: str, number: int, seed: int) -> Verdict:
    """One trial, whose files are kept to be looked at; it prints all that there is to know."""
    place = Path(tempfile.mkdtemp(prefix="trial-")).resolve()
    verdict = KINDS[kind].trial(good.make(place / "good"), seed, number, place)
    print(f"{verdict.said}\n\n{verdict.command}\n{verdict.kind}: {verdict.why}\nFiles: {place}")
    return verdict


def main() -> int:
    """Run what was asked for; 1 where anything is not as it should be."""
    parser = argparse.ArgumentParser(prog="benchmarks.trials", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the usual numbers of trials")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="then none begins")
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, with commas")
    parser.add_argument("--case", type=int, help="one trial of a kind again, with all that it said")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    quiet_libraries()
    kinds = asked.only.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"--only is of {', '.join(KINDS)}, not {', '.join(unknown)}.")
    if asked.case is not None:
        if len(kinds) != 1:
            parser.error("--case goes with --only KIND.")
        return int(again(kinds[0], asked.case, asked.seed).kind not in GOOD)
    until = time.monotonic() + 60 * asked.minutes
    with tempfile.TemporaryDirectory(prefix="trials-") as folder:
        files = good.make(Path(folder).resolve() / "good")
        rows = []
        for kind in kinds:
            count = max(1, round(asked.share * KINDS[kind].COUNT))
            rows.append(trials(kind, files, seed=asked.seed, count=count, until=until))
    if asked.json:
        print(json.dumps([row.record() for row in rows]))
    else:
        print(table(rows))
        for row in rows:
            print(failures(row, asked.seed), end="\n" if row.failures() else "")
    return int(any(row.failures() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
