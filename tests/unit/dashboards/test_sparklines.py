from __future__ import annotations

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from dashboards.sparklines import sparkline, strip

VALUES = st.lists(st.one_of(st.none(), st.floats(-1e12, 1e12)), max_size=300)


def points(svg):
    path = ET.fromstring(str(svg)).find("path").get("d")
    return [tuple(map(float, part.split())) for part in path.replace("L", "M").split("M") if part]


@given(VALUES, st.one_of(st.none(), st.floats(-1e12, 1e12)))
def test_every_series_gives_well_formed_svg_inside_its_box(values, limit):
    svg = sparkline(values, 'a "label" <b>', limit=limit, alarms=[value is not None for value in values])
    root = ET.fromstring(str(svg))
    if root.tag == "svg":
        assert root.get("aria-label") == 'a "label" <b>'
        assert all(0 <= x <= 120 and 0 <= y <= 28 for x, y in points(svg))


def test_a_spike_is_seen_however_many_windows_there_are():
    values = [1.0] * 1000
    values[777] = 50.0
    heights = [y for _, y in points(sparkline(values, "spike"))]
    assert min(heights) == 3.0
    assert sum(y < 10 for y in heights) == 1


def test_a_window_without_value_is_a_gap():
    path = ET.fromstring(str(sparkline([1.0, 2.0, None, 3.0, 4.0], "gap"))).find("path").get("d")
    assert path.count("M") == 2


def test_a_threshold_out_of_sight_does_not_flatten_the_line():
    assert "limit" not in sparkline([1.0, 1.1, 1.2], "far", limit=1000.0)
    assert "limit" in sparkline([1.0, 1.1, 1.2], "near", limit=1.3)


def test_a_strip_escapes_its_texts():
    svg = strip([(5, "<b>"), (None, "")], "row")
    assert [rect.get("class") for rect in ET.fromstring(str(svg))] == ["h5", "hx"]


def test_of_many_windows_the_alarms_keep_their_height_and_the_last_one_its_value():
    values = [0.0] * 1000
    values[500] = values[999] = 2.0
    alarms = [value > 0 for value in values]
    root = ET.fromstring(str(sparkline(values, "alarms", alarms=alarms)))
    dots = [float(dot.get("cy")) for dot in root.findall("circle")]
    assert dots == [3.0, 3.0, 3.0], "two alarms, and the newest value"
