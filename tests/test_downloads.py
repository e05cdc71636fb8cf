"""The public files of the tasks, made into a data folder: each layout, whole and damaged."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from conjure.cli import app
from conjure.errors import ConjureError
from conjure.evaluate import TASKS, load_task
from conjure.evaluate.downloads import LAYOUTS, YEARS, convert, public_files
from conjure.evaluate.tasks import known_task


def texts(number: int) -> tuple[str, str]:
    return f'The "first" of {number}, a word', f"a second of {number}"


def benchmark(rows: int) -> str:
    lines = (
        f"main-news\tMSRvid\t2012\t{i:04}\t{i % 6}.5\t{a}\t{b}\tits source\n"
        for i in range(rows)
        for a, b in [texts(i)]
    )
    return "".join(lines)


def sick(rows: int) -> str:
    head = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n"
    return head + "".join(
        f"{i}\t{a}\t{b}\t{i % 5}.5\tNEUTRAL\n" for i in range(rows) for a, b in [texts(i)]
    )


def whole_sick(rows: int) -> str:
    head = "pair_ID\tsentence_A\tsentence_B\tentailment_label\trelatedness_score\tSemEval_set\n"
    return head + "".join(
        f"{i}\t{a}\t{b}\tNEUTRAL\t{i % 5}.5\t{part}\n"
        for i in range(rows)
        for part in ("TEST", "TRAIN")
        for a, b in [texts(i)]
    )


def simlex(rows: int) -> str:
    head = "word1\tword2\tPOS\tSimLex999\tconc(w1)\tconc(w2)\tconcQ\n"
    return head + "".join(
        f"a{i}\tb{i}\t{'ANV'[i % 3]}\t{i % 10}.25\t2\t3\t{1 + i % 4}\n" for i in range(rows)
    )


def spaced(rows: int) -> str:
    return "".join(f"a{i}\tb{i}\t{i % 10}.25\n" for i in range(rows))


def comma(rows: int) -> str:
    return "Word 1,Word 2,Human (mean)\r\n" + "".join(
        f"a{i},b{i},{i % 10}.25\r\n" for i in range(rows)
    )


WRITERS = {
    "sts-test.csv": benchmark, "sts-dev.csv": benchmark, "SICK_test_annotated.txt": sick,
    "SICK.txt": whole_sick, "EN-RG-65.txt": spaced, "EN-MC-30.txt": spaced,
    "SimLex-999.txt": simlex, "combined.csv": comma,
    "wordsim_similarity_goldstandard.txt": spaced, "wordsim_relatedness_goldstandard.txt": spaced,
    "MEN_dataset_natural_form_full": lambda rows: spaced(rows).replace("\t", " "),
}  # fmt: skip


def year(folder, name, rows):
    """A year's folder: its subsets, each with a pair that nobody judged."""
    subsets = YEARS[name]
    folder.mkdir(parents=True)
    for number, subset in enumerate(subsets):
        count = len(range(number, rows, len(subsets)))
        pairs = [texts(1000 * number + i) for i in range(count + 1)]
        lines = "".join(f"{a}\t{b}\n" for a, b in pairs)
        scores = "".join(f"{i % 5}\n" for i in range(count)) + "\n"
        (folder / f"STS.input.{subset}.txt").write_text(lines)
        (folder / f"STS.gs.{subset}.txt").write_text(scores)


@pytest.fixture
def any_contents(monkeypatch):
    """Known tasks are held to their rows and not to their contents, which no test has."""
    for name, task in TASKS.items():
        monkeypatch.setitem(TASKS, name, replace(task, checksum=None))


def test_every_layout_has_its_writer():
    assert set(WRITERS) == set(LAYOUTS)


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_a_public_file_becomes_a_task(tmp_path, any_contents, name):
    layout = LAYOUTS[name]
    (tmp_path / name).write_text(WRITERS[name](layout.rows), newline="")
    (found,) = convert([tmp_path / name], tmp_path / "data")
    assert (found.pairs, found.problem) == (layout.rows, None)
    assert found.path == tmp_path / "data" / f"{layout.file}.jsonl"
    examples = load_task(layout.file, tmp_path / "data")
    assert len(examples) == layout.rows
    if not examples.words:
        assert examples.pairs[1] == texts(1)
    assert examples.scores[1] == pytest.approx(1.25 if examples.words else 1.5)


def test_simlex_keeps_what_the_analysis_asks_for(tmp_path, any_contents):
    (tmp_path / "SimLex-999.txt").write_text(simlex(999))
    convert([tmp_path], tmp_path / "data")
    more = load_task("SimLex-999", tmp_path / "data").more
    assert more["pos"][:3] == ["adjective", "noun", "verb"]
    assert more["concreteness"][:4] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", sorted(YEARS))
def test_a_folder_of_a_year_becomes_a_task(tmp_path, any_contents, name):
    year(tmp_path / "gold", name, TASKS[name].rows)
    (found,) = convert([tmp_path], tmp_path / "data")
    assert (found.task, found.pairs, found.problem) == (name, TASKS[name].rows, None)
    examples = load_task(name, tmp_path / "data")
    assert set(examples.more["subset"]) == {s.removeprefix("surprise.") for s in YEARS[name]}


def test_years_are_told_apart_by_their_parts(tmp_path, any_contents):
    for name in YEARS:
        year(tmp_path / name.lower(), name, TASKS[name].rows)
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "STS.input.MSRpar.txt").write_text("a\tb\n")
    assert {f.task for f in convert([tmp_path], tmp_path / "data")} == set(YEARS)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives_are_read_as_they_are(tmp_path, any_contents, kind):
    year(tmp_path / "sts" / "test-gold", "STS13", 1500)
    (tmp_path / "sts" / "sts-dev.csv").write_text(benchmark(1500))
    archive = tmp_path / f"sts.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for path in (tmp_path / "sts").rglob("*.*"):
                file.write(path, path.relative_to(tmp_path))
    else:
        with tarfile.open(archive, "w:gz") as file:
            file.add(tmp_path / "sts", "../../sts")  # nothing is unpacked: such a name is harmless
    found = convert([archive], tmp_path / "data")
    assert {f.task: f.problem for f in found} == {"STS13": None, "STS-B-dev": None}
    written = sorted(p.name for p in (tmp_path / "data").iterdir())
    assert written == ["STS13.test.jsonl", "STSBenchmark.dev.jsonl"]


def test_other_contents_are_refused_and_a_whole_copy_found(tmp_path, monkeypatch):
    layout = LAYOUTS["EN-RG-65.txt"]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "EN-RG-65.txt").write_text(spaced(65))
    monkeypatch.setitem(TASKS, "RG65", replace(TASKS["RG65"], checksum=None))
    convert([tmp_path / "b"], tmp_path / "data")
    checksum = load_task("RG65", tmp_path / "data").checksum()
    monkeypatch.setitem(TASKS, "RG65", replace(TASKS["RG65"], checksum=checksum))
    shutil.rmtree(tmp_path / "data")

    (tmp_path / "a" / "EN-RG-65.txt").write_text(spaced(65).replace("a7\t", "c7\t"))
    (found,) = convert([tmp_path / "a"], tmp_path / "data")
    assert "other contents" in str(found.problem)
    assert not (tmp_path / "data").exists()
    (found,) = convert([tmp_path / "a", tmp_path / "b"], tmp_path / "data")
    assert found.problem is None
    assert "b" in found.source
    assert layout.file == "RG65"
    (tmp_path / "b" / "EN-RG-65.txt").write_text(spaced(65).replace("\t", "  ") + "")
    assert convert([tmp_path / "b"], tmp_path / "data")[0].problem is None  # spaces are no contents
    (tmp_path / "data" / "RG65.jsonl").write_text("{}\n")
    assert "other contents: move" in str(convert([tmp_path / "b"], tmp_path / "data")[0].problem)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (spaced(64), "has 65 pairs, and this copy has 64"),
        ("<html>not found</html>\n", "not laid out as published"),
        ("", "not laid out as published"),
        ("a b high\n", "not laid out as published"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, any_contents, content, reason):
    (tmp_path / "EN-RG-65.txt").write_text(content)
    (found,) = convert([tmp_path], tmp_path / "data")
    assert reason in str(found.problem)


def test_scores_that_are_missing_or_short_are_named(tmp_path, any_contents):
    year(tmp_path / "gold", "STS13", 1500)
    (tmp_path / "gold" / "STS.gs.FNWN.txt").write_text("1\n")
    (found,) = convert([tmp_path], tmp_path / "data")
    assert "STS.gs.FNWN.txt 1." in str(found.problem)
    (tmp_path / "gold" / "STS.gs.FNWN.txt").unlink()
    (found,) = convert([tmp_path], tmp_path / "data")
    assert "not its scores, STS.gs.FNWN.txt" in str(found.problem)


def test_a_damaged_archive_and_a_missing_place_are_errors(tmp_path):
    (tmp_path / "none.zip").write_bytes(b"no archive")
    assert convert([tmp_path], tmp_path / "data") == []
    with zipfile.ZipFile(tmp_path / "cut.zip", "w") as file:
        file.writestr("sts-dev.csv", benchmark(1500))
    data = bytearray((tmp_path / "cut.zip").read_bytes())
    data[60:80] = bytes(20)
    (tmp_path / "cut.zip").write_bytes(data)
    with pytest.raises(ConjureError, match="cannot be read as an archive"):
        convert([tmp_path / "cut.zip"], tmp_path / "data")
    with pytest.raises(ConjureError, match="does not exist"):
        convert([tmp_path / "nowhere"], tmp_path / "data")


def test_the_command(tmp_path, any_contents):
    run = CliRunner().invoke
    (tmp_path / "downloads").mkdir()
    given = ["data", str(tmp_path / "downloads"), "--to", str(tmp_path / "data")]
    nothing = run(app, given)
    assert nothing.exit_code == 1
    assert all(task in nothing.output for task, _ in public_files())
    (tmp_path / "downloads" / "EN-MC-30.txt").write_text(spaced(30))
    good = run(app, given)
    assert good.exit_code == 0, good.output
    assert "MC30" in good.output
    assert "1 task is in" in good.output
    (tmp_path / "downloads" / "EN-RG-65.txt").write_text(spaced(3))
    partly = run(app, [*given, "--json"])
    assert partly.exit_code == 1
    found = json.loads(partly.stdout)
    assert {one["task"]: one["path"] is None for one in found} == {"MC30": False, "RG65": True}


def test_known_layouts_are_of_known_tasks():
    for layout in LAYOUTS.values():
        known = known_task(layout.file)
        assert known is None or known.rows == layout.rows
