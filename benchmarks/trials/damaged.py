"""Files of ours and models, damaged at random, and the command that reads them.

What is ours is refused in words where it is damaged, or gives the result that it would have given.
Tables and models may be other data after a change: they have no right result, but neither an
unforeseen error, nor NaN.
"""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.trials.forked import run
from benchmarks.trials.good import MAKING, SHORT, Good, must
from benchmarks.trials.verdict import SUCCEEDED, WRONG, Verdict, judge

COUNT = 300

CLOSE = 1e-5
"""Relative difference of numbers that count as the same: what is computed again may be rounded."""


@dataclass(frozen=True)
class Subject:
    """Files, and a command that reads them.

    Args:
        files: Patterns of those that are damaged.
        command: Its arguments.
        result: The file that it writes; None for its standard output.
        ours: Whether damage must be seen.
        model: The method whose model is put beside the files.
    """

    files: tuple[str, ...]
    command: list[str]
    result: str | None = None
    ours: bool = False
    model: str | None = None


def _ours(files: str, command: list[str], result: str | None = None) -> Subject:
    return Subject(tuple(files.split()), command, result, ours=True)


def _other(files: str, command: list[str], model: str | None = None) -> Subject:
    return Subject(tuple(files.split()), command, model=model)


def _method(name: str, *patterns: str) -> Subject:
    scored = ["evaluate", "--data", "data", "-t", "mine", "--methods", f"{name}:./{name}", *SHORT]
    return _other(" ".join(f"{name}/{pattern}" for pattern in patterns), scored, name)


SUBJECTS = (
    _ours("run/manifest.json run/samples.sqlite", [*MAKING["run"], "-o", "out.csv"], "out.csv"),
    _ours("crossed/manifest.json crossed/samples.sqlite",
          [*MAKING["crossed"], "-o", "out.csv"], "out.csv"),
    _ours("evaluation/evaluation.json evaluation/pairs.jsonl",
          ["report", "evaluation", "--no-pictures", "-o", "out.md"], "out.md"),
    _ours("evaluation/evaluation.json evaluation/pairs.jsonl evaluation/*/*.json "
          "evaluation/*/*.sqlite evaluation/*/*/*", [*MAKING["evaluation"], "--format", "csv"]),
    _ours("embedded/*", MAKING["embedded"], "e.safetensors"),
    _ours("e.safetensors", ["nearest", "cat", "--in", "e.safetensors", "--json"]),
    _ours("e.safetensors", ["nearest", "a sun", "--in", "e.safetensors", "--json"]),
    _other("run/* crossed/*", ["status", "run", "--json"]),
    _other("evaluation/*/*", ["status", "evaluation", "--repair", "--json"]),
    _other("prompts.parquet", ["matrix", "prompts.parquet", *SHORT, "--json"]),
    _other("prompts.jsonl", ["matrix", "prompts.jsonl", *SHORT, "--json"]),
    _other("pairs.csv", ["pairs", "pairs.csv", *SHORT, "--json"]),
    _other("data/mine.csv", ["evaluate", "--data", "data", "-t", "mine", *SHORT, "--json"]),
    _other("pipeline/* pipeline/*/*.json", ["compare", "cat", "dog", *SHORT, "--json"]),
    _other("pipeline/*/*", ["compare", "cat", "dog", *SHORT, "--json"]),
    _other("lora.safetensors",
           ["compare", "cat", "dog", "--lora", "lora.safetensors", *SHORT, "--json"]),
    _method("trajectories", "*"), _method("direct-output", "*"),
    _method("sentence-transformers", "*", "*/*"),
)  # fmt: skip

OURS = tuple(subject for subject in SUBJECTS if subject.ours)


def trial(good: Good, seed: int, number: int, place: Path) -> Verdict:
    """One damaged file, and its command."""
    rng = random.Random(f"{seed}/damaged/{number}")
    subject = rng.choice(SUBJECTS if rng.random() < 0.5 else OURS)
    folder = _copy(good, subject, place / "work")
    files = [found for pattern in subject.files for found in sorted(folder.glob(pattern))]
    file = rng.choice([found for found in files if found.is_file()])
    what = damage(rng, file, folder)
    outcome = run(subject.command, folder)
    verdict = judge(subject.command, outcome)
    kind, why = verdict.kind, verdict.why
    if kind == SUCCEEDED and subject.ours:
        found = outcome.out if subject.result is None else read(folder / subject.result)
        if (apart := differ(expected(good, SUBJECTS.index(subject)), found)) is not None:
            kind, why = WRONG, f"another result in silence: {file.relative_to(folder)}, {what}"
            verdict = Verdict(kind, verdict.command, why, f"{verdict.said}\n{apart}")
    told = f"{verdict.command}   # {file.relative_to(folder)}: {what}"
    return Verdict(kind, told, why, verdict.said)


def _copy(good: Good, subject: Subject, place: Path) -> Path:
    folder = good.copy(place)
    if subject.model is not None:
        shutil.copytree(good.models / subject.model, folder / subject.model)
    return folder


@cache
def expected(good: Good, number: int) -> str:
    """The result of a subject's command on good files."""
    subject, folder = SUBJECTS[number], good.files.parent / f"expected-{number}"
    if not folder.exists():
        _copy(good, subject, folder)
    said = must(subject.command, folder)
    return said if subject.result is None else read(folder / subject.result)


def read(file: Path) -> str:
    """What is in a result, as text."""
    if file.suffix != ".safetensors":
        return file.read_text()
    from conjure.operations.embedding.embeddings import Embeddings

    found = Embeddings.load(file)
    return f"{found.prompts} {found.vectors.tolist()}"


NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def differ(one: str, other: str) -> str | None:
    """Where two texts with numbers are apart by more than rounding."""
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        parts = zip(one.split("\n"), other.split("\n"), strict=False)
        return next((f"{a}\n{b}" for a, b in parts if NUMBER.sub("#", a) != NUMBER.sub("#", b)), "")
    for a, b in zip(NUMBER.findall(one), NUMBER.findall(other), strict=True):
        if not math.isclose(float(a), float(b), rel_tol=CLOSE, abs_tol=1e-9):
            return f"{a} and {b}"
    return None


def damage(rng: random.Random, file: Path, folder: Path) -> str:
    """Damage a file; what was done."""
    ways: list[Callable[[random.Random, Path, Path], str]] = [_bytes, _bytes, _place]
    if file.suffix in (".json", ".jsonl"):
        ways += [_json] * 4
    if file.suffix == ".sqlite":
        ways += [_rows] * 3
    if file.suffix == ".safetensors":
        ways += [_header] * 3
    return rng.choice(ways)(rng, file, folder)


def _bytes(rng: random.Random, file: Path, folder: Path) -> str:
    """Of any file."""
    data = file.read_bytes()
    at = rng.randrange(len(data))
    page = slice(at // 512 * 512, at // 512 * 512 + rng.choice((512, 4096)))
    flipped = bytearray(data)
    for _ in range(rng.choice((1, 1, 4))):
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    name, changed = rng.choice((
        ("cut short", data[:at]), ("flipped", bytes(flipped)), ("flipped", bytes(flipped)),
        ("zeros", data[: page.start] + bytes(len(data[page])) + data[page.stop :]),
        ("emptied", b""), ("longer", data + rng.randbytes(rng.choice((1, 100, 5000)))),
        ("doubled", data + data), ("noise", rng.randbytes(len(data))),
        ("all zeros", bytes(len(data))), ("with more inside", data[:at] + b"\xff" + data[at:]),
    ))  # fmt: skip
    file.write_bytes(changed)
    return f"{name} at {at}"


def _place(rng: random.Random, file: Path, folder: Path) -> str:
    """Something else in its place."""
    others = sorted(one for one in folder.rglob("*") if one.is_file() and one != file)
    other = rng.choice(others)
    data = other.read_bytes()
    file.unlink()
    way = rng.choice(("gone", "a folder", "a full folder", "a loop", "swapped", "swapped"))
    if way == "swapped":
        file.write_bytes(data)
        return f"replaced by {other.relative_to(folder)}"
    if way == "a loop":
        file.symlink_to(file.name)
    elif way != "gone":
        file.mkdir()
        if way == "a full folder":
            (file / "x").touch()
    return way


VALUES: tuple[Any, ...] = (
    None, "", "x", "nan", -1, 0, 1, 2, 0.5, 10**9, 10**30, -(10**30), float("nan"), float("inf"),
    True, [], {}, [None], {"x": 1}, [[[[]]]], "x" * 5000, "\ud800", "\x00", "../..", [1, "a"],
)  # fmt: skip


def changed_json(rng: random.Random, content: Any) -> tuple[str, str]:
    """A JSON value with one thing changed, as text, and what that was."""
    if rng.random() < 0.05:
        return rng.choice(("[" * 100_000, "9" * 5000, "null", "[]", "{}", '"x"', "1")), "another"
    if not isinstance(content, dict | list) or not content:
        return json.dumps(rng.choice(VALUES)), "replaced"
    parent, key = _place_within(rng, content)
    way = rng.choice(("dropped", "replaced", "replaced", "deep", "added"))
    if way == "dropped":
        del parent[key]
    elif way == "added" and isinstance(parent, dict):
        parent["another"] = rng.choice(VALUES)
    elif way == "deep":
        parent[key] = "deep"
        nested = "[" * 2000 + "]" * 2000
        return json.dumps(content).replace('"deep"', nested, 1), f"{key}: deep"
    else:
        way, parent[key] = "replaced", rng.choice(VALUES)
        return json.dumps(content), f"{key}: {parent[key]!r:.40}"
    return json.dumps(content), f"{key}: {way}"


def _place_within(rng: random.Random, content: Any) -> tuple[Any, Any]:
    """A value within, as its parent and its key: of the many deep ones no more than of others."""
    key = rng.choice(list(content) if isinstance(content, dict) else range(len(content)))
    inner = content[key]
    if isinstance(inner, dict | list) and inner and rng.random() < 0.6:
        return _place_within(rng, inner)
    return content, key


def _json(rng: random.Random, file: Path, folder: Path) -> str:
    """One value of a JSON file, or of a line."""
    text = file.read_text()
    if file.suffix == ".json":
        made, what = changed_json(rng, json.loads(text))
        file.write_text(made, "utf-8", "surrogatepass")
        return what
    lines = text.splitlines()
    at = rng.randrange(len(lines))
    made, what = changed_json(rng, json.loads(lines[at]))
    lines[at : at + 1] = rng.choice(([made], [made], [made], [], [lines[at]] * 2))
    file.write_text("\n".join(lines) + "\n")
    return f"line {at + 1}, {what}"


STATEMENTS = (
    "UPDATE {table} SET {column} = NULL", "UPDATE {table} SET {column} = 'x'",
    "UPDATE {table} SET {column} = x'00'", "UPDATE {table} SET {column} = 1e300",
    "UPDATE {table} SET {column} = -1", "UPDATE OR REPLACE {table} SET {column} = zeroblob(72)",
    "DELETE FROM {table}", "DROP TABLE {table}", "ALTER TABLE {table} RENAME TO other",
    "ALTER TABLE {table} RENAME COLUMN {column} TO other", "PRAGMA user_version = 7",
    "DELETE FROM {table} WHERE rowid = 1", "CREATE TABLE other (x)", "PRAGMA encoding = 'UTF-16'",
)  # fmt: skip


def _rows(rng: random.Random, file: Path, folder: Path) -> str:
    """By a statement of SQL, which leaves the file itself whole."""
    with closing(sqlite3.connect(file, isolation_level=None)) as base:
        names = base.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        name = rng.choice(sorted(name for (name,) in names))
        columns = [row[1] for row in base.execute(f"PRAGMA table_info({name})")]
        statement = rng.choice(STATEMENTS).format(table=name, column=rng.choice(columns))
        if statement.startswith("UPDATE") and rng.random() < 0.5:
            statement += f" WHERE {columns[0]} = (SELECT max({columns[0]}) FROM {name})"
        try:
            base.execute(statement)
        except sqlite3.Error as error:  # a constraint: then another damage
            return f"{statement} ({error}), {_bytes(rng, file, folder)}"
    return statement


def _header(rng: random.Random, file: Path, folder: Path) -> str:
    """The JSON at the head of a safetensors file, its length put right."""
    data = file.read_bytes()
    size = int.from_bytes(data[:8], "little")
    content = json.loads(data[8 : 8 + size])
    about = content.get("__metadata__", {})
    if "manifest" in about and rng.random() < 0.7:
        about["manifest"], what = changed_json(rng, json.loads(about["manifest"]))
        head = json.dumps(content)
    else:
        head, what = changed_json(rng, content)
    raw = head.encode("utf-8", "surrogatepass")
    file.write_bytes(len(raw).to_bytes(8, "little") + raw + data[8 + size :])
    return f"header, {what}"
