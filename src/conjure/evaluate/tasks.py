"""The paper's tasks and others: where each is from, and how to know that it is whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from conjure.errors import ConjureError, UnknownNameError
from conjure.evaluate.examples import (
    Examples,
    collect,
    find_file,
    read_examples,
    table_names,
)
from conjure.io.dialect import USUAL, Reading
from conjure.io.files import known_path


@dataclass(frozen=True)
class Hub:
    """A data set on the hub, at a pinned revision.

    Args:
        path: Its id.
        revision: The commit.
        split: Which part.
    """

    path: str
    revision: str
    split: str


@dataclass(frozen=True)
class Task:
    """A task that the table knows.

    Args:
        name: As in the table.
        source: Who made it.
        licence: Of the data, as far as it is stated.
        rows: Pairs of the split.
        checksum: Of texts and scores in the layout of a data folder, see
            ``Examples.checksum``; None where it has not been fixed.
        file: Its name in a data folder, without ending.
        hub: Where the hub has it, or None.
        subsets: Whether the mean over its subsets is a figure that is published.
    """

    name: str
    source: str
    licence: str
    rows: int
    checksum: str | None
    file: str
    hub: Hub | None = None
    subsets: bool = False


SEMEVAL = "no licence stated; free for research"
_STS = (
    (
        "STS12", 3108, "775cd49d5ec6755f", "a0d554a64d88156834ff5ae9920b964011b16384",
        "Agirre et al. 2012, SemEval task 6",
    ),
    (
        "STS13", 1500, "88f07286ae946f02", "7e90230a92c190f1bf69ae9002b8cea547a64cca",
        "Agirre et al. 2013, *SEM shared task, without SMT",
    ),
    (
        "STS14", 3750, "5a8885e404f4063f", "6031580fec1f6af667f0bd2da0a551cf4f0b2375",
        "Agirre et al. 2014, SemEval task 10",
    ),
    (
        "STS15", 3000, "266a54f539a181fb", "ae752c7c21bf194d8b67fd573edf7ae58183cbe3",
        "Agirre et al. 2015, SemEval task 2",
    ),
    (
        "STS16", 1186, "78c745b574bd611e", "4d8694f8f0e0100860b497b999b3dbed754a0513",
        "Agirre et al. 2016, SemEval task 1",
    ),
)  # fmt: skip

TASKS: dict[str, Task] = {
    name: Task(
        name, source, SEMEVAL, rows, checksum, f"{name}.test",
        Hub(f"mteb/{name.lower()}-sts", revision, "test"), subsets=True,
    )
    for name, rows, checksum, revision, source in _STS
}  # fmt: skip
TASKS |= {
    task.name: task
    for task in (
        Task(
            "STS-B", "Cer et al. 2017, STS Benchmark, test", "CC BY-SA 4.0", 1379,
            "ef08e352e712df14", "STSBenchmark.test",
            Hub("mteb/stsbenchmark-sts", "b0fddb56ed78048fa8b90373c8a3cfc37b684831", "test"),
        ),
        Task(
            "STS-B-dev", "Cer et al. 2017, STS Benchmark, development", "CC BY-SA 4.0", 1500,
            "e158a91bef0a1ea9", "STSBenchmark.dev",
            Hub("mteb/stsbenchmark-sts", "b0fddb56ed78048fa8b90373c8a3cfc37b684831", "validation"),
        ),
        Task(
            "SICK-R", "Marelli et al. 2014, SICK, its own test split", "CC BY-NC-SA 3.0", 4927,
            "598f4ccacd74037a", "SICK-R.test",
        ),
        Task(
            "SICK-R-all", "Marelli et al. 2014, SICK, the whole, as MTEB has it",
            "CC BY-NC-SA 3.0", 9927, None, "SICK-R-all",
            Hub("mteb/sickr-sts", "20a6d6f312dd54037fe07a32d58e5e168867909d", "test"),
        ),
        Task("RG65", "Rubenstein & Goodenough 1965", "none stated", 65, "1ac308f201882c1c", "RG65"),
        Task("MC30", "Miller & Charles 1991", "none stated", 30, "ef368abd20558532", "MC30"),
        Task("SimLex-999", "Hill et al. 2015", "none stated", 999, "0076bd9e3b026ffd", "SimLex999"),
    )
}  # fmt: skip

SEVEN = ("STS12", "STS13", "STS14", "STS15", "STS16", "STS-B", "SICK-R")
"""Whose mean is the last column of the paper's table."""

PARTS_OF_SPEECH = ("RG65", "SimLex-999")
"""The paper's error analysis."""

GROUPS = {"seven": SEVEN, "words": PARTS_OF_SPEECH}
"""Names for several tasks."""


def expand(names: str) -> list[str]:
    """Task names from a list with commas; ``seven`` and ``words`` stand for several.

    >>> expand("words,STS-B")
    ['RG65', 'SimLex-999', 'STS-B']
    """
    found: dict[str, None] = {}
    for name in (part.strip() for part in names.split(",")):
        if name:
            task = known_task(name)
            alone = (name,) if task is None else (task.name,)
            found.update(dict.fromkeys(GROUPS.get(name.lower(), alone)))
    if not found:
        raise ConjureError("There is no task. Name some with --tasks, such as STS-B,SICK-R.")
    return list(found)


def known_task(name: str) -> Task | None:
    """A task of the table, by its name or that of its file, however it is spelt.

    >>> known_task("sts-b") is known_task("STSBenchmark") is TASKS["STS-B"]
    True
    """
    for task in TASKS.values():
        names = {task.name, task.file, task.file.removesuffix(".test")}
        if name.lower() in map(str.lower, names):
            return task
    return None


def load_task(
    name: str,
    data: str | Path | None = None,
    *,
    reading: Reading = USUAL,
    offline: bool = False,
) -> Examples:
    """A task's pairs, from a data folder or from the hub.

    Args:
        name: One of ``TASKS``, or the name of any table in the data folder, without ending.
        data: The folder, or None for the hub (which needs the ``evaluate`` extra).
        reading: How its tables are written, where that is not to be found out.
        offline: Whether the hub may not be asked.

    Raises:
        ConjureError: It is not there, cannot be read, or is not what it should be: another number
            of rows, or other contents.
    """
    task = known_task(name)
    if data is not None:
        folder = known_path(data)
        if not folder.is_dir():
            reason = "is a file, not a folder" if folder.exists() else "does not exist"
            raise ConjureError(f"The data folder {str(folder)!r} {reason}.")
        names = [name] if task is None else [task.file, task.file.removesuffix(".test"), task.name]
        path = next((p for n in dict.fromkeys(names) if (p := find_file(folder, n))), None)
        if path is None:
            if task is None:
                raise UnknownNameError("task", name, [*TASKS, *GROUPS, *table_names(folder)])
            raise ConjureError(f"{str(folder)!r} has no table {task.file!r} for {task.name}.")
        examples = read_examples(path, task.name if task else name, reading)
    elif task is None:
        raise UnknownNameError("task", name, [*TASKS, *GROUPS])
    elif offline:
        raise ConjureError(f"{name} would come from the hub: give a folder with --data DIR.")
    else:
        examples = _from_hub(task)
    if task is not None:
        check_examples(task, examples, from_folder=data is not None)
        examples = replace(examples, whole=not task.subsets)
    return examples


def check_examples(task: Task, examples: Examples, *, from_folder: bool = True) -> None:
    """That a copy of a task is whole, and what was published.

    Raises:
        ConjureError: It is not.
    """
    if len(examples) != task.rows:
        raise ConjureError(
            f"{task.name} has {task.rows:,} pairs, and this copy has {len(examples):,}: it is "
            "damaged or another split. A table under another name is taken as it is."
        )
    # Another source may spell its texts with other spaces; a pinned revision cannot change.
    if from_folder and task.checksum is not None and examples.checksum() != task.checksum:
        raise ConjureError(
            f"This copy of {task.name} has {task.rows:,} pairs, but other contents than the "
            f"published split (checksum {examples.checksum()}, not {task.checksum}). Restore it, "
            "or give it another name to take it as it is."
        )


def _from_hub(task: Task) -> Examples:
    if task.hub is None:
        raise ConjureError(
            f"{task.name} is not on the hub in a layout that can be pinned: put it into a folder "
            f"as {task.file}.jsonl, and name that with --data DIR."
        )
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise ConjureError(
            "Tasks from the hub need the datasets library: pip install 'conjure[evaluate]', or "
            "give a folder with --data DIR."
        ) from error
    try:
        rows: Any = load_dataset(task.hub.path, split=task.hub.split, revision=task.hub.revision)
    except Exception as error:  # it fails in many ways: no network, no such revision, a bad cache
        raise ConjureError(
            f"{task.name} could not be had from the hub ({task.hub.path}): {error} Try again "
            "online, or give a folder with --data DIR."
        ) from error
    return collect([dict(row) for row in rows], task.name)
