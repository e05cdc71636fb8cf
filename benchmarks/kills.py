"""A run killed at random moments, against one that was never killed.

    python -m benchmarks.kills [--kills 10] [--pairs 60] [--samples 4] [--seed 0]

Both are `conjure pairs` on the embedded model, in processes of their own, with `kill -9` at random
moments. Printed: whether the same (pair, sample) rows are
stored in the end, how many of them were computed twice or lost, the largest relative difference of
their values, and whether the exported tables are the same bytes.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.many import sentences
from conjure.store.run import Run

FIELDS = ("noise", "picture", "step", "printed")


def command(folder: Path, name: str, samples: int) -> list[str]:
    """A process that compares the pairs into a run directory, and logs what it stores."""
    return [
        sys.executable, "-m", "benchmarks.kills", "--child", str(folder / f"{name}.log"), "pairs",
        str(folder / "pairs.csv"), "--out", str(folder / name), "--table",
        str(folder / f"{name}.csv"), "--samples", str(samples), "--batch-size", "32",
    ]  # fmt: skip


def child(log: Path, arguments: list[str]) -> None:
    """The command line, noting after each block how many of its samples were new in the store."""
    from conjure.cli import main as conjure_main

    add = Run.add

    def logged(self: Run, jobs, squares) -> int:
        new = add(self, jobs, squares)
        with log.open("a") as stream:
            stream.write(f"{len(jobs)} {new}\n")
        return new

    Run.add = logged
    sys.argv = ["conjure", *arguments]
    conjure_main()


def stored(folder: Path) -> dict[tuple[str, str, int], np.ndarray]:
    """Every stored sample's squares."""
    run = Run(folder)
    rows = list(run.rows())
    found = {}
    for a, b, sample in rows:
        squares = run.squares(a, b, [sample])
        found[a, b, sample] = np.stack([getattr(squares, name) for name in FIELDS])
    run.close()
    return found


def main() -> None:
    if "--child" in sys.argv:
        at = sys.argv.index("--child")
        child(Path(sys.argv[at + 1]), sys.argv[at + 2 :])
        return
    parser = argparse.ArgumentParser(description="A run killed at random moments.")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        some = sentences(2 * arguments.pairs)
        rows = zip(some[::2], some[1::2], strict=True)
        lines = ["a,b", *(f'"{a}","{b}"' for a, b in rows)]
        (folder / "pairs.csv").write_text("\n".join(lines) + "\n")

        took = []
        for _ in range(2):  # the second finds nothing to do
            started = time.perf_counter()
            subprocess.run(
                command(folder, "whole", arguments.samples), check=True, capture_output=True
            )
            took.append(time.perf_counter() - started)
        work = took[0] - took[1]
        print(f"never killed: {work:.1f} s of work after {took[1]:.1f} s", flush=True)

        killed = 0
        while killed < arguments.kills:
            # One in four while it starts; the others so that together they leave a little to do.
            moment = took[1] + moments.uniform(0, 1.6 * work / arguments.kills)
            if killed % 4 == 1:
                moment = moments.uniform(0.3, 1) * took[1]
            process = subprocess.Popen(
                command(folder, "killed", arguments.samples),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                process.wait(moment)
                break  # it was done before
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
                count = Run(folder / "killed").count()[1] if (folder / "killed").exists() else 0
                print(f"killed after {moment:5.1f} s, {count:4} samples stored", flush=True)
        last = subprocess.run(
            command(folder, "killed", arguments.samples), check=True, capture_output=True, text=True
        )
        print(f"{killed} kills; the last run: {last.stderr.strip().splitlines()[-1]}")

        whole, pieces = stored(folder / "whole"), stored(folder / "killed")
        logged = [
            tuple(map(int, line.split()))
            for line in (folder / "killed.log").read_text().splitlines()
        ]
        twice = sum(jobs - new for jobs, new in logged)
        apart = max(
            float(np.nanmax(np.abs(pieces[key] - value) / np.maximum(np.abs(value), 1e-30)))
            for key, value in whole.items()
            if key in pieces
        )
        same = (folder / "whole.csv").read_bytes() == (folder / "killed.csv").read_bytes()
        lost = len(whole.keys() - pieces.keys())
        equal = whole.keys() == pieces.keys()
        print(f"rows stored: {len(whole)} and {len(pieces)}; the same: {equal}")
        print(f"finished samples computed twice: {twice}; lost: {lost}")
        print(f"largest relative difference of a stored value: {apart:.1e}")
        print(f"exported tables are the same bytes: {same}")


if __name__ == "__main__":
    main()
