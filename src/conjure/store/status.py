"""What a folder of ours holds, and whether it is as it was stored."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

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
    """

    file: str
    pairs: int
    samples: int
    damaged: int
    dropped: bool


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


def _one(file: Path, name: str, *, repair: bool) -> Status:
    if file.name == "values.sqlite":
        pairs, samples, damaged = look_at_values(file)
        if repair and damaged:
            repair_values(file)
    else:
        with closing(Run(file.parent)) as run:
            pairs, samples = run.count()
            damaged = run.repair() if repair else len(run.damaged())
    return Status(name, pairs, samples, damaged, dropped=repair and damaged > 0)
