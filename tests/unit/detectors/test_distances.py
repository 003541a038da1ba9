"""Every distance against scipy or a table, its chance against drawing, and the sketches' bias against exact values."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from detectors import chance
from detectors.base import ColumnReference, ColumnWindow, Limit
from detectors.binning import categorical_bins, numeric_bins
from detectors.methods import chi_square, hellinger, jensen_shannon, ks, psi, total_variation, wasserstein
from remora.summaries import CategoricalSummary, NumericSummary

ON_COUNTS = (jensen_shannon.jensen_shannon, hellinger.hellinger, total_variation.total_variation)
MODULES = (chance, chi_square, hellinger, jensen_shannon, total_variation)


def numbers(values):
    summary = NumericSummary()
    summary.update(np.asarray(values, dtype=float))
    return summary


def column(values, bins=10):
    return ColumnReference(
        "x", "numeric", numbers(values), numeric_bins(np.asarray(values, dtype=float), bins)
    )


def window(values):
    return ColumnWindow(len(values), numeric=numbers(values))


@pytest.fixture
def random():
    return np.random.default_rng(20130301)


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_in_the_docstrings_hold(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("seed", range(10))
def test_distances_of_counts_agree_with_scipy(seed):
    random = np.random.default_rng(seed)
    first, second = random.integers(0, 500, 12), random.integers(1, 500, 12)
    p, q = first / first.sum(), second / second.sum()
    assert jensen_shannon.jensen_shannon(first, second) == pytest.approx(
        jensenshannon(p, q, base=2), rel=1e-9
    )
    bhattacharyya = np.sqrt(p * q).sum()
    assert hellinger.hellinger(first, second) == pytest.approx(np.sqrt(1 - bhattacharyya), rel=1e-9)
    assert total_variation.total_variation(first, second) == pytest.approx(
        np.maximum(p - q, 0).sum(), abs=1e-9
    )
    found = chi_square.chi_square(np.stack([first, second]).astype(float))
    scipys = stats.chi2_contingency(np.stack([first, second]), correction=False)
    assert found == (pytest.approx(scipys.statistic), scipys.dof)


@pytest.mark.parametrize("between", ON_COUNTS)
def test_distances_of_counts_are_distances(between, random):
    for _ in range(50):
        a, b, c = (random.integers(0, 50, 6) + (np.arange(6) == 0) for _ in range(3))
        assert between(a, a) == pytest.approx(0, abs=1e-7)
        assert between(a, b) == pytest.approx(between(b, a))
        assert 0 <= between(a, b) <= 1 + 1e-12
        assert between(a, c) <= between(a, b) + between(b, c) + 1e-9
    assert between([3, 0], [0, 9]) == pytest.approx(1)


def test_bins_that_expect_too_few_are_judged_as_one():
    # three rare ones expect 1.1 rows together: too few alone
    assert chi_square.pooled([1000, 900, 3, 2, 1], [90, 100, 1, 0, 5]).tolist() == [[1000, 906], [90, 106]]
    found = chi_square.pooled([1000, 900, 30, 25], [90, 100, 2, 2]).tolist()
    assert found == [[1000, 900, 55], [90, 100, 4]]
    assert chi_square.pooled([3, 2], [1, 1]).tolist() == [[5], [2]]
    assert chi_square.chi_square(chi_square.pooled([3, 2], [1, 1])) == (0.0, 0)


def test_the_p_value_stands_in_the_sentence(random):
    summary, usual = CategoricalSummary(), CategoricalSummary()
    usual.update(["a"] * 600 + ["b"] * 400)
    summary.update(["a"] * 250 + ["b"] * 250)
    reference = ColumnReference("x", "categorical", usual, categorical_bins(usual.counts()))
    result = chi_square.judge(reference, ColumnWindow(500, categorical=summary), 200)
    scipys = stats.chi2_contingency([[600, 400], [250, 250]], correction=False)
    assert f"p = {scipys.pvalue:.2g} with 1 degrees" in result.reason
    assert result.value == pytest.approx(np.sqrt(scipys.statistic * (1 / 500 + 1 / 1000)))


def test_ks_is_exact_while_every_value_is_kept(random):
    first, second = random.normal(size=180), random.normal(0.3, 1.2, 150)
    result = ks.judge(column(first), window(second), 100)
    assert result.value == pytest.approx(stats.ks_2samp(first, second).statistic, abs=1e-9)
    assert result.low is None


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("shape", ["normal", "lognormal", "integers"])
def test_ks_of_sketches_is_within_what_it_says(shape, shift, random):
    draw = {
        "normal": lambda size: random.normal(size=size),
        "lognormal": lambda size: random.lognormal(sigma=1.5, size=size),
        "integers": lambda size: random.poisson(4, size).astype(float),
    }[shape]
    first, second = draw(50_000), draw(30_000) + shift
    result = ks.judge(column(first), window(second), 200)
    exact = stats.ks_2samp(first, second).statistic
    assert result.low <= exact <= result.high
    assert abs(result.value - exact) < 0.02


@pytest.mark.parametrize("shift", [0.1, 0.5, 2.0])
def test_wasserstein_of_sketches_is_near_scipys(shift, random):
    first, second = random.normal(5, 3, 50_000), random.normal(5 + 3 * shift, 3, 30_000)
    result = wasserstein.judge(column(first), window(second), 200)
    exact = stats.wasserstein_distance(first, second) / first.std()
    assert result.low <= exact <= result.high
    assert result.value == pytest.approx(exact, rel=0.15, abs=0.06)  # the sketches are drawn anew each time


def test_wasserstein_of_few_values_is_scipys_but_for_the_outermost(random):
    first, second = random.normal(size=200), random.normal(0.4, 1.5, 200)
    exact = stats.wasserstein_distance(first, second)
    assert wasserstein.moved(numbers(first), numbers(second)) == pytest.approx(exact, rel=1e-6)


def test_one_wild_value_does_not_decide_wasserstein(random):
    values = random.normal(size=5000)
    assert wasserstein.judge(column(values), window([*values, 1e12]), 200).verdict == "ok"


@pytest.mark.parametrize("bins", [10, 20])
def test_the_bias_of_sketches_under_stored_bins_is_small(bins, random):
    """A sketch under too fine bins finds drift where there is none (100 bins: PSI .2); ten or twenty it can tell."""
    first, second = random.normal(size=100_000), random.normal(size=100_000)
    reference = column(first, bins)
    exact = np.bincount(np.searchsorted(reference.bins.edges, second), minlength=bins)
    found = reference.bins.masses(numbers(second))
    assert psi.psi(reference.bins.counts, exact) < 0.001
    assert psi.psi(reference.bins.counts, found) < 0.006 * bins / 10
    for between in ON_COUNTS:
        assert between(reference.bins.counts, found) - between(reference.bins.counts, exact) < 0.04


@pytest.mark.parametrize("size", [200, 2000])
def test_what_chance_does_is_what_drawing_does(size, random):
    """Means of 300 drawn windows are near what is expected, and none goes beyond the bound."""
    usual = random.normal(size=20_000)
    reference = column(usual)
    found = {
        name: []
        for name in ("ks", "wasserstein", "total_variation", "hellinger", "jensen_shannon", "chi_square")
    }
    judges = {"ks": ks, "wasserstein": wasserstein, "total_variation": total_variation, "hellinger": hellinger,
              "jensen_shannon": jensen_shannon, "chi_square": chi_square}  # fmt: skip
    for _ in range(300):
        current = window(random.normal(size=size))
        for name, module in judges.items():
            found[name].append(module.judge(reference, current, 200))
    for name, results in found.items():
        mean, expected = np.mean([each.value for each in results]), results[0].reference_value
        assert mean == pytest.approx(expected, rel=0.25, abs=0.02), name  # the sketches add a little
        assert not any(each.verdict == "alarm" for each in results), name


def test_a_limit_of_psi_stands_for_the_same_shift_in_every_measure(random):
    """A normal column shifted by half a standard deviation is near the limit that a PSI of 0.25 gives."""
    usual, moved = random.normal(size=100_000), random.normal(0.5, 1, 100_000)
    reference = ColumnReference(
        "x", "numeric", numbers(usual), numeric_bins(usual, 20), {"psi": Limit(0.25, "given")}
    )
    for module in (ks, wasserstein, total_variation, hellinger, jensen_shannon, chi_square):
        result = module.judge(reference, window(moved), 200)
        assert result.value == pytest.approx(result.threshold, rel=0.25), module.__name__
