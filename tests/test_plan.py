"""``--plan``: every command says what it would do, does nothing, and is right."""

from __future__ import annotations

import json

import pytest

import conjure
from conjure.engine import network

SHORT = ("-T", "3", "-k", "2")
LIST = "cat\ndog\nox\nelk\n"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "list.txt").write_text(LIST)
    (tmp_path / "pairs.csv").write_text("a,b\ncat,dog\nox,elk\ncat,elk\n")
    (tmp_path / "mine.csv").write_text(
        "sentence1,sentence2,score\na cat,a dog,3\nan ox,an elk,4\na cat,an elk,1\n"
    )
    return tmp_path


@pytest.fixture
def asked(monkeypatch):
    """Rows that networks were asked, beside those that measure how fast they are."""
    rows: list[int] = []
    predict = network.Network.predict

    def counted(self, x, *more):
        rows.append(len(x))
        return predict(self, x, *more)

    monkeypatch.setattr(network.Network, "predict", counted)
    return rows


@pytest.fixture(scope="module")
def weights(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=3)
    parts = (*process.family.networks.values(), process.codec)
    return sum(weight.nbytes for part in parts for weight in part.parameters())


def command(name: str, folder) -> list[str]:
    """One that costs calls, with a run directory where it takes one."""
    here, out = str(folder), ["--out", str(folder / "run")]
    prompts = f"{here}/list.txt"
    return {
        "compare": ["compare", "cat", "dog", *SHORT],
        "pairs": ["pairs", f"{here}/pairs.csv", *SHORT, *out],
        "relative": ["pairs", f"{here}/pairs.csv", *SHORT, *out, "--relative"],
        "matrix": ["matrix", prompts, *SHORT, *out],
        "embed": ["embed", prompts, "-T", "3", *out, "--save", f"{here}/v.safetensors"],
        "drift": ["drift", prompts, *SHORT, *out, "--change", "guidance=2"],
        "over": ["drift", prompts, *SHORT, "--change", "guidance=2", "--relative"],
        "matrices": ["drift", prompts, *SHORT, *out, "--change", "sampler=ddpm"],
        "processes": [
            "processes", prompts, *SHORT, *out, "--vary", "guidance=1,2",
            "--vary", "prompt=read,ignored",
        ],
        "evaluate": [
            "evaluate", "--data", here, "--tasks", "mine", *SHORT, *out,
            "--methods", "conjuring,direct-output",
        ],
    }[name]  # fmt: skip


COMMANDS = (
    "compare", "pairs", "relative", "matrix", "embed", "drift", "over", "matrices", "processes",
    "evaluate",
)  # fmt: skip


def calls_of(record: dict) -> int:
    """What a command says that it took."""
    if "processes" in record and "calls" not in record:
        return sum(matrix["calls"] for matrix in record["processes"].values())
    return record["calls"] + ((record.get("relative") or {"calls": 0})["calls"])


@pytest.mark.parametrize("name", COMMANDS)
def test_a_plan_is_what_is_done(run, files, asked, name, weights):
    arguments = command(name, files)
    before = sorted(files.iterdir())
    code, out, err = run(*arguments, "--plan", "--json")
    assert code == 0, err
    plan = json.loads(out)["plan"]
    assert asked == [], "nothing was run"
    assert sorted(files.iterdir()) == before, "nothing was written"
    assert plan["seconds"] > 0
    assert plan["weights_bytes"] == weights, "what two processes share is counted once"
    code, out, err = run(*arguments, "--json")
    assert code == 0, err
    assert calls_of(json.loads(out)) == plan["calls"] > 0
    if "--out" in arguments:
        code, out, err = run(*arguments, "--plan")
        assert code == 0, err
        assert "Nothing to compute" in out


def test_a_plan_for_people(run, files):
    code, out, _ = run(*command("compare", files), "--plan", "--no-relative")
    assert code == 0
    said = " ".join(out.split())
    assert said.startswith("20 network calls, about 0.0")
    assert "MB of weights, at most 67 MB of states" in said


def test_the_plan_of_a_search(run, files, asked):
    run(*command("embed", files))
    asked.clear()
    where = ["--in", str(files / "v.safetensors"), "--json", "--plan"]
    for query, more, calls in (
        ("cat", [], 0),
        ("a new one", [], 2 * 3),
        ("cat", ["--rerank", "2", "--count", "2", "--samples", "2"], 2 * (3 * 3 + 2 * 2 * 2)),
    ):
        code, out, err = run("nearest", query, *where, *more, model=False)
        assert code == 0, err
        assert json.loads(out)["plan"]["calls"] == calls
    assert asked == []
