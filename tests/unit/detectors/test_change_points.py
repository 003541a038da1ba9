"""When a series changed: Pettitt's statistic, chance, and the patterns of a day that are no change."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from detectors.methods.change_points import LEVEL, change_points, rank_sums


@pytest.fixture
def random():
    return np.random.default_rng(20130301)


def test_rank_sums_are_pettitts_sums_of_signs(random):
    values = random.normal(size=30).round(1)  # with ties
    ours = rank_sums(rankdata(values))
    for t in range(1, 30):
        assert -ours[t - 1] == pytest.approx(np.sign(values[None, t:] - values[:t, None]).sum())


def test_the_nile_changed_in_1899():
    """Annual flow at Aswan, 1871 to 1970 (Cobb 1978): every analysis of it finds the change at 1898/99."""
    nile = [
        1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180, 799, 958, 1140,
        1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833, 701, 916, 692, 1020, 1050, 969,
        831, 726, 456, 824, 702, 1120, 1100, 832, 764, 821, 768, 845, 864, 862, 698, 845, 744, 796, 1040, 759,
        781, 865, 845, 944, 984, 897, 822, 1010, 771, 676, 649, 846, 812, 742, 801, 1040, 860, 874, 848, 890,
        744, 749, 838, 1050, 918, 986, 797, 923, 975, 815, 1020, 906, 901, 1170, 912, 746, 919, 718, 714, 740,
    ]  # fmt: skip
    (found,) = change_points(nile)
    assert 1871 + found.place == 1899
    assert (found.before, found.after) == pytest.approx((np.mean(nile[:28]), np.mean(nile[28:])))
    assert found.p_value <= LEVEL


def test_several_changes_are_found_in_order(random):
    values = np.concatenate([random.normal(mean, 1, 60) for mean in (0, 4, 1)])
    found = change_points(values)
    assert [one.place for one in found] == pytest.approx([60, 120], abs=2)
    assert [one.effect > 0 for one in found] == [True, False]


def test_chance_makes_a_change_about_as_seldom_as_the_level_says(random):
    assert sum(bool(change_points(row)) for row in random.normal(size=(300, 60))) <= 8


def test_the_pattern_of_a_day_is_no_change_and_a_change_in_it_is_one(random):
    hours = np.arange(24 * 20)
    values = 5 * np.sin(2 * np.pi * hours / 24) + random.normal(0, 1, len(hours))
    assert change_points(values, 24) == []
    values[24 * 12 :] += 8
    (found,) = change_points(values, 24)
    assert found.place == pytest.approx(24 * 12, abs=12)


@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 7, [3.0] * 100])
def test_short_and_constant_series_have_no_change(values):
    assert change_points(values) == []


def test_a_step_without_any_noise_has_an_end_to_its_effect():
    (found,) = change_points([0.0] * 20 + [1.0] * 20)
    assert (found.place, found.effect) == (20, 1e6)
