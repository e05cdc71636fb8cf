"""What the docs list is made from the registry and from what the tests run.

`make lists` writes it anew.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections import Counter
from pathlib import Path

import pytest
import tiny
from test_families import CASES, FLOW_SCHEDULERS
from test_process import OPTIONS, SCHEDULERS
from typer.models import ArgumentInfo

from benchmarks.printed import PAGES, commands, with_output
from conjure import cli
from conjure.cli.examples import EXAMPLES
from conjure.cli.options import MODEL, PROCESS
from conjure.divergence import ESTIMANDS
from conjure.evaluate import TASKS
from conjure.methods import METHODS
from conjure.process.families import FAMILIES
from conjure.process.samplers import SAMPLERS

DOCS = Path(__file__).parents[1] / "docs"
FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler"}


def first_sentence(text: str | None) -> str:
    """Up to the first full stop or semicolon that ends one."""
    line = inspect.cleandoc(text or "").splitlines()[0]
    return line.rstrip(".")


def families_table() -> list[str]:
    """A row a pipeline: what it is, and the samplers under which its paths are tested."""
    rows = [
        "| diffusers' pipeline | what | paths equal diffusers' own, at two guidance values, with |",
        "|---|---|---|",
    ]
    for name in FAMILIES:
        module = inspect.getmodule(FAMILIES[name])
        assert module is not None
        tested = dict.fromkeys(s for family, s in CASES if tiny.FAMILIES[family].pipeline == name)
        assert tested, f"{name} is not tested"
        listed = ", ".join(f"`{s}`" for s in tested)
        rows.append(f"| `{name}` | {first_sentence(module.__doc__)} | {listed} |")
    return rows


def samplers_table() -> list[str]:
    """A row a sampler: diffusers' class, what may be called KL, and on how many families tested."""
    counts = Counter(sampler for _, sampler in CASES)
    rows = [
        "| `--sampler` | what | diffusers' scheduler | `girsanov` | `ancestral` | tested on |",
        "|---|---|---|---|---|---|",
    ]
    for name in SAMPLERS:
        if name == "own":
            continue
        config = FLOW if name == "flow-stochastic" else {}
        made = SAMPLERS[name](config, None)
        module = inspect.getmodule(type(made))
        assert module is not None
        classes = dict.fromkeys(c for c in (SCHEDULERS.get(name), FLOW_SCHEDULERS.get(name)) if c)
        options = ", ".join(f"{k}={v}" for k, v in OPTIONS.get(name, {}).items())
        listed = ", ".join(f"`{c}`" for c in classes) + (f" ({options})" if options else "")
        kl = ["KL" if said else "–" for said in (made.is_sde, made.draws_noise)]
        what = first_sentence(module.__doc__).split(";")[0]
        rows.append(f"| `{name}` | {what} | {listed} | {kl[0]} | {kl[1]} | {counts[name]} |")
    return rows


def plain(markup: str) -> str:
    """Help as Markdown shows it."""
    text = re.sub(r"\s*\[dim\]\\\[(.*?)\]\[/dim\]", r" (\1)", markup)
    return text.replace("\\[", "[").replace("|", "\\|").replace("*", "\\*")


def option_row(parameter: inspect.Parameter) -> str:
    """A row of a table for one option or argument."""
    said = parameter.annotation.__metadata__[-1]
    # In an annotation, typer keeps an option's first name where its default would be.
    names = [n for n in (said.default, *(said.param_decls or ())) if str(n)[:1] == "-"]
    if isinstance(said, ArgumentInfo):
        shown = f"`{said.metavar or parameter.name.upper()}`"
    else:
        names = names or ["--" + parameter.name.replace("_", "-")]
        shown = ", ".join(f"`{name}`" for name in names)
        shown += f" {said.metavar}" if said.metavar else ""
    default = parameter.default
    unsaid = default is None or default is False or default is ... or default in ("", [])
    told = "(default: " in plain(said.help or "") or unsaid
    empty = default is inspect.Parameter.empty
    note = "" if told or empty else f" (default: {default})"
    return f"| {shown} | {plain(said.help or '')}{note} |"


def commands_pages() -> list[str]:
    """Each command with its own options; those of `conjure.load` once, at the end."""
    lines, shared = [], {}
    for command in cli._COMMANDS:
        every = inspect.signature(command, eval_str=True).parameters.values()
        takes = [
            p for p in every if hasattr(p.annotation, "__metadata__")
        ]  # typer's context is none
        own = [p for p in takes if panel(p) not in (MODEL, PROCESS)]
        shared |= {p.name: p for p in takes if panel(p) in (MODEL, PROCESS)}
        text = inspect.cleandoc(command.__doc__ or "").replace("<", "&lt;")
        lines += [f"## conjure {command.__name__}", "", *text.splitlines(), ""]
        lines += ["```", EXAMPLES[command.__name__], "```", ""]
        lines += ["| | |", "|---|---|", *map(option_row, own), ""]
        some = [p for p in takes if p not in own]
        if len(some) > 5:
            lines += ["And [the process](#the-process) and [the model](#the-model).", ""]
        elif some:
            lines += [f"And {', '.join(f'`--{p.name}`'.replace('_', '-') for p in some)} of "
                      "[the model](#the-model).", ""]  # fmt: skip
    for title, wanted in (("The process", PROCESS), ("The model", MODEL)):
        rows = [option_row(p) for p in shared.values() if panel(p) == wanted]
        lines += [f"## {title}", "", "| | |", "|---|---|", *rows, ""]
    return lines[:-1]


def panel(parameter: inspect.Parameter) -> str | None:
    """The heading that `--help` shows an option under."""
    return getattr(parameter.annotation.__metadata__[-1], "rich_help_panel", None)


TABLES = {
    "families": ("processes.md", families_table),
    "samplers": ("processes.md", samplers_table),
    "commands": ("cli.md", commands_pages),
}


def with_table(name: str, page: str) -> str:
    """A page with one of its tables as it should be."""
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    pattern = re.escape(start) + r".*?" + re.escape(end)
    assert re.search(pattern, page, re.DOTALL), f"there is no place for {name}"
    table = start + "\n" + "\n".join(TABLES[name][1]()) + "\n\n" + end
    return re.sub(pattern, lambda _: table, page, flags=re.DOTALL)


def test_every_family_has_a_tiny_pipeline():
    assert {one.pipeline for one in tiny.FAMILIES.values()} == set(FAMILIES)


def test_pages_take_in_files_that_are_there():
    root = DOCS.parent
    taken = [
        line for page in sorted(DOCS.glob("*.md"))
        for line in page.read_text(encoding="utf-8").splitlines() if "8<" in line or "8 <" in line
    ]  # fmt: skip
    assert len(taken) >= 2
    for line in taken:
        found = re.fullmatch(r'--8<-- "(.+)"', line)
        assert found, line
        assert (root / found[1]).is_file(), line


@pytest.mark.parametrize("name", TABLES)
def test_the_page_lists_what_is_there(name):
    page, make = TABLES[name]
    text = (DOCS / page).read_text(encoding="utf-8")
    assert "\n".join(make()) in text, "run make lists"


def test_what_is_marked_as_printed_can_be_printed_anew():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        found = list(commands(page))
        assert len(found) == len(set(found)) == text.count("<!-- $ "), page
        for command in found:
            for module in re.findall(r"python -m ([a-z.]+)", command):
                assert importlib.util.find_spec(module), command


def test_a_printed_block_is_replaced_whole_and_others_stay():
    page = (
        "a\n  <!-- $ one -->\n  ```\n  old\n  older\n  ```\n<!-- $ two -->\n\n| a |\n|--|\n| b |\n"
        "\nend\n```\nold\n```\n"
    )
    first = with_output(page, "one", "new \n\n  er\n")
    assert first == page.replace("  old\n  older\n", "  new\n\n    er\n")
    assert with_output(page, "two", "| c |\n") == page.replace("| a |\n|--|\n| b |\n", "| c |\n")
    assert with_output(page, "three", "x") == page


@pytest.mark.parametrize(
    ("page", "registry"),
    [("mathematics.md", ESTIMANDS), ("evaluation.md", METHODS), ("evaluation.md", TASKS)],
)
def test_whatever_has_a_name_is_explained(page, registry):
    text = (DOCS / page).read_text(encoding="utf-8")
    assert [name for name in registry if not re.search(rf"{re.escape(name)}\b", text)] == []


if __name__ == "__main__":
    for name, (page, _) in TABLES.items():
        path = DOCS / page
        path.write_text(with_table(name, path.read_text(encoding="utf-8")), encoding="utf-8")
