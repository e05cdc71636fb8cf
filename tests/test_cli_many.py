"""The commands for many prompts, run as a user runs them."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import pytest

import conjure
from conjure import cli
from conjure.store.run import Run

PROMPTS = ["cat", "dog", "red car", "blue car"]
PAIRS = list(combinations(PROMPTS, 2))
QUICK = ["--steps", "2", "-k", "2"]


@pytest.fixture
def pairs_file(tmp_path):
    path = tmp_path / "pairs.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["sentence1", "sentence2", "score"])
        writer.writerows([a, b, n] for n, (a, b) in enumerate(PAIRS))
    return path


@pytest.fixture
def prompts_file(tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": p}) + "\n" for p in PROMPTS))
    return path


def test_pairs_writes_a_table(run, pairs_file, tmp_path):
    target = tmp_path / "out.tsv"
    code, out, err = run("pairs", str(pairs_file), "-o", str(target), *QUICK)
    assert (code, out) == (0, "")
    assert "'sentence1' and 'sentence2'" in err
    assert "At most 40 network calls" in err  # (4·2 + 2·6·1)·2
    rows = list(csv.DictReader(target.open(newline=""), delimiter="\t"))
    assert [(row["sentence1"], row["sentence2"]) for row in rows] == PAIRS
    assert [row["score"] for row in rows] == [str(n) for n in range(6)]
    for row in rows:
        assert float(row["low"]) < float(row["distance"]) < float(row["high"])
        total = float(row["kl_forward"]) + float(row["kl_reverse"])
        assert total == pytest.approx(float(row["distance"]))


def test_pairs_on_the_screen_and_as_json(run, pairs_file):
    code, out, _ = run("pairs", str(pairs_file), *QUICK)
    assert code == 0
    assert "red car" in out
    assert "distance" in out
    code, out, _ = run("pairs", str(pairs_file), "--json", *QUICK)
    assert code == 0
    assert [record["sentence1"] for record in json.loads(out)["pairs"]] == [a for a, _ in PAIRS]


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (["--seed", "5"], {"seed": 5}),
        (["--estimand", "epsilon"], {"estimand": "epsilon"}),
        (["--antithetic"], {"antithetic": True}),
        (["--tolerance", "0.5", "--first-round", "2"], {"tolerance": 0.5, "first_round": 2}),
        (["--top", "1", "--first-round", "2"], {"top": 1, "first_round": 2}),
        (["--max-calls", "30"], {"max_calls": 30}),
        (["--guidance", "3", "--negative", "dog"], {"guidance": 3.0, "negative": "dog"}),
        (["--sampler", "euler"], {"sampler": "euler"}),
        (["--eta", "0.5", "--spacing", "trailing"], {"eta": 0.5, "spacing": "trailing"}),
    ],
)
def test_options_do_what_arguments_do(run, pairs_file, pipeline_folder, options, asked):
    of_process = ("guidance", "negative", "sampler", "eta", "spacing")
    process = conjure.load(
        pipeline_folder, steps=2, **{k: v for k, v in asked.items() if k in of_process}
    )
    more = {k: v for k, v in asked.items() if k not in of_process}
    expected = list(conjure.compare_pairs(PAIRS, process=process, samples=4, **more))
    code, out, err = run("pairs", str(pairs_file), "--json", "-T", "2", "-k", "4", *options)
    assert code == 0, err
    found = json.loads(out)["pairs"]
    assert [row["samples"] for row in found] == [result.samples for result in expected]
    for row, result in zip(found, expected, strict=True):
        assert row["distance"] == pytest.approx(result.distance, rel=1e-4)


def test_pairs_over_how_much_they_say(run, pairs_file, tmp_path):
    target = tmp_path / "out.csv"
    code, _, err = run("pairs", str(pairs_file), "-o", str(target), "--relative", *QUICK)
    assert code == 0
    # 4 paths and the empty prompt's, 6 pairs crossed and 4 prompts with the empty one
    assert f"At most {(5 * 2 + 2 * 10) * 2} network calls" in err
    for row in csv.DictReader(target.open(newline="")):
        said = float(row["first_says"]) + float(row["second_says"])
        assert float(row["relative"]) == pytest.approx(float(row["distance"]) / said)
        assert float(row["relative_low"]) < float(row["relative"]) < float(row["relative_high"])
        assert float(row["relative_error"]) > 0
    code, out, _ = run("pairs", str(pairs_file), "--relative", *QUICK)
    assert code == 0
    shown = [line.split()[-2] for line in out.splitlines() if line.strip()]
    assert shown[0] == "±"
    assert shown[1:] == sorted(shown[1:], key=float)
    code, out, _ = run("pairs", str(pairs_file), "--relative", "--json", *QUICK)
    about = json.loads(out)
    assert about["reference"] == ""
    assert all(pair["relative"] > 0 for pair in about["pairs"])
    for option in ("--top", "--tolerance"):
        code, _, err = run("pairs", str(pairs_file), "--relative", option, "1")
        assert (code, "needs the same samples" in " ".join(err.split())) == (2, True)


def test_columns_in_the_other_order_swap_the_divergences(run, pairs_file):
    there, back = (
        json.loads(run("pairs", str(pairs_file), "--json", "--columns", columns, *QUICK)[1])
        for columns in ("sentence1,sentence2", "sentence2,sentence1")
    )
    for one, other in zip(there["pairs"], back["pairs"], strict=True):
        assert one["kl_forward"] == pytest.approx(other["kl_reverse"], rel=1e-4)
        assert one["kl_forward"] != pytest.approx(one["kl_reverse"], rel=1e-4)


def test_pairs_as_a_table_and_as_json_at_once(run, pairs_file, tmp_path):
    target = tmp_path / "out.csv"
    code, out, err = run("pairs", str(pairs_file), "--json", "-o", str(target), *QUICK)
    assert code == 0, err
    found = json.loads(out)
    with target.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row, said in zip(rows, found["pairs"], strict=True):
        assert float(row["distance"]) == said["distance"]
    assert (found["samples"], found["antithetic"]) == (2, False)


def test_pairs_from_standard_input_to_standard_output(run, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\tb\ncat\tdog\n")))
    code, out, _ = run("pairs", "-", "-o", "-", *QUICK)
    assert code == 0
    assert out.splitlines()[0].startswith("a,b,distance,standard_error,low,high")
    assert len(out.splitlines()) == 2


def test_a_second_run_computes_nothing_and_writes_the_same(run, pairs_file, tmp_path):
    files = []
    for name in ("one.jsonl", "two.jsonl"):
        command = ["pairs", str(pairs_file), "-o", str(tmp_path / name), *QUICK]
        code, _, err = run(*command, "--out", str(tmp_path / "run"))
        assert code == 0
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    assert "Nothing to compute" in err
    assert "0 network calls" in err


def test_matrix_writes_a_table_and_a_figure(run, prompts_file, tmp_path):
    table, figure = tmp_path / "out.csv", tmp_path / "out.svg"
    command = ["matrix", str(prompts_file), "-o", str(table), "--figure", str(figure), *QUICK]
    code, out, err = run(*command)
    assert code == 0
    assert "nearest" in out
    assert "network calls" in err
    rows = list(csv.DictReader(table.open(newline="")))
    assert [row["prompt"] for row in rows] == PROMPTS
    assert rows[0]["dog"] == rows[1]["cat"]
    assert float(rows[2]["red car"]) == 0
    assert "<svg" in figure.read_text()


def test_matrix_as_json(run, prompts_file):
    code, out, _ = run("matrix", str(prompts_file), "--json", *QUICK)
    assert code == 0
    record = json.loads(out)
    assert record["prompts"] == PROMPTS
    assert record["calls"] == (4**2 * 1 + 4) * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--columns", "a,b"], "no column 'a'"),
        (["-o", "nowhere/t.csv"], "does not exist"),
        (["-o", "t.xlsx"], "A table ends in"),
        (["--tolerance", "2"], "tolerance is a fraction"),
        (["--max-calls", "3"], "max_calls is 3"),
        (["-k", "0"], "samples is a whole number"),
        (["--out", "no/such/place"], "does not exist"),
        (["-o", "-", "--json"], "both write to standard output"),
        (["--first-round", "4"], "first_round goes with"),
    ],
)
def test_bad_input_is_refused(run, pairs_file, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    code, out, err = run("pairs", str(pairs_file), *arguments)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("command", ["pairs", "matrix", "drift"])
def test_a_budget_that_is_too_small_is_refused_before_the_model_is_read(
    run, tmp_path, pairs_file, monkeypatch, command
):
    (tmp_path / "list.txt").write_text("cat\ndog\nox\n")
    file = pairs_file if command == "pairs" else tmp_path / "list.txt"
    more = ["--change", "guidance=2"] if command == "drift" else []
    monkeypatch.setattr("conjure.loading.load.load", None)
    code, _, err = run(command, str(file), *more, "--max-calls", "20", "-T", "10")
    assert code == 2
    assert "and max_calls is 20" in " ".join(err.split())
    assert "pairs" not in err


WORKER = """
import sys
from pathlib import Path
import numpy as np
import conjure
from conjure import Gaussian, GaussianProcess
from conjure.levels import NoiseLevels
from conjure.process.samplers.base import Grid
from conjure.process.samplers.ddim import Ddim
from conjure.store.run import Run

class Slow(GaussianProcess):
    def predict(self, x, step, prompts):
        import time
        time.sleep(0.002)
        return super().predict(x, step, prompts)

rng = np.random.default_rng(0)
names = [f"p{n}" for n in range(40)]
meanings = {n: Gaussian(rng.normal(size=3), np.eye(3)) for n in names}
# On levels of its own, since diffusers takes longer to import than this to run.
levels = NoiseLevels.from_log_snr(np.linspace(-8.0, 4.0, 5))
grid = Grid(levels, np.arange(5.0), (1.0, 0.0))
process = Slow(meanings, Ddim(), grid, batch_size=4)
log, add = Path(sys.argv[2]), Run.add

def counted(self, jobs, squares):
    new = add(self, jobs, squares)
    with log.open("a") as file:
        file.write(f"{len(jobs)} {new}\\n")
    return new

Run.add = counted
pairs = list(zip(names[::2], names[1::2])) * 2
for result in conjure.compare_pairs(pairs, process=process, samples=30, out=sys.argv[1]):
    print(*result.prompts, repr(result.distance))
"""


def test_a_killed_run_loses_nothing_and_repeats_nothing(tmp_path):
    """Killed at random moments, it ends as one that never was."""
    command = [sys.executable, "-c", WORKER]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def start(name: str) -> subprocess.Popen[bytes]:
        arguments = [str(tmp_path / name), str(tmp_path / f"{name}.log")]
        return subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, env=environment)

    whole = start("whole")
    expected, _ = whole.communicate(timeout=120)
    assert whole.returncode == 0
    kills = 0
    for pause in (0.05, 0.3, 0.6):
        process, log = start("killed"), tmp_path / "killed.log"
        size, deadline = log.stat().st_size if log.exists() else 0, time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if log.exists() and log.stat().st_size > size:
                break
            time.sleep(0.01)
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills == 3
    last = start("killed")
    found, _ = last.communicate(timeout=120)
    assert last.returncode == 0
    assert found == expected
    rows = [list(map(int, line.split())) for line in _lines(tmp_path / "killed.log")]
    assert all(computed == new for computed, new in rows)  # none twice
    both = [list(Run(tmp_path / name).rows()) for name in ("whole", "killed")]
    assert both[0] == both[1]
    assert len(both[0]) == 20 * 30


def test_two_processes_share_a_run(tmp_path):
    """Started together, they end with the same results, and the run holds each sample once."""
    command = [sys.executable, "-c", WORKER, str(tmp_path / "run")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(
            [*command, str(tmp_path / f"{name}.log")], stdout=subprocess.PIPE, env=environment
        )
        for name in ("one", "two")
    ]
    found = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert found[0] == found[1]
    assert len(list(Run(tmp_path / "run").rows())) == 20 * 30
    new = [int(line.split()[1]) for log in tmp_path.glob("*.log") for line in _lines(log)]
    assert sum(new) == 20 * 30


def test_columns_are_not_overwritten(run, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("a,b,distance\ncat,dog,3\n")
    code, _, err = run("pairs", str(path), *QUICK)
    assert code == 2
    assert "has a column 'distance' already" in " ".join(err.split())


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_embed_and_nearest(run, prompts_file, tmp_path, monkeypatch, capsys):
    saved = tmp_path / "e.safetensors"
    code, out, _ = run("embed", str(prompts_file), "-o", str(saved), "--steps", "2", "--json")
    assert code == 0
    about = json.loads(out)
    assert about["prompts"] == 4
    assert about["landmarks"] == 2 * 2
    assert about["calls"] == 4 * (4 + 1)

    def nearest(*arguments: str) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", ["conjure", "nearest", *arguments, "--in", str(saved)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out = capsys.readouterr().out
        return code, [n["prompt"] for n in json.loads(out)["nearest"]] if out else []

    code, found = nearest("cat", "--json")
    assert code == 0
    assert found[0] == "cat"
    assert sorted(found) == sorted(PROMPTS)
    assert len(nearest("red cat", "--rerank", "2", "-k", "2", "-n", "3", "--json")[1]) == 3
    assert nearest("cat", "--count", "0") == (2, [])
    assert nearest("cat", "-k", "4") == (2, [])


def test_embed_refuses_before_it_works(run, prompts_file, tmp_path):
    for arguments, message in {
        ("-o", str(tmp_path / "e.npy")): "a .safetensors file",
        ("-o", str(tmp_path / "e.safetensors"), "--estimand", "ancestral"): "Use girsanov",
        ("-o", str(tmp_path / "e.safetensors"), "--paths", "0"): "paths is a whole number",
    }.items():
        code, out, err = run("embed", str(prompts_file), *arguments)
        assert (code, out) == (2, "")
        assert message in " ".join(err.split())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "a,b\ncat,dog\n,dog\ncat,  \n"),
        ("t.tsv", "a\tb\ncat\tdog\n\tdog\ncat\t\n"),
        ("t.jsonl", '{"a": "cat", "b": "dog"}\n{"a": null, "b": "dog"}\n{"a": "cat"}\n'),
    ],
)
def test_empty_cells_are_no_prompts_unless_told(run, tmp_path, name, content):
    file = tmp_path / name
    file.write_text(content)
    asked = ("pairs", str(file), "-T", "2", "-k", "1", "--json")
    code, out, said = run(*asked)
    assert (code, out) == (2, "")
    assert "2 rows of" in said
    assert "the first is row 2" in said
    assert "--empty unconditional" in said
    code, out, _ = run(*asked, "--empty", "unconditional")
    assert code == 0
    assert len(json.loads(out)["pairs"]) == 3
    code, out, said = run(*asked, "--empty", "anything")
    assert (code, out) == (2, "")
    assert "--empty is refuse or unconditional" in said


def test_how_a_table_was_read_is_said(run, tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("a;b\ncat;dog\n")
    code, _, said = run("pairs", str(file), "-T", "2", "-k", "1")
    assert code == 0
    assert "Read" in said
    assert "with semicolons between cells." in said
    file.write_text("prompt;note\ncat;x\ndog;y\n")
    code, _, said = run("matrix", str(file), "-T", "2", "-k", "1")
    assert code == 0
    assert "with semicolons between cells." in said
    code, _, said = run("matrix", str(file), "-T", "2", "-k", "1", "--delimiter", "bar")
    assert code == 2


def test_rows_keep_their_number(run, tmp_path):
    file, table = tmp_path / "t.tsv", tmp_path / "o.csv"
    file.write_text('a\tb\ts\nA.\t"It r.\t1\nB.\tHe."\t2\nC.\tD.\t3\n')
    code, _, said = run("pairs", str(file), "-T", "2", "-k", "1", "--table", str(table))
    assert code == 0
    assert "quotation marks as letters" in said
    assert "3 rows in" in said
