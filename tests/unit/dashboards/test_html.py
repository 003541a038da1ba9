from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from dashboards.html import chart_json, render

JSON = st.recursive(
    st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(JSON)
def test_chart_data_cannot_end_its_element_and_reads_back_as_it_was(value):
    text = str(chart_json({"data": value, "evil": "</script><!--"}))
    assert "<" not in text
    assert json.loads(text)["data"] == value


def test_a_page_escapes_and_carries_its_policy():
    answer = render("error.html", status=404, message="<b>", here="")
    assert b"&lt;b&gt;" in answer.body
    assert "script-src 'self';" in answer.headers["content-security-policy"]
