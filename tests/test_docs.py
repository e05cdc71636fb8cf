"""The tables in the docs are made from the registry and from what the tests run.

`python tests/test_docs.py` writes them anew.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from pathlib import Path

import pytest
import tiny
from test_families import CASES, FLOW_SCHEDULERS
from test_process import OPTIONS, SCHEDULERS

from conjure.registry import FAMILIES, SAMPLERS

PAGE = Path(__file__).parents[1] / "docs" / "processes.md"
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


TABLES = {"families": families_table, "samplers": samplers_table}


def with_tables(page: str) -> str:
    """The page with its tables as they should be."""
    for name, make in TABLES.items():
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        pattern = re.escape(start) + r".*?" + re.escape(end)
        assert re.search(pattern, page, re.DOTALL), f"{PAGE} has no place for {name}"
        table = start + "\n" + "\n".join(make()) + "\n\n" + end
        page = re.sub(pattern, lambda _, table=table: table, page, flags=re.DOTALL)
    return page


def test_every_family_has_a_tiny_pipeline():
    assert {one.pipeline for one in tiny.FAMILIES.values()} == set(FAMILIES)


def test_pages_take_in_files_that_are_there():
    root = PAGE.parents[1]
    taken = [
        line for page in sorted(PAGE.parent.glob("*.md"))
        for line in page.read_text(encoding="utf-8").splitlines() if "8<" in line or "8 <" in line
    ]  # fmt: skip
    assert len(taken) >= 2
    for line in taken:
        found = re.fullmatch(r'--8<-- "(.+)"', line)
        assert found, line
        assert (root / found[1]).is_file(), line


@pytest.mark.parametrize("name", TABLES)
def test_the_page_lists_what_is_there(name):
    page = PAGE.read_text(encoding="utf-8")
    assert "\n".join(TABLES[name]()) in page, "run: python tests/test_docs.py"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
