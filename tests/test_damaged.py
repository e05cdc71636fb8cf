"""Files of ours that were damaged: the same result, or one sentence that names the file."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import conjure
from conjure import ConjureError, Gaussian, GaussianProcess
from conjure.engine.jobs import Job
from conjure.errors import DamagedError
from conjure.evaluate import Examples, open_evaluation
from conjure.evaluate.report.markdown import markdown_report
from conjure.evaluate.sweep import sweep, sweep_point
from conjure.loading import reload
from conjure.operations.embedding.embeddings import Embeddings
from conjure.store.status import look
from conjure.store.values import kept_values

NAMES = ["", *"abcde"]
PAIRS = [("a", "b"), ("c", "a")]
PROCESS = GaussianProcess.build(
    {name: Gaussian(n * np.ones(2), np.eye(2)) for n, name in enumerate(NAMES)}, steps=3
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A folder with a file of every kind."""
    place = tmp_path_factory.mktemp("whole")
    list(conjure.compare_pairs(PAIRS, process=PROCESS, samples=2, out=place / "run"))
    use_values(place)
    made = conjure.embed(NAMES, process=PROCESS, dimensions=8, out=place / "embedded")
    made.save(place / "found.safetensors")
    pairs = tuple((a, b) for a in NAMES for b in NAMES if "" < a < b)
    more = {"frequency": [n / 3 for n in range(len(pairs))]}
    toy = Examples("toy", pairs, np.arange(float(len(pairs))), more, words=False)
    sweep([toy], ["conjuring"], {"samples": [1, 2]}, lambda at: PROCESS, out=place / "evaluated")
    return place


def use_run(place: Path) -> Any:
    run = conjure.compare_pairs(PAIRS, process=PROCESS, samples=2, out=place / "run")
    found = [result.distance for result in run]
    look(place / "run")
    return found


def use_values(place: Path) -> Any:
    def compute(some: Any) -> np.ndarray:
        return np.array([[len(job.a + job.b) + job.sample] for job in some])

    jobs = [Job(*pair, sample) for pair in PAIRS for sample in range(3)]
    found = kept_values(place / "values", jobs, 1, compute, 4).tolist()
    look(place / "values")
    return found


def use_embedded(place: Path) -> Any:
    asked = {"process": PROCESS, "dimensions": 8, "out": place / "embedded"}
    return conjure.embed(NAMES, **asked).vectors.tolist()


def use_embeddings(place: Path) -> Any:
    found = Embeddings.load(place / "found.safetensors")
    near = found.nearest(found.vectors[0], 2)
    return [n.prompt for n in near], found.distances().tolist(), found.error


def use_evaluation(place: Path) -> Any:
    return markdown_report(open_evaluation(place / "evaluated"))


def use_sweep(place: Path) -> Any:
    return sweep_point(place / "evaluated", {})


FILES: dict[str, Callable[[Path], Any]] = {
    "run/manifest.json": use_run,
    "run/samples.sqlite": use_run,
    "values/values.sqlite": use_values,
    "embedded/manifest.json": use_embedded,
    "embedded/samples.sqlite": use_embedded,
    "embedded/landmarks.safetensors": use_embedded,
    "found.safetensors": use_embeddings,
    "evaluated/evaluation.json": use_evaluation,
    "evaluated/pairs.jsonl": use_evaluation,
    "evaluated/sweep.json": use_sweep,
}
CHECKED = (
    "run/manifest.json", "run/samples.sqlite", "embedded/samples.sqlite", "values/values.sqlite",
)  # fmt: skip
"""Whose numbers cannot be others: of the rest a change may make another whole file."""

VALUES = ["null", "-1", '"x"', "[]", "{}", "1e400", "[" * 900 + "]" * 900, "9" * 5000, "true"]
FREE = ("methods", "tasks", "versions", "process", "differences", "weights")
"""What is only shown, or hashed: its inner parts are not gone through."""


def inner(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the parts of a JSON value are, of lists the last alone."""
    keys = list(value) if isinstance(value, dict) else []
    keys = [len(value) - 1] if isinstance(value, list) and value else keys
    for key in keys:
        yield (*at, key)
        if key not in FREE and len(at) < 2:
            yield from inner(value[key], (*at, key))


def damaged_json(text: str) -> Iterator[str]:
    """With each of its parts missing, and each replaced."""
    for place in inner(json.loads(text)):
        for value in (None, *VALUES):
            whole = json.loads(text)
            part = whole
            for key in place[:-1]:
                part = part[key]
            if value is None:
                del part[place[-1]]
            else:
                part[place[-1]] = "HERE"
            yield json.dumps(whole).replace('"HERE"', value or "")
    yield from VALUES


def rewritten(
    file: Path, change: Callable[[dict[str, torch.Tensor], dict[str, str]], None]
) -> None:
    """A safetensors file with other tensors, or another account of them."""
    with safe_open(file, "pt") as there:
        about = dict(there.metadata())
        tensors = {key: there.get_tensor(key) for key in there.keys()}  # noqa: SIM118
    change(tensors, about)
    save_file(tensors, file, metadata=about)


def listed(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(text, "utf-8"), dtype=torch.uint8)


def damaged_bytes(data: bytes) -> Iterator[bytes]:
    """Cut, with bytes changed, and with others before or after them."""
    for part in range(8):
        yield data[: part * len(data) // 8]
    yield data[:-1]
    for place in [*range(0, 120, 11), *range(120, len(data), len(data) // 14)]:
        yield data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        yield data[:place] + b"\xff" + data[place + 1 :]
    yield b"\xef\xbb\xbf" + data
    yield b"\0" * len(data)
    yield b"no such thing"


def judge(use: Callable[[Path], Any], file: Path, place: Path, expected: Any) -> bool:
    """Whether a damaged file was refused; anything but a sentence with its name is an error."""
    try:
        found = use(place)
    except ConjureError as error:
        said = str(error)
        assert file.name in said or str(file.parent) in said, said
        assert said.count("\n") == 0 or "other settings" in said
        return True
    assert expected is None or found == expected
    return False


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_one_sentence(whole, tmp_path, name):
    use, data = FILES[name], (whole / name).read_bytes()
    expected = use(whole)
    place = Path(shutil.copytree(whole, tmp_path / "copy"))
    file = place / name
    contents: list[bytes] = list(damaged_bytes(data))
    if file.suffix == ".json":
        contents += [text.encode() for text in damaged_json(data.decode())]
    elif file.suffix == ".jsonl":
        *lines, last = data.decode().splitlines()
        contents += ["\n".join([*lines, bad, ""]).encode() for bad in damaged_json(last)]
        contents.append("\n".join([*lines, ""]).encode())
    refused = 0
    for content in contents:
        if use not in (use_embeddings, use_evaluation, use_sweep):
            shutil.rmtree(file.parent)  # what reads it may write it anew
            shutil.copytree(whole / file.parent.name, file.parent)
        file.write_bytes(content)
        refused += judge(use, file, place, expected if name in CHECKED else None)
    assert refused > 10
    file.unlink()
    file.mkdir()
    assert judge(use, file, place, None)


@pytest.mark.parametrize("part", ["manifest", "prompts"])
def test_a_damaged_list_in_embeddings_is_one_sentence(whole, tmp_path, part):
    file = tmp_path / "found.safetensors"
    with safe_open(whole / file.name, "pt") as there:
        texts = {
            "manifest": there.metadata()["manifest"],
            "prompts": there.get_tensor("prompts").numpy().tobytes().decode(),
        }

    def change(tensors: Any, about: Any) -> None:
        tensors["prompts"] = listed(texts["prompts"])
        about["manifest"] = texts["manifest"]

    refused, bad = 0, list(damaged_json(texts[part]))
    shutil.copy(whole / file.name, file)
    for text in bad:
        texts[part] = text
        rewritten(file, change)
        refused += judge(use_embeddings, file, tmp_path, None)
    assert refused > len(bad) / 2


TENSORS: dict[str, Callable[[dict[str, torch.Tensor], str], Any]] = {
    "missing": lambda all, name: all.pop(name),
    "longer": lambda all, name: all.update({name: torch.cat([all[name], all[name]])}),
    "empty": lambda all, name: all.update({name: all[name][:0].clone()}),
    "flat": lambda all, name: all.update({name: all[name].flatten()}),
    "one number": lambda all, name: all.update({name: torch.tensor(1.0)}),
    "half precision": lambda all, name: all.update({name: all[name].bfloat16()}),
    "whole numbers": lambda all, name: all.update({name: all[name].to(torch.int64)}),
    "turned": lambda all, name: all.update({name: all[name].transpose(0, -1).contiguous()}),
    "no number": lambda all, name: all.update({name: all[name] * torch.nan}),
}


@pytest.mark.parametrize("damage", TENSORS)
@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("found.safetensors", "vectors"),
        ("found.safetensors", "prompts"),
        ("found.safetensors", "landmarks.states"),
        ("found.safetensors", "landmarks.noise"),
        ("embedded/landmarks.safetensors", "states"),
        ("embedded/landmarks.safetensors", "picture"),
    ],
)
def test_a_damaged_tensor_is_one_sentence(whole, tmp_path, name, tensor, damage):
    place = Path(shutil.copytree(whole, tmp_path / "copy"))
    file, use = place / name, FILES[name]
    rewritten(file, lambda tensors, _: TENSORS[damage](tensors, tensor))
    same = tensor == "prompts" and damage in ("flat", "turned")
    assert judge(use, file, place, use(whole) if same else None) != same


TABLES = [("run", "samples"), ("embedded", "vectors"), ("values", "kept")]


@pytest.mark.parametrize(("folder", "table"), TABLES)
@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE {table}",
        "ALTER TABLE {table} RENAME TO other",
        "ALTER TABLE {table} RENAME COLUMN {column} TO other",
        "DELETE FROM {table}",
        "UPDATE {table} SET {column} = NULL",
        "UPDATE {table} SET {column} = 7",
        "UPDATE {table} SET {column} = x'00'",
        "UPDATE {table} SET {key} = x'ff' || rowid",
        "UPDATE {table} SET {key} = {key} || '\u2028'",
        "CREATE TRIGGER bad BEFORE INSERT ON {table} BEGIN SELECT RAISE(FAIL, 'no'); END",
        "DROP TABLE IF EXISTS about",
    ],
)
def test_a_damaged_table_is_one_sentence(whole, tmp_path, folder, table, statement):
    place = Path(shutil.copytree(whole, tmp_path / "copy"))
    (file,) = (place / folder).glob("*.sqlite")
    column = {"samples": "squares", "vectors": "vector", "kept": "numbers"}[table]
    key = {"samples": "sample", "vectors": "prompt", "kept": "a"}[table]
    with closing(sqlite3.connect(file)) as base, suppress(sqlite3.OperationalError):
        base.execute(statement.format(table=table, column=column, key=key))  # if it has rowid
        base.commit()
    use = FILES[str(file.relative_to(place))]
    judge(use, file, place, use(whole))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "run/manifest.json",
            '"seed": 0',
            '"seed": "x"',
            "seed should be a valid integer, not 'x'",
        ),
        ("run/manifest.json", '"levels"', '"level"', "levels is missing"),
        ("run/manifest.json", "{", "", "at line 2 column 10"),
        ("evaluated/evaluation.json", '"spearman": ', '"spearman": 1e400,"x":', "finite number"),
        (
            "evaluated/evaluation.json",
            '"pairs": 10,\n   "s',
            '"pairs": 11, "s',
            "11 pairs in the one and 10 in",
        ),
        ("evaluated/pairs.jsonl", '"score": 9.0', '"score": null', r"Line 10 of .*score should be"),
        ("evaluated/sweep.json", '"at"', '"as"', r"\[0\]\.at is missing.*remove the file"),
    ],
)
def test_a_sentence_has_file_place_and_remedy(whole, tmp_path, name, old, new, message):
    place = Path(shutil.copytree(whole, tmp_path / "copy"))
    text = (place / name).read_text()
    assert old in text
    (place / name).write_text(text.replace(old, new, 1))
    with pytest.raises(DamagedError, match=message) as caught:
        FILES[name](place)
    assert str(place / name) in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": "x"}, "steps should be a valid integer, not 'x'"),
        ({"long": {}}, "long should be a valid string"),
        ({"spacing": {}}, "spacing should be a valid string"),
        ({"negative": 7}, "negative should be a valid string, not 7"),
        ({"guidance": "1"}, "guidance should be a valid number, not '1'"),
        ({"loras": [["a", "b"]]}, r"loras\S* should be"),
        ({"sampler": "nosuch"}, "Unknown sampler 'nosuch'"),
        ({"steps": 0}, "steps is a whole number, at least 1"),
    ],
)
def test_a_damaged_account_of_a_process_is_one_sentence(whole, tmp_path, run, changes, message):
    described = {"sampler": "ddim", "steps": 2, "long": "refuse", "negative": "", "guidance": 1}
    how = {"model": "emoji", "revision": None, "variant": None, "process": described | changes}
    with pytest.raises(ConjureError, match=message):
        reload(how)
    file = tmp_path / "found.safetensors"
    shutil.copy(whole / file.name, file)

    def change(_: Any, about: Any) -> None:
        about["manifest"] = json.dumps(json.loads(about["manifest"]) | how)

    rewritten(file, change)
    code, _, said = run("nearest", "a new query", "--in", str(file), model=False)
    said = "".join(said.split())
    assert code == 2
    assert f"Theprocessthatmade'{file}'cannotbeloaded" in said


def test_the_commands_say_so_too(whole, tmp_path, run):
    place = Path(shutil.copytree(whole, tmp_path / "copy"))
    for name, words in {
        "evaluated/evaluation.json": ["report", str(place / "evaluated"), "--no-pictures"],
        "found.safetensors": ["nearest", "a", "--in", str(place / "found.safetensors")],
        "run/samples.sqlite": ["status", str(place / "run")],
    }.items():
        assert run(*words, model=False)[0] == 0
        (place / name).write_bytes(b"x" * 5000)
        code, _, said = run(*words, model=False)
        assert code == 2
        assert str(place / name) in "".join(said.split())


def test_an_evaluation_knows_its_two_files(whole, tmp_path):
    """A digit, a key, or the file of another evaluation, as a kill between the two would leave."""
    shutil.copytree(whole / "evaluated", tmp_path / "run")
    summary, pairs = tmp_path / "run" / "evaluation.json", tmp_path / "run" / "pairs.jsonl"
    text, rows = summary.read_text(), pairs.read_text()
    record = json.loads(text)
    calls = record["calls"] + 1
    changed = {
        summary: [json.dumps(record | {"calls": calls}), json.dumps(record | {"more": 1})],
        pairs: [
            rows.replace('"a": "a"', '"a": "b"', 1),
            rows.replace('"score": 0.0', '"score": 0.5'),
        ],
    }
    for file, texts in changed.items():
        before = file.read_text()
        for other in texts:
            assert other != before
            file.write_text(other)
            with pytest.raises(DamagedError, match="was changed after it was written, or they"):
                open_evaluation(tmp_path / "run")
        file.write_text(before)
    summary.write_text(json.dumps(record, sort_keys=True))  # another order, the same
    assert open_evaluation(tmp_path / "run").scores
