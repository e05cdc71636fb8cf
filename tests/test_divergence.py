"""The estimands by hand, and the interval's coverage."""

from __future__ import annotations

import numpy as np
import pytest

from conjure import ESTIMANDS
from conjure.divergence.base import Squares
from conjure.divergence.estimate import estimate
from conjure.levels import NoiseLevels
from conjure.statistics import log_t_interval

LEVELS = NoiseLevels.from_log_snr(np.array([-1.0, 1.0, 2.0]))
SQUARES = Squares(
    noise=np.array([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]),
    picture=np.array([[[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]]),
    step=np.array([[[1.0, 2.0, np.nan], [3.0, 4.0, np.nan]]]),
    printed=np.array([[[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]]),
)
VARIANCE = 1 / (1 + np.exp([-1.0, 1.0, 2.0]))


@pytest.mark.parametrize(
    ("name", "forward", "reverse"),
    [
        ("girsanov", (1 * 1 + 2 * 1.5 + 3 * 0.5) / 2, (4 * 1 + 5 * 1.5 + 6 * 0.5) / 2),
        ("epsilon", (1 + 2 + 3) / 3 / 2, (4 + 5 + 6) / 3 / 2),
        (
            "score",
            sum(v / s for v, s in zip((1, 2, 3), VARIANCE, strict=True)) / 6,
            sum(v / s for v, s in zip((4, 5, 6), VARIANCE, strict=True)) / 6,
        ),
        ("picture", 3 / 3 / 2, 6 / 3 / 2),
        ("ancestral", 3 / 2, 7 / 2),
        ("as-printed", 6 / 3, 6 / 3),
    ],
)
def test_estimands_by_hand(name, forward, reverse):
    found = estimate(ESTIMANDS[name], SQUARES, LEVELS, kl=True)
    assert found.kl_forward == pytest.approx(forward)
    assert found.kl_reverse == pytest.approx(reverse)
    assert found.distance == pytest.approx(forward + reverse)
    assert found.standard_error is None
    assert found.interval() is None


def test_every_estimand_is_tested_by_hand():
    (mark,) = getattr(test_estimands_by_hand, "pytestmark")  # noqa: B009
    assert {row[0] for row in mark.args[1]} == set(ESTIMANDS)


def test_first_cell_without_signal_is_a_difference_of_pictures():
    alpha = np.array([0.0, 0.5, 0.8])
    levels = NoiseLevels(alpha, np.sqrt(1 - alpha**2))
    terms = ESTIMANDS["girsanov"].terms(SQUARES, levels)[0]
    interval = levels.log_snr[2] - levels.log_snr[1]
    assert terms[0, 0] == pytest.approx(1.0 * 0.25 / 0.75)
    assert terms[0, 1] == pytest.approx(2.0 * interval / 2)
    assert terms[0, 2] == pytest.approx(3.0 * interval / 2)


def test_trapezoid_tends_to_the_same_value_with_and_without_the_first_cell():
    """A schedule that starts at almost no signal must agree with one that starts at none."""
    steps = 2001
    # x̂₀ differs by 1 everywhere, so ‖Δε̂‖² = SNR: the integral is ΔSNR.
    snr = np.concatenate([[0.0], np.geomspace(1e-9, 1.0, steps)])
    levels = NoiseLevels(np.sqrt(snr / (1 + snr)), np.sqrt(1 / (1 + snr)))
    ones = np.ones((1, 2, len(snr)))
    squares = Squares(noise=ones * snr, picture=ones, step=ones, printed=ones)
    found = estimate(ESTIMANDS["girsanov"], squares, levels, kl=True)
    assert found.kl_forward == pytest.approx(0.5, rel=1e-3)


def test_standard_error_is_that_of_the_samples():
    rng = np.random.default_rng(0)
    squares = Squares(*(rng.chisquare(3, (50, 2, 3)) for _ in range(4)))
    found = estimate(ESTIMANDS["epsilon"], squares, LEVELS, kl=False)
    per_sample = squares.noise.mean(2).sum(1) / 2
    np.testing.assert_allclose(found.per_sample, per_sample)
    assert found.standard_error == pytest.approx(per_sample.std(ddof=1) / np.sqrt(50))
    assert found.kl_forward is None


@pytest.mark.parametrize("degrees", [2, 4, 10])
@pytest.mark.parametrize("count", [4, 8, 16])
def test_interval_covers_skewed_samples(degrees, count):
    rng = np.random.default_rng(degrees * 100 + count)
    draws = rng.chisquare(degrees, (4000, count))
    covered = 0
    for samples in draws:
        interval = log_t_interval(samples)
        assert interval is not None
        covered += interval[0] <= degrees <= interval[1]
    # 95% nominal; four standard errors of 4,000 trials are 1.4%.
    assert 0.92 < covered / len(draws) < 0.97


def test_interval_of_zeros_and_bad_confidence():
    assert log_t_interval(np.zeros(5)) == (0.0, 0.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        log_t_interval(np.ones(5), 95)
