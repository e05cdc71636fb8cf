"""Paths that nothing can be read from or written to: a sentence, before a model is loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from conjure.errors import ConjureError
from conjure.io.files import check_file, check_folder, check_place, known_path
from conjure.io.tables import open_table, write_table

LONG = "x" * 300
WRITTEN = {
    "compare": ["compare", "cat", "dog"],
    "pairs": ["pairs", "TABLE"],
    "matrix": ["matrix", "TABLE", "--columns", "a"],
    "embed": ["embed", "TABLE", "--columns", "a"],
    "processes": ["processes", "TABLE", "--columns", "a", "--vary", "steps=2,3"],
    "drift": ["drift", "TABLE", "--columns", "a", "--change", "steps=2"],
    "evaluate": ["evaluate", "--data", "DATA", "--tasks", "toy", "--vary", "steps=2,3"],
}
OPTIONS = [
    ("compare", "--figure", ".png"),
    ("pairs", "--table", ".csv"),
    ("pairs", "--out", ""),
    ("matrix", "--table", ".csv"),
    ("matrix", "--figure", ".png"),
    ("matrix", "--out", ""),
    ("embed", "--save", ".safetensors"),
    ("embed", "--out", ""),
    ("processes", "--figure", ".png"),
    ("processes", "--out", ""),
    ("drift", "--table", ".csv"),
    ("drift", "--figure", ".png"),
    ("evaluate", "--figure", ".png"),
    ("evaluate", "--out", ""),
]
READ = {
    "pairs FILE": (["pairs", "PATH"], ".csv"),
    "matrix FILE": (["matrix", "PATH"], ".txt"),
    "embed FILE": (["embed", "PATH", "--save", "found.safetensors"], ".jsonl"),
    "processes FILE": (["processes", "PATH", "--vary", "steps=2,3"], ".tsv"),
    "drift FILE": (["drift", "PATH", "--change", "steps=2"], ".parquet"),
    "evaluate --data": (["evaluate", "--data", "PATH"], ""),
    "nearest --in": (["nearest", "cat", "--in", "PATH"], ".safetensors"),
    "report RUN": (["report", "PATH"], ""),
    "status FOLDER": (["status", "PATH"], ""),
    "compare --model": (["compare", "cat", "dog", "--model", "PATH"], ""),
    "drift --against": (["drift", "TABLE", "--columns", "a", "--against", "PATH"], ""),
    "processes model": (
        ["processes", "TABLE", "--columns", "a", "--vary", "model=emoji,PATH"],
        "",
    ),
    "compare --config": (["compare", "cat", "dog", "--model", "SINGLE", "--config", "PATH"], ""),
    "compare --lora": (["compare", "cat", "dog", "--lora", "PATH"], ".safetensors"),
}


@pytest.fixture
def asked(run, tmp_path, monkeypatch):
    """A command with some of its words replaced, which may not load a model."""
    monkeypatch.chdir(tmp_path)
    Path("pairs.csv").write_text("a,b\ncat,dog\nfox,cow\nowl,bee\n")
    Path("data").mkdir()
    rows = "".join(f"cat{n},dog{n},{n}\n" for n in range(4))
    Path("data/toy.csv").write_text(f"sentence1,sentence2,score\n{rows}")
    save_file({"weight": torch.ones(1)}, "single.safetensors")
    monkeypatch.setattr("conjure.loading.load._load_family", lambda *_: 1 / 0)

    def go(words: list[str], **replaced: str) -> str:
        places = {"TABLE": "pairs.csv", "DATA": "data", "SINGLE": "single.safetensors", **replaced}
        for name, place in places.items():
            words = [word.replace(name, place) for word in words]
        code, _, said = run(*words, model=False)
        said = " ".join(said.split())
        assert code == 2, said
        assert said.startswith("Error: ")
        return said

    return go


def bad_places(ending: str) -> dict[str, tuple[str, str]]:
    """Paths that cannot be written, and what is said of them."""
    Path("file").touch()
    Path("loop").symlink_to("loop")
    Path(f"nowhere{ending}").symlink_to("gone/there")
    wrong = Path(f"wrong{ending}")
    if ending:
        wrong.mkdir()
    else:
        wrong.touch()
    return {
        LONG + ending: ("too long", "too long"),
        f"~nosuchuser/x{ending}": ("home of a user", "nosuchuser"),
        f"gone/x{ending}": ("does not exist", "gone"),
        f"file/x{ending}": ("is a file", "file"),
        f"loop/x{ending}": ("symbolic links", "loop"),
        f"nowhere{ending}": ("does not exist", ""),
        f"wrong{ending}": ("is a folder, not a file" if ending else "is a file", "wrong"),
    }


@pytest.mark.parametrize(("command", "option", "ending"), OPTIONS)
def test_a_place_that_cannot_be_written_is_said_first(asked, command, option, ending):
    for place, (reason, name) in bad_places(ending).items():
        more = ["--save", "found.safetensors"] if (command, option) == ("embed", "--out") else []
        said = asked([*WRITTEN[command], option, place, *more])
        assert reason in said, place
        assert name in said


@pytest.mark.parametrize(("words", "ending"), READ.values(), ids=READ)
def test_a_place_that_cannot_be_read_is_said_first(asked, words, ending):
    places = bad_places(ending)
    for place in places:
        if "--lora" in words and place.startswith("wrong"):
            continue  # one may be a folder
        if set(words) & {"--against", "--config", "--lora", "model=emoji,PATH"} and "/x" in place:
            continue  # a hub's id
        said = asked(words, PATH=place)
        assert place[:40] in said or "nosuchuser" in said, said


def test_what_may_not_be_read_or_written_is_said(tmp_path, monkeypatch):
    file, folder = tmp_path / "pairs.csv", tmp_path / "shut"
    file.write_text("a,b\ncat,dog\n")
    folder.mkdir()
    denied = PermissionError(13, "Permission denied")

    def refuse(*_: Any, **__: Any) -> Any:
        raise denied

    with monkeypatch.context() as shut:  # permissions do not hold for everyone, as for root
        shut.setattr(Path, "open", refuse)
        for check in (check_file, open_table):
            with pytest.raises(
                ConjureError, match=r"pairs\.csv' cannot be read: Permission denied"
            ):
                check(file)
    with monkeypatch.context() as shut:
        shut.setattr(Path, "stat", refuse)
        for look in (check_file, check_folder, check_place, known_path):
            with pytest.raises(ConjureError, match="cannot be used as a path: Permission denied"):
                look(file)
    with monkeypatch.context() as shut:
        shut.setattr(os, "access", lambda *_: False)
        places = ((check_place, "new.csv"), (check_folder, "run"), (check_folder, "."))
        for check, name in places:
            with pytest.raises(ConjureError, match="shut' cannot be written to"):
                check(folder / name)


@pytest.mark.parametrize("name", ["a\0b", "\0"])
def test_a_name_that_no_file_has_is_said(name):
    for look in (check_file, check_folder, check_place, known_path):
        with pytest.raises(ConjureError, match="cannot be used as a path: embedded null byte"):
            look(name)


def test_a_name_leaves_room_for_its_draft(tmp_path):
    place = tmp_path / f"{'é' * ((255 - 4) // 2)}.csv"
    assert write_table(place, iter([{"a": 1}]), ["a"]) == 1
    with pytest.raises(ConjureError, match="File name too long"):
        check_place(place.with_name(f"é{place.name}"))


def test_a_home_is_found_that_no_shell_put_in(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert known_path("~/x") == tmp_path / "x"
    assert check_place(Path("~/x.csv")) == tmp_path / "x.csv"
    assert check_folder("~") == tmp_path
    write_table("~/t.csv", iter([{"a": "cat"}]), ["a"])
    assert list(open_table("~/t.csv")) == [{"a": "cat"}]
    Path("~backup.csv").write_text("a\ncow\n")
    assert list(open_table("~backup.csv")) == [{"a": "cow"}]
    with pytest.raises(ConjureError, match=r"'~backups.csv' stands .* is './~backups.csv'\."):
        open_table("~backups.csv")
