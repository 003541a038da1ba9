from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.finding import Finding
from alerts.rules import Active, Kind, Reason, evaluate
from alerts.state import Signal
from remora.config.alerting import Rule

DAY = timedelta(days=1)
END = datetime(2013, 3, 8, tzinfo=UTC)
FLIGHTS = (("model", "flights"),)


def rule(**more) -> Rule:
    return Rule.model_validate({"alert": "R", "metric": "accuracy", "condition": "< 0.8"} | more)


def finding(value=0.9, *, ago: int = 0, **more) -> Finding:
    end = END - ago * DAY
    return Finding(**{
        "model": "flights", "version": "", "segment": "", "metric": "accuracy", "feature": "", "window_start": end - DAY,
        "window_end": end, "value": value, "reference_value": 0.9, "threshold": None, "size": 1000, "coverage": 0.9,
        "verdict": "ok", "reason": "",
    } | more)  # fmt: skip


def judge(a_rule, *findings, active=None):
    return evaluate(a_rule, "flights", findings, END, active or {})


def one(a_rule, *findings, firing=None):
    active = {} if firing is None else {(Kind.RULE, FLIGHTS): Active(firing=firing)}
    outcomes = judge(a_rule, *findings, active=active)
    assert len(outcomes) == 1
    return outcomes[0].signal, outcomes[0].reason


@pytest.mark.parametrize(
    ("condition", "value", "met"),
    [("< 0.8", 0.79, True), ("< 0.8", 0.8, False), ("<= 0.8", 0.8, True), ("> 5", 5.1, True), ("> 5", 5.0, False),
     (">= 5", 5.0, True), ("== 0", 0.0, True), ("== 0", 1.0, False), ("!= 0", 1.0, True), ("!= 0", 0.0, False)],
)  # fmt: skip
def test_conditions(condition, value, met):
    expected = (Signal.ACTIVE, Reason.CONDITION_MET) if met else (Signal.INACTIVE, Reason.CONDITION_NOT_MET)
    assert one(rule(condition=condition), finding(value)) == expected


def test_the_newest_bad_window_speaks_for_several():
    windows = [finding(0.7, ago=2), finding(0.75, ago=1), finding(0.95)]
    outcome = judge(rule(windows="2 of 3"), *windows)[0]
    assert (outcome.signal, outcome.finding.value) == (Signal.ACTIVE, 0.75)
    assert judge(rule(windows="3 of 3"), *windows)[0].finding.value == 0.95


def test_without_a_condition_the_findings_own_verdict_decides():
    drift = rule(metric="psi", condition=None)
    assert one(drift, finding(0.3, metric="psi", verdict="alarm")) == (Signal.ACTIVE, Reason.VERDICT_ALARM)
    assert one(drift, finding(0.3, metric="psi")) == (Signal.INACTIVE, Reason.VERDICT_OK)


def test_hysteresis_counts_only_while_firing():
    sticky = rule(resolve_threshold=0.85)
    assert one(sticky, finding(0.82)) == (Signal.INACTIVE, Reason.CONDITION_NOT_MET)
    assert one(sticky, finding(0.82), firing=False) == (Signal.INACTIVE, Reason.CONDITION_NOT_MET)
    assert one(sticky, finding(0.82), firing=True) == (Signal.ACTIVE, Reason.WITHIN_HYSTERESIS)
    assert one(sticky, finding(0.85), firing=True) == (Signal.INACTIVE, Reason.CONDITION_NOT_MET)


@pytest.mark.parametrize(
    ("more", "reason"),
    [({"verdict": "not_enough_data", "value": None}, Reason.NOT_ENOUGH_DATA),
     ({"verdict": "labels_not_mature", "value": None}, Reason.LABELS_NOT_MATURE),
     ({"value": None}, Reason.NO_VALUE), ({"size": 99}, Reason.FEW_SAMPLES),
     ({"coverage": 0.4}, Reason.LOW_LABEL_COVERAGE), ({"coverage": None}, Reason.LOW_LABEL_COVERAGE)],
)  # fmt: skip
@pytest.mark.parametrize(
    ("no_data", "signal"),
    [("ok", Signal.INACTIVE), ("alerting", Signal.ACTIVE), ("keep_last", Signal.KEEP)],
)
def test_data_that_says_nothing(more, reason, no_data, signal):
    strict = rule(min_samples=100, label_coverage=0.5, no_data=no_data)
    assert one(strict, finding(**({"value": 0.5} | more))) == (signal, reason)


@pytest.mark.parametrize(
    ("on_error", "signal"),
    [("ok", Signal.INACTIVE), ("alerting", Signal.ACTIVE), ("keep_last", Signal.KEEP)],
)
def test_errors_follow_on_error(on_error, signal):
    broken = finding(None, verdict="could_not_compute")
    assert one(rule(on_error=on_error), broken) == (signal, Reason.COULD_NOT_COMPUTE)


def test_no_data_can_be_an_alert_of_its_own():
    asking = rule(no_data="no_data")
    own, other = judge(asking, finding(None, verdict="not_enough_data"))
    assert (own.kind, own.signal) == (Kind.RULE, Signal.KEEP)
    assert (other.kind, other.signal, other.reason) == (Kind.NO_DATA, Signal.ACTIVE, Reason.NOT_ENOUGH_DATA)
    back = judge(asking, finding(0.9), active={(Kind.NO_DATA, FLIGHTS): Active(firing=True)})
    assert [(one.kind, one.signal) for one in back] == [
        (Kind.RULE, Signal.INACTIVE),
        (Kind.NO_DATA, Signal.INACTIVE),
    ]


def test_zero_predictions_are_a_number_and_not_missing_data():
    quiet = rule(metric="predictions", condition="< 10")
    silent = finding(0.0, metric="predictions", verdict="not_enough_data", size=0)
    assert one(quiet, silent) == (Signal.ACTIVE, Reason.CONDITION_MET)


@pytest.mark.parametrize(
    ("bad", "met"), [((0, 2, 4), True), ((0, 2), False), ((1, 2, 3), True), ((4, 5, 6), False)]
)
def test_m_of_n_windows(bad, met):
    windows = [finding(0.5 if ago in bad else 0.9, ago=ago) for ago in range(10)]
    expected = (Signal.ACTIVE, Reason.ENOUGH_WINDOWS) if met else (Signal.INACTIVE, Reason.TOO_FEW_WINDOWS)
    assert one(rule(windows="3 of 5"), *windows) == expected


@pytest.mark.parametrize(
    ("bad", "resolved"), [((1, 2, 3), False), ((1, 2), True), ((0, 3, 4), False), ((), True)]
)
def test_a_firing_alert_resolves_on_as_many_good_windows_as_it_took_bad_ones(bad, resolved):
    windows = [finding(0.5 if ago in bad else 0.9, ago=ago) for ago in range(10)]
    active = {(Kind.RULE, FLIGHTS): Active(firing=True)}
    outcome = judge(rule(windows="3 of 5"), *windows, active=active)[0]
    assert outcome.signal is (Signal.INACTIVE if resolved else Signal.ACTIVE)


def test_windows_without_data_do_not_count_for_m_of_n():
    windows = [finding(0.5, ago=0), finding(None, ago=1, verdict="not_enough_data"), finding(0.5, ago=2)]
    assert one(rule(windows="3 of 3"), *windows)[0] is Signal.INACTIVE
    assert one(rule(windows="2 of 3"), *windows)[0] is Signal.ACTIVE


def test_one_instance_per_value_of_by_and_all_together_without():
    versions = [finding(0.7, version=""), finding(0.9, version="v1"), finding(0.5, version="v2")]
    together = judge(rule(), *versions)
    assert [(one.instance, one.signal) for one in together] == [(FLIGHTS, Signal.ACTIVE)]
    apart = {
        dict(one.instance)["version"]: one.signal for one in judge(rule(by=["model", "version"]), *versions)
    }
    assert apart == {"v1": Signal.INACTIVE, "v2": Signal.ACTIVE}
    only = judge(rule(select={"version": "v1"}), *versions)
    assert [one.signal for one in only] == [Signal.INACTIVE]


def test_the_worst_feature_speaks_for_the_instance():
    drift = rule(metric="psi", condition="> 0.2")
    features = [
        finding(value, metric="psi", feature=name) for name, value in (("a", 0.3), ("b", 0.5), ("c", 0.1))
    ]
    outcome = judge(drift, *features)[0]
    assert (outcome.signal, outcome.finding.feature) == (Signal.ACTIVE, "b")


def test_one_error_keeps_what_others_would_resolve():
    drift = rule(metric="psi", condition="> 0.2")
    features = [finding(0.1, metric="psi", feature="a"),
                finding(None, metric="psi", feature="b", verdict="could_not_compute")]  # fmt: skip
    assert one(drift, *features, firing=True) == (Signal.KEEP, Reason.COULD_NOT_COMPUTE)


def test_an_instance_that_vanishes_while_others_remain_resolves_after_some_evaluations():
    by_version = rule(by=["model", "version"], missing_evals_to_resolve=2)
    gone = (("model", "flights"), ("version", "v1"))
    present = finding(0.9, version="v2")
    for missing, expected in (
        (0, (Signal.KEEP, Reason.MISSING, 1)),
        (1, (Signal.INACTIVE, Reason.MISSING_TOO_LONG, 2)),
    ):
        active = {(Kind.RULE, gone): Active(firing=True, missing=missing)}
        outcome = next(one for one in judge(by_version, present, active=active) if one.instance == gone)
        assert (outcome.signal, outcome.reason, outcome.missing) == expected


def test_a_window_without_any_finding_is_missing_data():
    active = {(Kind.RULE, FLIGHTS): Active(firing=True)}
    assert [(one.signal, one.reason) for one in judge(rule(), active=active)] == [
        (Signal.KEEP, Reason.NO_FINDINGS)
    ]
    assert judge(rule()) == []
    assert [one.signal for one in judge(rule(no_data="alerting"))] == [Signal.ACTIVE]


values = st.one_of(st.none(), st.floats(0, 1))
verdicts = st.sampled_from(["ok", "alarm", "not_enough_data", "labels_not_mature", "could_not_compute"])


@given(st.lists(st.tuples(values, verdicts, st.sampled_from(["", "v1", "v2"])), max_size=6), st.booleans())
def test_every_active_instance_has_exactly_one_outcome_of_its_kind(parts, firing):
    findings = {
        version: finding(value, verdict=verdict, version=version) for value, verdict, version in parts
    }
    by_version = rule(by=["model", "version"], no_data="no_data")
    active = {(kind, (("model", "flights"), ("version", "v1"))): Active(firing=firing) for kind in Kind}
    outcomes = judge(by_version, *findings.values(), active=active)
    keys = [(one.kind, one.instance) for one in outcomes]
    assert len(keys) == len(set(keys))
    assert set(active) <= set(keys)


@given(values, verdicts)
def test_an_unusable_finding_never_resolves_by_default(value, verdict):
    signal, reason = one(rule(), finding(value, verdict=verdict), firing=True)
    if verdict in {"not_enough_data", "labels_not_mature", "could_not_compute"} or value is None:
        assert signal is Signal.KEEP
    else:
        assert reason in {Reason.CONDITION_MET, Reason.CONDITION_NOT_MET}
