"""Near or far: the reference pairs of a process, and what a distance is over how much both say."""

from __future__ import annotations

import json

import numpy as np
import pytest

import conjure
from conjure import Gaussian, GaussianProcess
from conjure.operations.relative import calls_of_said
from conjure.operations.standing import PAIRS, Scale, kept_place, known_scale


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where scales are kept."""
    monkeypatch.setenv("CONJURE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def words_apart() -> GaussianProcess:
    """A process in which each reference prompt has a place of its own."""
    names = list(dict.fromkeys(name for pair in PAIRS for name in pair))
    rng = np.random.default_rng(0)
    meanings = {name: Gaussian(rng.normal(size=2), np.eye(2)) for name in ["", *names]}
    return GaussianProcess.build(meanings, steps=6)


def test_a_scale_is_measured_once_and_kept(cache):
    process = words_apart()
    assert conjure.compare("cat", "dog", process=process, samples=2).standing is None
    scale = conjure.scale(process, samples=4)
    again = known_scale(process)
    assert again is not None
    assert again.distances == scale.distances
    alone = conjure.compare(*PAIRS[1], process=process, samples=4)
    assert scale.distances["girsanov"][1] == pytest.approx(alone.distance, rel=1e-9)
    assert set(scale.distances) == {n for n, e in alone.estimands.items() if e is not None}
    assert alone.standing == f"like {' and '.join(PAIRS[1])}"
    assert alone.to_dict()["standing"] == alone.standing


def test_another_process_has_another_scale(cache):
    process = words_apart()
    conjure.scale(process, samples=2)
    elsewhere = {name: Gaussian(np.zeros(2), np.eye(2)) for name in process.meanings}
    others = [
        GaussianProcess.build(process.meanings, steps=7),
        GaussianProcess.build(elsewhere, steps=6),
    ]
    assert [known_scale(other) for other in others] == [None, None]


def test_a_scale_that_is_damaged_says_nothing(cache):
    process = words_apart()
    conjure.scale(process, samples=2)
    path = kept_place(process)
    for text in ("", "{}", '{"process": 3}', path.read_text()[:100]):
        path.write_text(text)
        assert known_scale(process) is None


@pytest.mark.parametrize(
    ("distance", "sentence"),
    [
        (1.0, "nearer than a and b, 0.02 times as far as cat and car"),
        (10.5, "like a and b"),
        (15.0, "between a and b and c and d, 0.3 times as far as cat and car"),
        (46.0, "like cat and car"),
        (200.0, "further than cat and car, 4 times as far as cat and car"),
        (0.0, None),
    ],
)
def test_where_a_distance_stands(distance, sentence):
    pairs = [["a", "b"], ["c", "d"], ["cat", "car"]]
    scale = Scale(process={}, weights="", samples=2, seed=0, pairs=pairs,
                  distances={"girsanov": [10.0, 20.0, 50.0]})  # fmt: skip
    assert scale.place(distance, "girsanov") == sentence
    assert scale.place(distance, "ancestral") is None


def test_over_how_much_both_say(cache):
    means = {"": [0, 0], "a": [2, 0], "b": [0, 2], "2a": [4, 0]}
    process = GaussianProcess.build({n: Gaussian(np.array(m), np.eye(2)) for n, m in means.items()})
    for a, b, ratio in (("a", "b", 1.0), ("a", "2a", 0.2), ("a", "a", 0.0), ("a", "", 1.0)):
        result = conjure.compare(a, b, process=process, samples=6)
        found = conjure.relative(result)
        assert found.distance == pytest.approx(ratio, abs=1e-9)
        assert found.pair.samples == 4
        assert found.first.calls + found.second.calls >= 0
    listed = conjure.relative_pairs([("a", "b")], process=process, samples=4)
    assert next(listed).distance == pytest.approx(1.0)


def test_the_calls_of_it_are_those_made(run, monkeypatch):
    given = ("compare", "cat", "dog", "-T", "5", "-k", "4", "--json")
    _, out, _ = run(*given)
    record = json.loads(out)
    assert record["relative"]["samples"] == 4
    assert record["relative"]["calls"] <= 2 * (4 * 5 - 2) * 4
    _, out, _ = run(*given, "--plan")
    assert json.loads(out)["plan"]["calls"] == (4 * 5 - 2) * 4 + 28 * 5 - 16
    _, out, _ = run(*given, "--no-relative")
    assert json.loads(out)["relative"] is None
    _, out, _ = run(*given, "--no-relative", "--plan")
    assert json.loads(out)["plan"]["calls"] == (4 * 5 - 2) * 4
    process = words_apart()
    assert calls_of_said(process, ["cat", "dog"], 4) == 28 * 6 - 16


def test_commands_say_near_or_far(run, cache, tmp_path):
    given = ("-T", "4", "-k", "2")
    _, out, _ = run("compare", "cat", "dog", *given)
    assert "of how much both say" in out
    assert "Near or far" not in out
    code, out, err = run("scale", *given)
    assert code == 0
    assert "cat and kitten" in out
    assert "from now on" in err
    _, out, _ = run("compare", "cat", "dog", *given)
    assert "Near or far: like cat and dog" in out
    code, out, _ = run("scale", *given, "--to", str(tmp_path / "scale.json"), "--json")
    assert json.loads(out) == json.loads((tmp_path / "scale.json").read_text())
    code, _, err = run("scale", *given, "--to", str(tmp_path / "nowhere" / "scale.json"))
    assert code == 2
    assert "does not exist" in err


def test_a_drift_has_a_scale_too(run, cache, tmp_path):
    (tmp_path / "prompts.txt").write_text("cat\ndog\n")
    given = ("drift", str(tmp_path / "prompts.txt"), "--change", "guidance=3", "-T", "4", "-k", "2")
    run("scale", "-T", "4", "-k", "2")
    code, out, err = run(*given, "--relative", "--table", str(tmp_path / "t.jsonl"))
    assert code == 0, err
    assert "of what it says" in out
    assert "For scale: under A" in out
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert all(row["relative"] > 0 for row in rows)
    _, out, _ = run(*given, "--relative", "--json")
    shares = {row["prompt"]: row["relative"] for row in json.loads(out)["prompts"]}
    assert shares == {row["prompt"]: row["relative"] for row in rows}
    _, out, _ = run(*given, "--json")
    assert "relative" not in json.loads(out)["prompts"][0]


def test_the_embedded_model_ships_its_own():
    scale = known_scale(conjure.load("emoji"))
    assert scale is not None, "make pictures measures it anew"
    assert [tuple(pair) for pair in scale.pairs] == list(PAIRS)
    assert known_scale(conjure.load("emoji", steps=10)) is None
