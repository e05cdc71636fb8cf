"""Command lines and tables, made at random from the options that there are."""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.trials import tables
from benchmarks.trials.forked import run
from benchmarks.trials.good import Good
from benchmarks.trials.verdict import Verdict, judge

COUNT = 2500

CALLS = 60
"""Network passes after which a command has shown that it works, and is interrupted."""

LEFT_OUT = frozenset({"install_completion", "show_completion", "compiled"})
"""Options that change a user's shell, and one by which a command takes minutes."""

NUMBERS = (
    "0", "1", "2", "3", "16", "-1", "-0", "0.5", "1e-9", "1e999", "nan", "inf", "-inf", "1e400",
    "999999999999999999999", str(2**31), str(2**63), str(2**64), "1_000", " 1 ", "０", "1,5", "",
    "one", "0x10", "1" * 5000,
)  # fmt: skip
WORDS = (
    "", " ", "cat", "a" * 5000, "\t", "\n", "\x1b[31m", "[bold]", "[/bold]", "[", "狗", "😀",
    "\udcff", "--", "-", "-1", "none", "None", "nan", ",", ",,", "=", "a=b", "cat,dog", "\\", "'",
    '"', "%s", "{}", "{0}", "~", "../..", "\u202e", "null", "\x00"[:0], "*",
)  # fmt: skip
PATHS = (
    "pairs.csv", "prompts.txt", "prompts.jsonl", "prompts.parquet", "data", "data/mine.csv",
    "pipeline", "run", "crossed", "evaluation", "embedded", "e.safetensors", "lora.safetensors",
    "missing", "missing/x.csv", "", ".", "..", "-", "/", "~", "~/x.csv", "~nosuchuser/x.csv",
    "/dev/null", "/dev/full", "/dev/zero", "/dev/stdin", "a" * 300 + ".csv", "x" * 5000,
    "\udcff.csv", "new line\n.csv", "[bold].csv", "\x1b[31m.csv", "out.csv", "out.tsv", "out.jsonl",
    "out.parquet", "out.png", "out.svg", "out.pdf", "out.html", "out.md", "out.safetensors",
    "OUT.CSV", "out", "out.", ".csv", "out.csv/", "data/out.csv", "pairs.csv/out.csv", "loop.csv",
    "dangling.csv", "closed/out.csv", "space name.csv", "狗.csv", "pipeline/unet", "hub/model",
    "emoji", "pipeline/model_index.json", "run/samples.sqlite", "evaluation/evaluation.json",
)  # fmt: skip

FILES = frozenset({"file", "model", "against", "config", "lora"})
"""Options and arguments of files whose type is text."""

USUAL: dict[str, tuple[str, ...]] = {
    "model": ("pipeline",), "against": ("pipeline",), "steps": ("2",), "samples": ("2",),
    "paths": ("1",), "dimensions": ("16",), "where": ("e.safetensors",), "methods": (
        "conjuring", "text-encoder", "landmarks", "landmarks:1", "relative:thing", "direct-output",
        "initial-timestep", "conjuring,text-encoder", "conjuring:x", "nonsense", ":",
        "trajectories", "sentence-transformers:missing", "direct-output:pipeline",
        "trajectories:pipeline",
    ),
    "vary": ("guidance=1,3", "steps=2,3", "sampler=ddim,euler", "prompt=read,ignored",
             "samples=1,2", "negative=a", "model=pipeline,missing",
             "dtype=float32,float64", "shift=1,2"),
    "change": ("guidance=3", "steps=3", "sampler=euler", "negative=ugly",
               "lora=lora.safetensors", "dtype=bfloat16", "model=pipeline", "lora=none",
               "eta=0.5"),
    "lora": ("lora.safetensors", "lora.safetensors:0.5", "lora.safetensors:nan",
             "lora.safetensors:"),
    "columns": ("a,b", "prompt", "a", "b,a", '"a","b"', "a,a"), "size": ("16", "8", "24"),
    "table": ("out.csv", "out.tsv", "out.jsonl", "out.parquet", "-"), "data": ("data",),
    "figure": ("out.png", "out.svg"), "save": ("out.safetensors",), "to": ("out.md", "out.html"),
    "out": ("new", "run", "crossed", "embedded"), "tasks": ("mine", "mine,mine", "seven", "STS-B"),
    "file": ("pairs.csv", "prompts.txt", "prompts.jsonl", "prompts.parquet"),
    "run": ("evaluation",), "folder": ("run", "evaluation", "embedded"),
    "device": ("cpu", "cuda", "mps", "meta", "cpu:1"), "config": ("pipeline",),
    "query": ("cat", "sun"),
}  # fmt: skip
"""Values with which commands work, by option; those of others are in their helps."""

FEW: dict[str, list[str]] = {
    "model": ["-m", "pipeline"], "steps": ["-T", "2"], "samples": ["-k", "2"],
    "dimensions": ["-d", "16"], "paths": ["-p", "1"], "where": ["--in", "e.safetensors"],
    "save": ["-o", "out.safetensors"], "data": ["--data", "data"], "tasks": ["-t", "mine"],
}  # fmt: skip
"""What a command is given that takes it and was not given it, so that it is soon done."""

NEEDED = {
    "drift": ["--change", "guidance=3"], "processes": ["--vary", "guidance=1,3"],
    "nearest": ["--rerank", "2"],
}  # fmt: skip
"""And without which it does nothing."""

READERS = {
    "pairs": ("a", "b"), "matrix": ("prompt",), "embed": ("prompt",), "drift": ("prompt",),
    "processes": ("prompt",), "evaluate": ("sentence1", "sentence2", "score"),
}  # fmt: skip
"""Commands that read tables, with headings that they know."""


def trial(good: Good, seed: int, number: int, place: Path) -> Verdict:
    """One command line, or one table."""
    rng = random.Random(f"{seed}/fuzz/{number}")
    folder = good.copy(place / "work")
    (folder / "loop.csv").symlink_to("loop.csv")
    (folder / "dangling.csv").symlink_to("nowhere.csv")
    (folder / "closed").mkdir(mode=0o500)
    stdin = b""
    if rng.random() < 0.5:
        arguments = line(rng)
        if "-" in arguments:
            stdin = tables.write(rng, folder, ("a", "b")).read_bytes()
    else:
        arguments, stdin = reading(rng, folder)
    outcome = run(arguments, folder, stdin=stdin, calls=CALLS)
    return judge(arguments, outcome)


def line(rng: random.Random) -> list[str]:
    """A command with some of its options, or nonsense."""
    if rng.random() < 0.05:
        parts = (*WORDS, *commands(), *NUMBERS[:8], "--help", "-h", "--version", "--debug", "-k")
        return [rng.choice(parts) for _ in range(rng.randint(0, 6))]
    name = rng.choice(list(commands()))
    parameters = [one for one in commands()[name].params if one.name not in LEFT_OUT]
    options = [one for one in parameters if one.param_type_name == "option"]
    chosen = rng.sample(options, min(len(options), rng.choice((0, 1, 1, 2, 2, 3, 4, 8))))
    tame = rng.random() < 0.4
    arguments = [
        value(rng, one, tame=tame) for one in parameters if one.param_type_name == "argument"
        if rng.random() < 0.97
    ]  # fmt: skip
    for one in chosen:
        arguments += option(rng, one, tame=tame)
    return [name, *arguments, *few(name, arguments)]


def reading(rng: random.Random, folder: Path) -> tuple[list[str], bytes]:
    """A command that reads a table, with the table; and what is on standard input."""
    name = rng.choice(list(READERS))
    stdin = b""
    if name == "evaluate":
        (folder / "data/mine.csv").unlink()
        made = tables.write(rng, folder, READERS[name], rng.choice(tables.SUFFIXES[:4]))
        made.rename(folder / f"data/mine{made.suffix}")
        arguments = ["--methods", rng.choice(("text-encoder", "conjuring"))]
    else:
        made = tables.write(rng, folder, READERS[name])
        arguments = [made.name]
        if rng.random() < 0.1:
            stdin, arguments = made.read_bytes(), ["-"]
    known = {one.name: one for one in commands()[name].params}
    for other in ("delimiter", "quoting", "encoding", "empty", "columns", "long"):
        if other in known and rng.random() < 0.08:
            arguments += option(rng, known[other])
    if "empty" in known and "--empty" not in arguments and rng.random() < 0.5:
        arguments += ["--empty", "unconditional"]
    if rng.random() < 0.7:
        where = rng.choice(USUAL["table"])
        arguments += ["--table", where] if "table" in known else ["--json"]
    return [name, *arguments, *few(name, arguments)], stdin


def few(name: str, arguments: list[str]) -> list[str]:
    """The options by which a command is soon done, where they are not given."""
    given = {argument.split("=")[0] for argument in arguments}
    needed = NEEDED.get(name, [])
    found = [] if given & {*needed[:1], "-h", "--help"} else [*needed]
    for one in commands()[name].params:
        if one.name in FEW and one.param_type_name == "option" and not given & set(one.opts):
            found += FEW[one.name]
    return found


def option(rng: random.Random, one: Any, *, tame: bool = False) -> list[str]:
    """An option with a value, by its long or its short name."""
    flag = rng.choice(one.opts)
    if one.is_flag:
        return [flag]
    if not tame and rng.random() < 0.02:
        return [flag]
    given = value(rng, one, tame=tame)
    return [f"{flag}={given}"] if flag.startswith("--") and rng.random() < 0.2 else [flag, given]


def value(rng: random.Random, one: Any, *, tame: bool = False) -> str:
    """A good value or a bad one, by the option's name, its type and the words of its help."""
    good = tame or rng.random() < 0.6
    if one.name in USUAL and good:
        return rng.choice(USUAL[one.name])
    kind = one.type_descriptor.annotation
    if kind in (int, float):
        return rng.choice(NUMBERS[1:4] if good else NUMBERS)
    if kind is Path or one.name in FILES:
        return rng.choice(PATHS)
    text = getattr(one, "help", None) or ""
    choices = re.findall(r"(?:[:,]|or|of) ([\w+-]+)(?=[,.;:]| or)", text)  # as helps list them
    words = choices if choices and rng.random() < 0.9 else re.findall(r"\w+", text)
    return rng.choice(words) if words and good else rng.choice(WORDS + NUMBERS)


@cache
def commands() -> dict[str, Any]:
    """The commands of the command line, as click knows them."""
    import typer

    from conjure.cli import app

    group: Any = typer.main.get_command(app)
    return dict(group.commands)
