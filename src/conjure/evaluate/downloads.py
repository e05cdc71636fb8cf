"""The public files of the tasks, as their makers lay them out, made into a data folder."""

from __future__ import annotations

import csv
import json
import re
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from conjure.errors import ConjureError
from conjure.evaluate.examples import collect
from conjure.evaluate.tasks import check_examples, known_task
from conjure.io.files import check_folder, known_path, written_whole

Rows = list[dict[str, Any]]
ARCHIVES = (".zip", ".tar", ".tgz", ".gz")
POS = {"A": "adjective", "N": "noun", "V": "verb"}


@dataclass(frozen=True)
class Found:
    """A task among the downloads.

    Args:
        task: Its name in the table, or that of its file.
        source: The file it is from, within its archive; of STS12–16 the folder.
        pairs: How many.
        problem: Why it was not written; None if it was.
        path: Where it is now, or None.
    """

    task: str
    source: str
    pairs: int
    problem: str | None = None
    path: Path | None = None


@dataclass(frozen=True)
class _Document:
    """A file, in a folder or in an archive."""

    path: PurePosixPath
    read: Callable[[], bytes]

    def lines(self) -> list[str]:
        try:
            text = self.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConjureError(f"{self.path} is not UTF-8: {error}.") from error
        return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def convert(places: Sequence[str | Path], folder: str | Path) -> list[Found]:
    """Write what is found in downloaded files, folders and archives as ``NAME.jsonl``.

    Nothing else is read than files of the names in ``LAYOUTS`` and ``YEARS``, and nothing is
    unpacked. A task that the table knows is written only if it has the published contents.

    Raises:
        ConjureError: A place does not exist, an archive is damaged, or the folder cannot be used.
    """
    target = check_folder(folder)
    found: dict[str, Found] = {}
    for name, source, rows in _tasks(list(_documents(places))):
        one = _write(name, source, rows, target)
        if name not in found or found[name].problem is not None:  # a second copy may be whole
            found[name] = one
    return list(found.values())


def _tasks(documents: list[_Document]) -> Iterator[tuple[str, str, Rows | ConjureError]]:
    """The name of its file, its source and its rows, of each task."""
    folders: dict[PurePosixPath, dict[str, _Document]] = defaultdict(dict)
    for document in documents:
        folders[document.path.parent][document.path.name] = document
        layout = LAYOUTS.get(document.path.name)
        if layout is not None:
            yield layout.file, str(document.path), _attempt(layout.read, document)
    for folder, members in folders.items():
        inputs = {m["subset"]: m.string for n in members if (m := _INPUT.fullmatch(n))}
        for year, subsets in YEARS.items():
            if inputs.keys() >= set(subsets):
                chosen = {subset: inputs[subset] for subset in subsets}
                yield f"{year}.test", str(folder), _attempt(_semeval, members, chosen)


def _attempt(read: Callable[..., Rows], *given: Any) -> Rows | ConjureError:
    try:
        return read(*given)
    except ConjureError as error:
        return error
    except (IndexError, KeyError, ValueError) as error:
        return ConjureError(f"It is not laid out as published: {type(error).__name__}: {error}.")


def _write(file: str, source: str, rows: Rows | ConjureError, folder: Path) -> Found:
    known = known_task(file)
    name = known.name if known else file
    if isinstance(rows, ConjureError):
        return Found(name, source, 0, str(rows))
    path = folder / f"{file}.jsonl"
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    try:
        examples = collect(rows, name)
        if known is not None:
            check_examples(known, examples)
        elif len(rows) != (expected := next(x.rows for x in LAYOUTS.values() if x.file == file)):
            raise ConjureError(f"{name} has {expected:,} pairs, and this copy has {len(rows):,}.")
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise ConjureError(f"{path} is there already, with other contents: move it away.")
    except ConjureError as error:
        return Found(name, source, len(rows), str(error))
    folder.mkdir(exist_ok=True)
    with written_whole(path) as draft:
        draft.write_text(text, encoding="utf-8")
    return Found(name, source, len(rows), None, path)


def _documents(places: Sequence[str | Path]) -> Iterator[_Document]:
    for place in map(known_path, places):
        if not place.exists():
            raise ConjureError(f"{str(place)!r} does not exist: name what you have downloaded.")
        files = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
        for file in files:
            if file.suffix.lower() in ARCHIVES:
                yield from _archived(file)
            elif _is_wanted(file.name):
                yield _Document(PurePosixPath(file.as_posix()), file.read_bytes)


def _archived(file: Path) -> Iterator[_Document]:
    """Those of its members whose names are known: read one by one, and never unpacked."""
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                names = [n for n in archive.namelist() if _is_wanted(PurePosixPath(n).name)]
                contents = {name: archive.read(name) for name in names}
        elif tarfile.is_tarfile(file):
            with tarfile.open(file) as archive:
                members = [m for m in archive if m.isfile() and _is_wanted(Path(m.name).name)]
                streams = {m.name: archive.extractfile(m) for m in members}
                contents = {name: s.read() for name, s in streams.items() if s is not None}
        else:
            return
    except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError, RuntimeError) as error:
        raise ConjureError(f"{str(file)!r} cannot be read as an archive: {error}.") from error
    for name, content in contents.items():
        yield _Document(PurePosixPath(file.as_posix()) / name, lambda content=content: content)


def _is_wanted(name: str) -> bool:
    return name in LAYOUTS or _PART.fullmatch(name) is not None


def _semeval(members: dict[str, _Document], inputs: dict[str, str]) -> Rows:
    """STS12–16: two texts a line, and as many lines of scores, empty where nobody judged."""
    rows: Rows = []
    for subset, name in inputs.items():
        texts = members[name].lines()
        gold = members.get(name.replace(".input.", ".gs."))
        if gold is None:
            raise ConjureError(f"{name} is there, but not its scores, {_gold(name)}.")
        scores = gold.lines()
        if len(scores) != len(texts):
            raise ConjureError(f"{name} has {len(texts):,} lines, {_gold(name)} {len(scores):,}.")
        for line, score in zip(texts, scores, strict=True):
            if score.strip():
                first, second, *_ = line.split("\t")
                rows.append(_pair(first, second, score) | {"subset": _short(subset)})
    return rows


def _gold(name: str) -> str:
    return name.replace(".input.", ".gs.")


def _short(subset: str) -> str:
    return subset.removeprefix("surprise.")


def _pair(first: str, second: str, score: str) -> dict[str, Any]:
    return {"sentence1": first, "sentence2": second, "score": float(score)}


def _words(first: str, second: str, score: str) -> dict[str, Any]:
    return {"word1": first, "word2": second, "score": float(score)}


def _benchmark(document: _Document) -> Rows:
    """STS-B: genre, file, year, number, score, two texts, and perhaps their sources."""
    found = (line.split("\t") for line in document.lines())
    return [_pair(row[5], row[6], row[4]) | {"subset": row[1]} for row in found]


def _titled(document: _Document) -> Iterator[dict[str, str]]:
    head, *lines = (line.split("\t") for line in document.lines())
    return (dict(zip(head, line, strict=True)) for line in lines)


def _sick(document: _Document) -> Rows:
    """SICK, its test split alone where the file has all of it."""
    return [
        _pair(row["sentence_A"], row["sentence_B"], row["relatedness_score"])
        for row in _titled(document)
        if row.get("SemEval_set", "TEST") == "TEST"
    ]


def _simlex(document: _Document) -> Rows:
    return [
        _words(row["word1"], row["word2"], row["SimLex999"])
        | {"pos": POS[row["POS"]], "concreteness": int(row["concQ"])}
        for row in _titled(document)
    ]


def _spaced(document: _Document) -> Rows:
    """Two words and a score, between spaces or tabs."""
    rows = (line.split() for line in document.lines())
    return [_words(first, second, score) for first, second, score in rows]


def _comma(document: _Document) -> Rows:
    """WordSim-353: a title, then two words and the mean score."""
    rows = list(csv.reader(document.lines()))[1:]
    return [_words(first, second, score) for first, second, score, *_ in rows]


@dataclass(frozen=True)
class Layout:
    """A public file of one task.

    Args:
        file: The name of what it becomes in a data folder, without ending.
        rows: Pairs.
        read: Its rows.
    """

    file: str
    rows: int
    read: Callable[[_Document], Rows]


LAYOUTS: dict[str, Layout] = {
    "sts-test.csv": Layout("STSBenchmark.test", 1379, _benchmark),
    "sts-dev.csv": Layout("STSBenchmark.dev", 1500, _benchmark),
    "SICK_test_annotated.txt": Layout("SICK-R.test", 4927, _sick),
    "SICK.txt": Layout("SICK-R.test", 4927, _sick),
    "EN-RG-65.txt": Layout("RG65", 65, _spaced),
    "EN-MC-30.txt": Layout("MC30", 30, _spaced),
    "SimLex-999.txt": Layout("SimLex999", 999, _simlex),
    "combined.csv": Layout("WordSim353", 353, _comma),
    "wordsim_similarity_goldstandard.txt": Layout("WordSim353-similarity", 203, _spaced),
    "wordsim_relatedness_goldstandard.txt": Layout("WordSim353-relatedness", 252, _spaced),
    "MEN_dataset_natural_form_full": Layout("MEN", 3000, _spaced),
}
"""By their names as published."""

YEARS: dict[str, tuple[str, ...]] = {
    "STS12": ("MSRpar", "MSRvid", "SMTeuroparl", "surprise.OnWN", "surprise.SMTnews"),
    "STS13": ("FNWN", "headlines", "OnWN"),
    "STS14": ("deft-forum", "deft-news", "headlines", "images", "OnWN", "tweet-news"),
    "STS15": ("answers-forums", "answers-students", "belief", "headlines", "images"),
    "STS16": ("answer-answer", "headlines", "plagiarism", "postediting", "question-question"),
}
"""A folder with ``STS.input.SUBSET.txt`` and ``STS.gs.SUBSET.txt`` of all these is that year's."""

_INPUT = re.compile(r"STS(\d{4})?\.input\.(?P<subset>.+)\.txt")
_PART = re.compile(r"STS(\d{4})?\.(input|gs)\..+\.txt")


def public_files() -> list[tuple[str, str]]:
    """What is looked for: a task, and the names of its public files."""
    found: dict[str, list[str]] = defaultdict(list)
    for year, subsets in YEARS.items():
        found[year] = [f"STS.input.{subset}.txt" for subset in subsets[:1]] + ["…"]
    for name, layout in LAYOUTS.items():
        known = known_task(layout.file)
        found[known.name if known else layout.file].append(name)
    return [(task, ", ".join(names)) for task, names in found.items()]


def missing(found: Iterable[Found]) -> list[str]:
    """Tasks of which nothing was found."""
    there = {one.task for one in found}
    return [task for task, _ in public_files() if task not in there]
