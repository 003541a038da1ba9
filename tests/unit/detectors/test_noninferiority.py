"""Bounds against scipy's own, and Tango's against the likelihood that they come from."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from detectors.noninferiority import (
    GOOD,
    UNKNOWN,
    WORSE,
    Estimate,
    apart,
    effective,
    mean,
    paired_means,
    paired_proportions,
    proportion,
    quantile,
    verdict,
)

RNG = np.random.default_rng(7)
FIRST, SECOND = RNG.gamma(2.0, 10.0, 300), RNG.gamma(2.0, 11.0, 300)
EQUAL = np.ones(300)


@pytest.mark.parametrize(("bad", "rows"), [(0, 40), (3, 100), (50, 100), (999, 1000), (40, 40)])
def test_a_share_has_wilsons_bounds(bad, rows):
    ours = proportion(bad, rows, 0.95)
    theirs = stats.binomtest(bad, rows).proportion_ci(0.90, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_a_mean_has_students_bounds():
    ours, theirs = mean(FIRST, EQUAL, 0.95), stats.ttest_1samp(FIRST, 0).confidence_interval(0.90)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)


def test_pairs_have_the_paired_t_tests_bounds_and_p_value():
    ours, p_value = paired_means(SECOND - FIRST, EQUAL, 0.95)
    theirs = stats.ttest_rel(SECOND, FIRST)
    interval = theirs.confidence_interval(0.90)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), rel=1e-12)
    assert p_value == pytest.approx(theirs.pvalue, rel=1e-9)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_quantile_lies_between_the_values_that_scipy_names(share):
    ours = quantile(FIRST, EQUAL, share, 0.95)
    above = stats.quantile_test(FIRST, p=share, alternative="less").confidence_interval(0.95)
    below = stats.quantile_test(FIRST, p=share, alternative="greater").confidence_interval(0.95)
    assert (ours.low, ours.high) == (below.low, above.high)
    assert ours.low <= ours.value <= ours.high


def test_a_quantile_of_too_few_values_has_no_upper_bound():
    assert quantile(FIRST[:20], EQUAL[:20], 0.95, 0.95).high == math.inf


@pytest.mark.parametrize(("worse", "better"), [(12, 5), (0, 0), (1, 9), (40, 0)])
def test_tangos_bounds_are_where_the_score_test_of_the_constrained_likelihood_turns(worse, better):
    rows = 120
    estimate, p_value = paired_proportions(worse, better, rows, 0.95)
    for bound in (estimate.low, estimate.high):

        def unlikely(other, bound=bound):
            parts = (other + bound, other, 1 - 2 * other - bound)
            counts = (worse, better, rows - worse - better)
            return -sum(count * math.log(part) for count, part in zip(counts, parts, strict=True) if count)

        low, high = max(1e-12, 1e-12 - bound), (1 - bound) / 2 - 1e-12
        other = optimize.minimize_scalar(unlikely, bounds=(low, high), options={"xatol": 1e-12}).x
        error = math.sqrt((2 * other + bound * (1 - bound)) / rows)
        z = abs(estimate.value - bound) / error
        assert z == pytest.approx(stats.norm.ppf(0.95), rel=1e-3)
    assert p_value == (stats.binomtest(worse, worse + better).pvalue if worse + better else 1.0)


def test_two_shares_that_know_nothing_of_each_other_have_newcombes_bounds():
    """Newcombe 1998, table II, row (a): 56/70 and 48/80; method 10 gives 0.0524 to 0.3339."""
    difference = apart(proportion(56, 70, 0.975), proportion(48, 80, 0.975))
    assert (difference.low, difference.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 500))
def test_who_is_better_is_the_mirror_of_who_is_worse(worse, better, same):
    rows = worse + better + same
    if rows == 0:
        return
    one, other = (
        paired_proportions(worse, better, rows, 0.95)[0],
        paired_proportions(better, worse, rows, 0.95)[0],
    )
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-6)
    assert -1 <= one.low <= one.value <= one.high <= 1


def test_rows_that_agree_wholly_are_no_proof_when_they_are_few():
    assert verdict(paired_proportions(0, 0, 30, 0.95)[0], 0.01) == UNKNOWN
    assert verdict(paired_proportions(0, 0, 3000, 0.95)[0], 0.01) == GOOD


@pytest.mark.parametrize(
    ("low", "high", "says"), [(-0.02, 0.01, GOOD), (0.005, 0.02, UNKNOWN), (0.011, 0.02, WORSE)]
)
def test_the_margin_lies_beyond_between_or_before_the_bounds(low, high, says):
    assert verdict(Estimate(0.0, low, high), 0.01) == says


def test_weights_make_rows_count_less():
    assert effective(EQUAL) == 300
    assert effective(np.array([1.0, 1.0, 10.0])) == pytest.approx(144 / 102)
