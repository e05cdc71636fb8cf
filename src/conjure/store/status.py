"""What a folder of ours holds, and whether it is as it was stored."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from conjure.engine.jobs import Pair
from conjure.errors import ConjureError
from conjure.io.files import known_path
from conjure.store.run import Run
from conjure.store.values import look_at_values, repair_values


@dataclass(frozen=True)
class Status:
    """Of one database in a folder.

    Args:
        file: Within the folder.
        pairs: That something is stored of.
        samples: Stored of all of them.
        damaged: Rows that are not as they were stored.
        dropped: Whether those were dropped, to be computed again.
        processes: That work on it now.
        in_work: Samples that they are computing.
    """

    file: str
    pairs: int
    samples: int
    damaged: int
    dropped: bool
    processes: int = 0
    in_work: int = 0


def look(folder: str | Path, *, repair: bool = False) -> list[Status]:
    """Look at all that a run or an evaluation keeps in a folder.

    Args:
        folder: Of a run, or of an evaluation with those of its methods within.
        repair: Whether to drop what is damaged; whoever goes on computes it again.

    Raises:
        ConjureError: There is nothing of ours, or a file is damaged as a whole.
    """
    place = known_path(folder)
    files = sorted(place.rglob("*.sqlite")) if place.is_dir() else []
    ours = [file for file in files if file.name in ("samples.sqlite", "values.sqlite")]
    if not ours:
        raise ConjureError(f"{str(place)!r} holds no run and no evaluation.")
    return [_one(file, str(file.relative_to(place)), repair=repair) for file in ours]


def count_stored(folder: str | Path) -> int:
    """How many results are stored in a folder of runs: samples, values and embeddings."""
    place, total = known_path(folder), 0
    for file in place.rglob("samples.sqlite"):
        with closing(Run(file.parent)) as run:
            total += run.count_results()
    return total + sum(look_at_values(file)[1] for file in place.rglob("values.sqlite"))


def samples_in(folder: Path | None, pairs: Iterable[Pair]) -> dict[Pair, set[int]]:
    """Which samples of some pairs a run holds, if it is there."""
    if folder is None or not (folder / "samples.sqlite").exists():
        return {}
    with closing(Run(folder)) as run:
        return {pair: run.have(*pair) for pair in pairs}


def count_vectors(folder: Path | None, prompts: Iterable[str]) -> int:
    """How many of some prompts a run holds embeddings of, if it is there."""
    if folder is None or not (folder / "samples.sqlite").exists():
        return 0
    with closing(Run(folder)) as run:
        return sum(run.vector(prompt) is not None for prompt in prompts)


def _one(file: Path, name: str, *, repair: bool) -> Status:
    processes = in_work = 0
    if file.name == "values.sqlite":
        pairs, samples, damaged = look_at_values(file)
        if repair and damaged:
            repair_values(file)
    else:
        with closing(Run(file.parent)) as run:
            pairs, samples = run.count()
            damaged = run.repair() if repair else len(run.damaged())
            processes, in_work = run.in_work()
    dropped = repair and damaged > 0
    return Status(name, pairs, samples, damaged, dropped, processes, in_work)
