"""Error budgets: the table of the Site Reliability Workbook, and what it says of series of windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from alerts.burning import judge, wilson_low
from alerts.finding import Finding
from alerts.rules import Kind, Reason, evaluate
from alerts.state import Signal
from remora.config import parse
from remora.config.slo import Slo

HOUR = timedelta(hours=1)
FIVE = timedelta(minutes=5)
END = datetime(2013, 3, 8, tzinfo=UTC)


def slo(**more) -> Slo:
    return Slo.model_validate({"name": "up", "model": "flights", "objective": "99.9%"} | more)


def rule(severity="page", *, size=FIVE, **more):
    return next(one for one in slo(**more).rules(size) if one.severity == severity)


def window(value, *, ago=0, size=FIVE, events=1000, **more) -> Finding:
    end = END - ago * size
    return Finding(**{
        "model": "flights", "version": "", "segment": "", "metric": "error_rate", "feature": "",
        "window_start": end - size, "window_end": end, "value": value, "reference_value": None, "threshold": None,
        "size": events, "coverage": None, "verdict": "ok", "reason": "",
    } | more)  # fmt: skip


def series(*values, **more) -> list[Finding]:
    return [window(value, ago=len(values) - 1 - place, **more) for place, value in enumerate(values)]


@pytest.mark.parametrize(
    ("period", "rates"),
    [("30d", [14.4, 6, 3, 1]), ("28d", [13.44, 5.6, 2.8, 0.9333]), ("7d", [13.44, 3.5, 1.4, 0.98])],
)
def test_the_rates_are_the_workbooks_and_sloths(period, rates):
    rows = slo(period=period).rows(FIVE)
    assert [row.rate for row in rows] == pytest.approx(rates, rel=1e-4)
    assert [(row.severity, row.long / HOUR, row.short / HOUR) for row in rows] == [
        ("page", 1, 1 / 12), ("page", 6, 0.5), ("ticket", 24, 2), ("ticket", 72, 6),
    ]  # fmt: skip


@pytest.mark.parametrize(("objective", "seconds"), [("99.9%", 52), ("99%", 518), ("95%", 2592)])
def test_how_soon_a_total_outage_is_found(objective, seconds):
    assert slo(objective=objective, max_threshold=1).rows(FIVE)[0].outage().total_seconds() == pytest.approx(
        seconds, abs=1
    )


@pytest.mark.parametrize(("objective", "least"), [("99.9%", 348), ("99%", 35)])
def test_of_few_events_nothing_is_said(objective, least):
    assert slo(objective=objective).rows(FIVE)[0].least == least


def test_rows_that_can_never_fire_make_no_rule_and_say_why():
    assert [one.alert for one in slo(objective="90%").rules(FIVE)] == ["up-ticket"]
    assert (
        slo(objective="90%").rows(FIVE)[0].why_not
        == "14.4 x 0.1 = 1.44 bad events are more than max_threshold 0.5"
    )
    assert [len(one.rows) for one in slo().rules(2 * HOUR)] == [1, 2]
    assert "is shorter than the model's windows of 2h" in slo().rows(2 * HOUR)[0].why_not
    assert [one.alert for one in slo(metric="accuracy").rules(FIVE)] == ["up-ticket"]
    assert "labels come late" in slo(metric="accuracy").rows(FIVE)[0].why_not


def test_the_short_window_is_never_shorter_than_a_window_of_the_model():
    assert [row.short / HOUR for row in slo().rows(HOUR)] == [1, 1, 2, 6]


@pytest.mark.parametrize(
    ("values", "burns"),
    [
        ([0.02] * 12, True),  # an hour at 20 times the budget
        ([0.01] * 12, False),  # 10 times: neither row of an hour
        ([0.02] * 11 + [0.0], False),  # it is over already: the short window says so
        ([0.0] * 11 + [0.02], False),  # it has only begun: 0.17 % of the hour
        ([0.0] * 10 + [0.1] * 2, True),  # 1.67 % of the hour, and still going on
        ([0.007] * 72, True),  # six hours at 7 times the budget: the second row
        ([0.005] * 72, False),
    ],
)
def test_both_windows_must_burn(values, burns):
    before = [0.0] * (72 - len(values))
    assert judge(rule(), series(*before, *values)).burns is burns


def test_what_is_said_names_share_rate_and_size():
    found = judge(rule(), series(*[0.02] * 12)).finding
    assert (found.value, found.threshold, found.size) == (pytest.approx(0.02), pytest.approx(0.0144), 12_000)
    assert found.reason == (
        "2.0 % of 12,000 events of 1h were bad: that is 20.0 times what the error budget allows; from 14.4 times on "
        "(1.4 %) this row alarms"
    )


def test_too_few_events_are_no_data():
    few = judge(rule(), series(*[0.5] * 12, events=20))
    assert few.burns is None
    assert few.finding.reason == "240 events in 1h: nothing is said of fewer than 348"
    assert judge(rule(), series(*[0.5] * 12, events=30)).burns is True


def test_windows_that_could_not_be_computed_or_wait_for_labels_do_not_count():
    good = [*series(*[0.0] * 11), window(None, verdict="could_not_compute")]
    assert judge(rule(), good).burns is False
    day = timedelta(days=1)
    accuracy = rule("ticket", size=day, metric="accuracy", objective="95%", label_coverage=0.5)
    bad = [window(0.7, ago=ago, size=day, metric="accuracy", coverage=0.9) for ago in (2, 1, 0)]
    assert judge(accuracy, bad).burns is True
    immature = [window(0.7, ago=ago, size=day, metric="accuracy", coverage=0.2) for ago in (2, 1, 0)]
    assert judge(accuracy, immature).burns is None


def test_of_labels_only_what_is_surely_bad_counts():
    day = timedelta(days=1)
    accuracy = rule(
        "ticket", size=day, metric="accuracy", objective="95%"
    )  # rows: 15 % of a day, 5 % of three
    assert judge(accuracy, [window(0.94, size=day, metric="accuracy", events=200)]).burns is False
    assert judge(accuracy, [window(0.94, size=day, metric="accuracy", events=20_000)]).burns is True


@given(st.integers(1, 5000), st.floats(0, 1))
def test_wilsons_interval_is_scipys(events, share):
    bad = round(share * events)
    low = binomtest(bad, events).proportion_ci(0.95, method="wilson").low
    assert wilson_low(bad, events) == pytest.approx(low, abs=1e-9)
    assert wilson_low(0, 0) == 0.0


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 10_000)), min_size=1, max_size=90))
def test_more_errors_never_quieten(pairs):
    calm = [
        window(value * 0.9, ago=len(pairs) - place, events=events)
        for place, (value, events) in enumerate(pairs)
    ]
    worse = [
        window(value, ago=len(pairs) - place, events=events) for place, (value, events) in enumerate(pairs)
    ]
    if judge(rule(), calm).burns:
        assert judge(rule(), worse).burns


def test_a_rule_of_an_objective_is_evaluated_like_any_other():
    config = parse(
        "version: 1\nmodels: {flights: {windows: {size: 5m}}}\nslos: [{name: up, model: flights, objective: 99.9%}]"
    )
    page = next(rule for _, rule in config.rules if rule.severity == "page")
    assert page.looks_back(FIVE) == 72
    [outcome] = evaluate(page, "flights", series(*[0.02] * 12), END, {})
    assert (outcome.kind, outcome.signal, outcome.reason) == (Kind.RULE, Signal.ACTIVE, Reason.BUDGET_BURNS)
    [outcome] = evaluate(page, "flights", series(*[0.0] * 12), END, {})
    assert (outcome.signal, outcome.reason) == (Signal.INACTIVE, Reason.BUDGET_LASTS)
    [outcome] = evaluate(page, "flights", series(*[0.0] * 12, events=1), END, {})
    assert (outcome.signal, outcome.reason) == (Signal.KEEP, Reason.FEW_SAMPLES)
