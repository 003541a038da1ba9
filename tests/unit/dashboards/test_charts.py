from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from dashboards.charts import Line, Mark, Marks, Span, bins_figure, time_figure

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
