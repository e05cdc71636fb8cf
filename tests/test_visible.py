"""What users wrote is text wherever it is shown: no command to a terminal, no markup, no TeX."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import re
import sys
import unicodedata
import warnings
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from conjure import cli
from conjure.evaluate.examples import Examples
from conjure.evaluate.report.pictures import scatter
from conjure.evaluate.results import TaskResult, seal
from conjure.io.markdown import as_markdown, markdown_table
from conjure.io.progress import progress_bar
from conjure.io.visible import visible

SHOWN = {
    "\x1b]52;c;aGk=\x07": "\\u001b]52;c;aGk=\\u0007",
    "\x1b]8;;http://x\x1b\\cat": "\\u001b]8;;http://x\\u001b\\cat",
    "\x9b2J\x1b[2J": "\\u009b2J\\u001b[2J",
    "a\u202eb\u2069\u2028c": "a\\u202eb\\u2069\\u2028c",
    "d\x7f\r\x08\ufffe": "d\\u007f\\u000d\\u0008\\ufffe",
    "[/x]": "[/x]",
    "$x^{$": "$x^{$",
    "[bold]e[/bold] :cat:": "[bold]e[/bold] :cat:",
    "<script>alert(1)</script>": "<script>alert(1)</script>",
    "a|b ](y) `*c*` {0}": "a|b ](y) `*c*` {0}",
}
"""Prompts, with how a screen shows them."""

SHORT = ["-T", "2", "-k", "1", "--long", "truncate"]
TASK = "<b>[bold]$x^{$\x1b[2J"


def hidden(text: str) -> set[str]:
    """What a terminal would act on, or not show."""
    return {
        c
        for c in text
        if (unicodedata.category(c) in ("Cc", "Zl", "Zp") and c not in "\n\t")
        or unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF")
        or unicodedata.bidirectional(c) in ("LRI", "RLI", "FSI", "PDI")
        or c in "\ufffe\uffff"
    }


@pytest.fixture
def prompts_file(tmp_path) -> Path:
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in SHOWN))
    return file


@pytest.fixture
def pairs_file(tmp_path) -> Path:
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps({"a": text, "b": "cat"}) + "\n" for text in SHOWN))
    return file


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    texts = list(SHOWN)
    rows = [
        {"sentence1": a, "sentence2": b, "score": n, "pos": "_N" if n == 4 else a[:5]}
        for n, (a, b) in enumerate(zip(texts, texts[1:] + texts[:1], strict=True))
    ]
    (folder / f"{TASK}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def shown(run):
    """Run a command that has to do well, with nothing hidden in what it says and shows."""

    def go(*arguments: object, **options) -> str:
        code, out, err = run(*map(str, arguments), **options)
        assert code == 0, err
        assert hidden(out + err) == set()
        return out + err

    return go


def whole(figure: Path) -> bool:
    """Whether a figure is one, and an SVG well-formed."""
    if figure.suffix == ".svg":
        return ElementTree.parse(figure).getroot().tag.endswith("svg")
    return figure.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("text", SHOWN)
def test_a_prompt_on_the_screen(text):
    assert visible(text) == SHOWN[text]
    assert hidden(visible(text)) == set()


@pytest.mark.parametrize("text", ["una niña", "狗 😀 👩‍👩‍👧", "شجرة\u200f", "a\nb\tc"])
def test_other_letters_stay(text):
    assert visible(text) == text


@pytest.mark.parametrize("text", list(SHOWN)[::2])
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_compare(shown, tmp_path, text, ending):
    figure = tmp_path / f"[bold]f.{ending}"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # a glyph that is missing
        seen = shown("compare", text, "cat", *SHORT, "--figure", figure)
    assert f"“{SHOWN[text]}”" in seen
    assert f"KL(“{SHOWN[text]}” ‖ “cat”)" in seen
    assert "[bold]f" in seen
    assert whole(figure)


def test_pairs(shown, pairs_file):
    seen = shown("pairs", pairs_file, *SHORT)
    assert all(text in seen for text in SHOWN.values())


def test_matrix(shown, prompts_file, tmp_path):
    seen = shown("matrix", prompts_file, *SHORT, "--figure", tmp_path / "f.svg")
    assert all(text in seen for text in SHOWN.values())
    assert whole(tmp_path / "f.svg")


def test_embed_and_nearest(shown, prompts_file, tmp_path):
    saved = tmp_path / "[b]\x1b[2J.safetensors"
    assert "[b]\\u001b[2J" in shown(
        "embed", prompts_file, "--save", saved, "-T", "2", "--long", "truncate"
    )
    query, *others = SHOWN
    seen = shown("nearest", query, "--in", saved, "--count", 10, model=False)
    assert f"“{SHOWN[query]}”" in seen
    assert all(SHOWN[text] in seen for text in others)


@pytest.mark.parametrize("figure", ["f.png", "f.svg"])
def test_processes(shown, prompts_file, tmp_path, figure):
    names = list(SHOWN)[:1] + list(SHOWN)[5:8]
    vary = [word for name in names for word in ("--vary", f"negative={name}")]
    seen = shown("processes", prompts_file, *vary, "-w", "2", *SHORT, "--figure", tmp_path / figure)
    assert all(f"negative {SHOWN[name]}" in seen for name in names)
    assert whole(tmp_path / figure)


@pytest.mark.parametrize("figure", ["f.png", "f.svg"])
def test_drift(shown, prompts_file, tmp_path, figure):
    change = ["--change", "negative=[/x]$x^{$\x9b2J", "-w", "2"]
    seen = shown("drift", prompts_file, *change, *SHORT, "--figure", tmp_path / figure)
    assert all(text in seen for text in SHOWN.values())
    assert "[/x]$x^{$\\u009b2J" in seen
    assert whole(tmp_path / figure)


def test_status(shown, pairs_file, tmp_path):
    shown("pairs", pairs_file, *SHORT, "--out", tmp_path / "[b]r")
    (tmp_path / "top").mkdir()
    (tmp_path / "[b]r").rename(tmp_path / "top" / "[b]\x1b[2J")
    assert "[b]\\u001b[2J" in shown("status", tmp_path / "top", model=False)


class Tags(html.parser.HTMLParser):
    """The tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.add(tag)


def test_an_evaluation_and_its_reports(shown, data, tmp_path):
    run = tmp_path / "run"
    asked = ["--data", data, "--tasks", TASK, "--methods", "text-encoder"]
    asked += ["--template", "<script>\x9b2J {}", *SHORT]
    seen = shown("evaluate", *asked, "--out", run)
    assert "<b>[bold]$x^{$\\u001b[2J" in seen
    for kind, there in (
        ("markdown", "&lt;b&gt;[bold]\\$x^{\\$"),
        ("latex", "\\$x\\textasciicircum"),
    ):
        assert there in shown("evaluate", *asked, "--out", run, "--format", kind)
    made = {ending: tmp_path / f"report.{ending}" for ending in ("md", "html")}
    for file in made.values():
        shown("report", run, "--to", file, "--no-pictures", model=False)
        assert hidden(file.read_text()) == set()
    text = made["md"].read_text()
    assert not re.search(r"</?[a-z]", text)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "a\\|b ]\\(y) \\`\\*c\\*\\` {0}" in text
    settings = json.loads(text.split("```json\n")[1].split("```")[0])
    assert settings["conventions"]["template"] == "<script>\x9b2J {}"
    page = made["html"].read_text()
    assert not Tags(page).found & {"script", "b"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_page_trusts_no_setting(shown, data, tmp_path):
    run, page = tmp_path / "run", tmp_path / "r.html"
    asked = ["--data", data, "--tasks", TASK, "--methods", "text-encoder", *SHORT]
    shown("evaluate", *asked, "--out", run)
    kept = run / "evaluation.json"
    record = json.loads(kept.read_text())
    record["settings"]["conjure"] = "<script>alert(1)</script>"
    record["seal"] = seal(record, (run / "pairs.jsonl").read_bytes())
    kept.write_text(json.dumps(record))
    shown("report", run, "--to", page, "--no-pictures", model=False)
    assert "script" not in Tags(page.read_text()).found


def test_a_sweep_and_its_curves(shown, data, tmp_path):
    names = ["[/x]", "$x^{$", "\x1b[2J"]
    vary = [word for name in names for word in ("--vary", f"negative={name}")]
    asked = ["--data", data, "--tasks", TASK, "--methods", "conjuring", "-w", "2", *SHORT]
    for figure in (tmp_path / "f.svg", tmp_path / "f.png"):
        seen = shown("evaluate", *asked, *vary, "--figure", figure)
        assert all(f"negative = {visible(name)}" in seen for name in names)
        assert whole(figure)


def strings(value: object) -> set[str]:
    """All that stand in a JSON value."""
    if isinstance(value, dict):
        return set(value).union(*map(strings, value.values()))
    if isinstance(value, list):
        return set().union(*map(strings, value))
    return {value} if isinstance(value, str) else set()


def test_a_scatter_has_numbers_at_its_axis_and_every_name():
    names = ["$x^{$", "_N"]
    distances = np.geomspace(1e-3, 5e3, 40)  # so far apart that the axis is logarithmic
    pairs = tuple((f"a{n}", f"b{n}") for n in range(40))
    examples = Examples("t", pairs, np.linspace(0, 5, 40), more={"pos": names * 20}, words=True)
    chosen = ("method", "c$x^{$\x1b")
    figure = scatter(TaskResult(examples, {chosen: distances}), chosen)
    figure.canvas.draw()
    (axes,) = figure.axes
    assert "1000" in [label.get_text() for label in axes.get_yticklabels()]
    assert axes.get_ylabel() == "c$x^{$\\u001b distance"
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == names


@pytest.mark.parametrize("command", ["compare", "pairs", "matrix", "drift", "evaluate", "sweep"])
def test_json_is_the_same_json(shown, prompts_file, pairs_file, data, command):
    two = list(SHOWN)[2:4]
    evaluate = ["evaluate", "--data", data, "--tasks", TASK, "--methods", "text-encoder"]
    arguments, texts = {
        "compare": (["compare", *two], two),
        "pairs": (["pairs", pairs_file], SHOWN),
        "matrix": (["matrix", prompts_file], SHOWN),
        "drift": (["drift", prompts_file, "--change", "negative=a\x9b", "-w", "2"], SHOWN),
        "evaluate": (evaluate, [TASK]),
        "sweep": ([*evaluate, "--vary", "samples=1"], [TASK]),
    }[command]
    seen = shown(*arguments, *SHORT, "--json")
    record = json.loads(next(line for line in seen.splitlines() if line.startswith("{")))
    assert set(texts) <= strings(record)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_table_is_as_it_was_unless_on_a_terminal(run, pairs_file, monkeypatch, terminal):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    code, out, _ = run("pairs", str(pairs_file), *SHORT, "--table", "-")
    assert code == 0
    assert bool(hidden(out)) is not terminal
    if not terminal:
        rows = csv.DictReader(io.StringIO(out, newline=""))
        assert [row["a"] for row in rows] == list(SHOWN)


@pytest.mark.parametrize("kind", ["csv", "latex"])
def test_data_keep_their_bytes_in_a_pipe(run, data, kind):
    asked = ["--data", str(data), "--tasks", TASK, "--methods", "text-encoder", *SHORT]
    code, out, _ = run("evaluate", *asked, "--format", kind)
    assert code == 0
    assert ("\x1b[2J" in out) is (kind == "csv")


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "a", "b", "--bogus{}"],
        ["compare", "a", "b", "more{}"],
        ["compare", "a", "b", "--model", "no{}"],
        ["compare", "a", "b", "--figure", "{}no"],
        ["compare", "a", "b", "--estimand", "no{}"],
        ["pairs", "no{}.csv"],
        ["no{}"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_refusals(monkeypatch, capsys, arguments):
    for hostile in ("[bold]", "\x1b]52;c;aGk=\x07", "\x9b2J", "\u202e"):
        filled = [argument.replace("{}", hostile) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["conjure", *filled])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit, match="2"):
            cli.main()
        captured = capsys.readouterr()
        assert hidden(captured.out + captured.err) == set()
        assert ("[bold]" in captured.err) is (hostile == "[bold]")


def test_an_interrupt(monkeypatch, run, tmp_path):
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("conjure.operations.pairs.compare_pairs", stop)
    file = tmp_path / "t.csv"
    file.write_text("a,b\ncat,dog\n")
    code, _, err = run("pairs", str(file), *SHORT, "--out", str(tmp_path / "[bold]\x1b[2J"))
    assert code == 130
    assert "[bold]\\u001b[2J." in err.replace("\n", "")
    assert hidden(err) == set()


def test_a_bar(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    with progress_bar("[/x]{0} \x1b]52;\x07", 2) as bar:
        bar.note("[/y]\x9b2J")
        bar.advance(1)
    drawn = capsys.readouterr().err
    assert "[/x]{0} \\u001b]52;\\u0007" in drawn
    assert "[/y]\\u009b2J" in drawn
    assert not any(sign in drawn for sign in ("\x1b]", "\x07", "\x9b"))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("<script>", "&lt;script&gt;"),
        ("![a](http://x)", "![a]\\(http://x)"),
        ("[a][b]", "[a]\\[b]"),
        ("a|b\nc", "a\\|b c"),
        ("*a* _b_ ~c~ `d` \\", "\\*a\\* \\_b\\_ \\~c\\~ \\`d\\` \\\\"),
        ("&lt; $x$ #1", "&amp;lt; \\$x\\$ \\#1"),
        ("45.0 [40.1, 50.2]", "45.0 [40.1, 50.2]"),
        ("\x1b[2J", "\\\\u001b[2J"),
    ],
)
def test_markdown_has_text_as_it_is(text, written):
    assert as_markdown(text) == written
    assert markdown_table([text], [[text]], text=1) == f"| {written} |\n|---|\n| {written} |"
