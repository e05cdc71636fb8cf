"""The evaluation: data that are checked, numbers that are known, and nothing lost."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import conjure
from conjure import ConjureError, Gaussian, GaussianProcess
from conjure.cli.variations import SAMPLES, parse_vary
from conjure.divergence.estimate import estimate
from conjure.engine.oracle import expected_squares
from conjure.evaluate import (
    TASKS,
    Conventions,
    Examples,
    evaluate,
    load_task,
    make_table,
    open_evaluation,
    read_examples,
    render,
    run,
)
from conjure.evaluate.analysis import by_chance, disagreements, kinds, rank_errors, whole
from conjure.evaluate.published import PAPER, PUBLISHED
from conjure.evaluate.report.markdown import markdown_report
from conjure.evaluate.report.page import report_page
from conjure.evaluate.report.rows import pick_column
from conjure.evaluate.scoring import (
    bootstrap,
    correlation,
    error_of_difference,
    interval,
    leave_one_out,
    partial,
)
from conjure.evaluate.sweep import gaps_to_first, sweep, sweep_figure
from conjure.evaluate.tasks import Task, expand
from conjure.methods.base import Measured
from conjure.statistics import jackknife_error, spearman

NAMES = [f"w{n}" for n in range(12)]


@pytest.fixture(scope="module")
def process():
    rng = np.random.default_rng(0)
    meanings = {
        name: Gaussian(rng.normal(size=2), np.diag(rng.uniform(0.3, 1.5, size=2)))
        for name in [*NAMES, ""]
    }
    return GaussianProcess.build(meanings, steps=5)


@pytest.fixture(scope="module")
def examples(process):
    """Pairs that people judge by the distance of the means, with some noise."""
    rng = np.random.default_rng(1)
    pairs = [(NAMES[i], NAMES[j]) for i in range(12) for j in range(i)][:40]
    means = {name: process.meanings[name].mean for name in NAMES}
    gaps = np.array([np.linalg.norm(means[a] - means[b]) for a, b in pairs])
    scores = np.round(5 * np.exp(-gaps) + 0.2 * rng.normal(size=len(pairs)), 1)
    more = {
        "subset": ["x" if i % 2 else "y" for i in range(len(pairs))],
        "concreteness": [i / 2 for i in range(len(pairs))],
        "id": list(range(len(pairs))),
    }
    return Examples("toy", tuple(pairs), scores, more, words=False)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


ROWS = [{"sentence1": "a", "sentence2": "b", "score": n} for n in (1, 2, 3.5)]


def test_examples_are_read_with_all_that_is_known(tmp_path):
    rows = [{"word1": f"w{n}", "word2": "v", "score": n, "pos": "noun"} for n in range(4)]
    found = read_examples(write(tmp_path / "t.jsonl", rows), "t")
    assert found.words
    assert found.pairs[1] == ("w1", "v")
    assert found.more == {"pos": ["noun"] * 4}
    (tmp_path / "t.csv").write_text("sentence1,sentence2,score\na,b,1\na,c,2\nb,c,2.5\n")
    assert list(read_examples(tmp_path / "t.csv", "t").scores) == [1, 2, 2.5]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"sentence1": "a", "score": 1}] * 4, "no column 'sentence2'"),
        ([{"a": "a", "b": "b", "score": 1}] * 4, "no column 'sentence1'"),
        ([{**r, "score": "high"} for r in ROWS], "is no number: 'high'"),
        ([{**r, "score": None} for r in ROWS], "is no number: None"),
        ([{**r, "score": True} for r in ROWS], "is no number: True"),
        ([{**r, "sentence2": ""} for r in ROWS], "Row 1 of .* lacks a text"),
        ([{**r, "score": 2} for r in ROWS], "All scores of .* are 2"),
        (ROWS[:1], "has 1 pair: a correlation needs"),
    ],
)
def test_damaged_data_are_refused(tmp_path, rows, message):
    with pytest.raises(ConjureError, match=message):
        read_examples(write(tmp_path / "t.jsonl", rows), "t")


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"sentence1": "a", \n')
    with pytest.raises(ConjureError, match=r"Line 1 of .* is not JSON"):
        read_examples(tmp_path / "t.jsonl", "t")


def test_a_task_is_known_by_its_file(tmp_path):
    write(tmp_path / "Mine.jsonl", ROWS)
    assert len(load_task("mine", tmp_path)) == 3
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep" / "mine.test.jsonl", ROWS)
    with pytest.raises(ConjureError, match="is in several files"):
        load_task("mine", tmp_path)
    with pytest.raises(ConjureError, match="Unknown task 'minee'"):
        load_task("minee", tmp_path)
    write(tmp_path / "RG65.jsonl", ROWS)  # a name of ours, too: told once
    with pytest.raises(ConjureError, match="Mine, RG65, SICK-R"):
        load_task("other", tmp_path)
    with pytest.raises(ConjureError, match="does not exist"):
        load_task("mine", tmp_path / "none")
    with pytest.raises(ConjureError, match=r"has no table 'STS16.test'"):
        load_task("sts16", tmp_path)
    with pytest.raises(ConjureError, match="put it into a folder"):
        load_task("RG65")


def test_a_known_task_must_be_whole(tmp_path, monkeypatch):
    path = write(tmp_path / "Known.jsonl", ROWS)
    checksum = read_examples(path, "Known").checksum()
    monkeypatch.setitem(TASKS, "Known", Task("Known", "us", "none", 3, checksum, "Known"))
    assert len(load_task("known", tmp_path)) == 3
    write(path, [*ROWS, ROWS[0]])
    with pytest.raises(ConjureError, match="has 3 pairs, and this copy has 4"):
        load_task("Known", tmp_path)
    write(path, [*ROWS[:2], {**ROWS[2], "score": 3}])
    with pytest.raises(ConjureError, match="other contents"):
        load_task("Known", tmp_path)


def test_the_order_of_columns_is_no_damage(tmp_path):
    one = read_examples(write(tmp_path / "a.jsonl", ROWS), "t")
    turned = [dict(reversed(list(row.items()))) for row in ROWS]
    assert one.checksum() == read_examples(write(tmp_path / "b.jsonl", turned), "t").checksum()


def test_hub_tasks_are_pinned():
    for task in TASKS.values():
        assert task.rows > 0
        if task.hub is not None:
            assert len(task.hub.revision) == 40


def test_names_of_tasks():
    assert len(expand("seven")) == 7
    assert expand("sts-b,STSBenchmark") == ["STS-B"]
    assert expand(" STS-B , words") == ["STS-B", "RG65", "SimLex-999"]
    with pytest.raises(ConjureError, match="no task"):
        expand(" , ")


def test_conventions(examples):
    sentences = replace(examples, pairs=(("a cat", "a dog."), ("Is it?", "no"), ("x", "y")))
    assert Conventions(full_stop=True).prompts(sentences)[:2] == [
        ("a cat.", "a dog."), ("Is it?", "no."),
    ]  # fmt: skip
    assert Conventions().prompts(sentences)[0] == ("a cat", "a dog.")
    words = replace(sentences, words=True)
    assert Conventions(template="the {}!").prompts(words)[2] == ("the x!", "the y!")
    some = Conventions(limit=7).choose(examples)
    assert some.pairs == Conventions(limit=7).choose(examples).pairs
    assert some.pairs != Conventions(limit=7, seed=1).choose(examples).pairs
    assert len(Conventions(limit=99).choose(examples)) == len(examples)
    with pytest.raises(ConjureError, match="all or mean"):
        Conventions(pooling="some")
    with pytest.raises(ConjureError, match="has one"):
        Conventions(template="x")
    with pytest.raises(ConjureError, match="at least 3"):
        Conventions(limit=2)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
@settings(max_examples=60, deadline=None)
def test_spearman_is_scipys(rows):
    x, y = np.array(rows, dtype=float).T
    ours = float(spearman(x, y))
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert np.isnan(ours)
    else:
        theirs = np.asarray(scipy.stats.spearmanr(x, y))[0]
        assert ours == pytest.approx(float(theirs), abs=1e-12)
        assert spearman(np.stack([x, -x]), y) == pytest.approx([ours, -ours], abs=1e-12)


def test_bootstrap_of_a_known_case():
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    y = x + rng.normal(size=400)
    draws = bootstrap(x, y, "t")
    others = rng.normal(size=(2, 2000, 400))
    across = spearman(others[0], others[0] + others[1]).std()  # over other pairs, drawn anew
    assert draws.std() == pytest.approx(across, rel=0.15)
    low, high = interval(draws)
    assert low < correlation(x, y) < high
    assert np.array_equal(draws, bootstrap(x, y, "t"))  # the same pairs for every method
    assert np.abs(draws - bootstrap(x**3, y, "t")).max() < 1e-12  # which depends on ranks alone
    halves = ["a", "b"] * 200
    mean = (correlation(x[::2], y[::2]) + correlation(x[1::2], y[1::2])) / 2
    assert correlation(x, y, halves) == pytest.approx(mean)
    assert bootstrap(x, y, "t", halves).mean() == pytest.approx(mean, abs=0.02)


def test_the_sampling_error_is_that_of_replicates():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=200)
    human = -truth + 0.5 * rng.normal(size=200)
    shape = (200, 200, 8)
    runs = truth[:, None] + rng.normal(size=shape) * 0.8
    across = np.std([correlation(-r.mean(1), human) for r in runs])
    said = np.mean([jackknife_error(leave_one_out(r, human)) for r in runs[:60]])
    assert said == pytest.approx(across, rel=0.2)


def test_partial_correlation_takes_the_control_away():
    rng = np.random.default_rng(3)
    control = rng.normal(size=3000)
    x, y = (control + 0.5 * rng.normal(size=3000) for _ in range(2))
    assert spearman(x, y) > 0.7
    assert abs(partial(x, y, control)) < 0.06
    assert np.isnan(partial(x, y, x))


def test_conjuring_gives_the_exact_ranking_of_gaussians(process, examples):
    found = evaluate([examples], ["conjuring"], process=process, samples=64)
    girsanov = conjure.ESTIMANDS["girsanov"]
    exact = np.array(
        [
            estimate(girsanov, expected_squares(process, a, b), process.levels, kl=True).distance
            for a, b in examples.pairs
        ]
    )
    said = found.results["toy"].distances["conjuring", "girsanov"]
    assert spearman(said, exact) > 0.98
    score = next(s for s in found.scores if s.column == "girsanov")
    assert score.headline
    assert score.spearman == pytest.approx(float(spearman(-said, examples.scores)))
    assert score.low < score.spearman < score.high
    assert score.samples == 64
    assert score.monte_carlo is not None
    assert 0 < score.monte_carlo < 0.05
    assert {s.column for s in found.scores} == set(conjure.ESTIMANDS)


ALL = ["relative", "conjuring", "landmarks", "initial-timestep", "direct-output"]


def test_a_killed_evaluation_goes_on(process, examples, tmp_path, monkeypatch):
    process = replace(process, batch_size=2)
    asked = {"process": process, "samples": 3}
    whole_run = evaluate([examples], ALL, **asked)
    predict, left = GaussianProcess.predict, [0]

    def dying(self, x, step, prompts):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return predict(self, x, step, prompts)

    monkeypatch.setattr(GaussianProcess, "predict", dying)
    for allowed in (60, 330, 50, 40, 30):
        left[0] = allowed
        with pytest.raises(KeyboardInterrupt):
            evaluate([examples], ALL, out=tmp_path / "run", **asked)
    monkeypatch.setattr(GaussianProcess, "predict", predict)
    resumed = evaluate([examples], ALL, out=tmp_path / "run", **asked)
    assert resumed.calls < whole_run.calls
    assert resumed.scores == whole_run.scores
    assert resumed.differences == whole_run.differences
    again = evaluate([examples], ALL, out=tmp_path / "run", **asked)
    assert again.calls == 0
    more = evaluate([examples], ALL, out=tmp_path / "run", process=process, samples=5)
    assert more.scores == evaluate([examples], ALL, process=process, samples=5).scores


def test_bad_prompts_are_found_before_any_work(process, examples, tmp_path):
    strange = replace(examples, task="other", pairs=(("w1", "unheard of"),) * 40)
    with pytest.raises(ConjureError, match="unheard of"):
        evaluate([examples, strange], ["conjuring"], process=process, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (["conjurin"], "Did you mean 'conjuring'"),
        (["conjuring", "conjuring"], "stands twice"),
        (["conjuring:x"], "takes no name"),
        (["sentence-transformers"], "Name the model"),
        (["trajectories"], "Name the model"),
        (["text-encoder"], "needs a diffusion pipeline"),
        (["landmarks:none"], "whole number of paths"),
        ([], "at least one task and one method"),
    ],
)
def test_bad_methods_are_refused(process, examples, methods, message):
    with pytest.raises(ConjureError, match=message):
        evaluate([examples], methods, process=process)


@pytest.fixture(scope="module")
def evaluation(process, examples):
    return evaluate(
        [examples, replace(examples, task="STS-B", words=True)],
        ["initial-timestep", "conjuring"], process=process,
        conventions=Conventions(template="{}"),
    )  # fmt: skip


def test_the_table_has_the_best_in_bold_and_the_paper_apart(evaluation):
    table = make_table(evaluation)
    assert table.headings == ("STS-B", "toy")
    assert [row.name for row in table.rows] == ["initial-timestep", "conjuring, girsanov"]
    text = render(table, "markdown")
    for task in table.headings:
        best = max(s.spearman for s in evaluation.scores if s.headline and s.task == task)
        assert f"**{100 * best:.1f}**" in text
    assert text.count("**") == 4
    assert table.notes == ()
    assert text.index("Published") > text.index("conjuring, girsanov")
    full = make_table(evaluation, full=True)
    assert full.headings == ("STS-B", "toy")
    assert len(full.rows) == 1 + len(conjure.ESTIMANDS)
    score = next(s for s in evaluation.scores if s.method == "conjuring" and s.task == "toy")
    assert score.pearson is not None
    said = f"{100 * score.spearman:.1f} / {100 * score.pearson:.1f} [{100 * score.low:.1f}, "
    assert said in render(full, "markdown")
    assert "Spearman / Pearson" in render(full, "latex")


def test_the_published_figures_are_those_of_the_paper():
    """Liu & Soatto 2026, Table 1: STS-B, SICK-R, average of seven."""
    assert [tuple(row.figures.values()) for row in PUBLISHED] == [
        (68.4, 72.2, 76.3), (71.5, 73.0, 66.6), (55.8, 56.0, 53.0), (57.0, 53.5, 51.3),
        (70.3, 66.0, 65.4),
    ]  # fmt: skip


def test_a_part_of_a_task_and_a_mean_of_subsets_say_what_they_are(process, examples):
    how = Conventions(pooling="mean", limit=20, template="{}")
    asked = replace(examples, task="STS-B")
    found = evaluate([asked], ["conjuring"], process=process, conventions=how)
    for kind in ("markdown", "latex"):
        text = render(make_table(found), kind)
        assert "At most 20 pairs" in text
        assert "published figures are of whole tasks" in text
        assert "Means over the subsets" in text
    assert "| all, pooled | 20 |" in markdown_report(found)


def test_the_table_as_latex_and_csv(evaluation):
    table = make_table(evaluation, full=True)
    latex = render(table, "latex")
    assert latex.count("{") == latex.count("}")
    assert "\\textbf{" in latex
    rows = list(csv.DictReader(io.StringIO(render(table, "csv"))))
    ours = [row for row in rows if row["published"] == "False"]
    assert len(ours) == len(evaluation.scores)
    said = {(r["task"], r["method"], r["column"]): float(r["spearman"]) for r in ours}
    for score in evaluation.scores:
        assert said[score.task, score.method, score.column] == score.spearman
    with pytest.raises(ConjureError, match="Unknown table format"):
        render(table, "word")


def test_the_average_is_that_of_seven(examples, process):
    seven = [replace(examples, task=task) for task in run.SEVEN]
    found = evaluate(seven, ["conjuring"], process=process)
    average = [s for s in found.scores if s.task == run.AVERAGE and s.headline]
    parts = [s for s in found.scores if s.task != run.AVERAGE and s.headline]
    assert len(average) == 1
    assert average[0].spearman == pytest.approx(np.mean([s.spearman for s in parts]))
    assert average[0].high - average[0].low < parts[0].high - parts[0].low
    assert average[0].monte_carlo == pytest.approx(parts[0].monte_carlo)  # the same pairs
    assert "average" in make_table(found).headings


def test_kinds_sum_to_the_whole(evaluation):
    result, key = evaluation.results["toy"], ("conjuring", "girsanov")
    total, found = whole(result, key), kinds(result, key)
    assert set(found) == {"subset", "concreteness"}  # every text is one word, none is shared
    for some in found.values():
        assert sum(kind.pairs for kind in some) == total.pairs == len(result.examples)
        share = sum(kind.pairs * kind.rank_error for kind in some) / total.pairs
        assert share == pytest.approx(total.rank_error)
        chance = sum(kind.pairs * kind.chance for kind in some) / total.pairs
        assert chance == pytest.approx(total.chance)
        assert all(kind.low <= kind.spearman <= kind.high for kind in some)
    assert total.spearman == pytest.approx(
        next(s.spearman for s in evaluation.scores if s.task == "toy" and s.column == "girsanov")
    )
    worst = disagreements(result, key, most=5)
    gaps = [abs(d.human_rank - d.method_rank) for d in worst]
    assert gaps == sorted(gaps, reverse=True)
    errors = rank_errors(result.examples, result.distances[key])
    assert gaps[0] == pytest.approx(errors.max() * 40 / 39)


def test_the_rank_error_of_chance_is_that_of_random_orders():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, size=60).astype(float)  # with ties
    pairs = tuple(("a", "b") for _ in scores)
    examples = Examples("toy", pairs, scores, {}, words=False)
    drawn = np.array([rank_errors(examples, rng.permutation(60)) for _ in range(4000)])
    error = drawn.std(0) / np.sqrt(len(drawn))
    assert np.all(np.abs(drawn.mean(0) - by_chance(examples)) < 5 * error)
    assert by_chance(examples).mean() == pytest.approx(1 / 3, abs=0.02)


def test_cuts_by_length_overlap_and_part_of_speech():
    pairs = [("a cat", "a dog"), ("one two three four five six seven", "a b c d e f g h")] * 3
    more = {"pos": ["noun", "verb", None] * 2, "number": ["1", "2", "3"] * 2, "id": range(6),
            "concreteness": [1.0, 2.0, 3.0, 4.0, 4.0, "nan"]}  # fmt: skip
    scores = np.arange(6.0)
    odd = Examples("cut", tuple(pairs), scores, more, words=False)
    found = kinds(run.TaskResult(odd, {("m", "c"): -scores}), ("m", "c"))
    said = {respect: {k.name: k.pairs for k in some} for respect, some in found.items()}
    assert said["part of speech"] == {"noun": 2, "verb": 2, "not said": 2}
    assert said["length, words a sentence"] == {"1: up to 6": 3, "2: up to 10": 3}
    assert said["words in common"] == {"1: up to 20%": 3, "2: up to 40%": 3}
    assert sum(said["number"].values()) == 6  # as text, from a CSV file
    assert said["concreteness"] == {
        "1: up to 2.33": 2,
        "2: up to 3.67": 1,
        "3: above 3.67": 2,
        "not said": 1,
    }
    assert "id" not in said
    assert all(k.rank_error == 0 for some in found.values() for k in some)


def test_the_mean_over_subsets(process, examples):
    how = Conventions(pooling="mean")
    found = evaluate([examples], ["conjuring"], process=process, conventions=how)
    distances = found.results["toy"].distances["conjuring", "girsanov"]
    parts = [spearman(-distances[k::2], examples.scores[k::2]) for k in (0, 1)]
    score = next(s for s in found.scores if s.headline)
    assert score.spearman == pytest.approx(np.mean(parts))
    with pytest.raises(ConjureError, match="no column 'subset'"):
        evaluate([replace(examples, more={})], ["conjuring"], process=process, conventions=how)
    whole = replace(examples, whole=True)  # as the field takes STS-B, whatever its genres
    assert how.subsets(whole) is None


@pytest.mark.parametrize(("few", "scores"), [(2, [1.0, 2.0, 3.0]), (3, [1.0, 1.0, 1.0])])
def test_a_subset_without_a_correlation_is_refused_before_any_work(examples, few, scores):
    subset = ["x"] * few + ["y"] * (len(examples) - few)
    changed = np.concatenate([scores, examples.scores[3:]])
    short = replace(examples, more={"subset": subset}, scores=changed)
    with pytest.raises(ConjureError, match="no correlation to take the mean of"):
        Conventions(pooling="mean").subsets(short)


@pytest.mark.parametrize(
    ("asked", "message"), [({"samples": 0}, "samples"), ({"seed": -1}, "seed")]
)
@pytest.mark.parametrize("method", ["initial-timestep", "direct-output"])
def test_no_method_draws_without_samples_or_a_seed(process, examples, method, asked, message):
    with pytest.raises(ConjureError, match=f"{message} is a whole number"):
        evaluate([examples], [method], process=process, **asked)


def test_what_json_lacks_is_saved_as_text(process, examples, tmp_path):
    more = {"seen": [date(2020, 1, 1)] * len(examples), "share": [Decimal("0.5")] * len(examples)}
    evaluate(
        [replace(examples, more=more)], ["initial-timestep"], process=process, out=tmp_path / "run"
    )
    found = open_evaluation(tmp_path / "run").results["toy"].examples
    assert found.more["seen"][0] == "2020-01-01"


def test_landmarks_weigh_as_ours_does_and_refuse_before_any_work(process, examples):
    asked = {"process": process, "estimand": "epsilon"}
    found = evaluate([examples], ["landmarks"], **asked)
    assert [s.column for s in found.scores] == ["epsilon"]
    with pytest.raises(ConjureError, match="no embedding"):
        evaluate([examples], ["landmarks"], process=process, estimand="ancestral")


def test_differences_carry_both_errors(process, examples):
    asked = {"process": process, "samples": 8}
    found = evaluate([examples], ["conjuring", "direct-output", "landmarks"], **asked)
    gaps = {(g.method, g.other): g for g in found.differences}
    gap = gaps["conjuring", "direct-output"]
    assert gap.low <= gap.value <= gap.high
    heads = {s.method: s for s in found.scores if s.headline}
    assert gap.value == heads["conjuring"].spearman - heads["direct-output"].spearman
    assert gap.monte_carlo is not None
    assert heads["direct-output"].monte_carlo is not None
    assert 0 < gap.monte_carlo < 3 * heads["direct-output"].monte_carlo
    one = gaps["conjuring", "landmarks:2"]
    assert one.monte_carlo == pytest.approx(heads["conjuring"].monte_carlo)


def test_an_error_of_one_sample_is_unknown_beside_one_that_is_known():
    known, other = np.array([0.1, 0.3, 0.2]), np.array([0.2, 0.2, 0.3])
    assert error_of_difference(known, None, unknown=True) is None
    assert error_of_difference(None, None, unknown=False) is None
    assert error_of_difference(known, None, unknown=False) == pytest.approx(jackknife_error(known))
    paired = jackknife_error(known - other)
    assert error_of_difference(known, other, unknown=False) == pytest.approx(paired)


def test_two_methods_that_say_the_same_do_not_differ(process, examples, monkeypatch):
    """Resamples of pairs, and samples left out, are those of both at once."""
    values = np.abs(np.random.default_rng(4).normal(size=(len(examples), 5)))

    def build(name):
        return lambda asked, argument: SimpleNamespace(
            name=name, group="x", settings={"method": name}, check=lambda texts: None,
            cost=lambda *_: 0, measure=lambda pairs, folder: Measured({"c": values}, 0, 5),
        )  # fmt: skip

    monkeypatch.setattr("conjure.evaluate.run.METHODS", {"one": build("one"), "two": build("two")})
    (gap,) = evaluate([examples], ["one", "two"], process=process).differences
    assert (gap.value, gap.low, gap.high, gap.monte_carlo) == (0, 0, 0, 0)


def test_beyond_the_text_encoder_is_a_partial_correlation(process, examples, monkeypatch):
    rng = np.random.default_rng(5)
    human = np.argsort(np.argsort(examples.scores)) + 0.0
    control = -(human + 8 * rng.normal(size=len(examples)))
    ours = -(human + 8 * rng.normal(size=len(examples)))

    def build(name, distances):
        return lambda asked, argument: SimpleNamespace(
            name=name, group="x", settings={"method": name}, check=lambda texts: None,
            cost=lambda *_: 0,
            measure=lambda pairs, folder: Measured({"c": distances[:, None]}, 0, 0),
        )  # fmt: skip

    known = {"text-encoder": build("text-encoder", control), "ours": build("ours", ours)}
    monkeypatch.setattr("conjure.evaluate.run.METHODS", known)
    scores = {s.method: s for s in evaluate([examples], list(known), process=process).scores}
    ranks = [scipy.stats.rankdata(v) for v in (-ours, examples.scores, -control)]
    known_by = np.column_stack([np.ones(len(examples)), ranks[2]])
    rest = [r - known_by @ np.linalg.lstsq(known_by, r, rcond=None)[0] for r in ranks[:2]]
    assert scores["ours"].beyond_text == pytest.approx(np.corrcoef(*rest)[0, 1], abs=1e-9)
    assert scores["text-encoder"].beyond_text is None


def test_the_hub_is_asked_for_a_pinned_revision(monkeypatch):
    datasets = pytest.importorskip("datasets")
    asked = {}

    def load_dataset(path, **options):
        asked.update(options, path=path)
        return [{"sentence1": f"a{n}", "sentence2": "b", "score": n % 5} for n in range(1186)]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert len(load_task("STS16")) == 1186
    hub = TASKS["STS16"].hub
    assert hub is not None
    assert asked == {"path": hub.path, "split": "test", "revision": hub.revision}
    with pytest.raises(ConjureError, match="has 1,379 pairs, and this copy has 1,186"):
        load_task("STS-B")

    def offline(path, **options):
        raise ConnectionError("offline")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(ConjureError, match="could not be had from the hub"):
        load_task("STS16")


def test_a_place_for_the_run_is_looked_at_first(process, examples, tmp_path):
    (tmp_path / "file").touch()
    for place in ("file", "no/run"):
        with pytest.raises(ConjureError, match=r"is a file|does not exist"):
            evaluate([examples], ["conjuring"], process=process, out=tmp_path / place)


def test_the_report_is_one_page_with_nothing_outside_it(evaluation, tmp_path):
    run.save(evaluation, tmp_path)
    kept = open_evaluation(tmp_path)
    assert kept.scores == evaluation.scores
    page = report_page(kept)
    assert page.startswith("<!doctype html>")
    assert "src=" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    for score in kept.scores:
        assert score.pearson is not None
        assert f"{100 * score.spearman:.1f} / {100 * score.pearson:.1f} [" in page
    text = markdown_report(kept)
    assert "## toy: conjuring, girsanov" in text
    assert "| all | 40 |" in text
    assert "initial-timestep − conjuring" in text
    assert '"samples": 2' in text
    other = report_page(kept, chosen=pick_column(kept, "conjuring/epsilon"))
    assert "toy: conjuring, epsilon" in other
    assert pick_column(kept, "initial-timestep") == ("initial-timestep", "noise")
    with pytest.raises(ConjureError, match=r"Unknown method.*Did you mean 'conjuring/epsilon'"):
        pick_column(kept, "conjuring/epsilom")
    with pytest.raises(ConjureError, match="no finished evaluation"):
        open_evaluation(tmp_path / "none")


def test_markup_in_texts_is_shown_as_it_is(examples):
    odd = replace(examples, task="<b>", pairs=(("<script>", "&"), *examples.pairs[1:]))
    result = run.TaskResult(odd, {("m", "c"): np.arange(40.0)})
    score = run.Score("<b>", "m", "Controls", "c", True, 0, 0, 0, 0, None, None, None, None, 40, 0)
    process = {"model": None, "process": None, "samples": 1, "seed": 0, "conjure": "0"}
    settings = {**process, "conventions": {"pooling": "all", "full_stop": False, "limit": None}}
    page = report_page(run.Evaluation(settings, [score], [], {"<b>": result}, 0, 0.0))
    assert "<script>" not in page
    assert "<b>" not in page


def test_sweeps_share_samples(process, examples, tmp_path):
    axes = parse_vary(["samples=1,2,4"], SAMPLES)
    asked = {"out": tmp_path / "run"}
    points = sweep([examples], ["conjuring"], axes, lambda at: process, **asked)
    assert [p.at for p in points] == [{"samples": 1}, {"samples": 2}, {"samples": 4}]
    four = evaluate([examples], ["conjuring"], process=process, samples=4)
    assert sum(p.evaluation.calls for p in points) == four.calls
    assert points[2].evaluation.scores == four.scores
    figure = sweep_figure(points)
    assert len(figure.axes) == 1
    one, four = points[0].evaluation, points[2].evaluation
    near = [-p.results["toy"].distances["conjuring", "girsanov"] for p in (four, one)]
    draws = [bootstrap(values, examples.scores, "toy") for values in near]
    gap = gaps_to_first(points)[1]
    value = four.scores[0].spearman - one.scores[0].spearman
    assert (gap.at, gap.task) == ({"samples": 4}, "toy")
    assert gap.value == pytest.approx(value)
    assert gap.monte_carlo is None  # of one sample nobody knows it
    assert (gap.low, gap.high) == pytest.approx(interval(draws[0] - draws[1]))
    several = ["negative=", "negative=ugly, blurry"]
    assert parse_vary(several) == {"negative": ["", "ugly, blurry"]}
    for bad in ("guidance", "colour=1", "steps=few", "steps=", "steps=5,5"):
        with pytest.raises(ConjureError):
            parse_vary([bad])
    with pytest.raises(ConjureError, match="varied twice"):
        parse_vary(["steps=5", "steps=6"])


def test_the_preset_says_what_it_guesses():
    known = {setting.name for setting in PAPER if setting.known}
    assert known == {"model", "guidance", "steps", "estimand"}
    assert all("silent" in setting.why for setting in PAPER if not setting.known)
