from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from dashboards.charts import Limit, Line, Mark, Marks, Span, time_figure
from dashboards.distribution_charts import bins_figure, cumulative_figure, fan_figure, shares_figure

START = datetime(2013, 3, 1, tzinfo=UTC)


def row(day, value, **over):
    fields = {"low": None, "high": None, "reference_value": None, "threshold": None, "verdict": "ok"}
    return SimpleNamespace(window_start=START + timedelta(days=day), value=value, **(fields | over))


def trace(figure, name):
    return next(one for one in figure["data"] if one["name"] == name)


def test_values_thresholds_and_alarms_stand_at_their_windows():
    rows = [
        row(0, 0.7, threshold=0.6),
        row(1, None, threshold=0.6),
        row(2, 0.5, threshold=0.6, verdict="alarm"),
    ]
    figure = time_figure("auc", [Line("AUC", rows)])
    assert trace(figure, "AUC")["y"] == [0.7, None, 0.5]
    assert trace(figure, "AUC")["connectgaps"] is False
    assert trace(figure, "threshold")["y"] == [0.6] * 3
    assert trace(figure, "alarm")["x"] == ["2013-03-03T00:00:00Z"]
    assert "reference" not in [one["name"] for one in figure["data"]]
    assert json.loads(json.dumps(figure)) == figure


def test_an_interval_is_drawn_for_one_line_and_not_for_several():
    line = Line("AUC", [row(0, 0.7, low=0.6, high=0.8)])
    assert trace(time_figure("auc", [line]), "interval")["y"] == [0.8]
    assert "interval" not in [one["name"] for one in time_figure("auc", [line, line])["data"]]


def test_what_happened_is_marked():
    marks = Marks(
        [Span(START, START + timedelta(days=2), "Fell")], [Mark(START, "<v1> $2$")], [Mark(START, "retrain")]
    )
    layout = time_figure("auc", [Line("AUC", [row(0, 0.7)])], marks)["layout"]
    assert [(shape["type"], shape["x1"]) for shape in layout["shapes"]] == [
        ("rect", "2013-03-03T00:00:00Z"), ("line", "2013-03-01T00:00:00Z"), ("line", "2013-03-01T00:00:00Z"),
    ]  # fmt: skip
    assert layout["annotations"][0]["text"] == "&lt;v1&gt; &#36;2&#36;"


def test_bins_stand_beside_each_other():
    figure = bins_figure(["a<b"], [0.25], [0.75])
    assert [(one["x"], one["y"]) for one in figure["data"]] == [(["a&lt;b"], [0.25]), (["a&lt;b"], [0.75])]


def test_a_rules_limit_is_drawn_where_it_does_not_press_the_values_flat():
    rows = [row(0, 0.60), row(1, 0.70)]
    drawn = time_figure("auc", [Line("AUC", rows)], Marks(limits=[Limit(0.65, "alarm at < 0.650")]))
    assert trace(drawn, "alarm at &lt; 0.650")["y"] == [0.65, 0.65]
    far = time_figure("auc", [Line("AUC", rows)], Marks(limits=[Limit(9.0, "far")]))
    assert "far" not in [one["name"] for one in far["data"]]


def test_names_of_versions_do_not_lie_on_each_other():
    rows = [row(day, 0.7) for day in range(100)]
    marks = [Mark(START + timedelta(days=day), f"version-{day:08}") for day in (0, 40, 45, 50, 52, 98)]
    layout = time_figure("auc", [Line("AUC", rows)], Marks(versions=marks))["layout"]
    assert [(note["text"][-2:], note["yshift"], note["xanchor"]) for note in layout["annotations"]] == [
        ("00", 0, "left"), ("40", 0, "left"), ("45", 13, "left"), ("50", 26, "left"), ("98", 0, "right"),
    ]  # fmt: skip
    assert layout["margin"]["t"] == 9 + 3 * 13
    assert len(layout["shapes"]) == len(marks), "every mark keeps its line"


def test_between_reference_and_threshold_lies_the_usual_range():
    rows = [row(day, 0.68, reference_value=0.7, threshold=0.6) for day in range(3)]
    figure = time_figure("auc", [Line("AUC", rows)])
    assert trace(figure, "usual range")["y"] == [0.7] * 3
    assert trace(figure, "to")["y"] == [0.6] * 3
    only_reference = time_figure("auc", [Line("AUC", [row(0, 0.7, reference_value=0.7), row(1, 0.7)])])
    assert "usual range" not in [one["name"] for one in only_reference["data"]]


def test_cumulative_shares_add_up():
    figure = cumulative_figure(["up to 1", "over 1"], [0.25, 0.75], [0.5, 0.5])
    assert [one["y"] for one in figure["data"]] == [[0.25, 1.0], [0.5, 1.0]]


def test_a_fan_has_two_bands_and_the_median_and_the_references_quantiles():
    windows = {START: (1, 2, 3, 4, 5), START + timedelta(days=1): (2, 3, 4, 5, 6)}
    figure = fan_figure(windows, (1.5, 2.5, 3.5, 4.5, 5.5), Marks())
    assert trace(figure, "5 % to 95 %")["y"] == [5, 6]
    assert trace(figure, "25 % to 75 %")["y"] == [4, 5]
    assert trace(figure, "median")["y"] == [3, 4]
    assert [one["y"][0] for one in figure["data"] if one["name"] == "reference"] == [1.5, 2.5, 3.5, 4.5, 5.5]


def test_shares_over_time_are_nought_where_a_category_is_not():
    figure = shares_figure(
        {START: {"a": 1.0}, START + timedelta(days=1): {"<b>": 0.5}}, ["a", "<b>"], Marks()
    )
    assert [(one["name"], one["y"]) for one in figure["data"]] == [
        ("a", [1.0, 0.0]),
        ("&lt;b&gt;", [0.0, 0.5]),
    ]
