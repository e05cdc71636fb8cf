"""The command line, run as a user runs it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

KEYS = [
    "prompts",
    "model",
    "process",
    "estimand",
    "distance",
    "standard_error",
    "interval",
    "kl_forward",
    "kl_reverse",
    "floor",
    "standing",
    "estimands",
    "unread",
    "alike",
    "profile",
    "samples",
    "steps",
    "seed",
    "antithetic",
    "calls",
    "seconds",
    "versions",
    "relative",
]


@pytest.fixture
def run(run):
    """``conjure compare`` on the tiny pipeline."""
    return partial(run, "compare")


def test_json_has_every_key(run):
    code, out, _ = run("cat", "dog", "--json", "--steps", "3", "--samples", "2")
    assert code == 0
    record = json.loads(out)
    assert list(record) == KEYS
    assert record["prompts"] == ["cat", "dog"]
    assert record["calls"] == (4 * 3 - 2) * 2
    assert record["distance"] == record["kl_forward"] + record["kl_reverse"]
    assert record["interval"][0] < record["distance"] < record["interval"][1]
    assert len(record["profile"]) == record["steps"] == 3
    assert sum(row["contribution"] for row in record["profile"]) == pytest.approx(
        record["distance"]
    )
    girsanov = record["estimands"]["girsanov"]
    assert set(girsanov) == {"distance", "standard_error", "kl_forward", "kl_reverse"}
    assert record["estimands"]["epsilon"]["kl_forward"] is None


def test_json_of_a_deterministic_sampler_never_says_kl(run):
    code, out, _ = run("cat", "dog", "--json", "--sampler", "euler", "--steps", "3", "-k", "1")
    assert code == 0
    record = json.loads(out)
    assert record["kl_forward"] is None
    assert record["kl_reverse"] is None
    assert record["standard_error"] is None
    assert record["interval"] is None
    assert record["estimands"]["ancestral"] == dict.fromkeys(record["estimands"]["girsanov"])
    assert record["process"]["kl"] == {"girsanov": False, "ancestral": False}


def test_the_screen_of_a_divergence(run):
    code, out, _ = run("cat", "dog", "--steps", "3", "--samples", "2")
    assert code == 0
    for word in ("Jeffreys divergence", "nats", "95% interval", "KL(“cat” ‖ “dog”)", "as-printed"):
        assert word in out
    for setting in ("sampler ddim", "eta 1", "steps 3", "guidance 1", "samples 2", "calls 20"):
        assert setting in out


def test_the_screen_of_a_score_distance_has_no_kl(run):
    code, out, _ = run("cat", "dog", "--eta", "0", "--steps", "3", "--samples", "1")
    assert code == 0
    assert "score distance" in out
    assert "unknown with one sample" in out
    assert "KL" not in out
    assert "nats" not in out


def test_figure_is_written(run, tmp_path):
    code, _, err = run("cat", "dog", "--steps", "3", "-k", "1", "--figure", str(tmp_path / "f.png"))
    assert code == 0
    assert (tmp_path / "f.png").stat().st_size > 1000
    assert "The figure is in" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--samples", "0"], "samples is a whole number, at least 1"),
        (["--steps", "0"], "steps is a whole number, at least 1"),
        (["--guidance", "0.5"], "guidance is at least 1"),
        (["--guidance", "nan"], "guidance is a number"),
        (["--guidance", "much"], "valid number"),
        (["--sampler", "eulr"], "Did you mean 'euler'"),
        (["--estimand", "girsanof"], "Did you mean 'girsanov'"),
        (["--estimand", "ancestral", "--eta", "0"], "draws none"),
        (["--figure", "nowhere/f.png"], "does not exist"),
        (["--figure", "f.bmp"], "A figure ends in"),
        (["--seed", "-1"], "seed is a whole number"),
        (["--long", "never"], "Unknown choice"),
        (["--negative", "y" * 60], "62 tokens"),
        (["--sampler", "ddpm", "--eta", "1"], "has none"),
    ],
)
def test_bad_input_is_explained_and_nothing_is_written(
    run, arguments, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("cat", "dog", *arguments)
    assert code == 2
    assert out == ""
    assert message in " ".join(err.split())
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_long_prompt(run):
    code, out, err = run("z" * 30, "dog")
    assert (code, out) == (2, "")
    assert "32 tokens" in err
    assert "--long truncate" in " ".join(err.split())
    code, out, _ = run("z" * 30, "dog", "--long", "truncate", "--steps", "2", "-k", "1", "--json")
    assert code == 0


def test_unknown_model(run):
    code, out, err = run("cat", "dog", model="emojis")
    assert (code, out) == (2, "")
    assert "Did you mean 'emoji'" in err


def test_prompts_are_not_markup(run):
    code, out, _ = run("[red]x", "y", "--steps", "2", "-k", "1")
    assert code == 0
    assert "[red]x" in out


def conjure(*arguments: str, code: str | None = None) -> list[str]:
    """The command line of a fresh interpreter."""
    return [sys.executable, "-c", code or "from conjure.cli import main; main()", *arguments]


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"], ["--version"]])
def test_help_does_not_import_torch(arguments):
    code = (
        "import sys\n"
        "from conjure.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as stop:\n"
        "    heavy = {'torch', 'diffusers', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "    sys.exit(f'imported {heavy}' if heavy else stop.code)\n"
    )
    done = subprocess.run(conjure(*arguments, code=code), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_interrupt_exits_with_130_and_writes_nothing(pipeline_folder, tmp_path):
    figure = tmp_path / "f.png"
    command = conjure("compare", "cat", "dog", "--model", str(pipeline_folder))
    command += ["--samples", "100000", "--steps", "50", "--figure", str(figure)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"TERM": "dumb"}
    )
    # Wait until it works: its interpreter has torch loaded and burns time.
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and _cpu_seconds(process.pid) < 6:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    assert out == b""
    assert b"nothing was written" in err
    assert b"Traceback" not in err
    assert not list(tmp_path.iterdir())


def _cpu_seconds(pid: int) -> float:
    """Processor time of a process so far; wall time where /proc is missing."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return time.monotonic()
    fields = stat.read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_an_unset_variable_is_no_model(run):
    code, out, said = run("cat", "dog", "--model", "", model=False)
    assert (code, out) == (2, "")
    assert "name is empty" in said


def test_a_comparison_as_a_row(run, tmp_path):
    file = tmp_path / "c.csv"
    code, out, err = run("cat", "dog", "-T", "2", "-k", "2", "--table", str(file), "--json")
    assert code == 0, err
    with file.open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["a"], row["b"]) == ("cat", "dog")
    assert float(row["distance"]) == pytest.approx(json.loads(out)["distance"])
    code, out, err = run("cat", "dog", "-T", "2", "-k", "2", "--table", "-")
    assert out.startswith("a,b,distance,standard_error")
    code, _, err = run("cat", "dog", "--table", "-", "--json")
    assert code == 2
