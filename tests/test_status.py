"""What is stored is as it was stored, or refused; and nothing but numbers is stored."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import conjure
from conjure.engine.jobs import Job
from conjure.errors import ConjureError, DamagedError, NonFinitePredictionError
from conjure.methods import METHODS
from conjure.methods.base import Request
from conjure.process.marked import Marked
from conjure.process.wrappers.nudged import Beside
from conjure.store.sealed import is_whole, seal, unseal
from conjure.store.status import look
from conjure.store.values import kept_values

PAIRS = [("cat", "dog"), ("cat", "a"), ("dog", "a")]


def change(file: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(file) as base:
        base.execute(statement, values)


def first_blob(file: Path, table: str, column: str) -> bytes:
    with sqlite3.connect(file) as base:
        return base.execute(f"SELECT {column} FROM {table}").fetchone()[0]


DAMAGES: dict[str, Callable[[bytes], object]] = {
    "one number": lambda blob: np.float64(1e6).tobytes() + blob[8:],
    "one bit": lambda blob: bytes([blob[0] ^ 1]) + blob[1:],
    "the checksum": lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]),
    "cut": lambda blob: blob[:50],
    "cut by a number": lambda blob: blob[8:],
    "longer": lambda blob: blob + blob,
    "no checksum": lambda blob: blob[:-8],
    "not numbers": lambda blob: np.full(len(blob) // 8, np.nan).tobytes(),
    "empty": lambda _: b"",
    "text": lambda _: "0.5",
    "null": lambda _: None,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_sample_is_refused_and_can_be_dropped(oracle, tmp_path, damage):
    asked = {"process": oracle, "samples": 2, "out": tmp_path / "run"}
    meant = ["a", "b", ""]
    pairs = [(x, y) for x in meant for y in meant if x < y]
    before = [found.distance for found in conjure.compare_pairs(pairs, **asked)]
    file = tmp_path / "run" / "samples.sqlite"
    blob = DAMAGES[damage](first_blob(file, "samples", "squares"))
    change(file, "UPDATE samples SET squares = ? WHERE pair = 1 AND sample = 0", blob)
    with pytest.raises(DamagedError, match=r"is damaged.*conjure status FOLDER --repair"):
        list(conjure.compare_pairs(pairs, **asked))
    assert [(one.samples, one.damaged) for one in look(tmp_path / "run")] == [(6, 1)]
    assert look(tmp_path / "run", repair=True)[0].dropped
    assert [one.damaged for one in look(tmp_path / "run")] == [0]
    run = conjure.compare_pairs(pairs, **asked)
    assert [found.distance for found in run] == before
    assert run.calls > 0  # of the one that was dropped


def test_samples_that_changed_places_are_damaged(oracle, tmp_path):
    asked = {"process": oracle, "samples": 2, "out": tmp_path / "run"}
    list(conjure.compare_pairs([("a", "b")], **asked))
    file = tmp_path / "run" / "samples.sqlite"
    change(file, "UPDATE samples SET squares = (SELECT squares FROM samples WHERE sample = 1)")
    with pytest.raises(DamagedError):
        list(conjure.compare_pairs([("a", "b")], **asked))
    change(file, "UPDATE pairs SET a = 'z'")
    assert look(tmp_path / "run")[0].damaged == 2


def test_embeddings_are_sealed_too(oracle, tmp_path):
    asked = {"process": oracle, "paths": 1, "out": tmp_path / "run"}
    conjure.embed(["a", "b"], **asked)
    file = tmp_path / "run" / "samples.sqlite"
    change(file, "UPDATE vectors SET vector = zeroblob(length(vector)) WHERE prompt = 'a'")
    with pytest.raises(DamagedError, match=r"of .a. in .*samples\.sqlite. is damaged"):
        conjure.embed(["a", "b"], **asked)
    assert look(tmp_path / "run", repair=True)[0].damaged == 1
    conjure.embed(["a", "b"], **asked)


@pytest.mark.parametrize("text", [b"", b"x", b"0" * 100])
def test_damaged_landmarks_are_said(oracle, tmp_path, text):
    asked = {"process": oracle, "paths": 1, "out": tmp_path / "run"}
    conjure.embed(["a", "b"], **asked)
    (tmp_path / "run" / "landmarks.safetensors").write_bytes(text)
    with pytest.raises(DamagedError, match=r"landmarks.*take another folder"):
        conjure.embed(["a", "b"], **asked)


def test_values_of_methods_are_sealed_too(tmp_path):
    jobs = [Job("a", "b", sample) for sample in range(3)]

    def compute(some):
        return np.array([[job.sample + 0.5] for job in some])

    before = kept_values(tmp_path, jobs, 1, compute, 2)
    blob = np.float64(7).tobytes()
    change(tmp_path / "values.sqlite", "UPDATE kept SET numbers = ? WHERE sample = 1", blob)
    with pytest.raises(DamagedError):
        kept_values(tmp_path, jobs, 1, compute, 2)
    (found,) = look(tmp_path, repair=True)
    assert (found.pairs, found.samples, found.damaged, found.dropped) == (1, 3, 1, True)
    assert kept_values(tmp_path, jobs, 1, compute, 2).tolist() == before.tolist()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_only_numbers_are_kept(tmp_path, value):
    with pytest.raises(NonFinitePredictionError, match="'a' and 'b' is not finite"):
        kept_values(tmp_path, [Job("a", "b", 0)], 1, lambda _: np.array([[value]]), 1)
    assert look(tmp_path)[0].samples == 0


@given(st.lists(st.floats()), st.text(), st.integers(0, 9), st.text(), st.integers(0, 9))
def test_a_seal_is_of_its_numbers_and_its_owner(numbers, text, sample, other, another):
    values = np.array(numbers, dtype="<f8")
    blob = seal(values, text, sample)
    np.testing.assert_array_equal(unseal(blob, "<f8", text, sample), values)
    assert is_whole(blob, other, another) == ((text, sample) == (other, another))


def test_a_run_of_an_older_format_is_refused(oracle, tmp_path):
    asked = {"process": oracle, "samples": 1, "out": tmp_path / "run"}
    list(conjure.compare_pairs([("a", "b")], **asked))
    file = tmp_path / "run" / "manifest.json"
    text = json.loads(file.read_text()) | {"format": 1}
    file.write_text(json.dumps(text))
    with pytest.raises(ConjureError, match="format: 1 in the run, 3 now"):
        list(conjure.compare_pairs([("a", "b")], **asked))


def test_the_command(run, tmp_path):
    place = tmp_path / "run"
    table = tmp_path / "pairs.csv"
    table.write_text("a,b\ncat,dog\n")
    made = ["pairs", str(table), "-T", "2", "-k", "2", "--out", str(place), "--table", "-"]
    (code, before, _) = run(*made)
    assert code == 0
    assert run("status", str(place), model=False)[0] == 0
    file = place / "samples.sqlite"
    change(file, "UPDATE samples SET squares = zeroblob(100) WHERE sample = 0")
    code, out, said = run("status", str(place), model=False)
    assert code == 1
    assert "--repair" in said
    assert run(*made)[0] == 2
    code, out, _ = run("status", str(place), "--json", "--repair", model=False)
    assert code == 0
    assert json.loads(out) == [
        {
            "file": "samples.sqlite",
            "pairs": 1,
            "samples": 2,
            "damaged": 1,
            "dropped": True,
            "processes": 0,
            "in_work": 0,
        }
    ]
    after = run(*made)[1]
    numbers = [float(text.split("\n")[1].split(",")[2]) for text in (before, after)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-4)  # in other batches
    code, _, said = run("status", str(tmp_path / "none"), model=False)
    assert code == 2
    assert "holds no run" in said


def test_a_mark_is_no_text():
    assert Beside("cat") != "cat"
    assert Beside("cat") != "cat"
    assert Beside("cat") == Beside("cat")
    assert Beside("cat") != Marked("cat")
    assert len({Beside("cat"), "cat", "nudged: cat", Marked("cat")}) == 4


@pytest.mark.parametrize("order", [0, 1])
def test_no_prompt_is_taken_for_the_floor(pipeline_folder, tmp_path, order):
    process = conjure.load(pipeline_folder, steps=2, dtype="bfloat16", long="truncate")
    pairs = [("cat", "nudged: cat"), ("cat", "dog")][:: 1 - 2 * order]
    asked = {"process": process, "samples": 1}
    expected = [conjure.compare(*pair, **asked) for pair in pairs]
    for _ in range(2):
        found = list(conjure.compare_pairs(pairs, **asked, out=tmp_path / "run"))
        for one, other in zip(found, expected, strict=True):
            assert one.distance == pytest.approx(other.distance, rel=1e-2)
            assert one.floor is not None
            value = one.estimands["epsilon"]
            assert value is not None
            assert one.floor["epsilon"] < 0.1 * value.distance


def spoilt(network: torch.nn.Module) -> None:
    with torch.no_grad():
        next(iter(network.parameters())).fill_(torch.nan)


def test_a_language_model_that_says_no_numbers(tmp_path):
    from test_weights import language_model

    method = METHODS["trajectories"](Request(), str(language_model(tmp_path / "made")))
    spoilt(method.model)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(NonFinitePredictionError, match=r"returned infinities.*--dtype float32"):
        method.measure([("cat", "cat cat")], tmp_path / "kept")


def test_a_sentence_encoder_that_says_no_numbers(tmp_path):
    from test_weights import sentence_encoder

    folder = sentence_encoder(tmp_path / "made")
    method = METHODS["sentence-transformers"](Request(), str(folder))
    spoilt(method.model)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(NonFinitePredictionError, match=r"are not finite.*--dtype float32"):
        method.measure([("cat", "dog")], tmp_path / "kept")


def test_a_text_encoder_that_says_no_numbers(pipeline_folder, tmp_path):
    process = conjure.load(pipeline_folder, steps=2)
    spoilt(process.family.networks["text_encoder"])
    method = METHODS["text-encoder"](Request(lambda: process), None)
    with pytest.raises(NonFinitePredictionError, match="are not finite"):
        method.measure([("cat", "dog")], tmp_path / "kept")
