"""What people see while they wait."""

from __future__ import annotations

import pytest

from conjure.io import progress
from conjure.io.progress import progress_bar


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when it is told to."""
    now = [0.0]
    monkeypatch.setattr(progress._Lines.__init__, "__defaults__", (lambda: now[0], 0, ""))
    return now


def test_where_nobody_watches_a_line_is_written_every_half_minute(clock, capsys):
    with progress_bar("Comparing", 1000) as bar:
        for _ in range(10):
            clock[0] += 9
            bar.advance(50)
        bar.note("mean error 3.1%")
        clock[0] += 30
        bar.advance(100)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "Comparing: 200 of 1,000 network calls, 5.56/s, about 2.4 min left",
        "Comparing: 400 of 1,000 network calls, 5.56/s, about 1.8 min left",
        "Comparing: 600 of 1,000 network calls, 5/s, about 80 s left, mean error 3.1%",
    ]


def test_nothing_is_said_of_what_is_short_or_not_shown(clock, capsys):
    with progress_bar("Comparing", 10) as bar:
        clock[0] += 29
        bar.advance(10)
    with progress_bar("Comparing", 10, shown=False) as bar:
        clock[0] += 99
        bar.expect(20)
        bar.note("")
        bar.advance(10)
    assert capsys.readouterr().err == ""


def test_a_total_may_be_unknown_or_found_later(clock, capsys):
    with progress_bar("Direct output", None) as bar:
        clock[0] += 30
        bar.advance(30)
        bar.expect(90)
        clock[0] += 30
        bar.advance(30)
    assert capsys.readouterr().err.splitlines() == [
        "Direct output: 30 network calls, 1/s",
        "Direct output: 60 of 90 network calls, 1/s, about 30 s left",
    ]
