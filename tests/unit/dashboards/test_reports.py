from __future__ import annotations

import gzip
import random

from hypothesis import given
from hypothesis import strategies as st

from dashboards.report_rows import _lines, sample_of


@given(st.lists(st.text(min_size=1), unique=True, max_size=60), st.integers(0, 99))
def test_a_sample_does_not_depend_on_the_order(ids, seed):
    shuffled = random.Random(seed).sample(ids, len(ids))
    assert sample_of(ids, 20) == sample_of(shuffled, 20)
    assert len(sample_of(ids, 20)) == min(20, len(ids))
    assert set(sample_of(ids, 20)) <= set(ids)


def test_a_reference_row_may_hold_its_features_in_an_object():
    packed = gzip.compress(b'{"a": 1, "label": true}\n{"features": {"a": 2}, "label": false}\n')
    assert _lines(packed) == [{"a": 1, "label": True}, {"a": 2, "label": False}]
