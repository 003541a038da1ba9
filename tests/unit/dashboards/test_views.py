from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from dashboards.views import feature, model, overview
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
    (row,), ends = model.heat(rows)
    assert ends == ["2013-03-01", "2013-07-29"]
    assert row.strip.count("<rect") == 75
    assert row.strip.count('class="h5"') == 1
    assert (row.alarms, row.highest, row.value) == (1, "0.500", "0.010")
    assert model._level(point(value=0.05, verdict="alarm")) == 4
    assert model._level(point(value=None)) is None


def test_features_are_ordered_by_severity():
    rows = [
        point(0, 0.3, feature="b"),
        point(0, 0.1, feature="c"),
        point(0, 0.25, feature="a", verdict="alarm"),
    ]
    assert [row.feature for row in model.heat(rows)[0]] == ["a", "b", "c"]


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
    assert [(one.name, one.reference, one.current) for one in found.bins][1:] == [
        ("exactly 0", 0.6, 0.5), ("over 0", 0.4, 0.5),
    ]  # fmt: skip
