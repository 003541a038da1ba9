from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from dashboards.views import comparing, feature, heat, model, overview
from remora.summaries import CategoricalSummary, NumericSummary

START = datetime(2013, 3, 1, tzinfo=UTC)


def point(day=0, value=0.1, **over):
    fields = {
        "model": "m", "metric": "psi", "feature": "f", "version": "", "value": value, "verdict": "ok", "threshold": 0.2,
        "reference_value": None, "coverage": None, "reason": "", "low": None, "high": None, "size": 100,
        "window_start": START + timedelta(days=day), "window_end": START + timedelta(days=day + 1),
    }  # fmt: skip
    return SimpleNamespace(**(fields | over))


def open_alert(state, severity="ticket", number=1):
    return SimpleNamespace(model="m", rule="r", severity=severity, state=state, number=number)


@pytest.mark.parametrize(
    ("alerts", "newest", "state"),
    [
        ([open_alert("firing"), open_alert("pending")], [point()], "firing"),
        ([open_alert("pending")], [point()], "pending"),
        ([], [point()], "ok"),
        ([], [point(verdict="not_enough_data"), point()], "ok"),
        ([], [point(verdict="not_enough_data"), point(verdict="could_not_compute")], "blind"),
        ([], [], "new"),
    ],
)
def test_a_model_that_could_not_be_judged_is_never_as_usual(alerts, newest, state):
    assert overview.state_of(alerts, newest).state == state


def test_the_worst_stands_first():
    page = overview.state_of([open_alert("firing", "page")], [])
    many = overview.state_of([open_alert("firing", number=9)], [])
    few = overview.state_of([open_alert("firing")], [])
    pending, calm = overview.state_of([open_alert("pending")], []), overview.state_of([], [point()])
    assert sorted([calm, few, pending, page, many], key=lambda states: states.rank) == [
        page,
        many,
        few,
        pending,
        calm,
    ]


def test_a_cell_keeps_the_last_known_value_and_says_why_there_is_no_newer_one():
    cell = overview.cell("auc", [point(0, 0.7), point(1, None, verdict="labels_not_mature")])
    assert (cell.value, cell.note, cell.verdict) == (
        "0.700", "of 2013-03-01; newest window: waits for labels", "labels_not_mature",
    )  # fmt: skip


def test_a_heat_cell_shows_the_highest_of_its_windows_and_an_alarm_is_never_mild():
    rows = [point(day, 0.01) for day in range(150)]
    rows[100] = point(100, 0.5, verdict="alarm")
    (row,), ends = heat.heat(rows)
    assert ends == ["2013-03-01", "2013-07-29"]
    assert row.strip.count("<rect") == 75
    assert row.strip.count('class="h5"') == 1
    assert (row.alarms, row.highest_text, row.now_text) == (1, "0.500", "0.010")
    assert heat._cell(point(value=0.05, verdict="alarm"))[0] == 4
    assert heat._cell(None) == (None, "")


def test_features_are_ordered_by_severity():
    rows = [
        point(0, 0.3, feature="b"),
        point(0, 0.1, feature="c"),
        point(0, 0.25, feature="a", verdict="alarm"),
    ]
    assert [row.feature for row in heat.heat(rows)[0]] == ["a", "b", "c"]


def test_of_several_metrics_the_one_farthest_beyond_its_threshold_counts():
    rows = [point(0, 0.1), point(0, 0.09, metric="missing_rate", threshold=0.05, verdict="alarm")]
    (row,), _ = heat.heat(rows)
    assert (row.metric, row.now, row.verdict, row.alarms) == ("missing_rate", 0.09, "alarm", 1)
    assert row.severity == pytest.approx(1.8)
    assert 'class="h5"' in row.strip


def found_of(series, newest):
    return overview.Found(series, newest, [], [])


def test_a_model_shows_realised_and_estimated_performance_and_what_has_a_label(monkeypatch):
    rows = [
        point(0, 0.7, metric="auc", feature="", coverage=0.9),
        point(0, 0.66, metric="estimated_auc", feature=""),
    ]
    found = overview._quality({row.metric: [row] for row in rows})
    assert (found.value, found.note) == ("0.700", "ROC AUC, 90.0 % labelled, estimated now 0.660")
    assert overview._quality({}).note == "no labels yet"


def test_the_newest_window_is_shown_also_where_the_sample_leaves_it_out():
    series = [point(0, 10.0, metric="predictions", feature="")]
    newest = [
        point(5, 12.0, metric="predictions", feature=""),
        point(5, 0.3, verdict="alarm"),
        point(5, 0.1, feature="g"),
    ]
    seen = [SimpleNamespace(name="m", first_seen=START, last_seen=START + timedelta(days=6))]
    (row,) = overview.build(seen, [], [], found_of(series, newest), lambda _: timedelta(days=1))
    assert row.traffic.value == "12"
    assert (row.drift.value, row.drift.note, row.drift.verdict) == (
        "1 of 2",
        "f: PSI 0.300 of 0.200",
        "alarm",
    )
    assert (row.hygiene.value, row.hygiene.note) == ("-", "no reference yet")


def test_segments_with_alarms_come_first_then_those_with_most_traffic():
    rows = [
        point(0, 10.0, metric="predictions", feature="", segment="a=1"),
        point(0, 90.0, metric="predictions", feature="", segment="a=2"),
        point(0, 5.0, metric="predictions", feature="", segment="a=3"),
        point(0, 0.4, metric="auc", feature="", segment="a=3", verdict="alarm"),
    ]
    made = comparing.segments(rows)
    assert [(one.name, one.alarms) for one in made] == [("a=3", {"auc"}), ("a=2", set()), ("a=1", set())]
    assert [column.key for column in comparing.columns("segment", made)] == ["segment", "predictions", "auc"]


def test_versions_sum_predictions_and_average_the_rest():
    seen = [
        SimpleNamespace(version="v2", first_seen=START, last_seen=START),
        SimpleNamespace(version="", first_seen=START, last_seen=START),
    ]
    means = [SimpleNamespace(version="v2", metric="predictions", value=5.0, total=50.0),
             SimpleNamespace(version="v2", metric="auc", value=0.7, total=7.0)]  # fmt: skip
    (row,) = comparing.versions(seen, means)
    assert (row.name, row.values) == ("v2", {"predictions": 50.0, "auc": 0.7})


def test_a_features_weight_is_its_place_among_the_causes():
    causes = {"causes": [{"feature": "a", "share": 0.6, "influence": 0.3}, {"feature": "b", "share": 0.2}]}
    assert feature.weight_of("b", causes) == feature.Weight(2, 2, 0.2, None)
    assert feature.weight_of("c", causes) is None
    assert feature.weight_of("a", {}) is None


def test_a_fan_follows_numbers_by_quantiles_and_categories_by_shares():
    numbers = {START + timedelta(days=day): numeric(range(day, day + 101)) for day in range(3)}
    made = feature.fan(numbers, numeric(range(101)), model.Marks())
    assert made.title == "Quantiles"
    assert made.summary == "median 52 in the newest window, 50 to 52 over 3; reference 50"
    names = {START: categorical(["a", "b"]), START + timedelta(days=1): categorical(["a", "a", "b", "c"])}
    assert (
        feature.fan(names, None, model.Marks()).summary == "a 50.0 %, b 25.0 %, c 25.0 % in the newest window"
    )
    assert feature.fan({START: numeric([1])}, None, model.Marks()) is None


def test_a_description_says_what_is_not_known():
    rows = [point(0, 0.7, metric="auc"), point(1, None, metric="auc")]
    assert model.describe("auc", rows) == (
        "0.700 in the window of 2013-03-01; 0.700 to 0.700 over 1 windows; threshold 0.200; 1 windows without a value"
    )


def numeric(values, missing=0):
    summary = NumericSummary()
    summary.update(np.array(values, dtype=float), missing)
    return summary


def categorical(values, missing=0):
    summary = CategoricalSummary()
    summary.update(values, missing)
    return summary


@pytest.mark.parametrize("bins", [[2.0, 4.0], {"edges": [2.0, 4.0]}])
def test_numbers_are_compared_in_the_stored_bins(bins):
    found = feature.compare(bins, numeric([1, 2, 3, 4]), numeric([5, 6, 1], missing=1))
    assert [(one.name, one.reference, one.current) for one in found.bins] == [
        ("up to 2", 0.5, 0.25), ("2 to 4", 0.5, 0.0), ("over 4", 0.0, 0.5), ("missing", 0.0, 0.25),
    ]  # fmt: skip
    assert (found.reference_rows, found.current_rows, found.most) == (4, 4, 0.5)


@pytest.mark.parametrize("bins", [["a", "b"], {"categories": ["a", "b"]}])
def test_unknown_categories_are_other(bins):
    found = feature.compare(bins, categorical(["a", "b"]), categorical(["a", "z", "y", "a"]))
    assert [(one.name, one.current) for one in found.bins] == [("a", 0.5), ("b", 0.0), ("other", 0.5)]


def test_nothing_is_compared_with_nothing():
    assert feature.compare([], None, numeric([1])) is None
    assert feature.compare([], numeric([1]), numeric([])) is None
    assert feature.compare([], categorical(["a"]), numeric([1])) is None


def test_stored_counts_go_before_the_sketch_and_a_fenced_value_has_its_name():
    bins = {
        "counts": [0, 6, 4],
        "edges": [float(np.nextafter(0.0, -1.0)), 0.0],
        "categories": [],
        "known": [],
    }
    found = feature.compare(bins, numeric([0] * 5 + [1] * 5), numeric([0, 1]))
    assert [(one.name, one.reference, one.current) for one in found.bins] == [
        ("under 0", 0.0, 0.0), ("exactly 0", 0.6, 0.5), ("over 0", 0.4, 0.5),
    ]  # fmt: skip
