"""PSI against a published table, an independent computation and the distribution it has by chance."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from scipy.stats import chi2

from detectors.methods import classification, psi
from detectors.methods.psi import chance, expected


def independent(first, second):
    """As in the textbooks, in logarithms of base e, with the half that Remora adds to each count."""
    p, q = np.array(first) + 0.5, np.array(second) + 0.5
    p, q = p / p.sum(), q / q.sum()
    kl = lambda a, b: float((a * np.log(a / b)).sum())  # noqa: E731
    return kl(p, q) + kl(q, p)


def test_a_hand_computed_table():
    # 10 %, 20 %, 40 %, 30 % became 15 %, 25 %, 35 %, 25 %; of a million rows the added halves do not show.
    reference, current = [100_000, 200_000, 400_000, 300_000], [150_000, 250_000, 350_000, 250_000]
    by_hand = 0.05 * np.log(1.5) + 0.05 * np.log(1.25) + 0.05 * np.log(8 / 7) + 0.05 * np.log(1.2)
    assert by_hand == pytest.approx(0.0472, abs=1e-4)
    assert psi.psi(reference, current) == pytest.approx(by_hand, abs=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_symmetric_divergence(seed):
    random = np.random.default_rng(seed)
    first, second = random.integers(0, 500, 10), random.integers(0, 500, 10)
    assert psi.psi(first, second) == pytest.approx(independent(first, second), rel=1e-12)
    assert psi.psi(first, second) == pytest.approx(psi.psi(second, first), rel=1e-12)


def test_an_empty_bin_costs_something_finite():
    assert 0 < psi.psi([500, 500, 0], [400, 400, 200]) < 3
    assert psi.psi([5], [7]) == 0


@pytest.mark.parametrize(("bins", "size"), [(10, 200), (10, 5000), (4, 1000), (30, 2000)])
def test_what_is_expected_by_chance_is_what_chance_gives(bins, size):
    random = np.random.default_rng(bins)
    shares, reference_size, windows = np.full(bins, 1 / bins), 20_000, 2000
    reference = random.multinomial(reference_size, shares, windows)
    current = random.multinomial(size, shares, windows)
    values = [psi.psi(first, second) for first, second in zip(reference, current, strict=True)]
    assert np.mean(values) == pytest.approx(expected(bins, size, reference_size), rel=0.08)
    assert np.mean(np.array(values) > chance(bins, size, reference_size)) <= 0.002


@pytest.mark.parametrize("bins", [2, 3, 10, 31, 100])
def test_the_chance_threshold_is_the_quantile_of_chi_square(bins):
    exact = chi2.ppf(1 - 1e-4, bins - 1) * (1 / 500 + 1 / 5000)
    assert chance(bins, 500, 5000) == pytest.approx(exact, rel=0.08 if bins < 5 else 0.02)
    assert chance(bins, 500, 5000) > 0.999 * exact
    assert chance(1, 500, 5000) == 0


@pytest.mark.parametrize("module", [psi, classification])
def test_the_examples_in_the_docstrings_hold(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
