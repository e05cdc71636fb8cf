"""conjure evaluate and conjure report, run as a user runs them."""

from __future__ import annotations

import json

import pytest

import conjure
from conjure.cli.evaluate import preset_changes

QUICK = ["--steps", "2", "-k", "2"]
WORDS = ["cat", "dog", "red car", "blue car", "tree"]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    pairs = [(a, b) for i, a in enumerate(WORDS) for b in WORDS[:i]]
    rows = [
        {"sentence1": a, "sentence2": b, "score": n % 4, "subset": "xy"[n % 2]}
        for n, (a, b) in enumerate(pairs)
    ]
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_evaluate_prints_the_table_and_how_sure_it_is(run, data):
    code, out, err = run("evaluate", "--data", str(data), "--tasks", "mine", *QUICK)
    assert code == 0, err
    for name in ("conjuring, girsanov", "initial-timestep", "direct-output", "mine"):
        assert name in out
    assert "mine: conjuring − direct-output" in out
    assert "mine: conjuring would move to [" in out
    assert "by other samples (k = 2)" in " ".join(out.split())
    assert "network calls" in err


def test_an_evaluation_goes_on_and_becomes_a_report(run, data, tmp_path):
    asked = ["evaluate", "--data", str(data), "--tasks", "mine", *QUICK, "--limit", "8"]
    asked += ["--methods", "conjuring,text-encoder", "--out", str(tmp_path / "run"), "--json"]
    code, out, err = run(*asked)
    assert code == 0, err
    first = json.loads(out)
    assert first["calls"] > 0
    assert {s["method"] for s in first["scores"]} == {"conjuring", "text-encoder"}
    assert {row["name"] for row in first["published"]} >= {"SimCSE-BERT"}
    _, out, _ = run(*asked)
    again = json.loads(out)
    assert again["calls"] == 0
    assert again["scores"] == first["scores"]
    code, _, err = run("report", str(tmp_path / "run"), model=False)
    assert code == 0, err
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count('src="data:image/png') > 16  # a scatter plot, and two pictures a pair
    code, _, err = run("report", str(tmp_path / "run"), "-o", str(tmp_path / "r.md"), model=False)
    assert code == 0, err
    assert "## mine: conjuring, girsanov" in (tmp_path / "r.md").read_text()
    asked = ["report", str(tmp_path / "run"), "-o", str(tmp_path / "r.md")]
    code, _, err = run(*asked, "--method", "text-encoder", model=False)
    assert code == 0, err
    assert "## mine: text-encoder, pooled" in (tmp_path / "r.md").read_text()


@pytest.mark.parametrize(
    ("kind", "sign"), [("markdown", "|---|"), ("latex", "tabular"), ("csv", ",")]
)
def test_the_table_in_other_forms(run, data, kind, sign):
    asked = ["--tasks", "mine", "--methods", "initial-timestep", *QUICK, "--format", kind]
    code, out, err = run("evaluate", "--data", str(data), *asked)
    assert code == 0, err
    assert sign in out


def test_the_papers_settings_run_on_a_pipeline_of_the_same_layout(run, data):
    asked = ["--data", str(data), "--tasks", "mine", "--preset", "paper", "--json"]
    code, out, err = run("evaluate", *asked, "--methods", "conjuring", "--limit", "4")
    assert code == 0, err
    found = json.loads(out)
    process = found["settings"]["process"]
    assert (process["guidance"], process["steps"], process["sampler"]) == (7.5, 10, "ddim")
    assert found["settings"]["model"] not in ("emoji", "CompVis/stable-diffusion-v1-4")
    assert next(s["column"] for s in found["scores"] if s["headline"]) == "epsilon"
    assert "* sampler" in err
    assert "named with --model" in err
    assert "  guidance" in err


def test_a_preset_says_which_options_give_way(run, data):
    asked = ["--data", str(data), "--tasks", "mine", "--methods", "text-encoder", "--limit", "3"]
    code, _, err = run(
        "evaluate", *asked, "--preset", "paper", "--steps", "4", "-k", "1", "--guidance", "7.5"
    )
    assert code == 0, err
    assert "--steps 4 gives way to the preset's 10." in err
    assert err.count("gives way") == 1, "what is the same, or not given, is not told"


def test_what_an_evaluation_announces_is_what_it_will_do(run, data, tmp_path):
    asked = ["evaluate", "--data", str(data), "--tasks", "mine", *QUICK, "--limit", "4"]
    asked += ["--methods", "conjuring,initial-timestep,direct-output,landmarks"]
    code, out, first = run(*asked, "--out", str(tmp_path / "run"), "--json")
    assert code == 0, first
    calls = json.loads(out)["calls"]
    assert f"About {calls:,} network calls." in first
    code, _, again = run(*asked, "--out", str(tmp_path / "run"))
    assert code == 0, again
    assert "Nothing to compute" in again


def test_a_preset_keeps_what_is_said_of_a_named_model():
    """Its revision, variant and adapters: without them it would be another model."""
    assert "model" not in preset_changes("paper", "mine")
    assert preset_changes("paper", None)["model"] == "CompVis/stable-diffusion-v1-4"
    assert {"spacing", "template"} <= set(preset_changes("paper", "mine"))


def test_without_ours_the_first_method_is_told_from_the_others(run, data):
    asked = ["--data", str(data), "--tasks", "mine", *QUICK]
    code, out, err = run("evaluate", *asked, "--methods", "text-encoder,initial-timestep")
    assert code == 0, err
    assert "mine: initial-timestep − text-encoder" in out


def test_a_sweep_draws_its_curves(run, data, tmp_path):
    figure = tmp_path / "sweep.png"
    asked = ["--vary", "steps=2,3", "--vary", "guidance=1,2", "--figure", str(figure)]
    asked += ["--methods", "initial-timestep,conjuring", "-k", "1", "--limit", "5"]
    code, out, err = run("evaluate", "--data", str(data), "--tasks", "mine", *asked)
    assert code == 0, err
    assert figure.stat().st_size > 10_000
    table, _, gaps = out.partition("mine: ")
    assert table.count("conjuring") == 4
    assert gaps.count("conjuring at") == 3  # against the first


def test_a_sweep_loads_its_weights_once_and_its_page_says_which_point_it_is(
    run, data, tmp_path, monkeypatch
):
    loads, load = [], conjure.load
    monkeypatch.setattr(
        "conjure.loading.load.load", lambda *a, **k: loads.append(k) or load(*a, **k)
    )
    asked = ["--vary", "guidance=1,2", "--vary", "sampler=ddim,euler", "--out", str(tmp_path / "r")]
    asked += ["--methods", "initial-timestep", "-k", "1", "--json"]
    code, out, err = run("evaluate", "--data", str(data), "--tasks", "mine", "-T", "2", *asked)
    assert code == 0, err
    assert len(loads) == 1
    points = json.loads(out)["points"]
    processes = [p["settings"]["process"] for p in points]
    assert [(p["guidance"], p["sampler"]) for p in processes] == [
        (1.0, "ddim"), (1.0, "euler"), (2.0, "ddim"), (2.0, "euler"),
    ]  # fmt: skip
    code, _, err = run("report", str(tmp_path / "r"), "--no-pictures", model=False)
    assert code == 0, err
    assert "guidance 2.0, sampler euler" in " ".join(err.split())


def test_options_of_the_data_are_those_of_the_conventions(run, data):
    asked = ["--pooling", "mean", "--full-stop", "--template", "one {}", "--limit", "9"]
    asked += ["--limit-seed", "3", "--seed", "5", "--methods", "initial-timestep", "--json"]
    code, out, err = run("evaluate", "--data", str(data), "--tasks", "mine", *QUICK, *asked)
    assert code == 0, err
    settings = json.loads(out)["settings"]
    assert settings["conventions"] == {
        "pooling": "mean", "full_stop": True, "template": "one {}", "limit": 9, "seed": 3,
    }  # fmt: skip
    assert settings["seed"] == 5


def test_a_sweep_over_samplers_keeps_eta_for_the_one_that_has_it(run, data):
    asked = ["--vary", "sampler=ddim,euler", "--eta", "1", "--methods", "initial-timestep"]
    code, out, err = run("evaluate", "--data", str(data), "--tasks", "mine", *asked, *QUICK)
    assert code == 0, err
    assert "euler" in out


def test_a_csv_has_every_task_and_column(run, data):
    asked = ["--tasks", "mine", "--methods", "conjuring", *QUICK, "--format", "csv"]
    _, out, _ = run("evaluate", "--data", str(data), *asked)
    columns = {line.split(",")[2] for line in out.splitlines()[1:]}
    assert {"girsanov", "epsilon", "picture"} <= columns


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vary", "guidance=3,0.5"], "guidance is at least 1"),
        (["--vary", "steps=2,0"], "steps is a whole number"),
        (["--vary", "sampler=ddim,eulr"], "Did you mean 'euler'"),
        (["--vary", "samples=1,0"], "samples is a whole number"),
        (["--vary", "sampler=ddim,euler", "--vary", "eta=1,0"], "eta is an option of the ddim"),
        (["--samples", "0", "--methods", "initial-timestep"], "samples is a whole number"),
        (["--tasks", "mina"], "Did you mean"),
        (["--methods", "conjur"], "Did you mean 'conjuring'"),
        (["--format", "word"], "--format is"),
        (["--format", "csv", "--json"], "take one"),
        (["--full", "--json"], "leave --full out"),
        (["--figure", "x.png"], "say what to vary"),
        (["--vary", "colour=3"], "--vary is NAME=VALUES"),
        (["--preset", "papers"], "The preset is paper"),
        (["--limit", "2"], "limit is at least 3"),
        (["--pooling", "some"], "pooling is all or mean"),
        (["--template", "x"], "A template has one"),
    ],
)
def test_bad_options_are_refused(run, data, arguments, message):
    asked = ["--data", str(data)]
    if "--tasks" not in arguments:
        asked += ["--tasks", "mine"]
    code, _, err = run("evaluate", *asked, *arguments)
    assert code == 2
    assert message in " ".join(err.split())


def test_a_report_needs_an_evaluation(run, tmp_path):
    (tmp_path / "none").mkdir()
    code, _, err = run("report", str(tmp_path / "none"), model=False)
    assert code == 2
    assert "no finished evaluation" in " ".join(err.split())
    code, _, err = run("report", str(tmp_path / "mistyped"), model=False)
    assert code == 2
    assert "no finished evaluation" in " ".join(err.split())
    assert "make it first" not in err
    code, _, err = run("report", str(tmp_path), "-o", str(tmp_path / "r.pdf"), model=False)
    assert code == 2
    assert "a .html or .md file" in " ".join(err.split())
