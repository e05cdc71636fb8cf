"""The figure: what it shows, and that it is written whole or not at all."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import conjure
from conjure import ConjureError
from conjure.errors import ConjureWarning
from conjure.figures.columns import choose_columns
from conjure.figures.comparison import RED
from conjure.figures.style import LETTER, fit, shorten


@given(
    arrays(float, st.tuples(st.just(2), st.integers(1, 30)), elements=st.floats(0, 100)),
    st.integers(1, 12),
)
def test_shares_sum_to_one_and_frames_hold_most(per_state, columns):
    chosen = choose_columns(per_state, columns)
    assert chosen.shares.shape[1] == min(columns, per_state.shape[1])
    if per_state.sum() == 0:
        assert not chosen.framed.any()
        return
    assert chosen.shares.sum() == pytest.approx(1)
    framed = chosen.shares[chosen.framed]
    assert framed.sum() >= 0.5 - 1e-9
    # The smallest set: without its least member it would not be half.
    assert framed.sum() - framed.min() < 0.5
    if (~chosen.framed).any():
        assert framed.min() >= chosen.shares[~chosen.framed].max() - 1e-12


@pytest.fixture(scope="module")
def comparison(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=6)
    return conjure.compare("cat $x$", "dog", process=process, samples=3)


def test_trace_is_the_first_sample(comparison):
    trace = comparison.trace
    assert trace.sample == 0
    assert trace.states.shape == (2, 6, 4, 8, 8)
    assert trace.pictures.shape == (2, 6, 2, 4, 8, 8)
    np.testing.assert_array_equal(trace.states[0, 0], trace.states[1, 0])
    difference = trace.pictures[:, :, 0] - trace.pictures[:, :, 1]
    squared = (difference.astype(float) ** 2).sum((2, 3, 4))
    np.testing.assert_allclose(squared, comparison.squares.picture[0], rtol=1e-3)


def test_figure_frames_what_the_profile_says(comparison):
    figure = comparison.figure(columns=4)
    chosen = choose_columns(comparison.estimate.per_state, 4)
    red = [a for a in figure.axes if a.spines["left"].get_edgecolor()[0] > 0.82]
    red = [a for a in red if a.spines["left"].get_linewidth() > 1]
    assert len(figure.axes) == 2 * 4 * 3
    assert len(red) == 2 * chosen.framed.sum()
    texts = [t.get_text() for t in figure.texts]
    assert any("cat $x$" in t for t in texts)
    assert RED in {t.get_color() for t in figure.texts}


def test_a_figure_says_of_which_process_and_sample_it_is(comparison):
    texts = [t.get_text() for t in comparison.figure().texts]
    assert any("ddim, T = 6, k = 3, seed 0" in t for t in texts)
    assert any("pictures: sample 1" in t for t in texts)


def test_what_belongs_to_no_path_has_no_figure(pipeline_folder):
    process = conjure.load(pipeline_folder, steps=3)
    printed = conjure.compare("cat", "dog", process=process, samples=1, estimand="as-printed")
    with pytest.raises(ConjureError, match="states of both paths at once"):
        printed.figure()
    assert {row["forward"] for row in printed.profile} == {None}


def test_a_long_title_stays_on_the_page():
    line = fit("girsanov on " + "/a/long/path" * 9, 4, 9)
    assert max(map(len, line.split("\n"))) * 9 * LETTER <= 4


@pytest.mark.parametrize("columns", [1, 3])
def test_a_narrow_figure_has_room_for_its_lines(comparison, columns):
    long = replace(comparison, prompts=("a very long prompt " * 5, "another one " * 9))
    figure = long.figure(columns=columns)
    figure.canvas.draw()
    for text in figure.texts:
        box = text.get_window_extent()
        assert box.x1 <= figure.bbox.x1 + 1, text.get_text()


def test_letters_that_no_font_has_are_named(comparison, tmp_path, monkeypatch):
    strange = replace(comparison, prompts=("\U00012000\U00012001", "dog"))
    with pytest.warns(ConjureWarning, match="No font here has \U00012000\U00012001"):
        strange.figure(tmp_path / "f.png", columns=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConjureWarning)
        comparison.figure(tmp_path / "f.png", columns=2)


def test_labels_keep_both_ends_of_a_prompt():
    assert shorten("a photo of a house in the style of Monet", 24).endswith("yle of Monet")
    assert shorten("one\nline  only") == "one line only"
    assert len(shorten("x" * 100, 31)) == 31


@pytest.mark.parametrize(
    ("name", "magic"), [("f.png", b"\x89PNG"), ("f.svg", b"<?xml"), ("f.pdf", b"%PDF")]
)
def test_figure_files(comparison, tmp_path, name, magic):
    comparison.figure(tmp_path / name, columns=2)
    assert (tmp_path / name).read_bytes().startswith(magic)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_failed_write_leaves_the_old_file(comparison, tmp_path, monkeypatch):
    target = tmp_path / "f.png"
    target.write_bytes(b"old")
    figure = comparison.figure(columns=2)

    def fail(*args, **kwargs):
        raise RuntimeError("disk full")

    monkeypatch.setattr(figure, "savefig", fail)
    from conjure.figures.style import save_figure

    with pytest.raises(RuntimeError, match="disk full"):
        save_figure(figure, target)
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f.png"]


@pytest.mark.parametrize(
    ("path", "message"),
    [("f.gif", r"\.png, \.svg, \.pdf"), ("missing/f.png", "does not exist"), ("f", "ends in")],
)
def test_bad_figure_paths(comparison, tmp_path, path, message):
    with pytest.raises(ConjureError, match=message):
        comparison.figure(tmp_path / path)
    assert not list(tmp_path.iterdir())


def test_processes_without_pictures_say_so(oracle):
    with pytest.raises(ConjureError, match="no pictures"):
        conjure.compare("a", "b", process=oracle).figure()


def test_zero_columns(comparison):
    with pytest.raises(ConjureError, match="columns is at least 1"):
        comparison.figure(columns=0)
