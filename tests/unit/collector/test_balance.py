from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collector.balance import EQUATIONS, balance

COUNTS = {"accepted": 9, "delivered": 4, "set_aside": 1, "expired": 1, "pending": 3}


def test_a_stage_that_adds_up_has_no_difference():
    assert balance({"records": COUNTS}) == {"records": {**COUNTS, "difference": 0}}


def test_what_is_missing_shows():
    assert balance({"records": {**COUNTS, "delivered": 2}})["records"]["difference"] == 2


def test_a_stage_that_is_not_there_is_left_out():
    assert balance({"requests": {}, "records": COUNTS}).keys() == {"records"}


@given(st.sampled_from(sorted(EQUATIONS)), st.lists(st.integers(0, 10**9), min_size=6, max_size=6))
def test_the_difference_is_left_minus_right(stage, numbers):
    whole, parts = EQUATIONS[stage]
    counters = dict(zip((whole, *parts), numbers, strict=False))
    shown = balance({stage: counters | {"another": 1}})[stage]
    assert shown.pop("difference") + sum(shown[part] for part in parts) == shown[whole]
    assert shown == counters
