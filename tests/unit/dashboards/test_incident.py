from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from dashboards.views import incident
from dashboards.views.alert import Moved
from remora.config.alerting import Rule
from remora.config.plans import Plan

AT = datetime(2013, 3, 10, tzinfo=UTC)
DAY = timedelta(days=1)


def alert(rule="Slow", metric="latency_p95", value=171.0, state="firing", **labels):
    return SimpleNamespace(
        id="a1", rule=rule, labels={"metric": metric, **labels}, value=value, state=state, active_at=AT - DAY, fired_at=AT,
        resolved_at=AT + DAY if state == "resolved" else None, window_end=AT,
    )  # fmt: skip


def found(metric="latency_p95", feature="", **over):
    fields = {"metric": metric, "feature": feature, "window_start": AT - DAY, "window_end": AT, "threshold": 50.0,
              "reference_value": 18.0, "reason": "why", "details": {}, "verdict": "alarm"}  # fmt: skip
    return SimpleNamespace(**(fields | over))


def an_incident(state="open", **over):
    fields = {
        "state": state,
        "opened_at": AT,
        "acknowledged_at": None,
        "acknowledged_by": None,
        "resolved_at": None,
    }
    return SimpleNamespace(**(fields | over))


def test_what_is_wrong_is_a_number_against_the_rule_and_the_usual():
    rule = Rule(alert="Slow", metric="latency_p95", condition="> 60")
    (line,) = incident.wrong([alert()], {"Slow": rule}, [found()])
    assert (line.what, line.value, line.note) == ("Latency p95", "171 ms", "alarm at > 60 ms; usually 18 ms")
    (line,) = incident.wrong(
        [alert(metric="psi", value=0.4, feature="temp")], {}, [found("psi", "temp", threshold=0.2)]
    )
    assert (line.what, line.note) == ("Population stability index: temp", "threshold 0.200")


def test_those_that_fire_stand_before_those_that_are_over():
    lines = incident.wrong([alert(state="resolved"), alert(metric="error_rate", value=0.2)], {}, [])
    assert [line.what for line in lines] == ["Error rate", "Latency p95"]
    assert lines[1].note == "over since 2013-03-11"


def test_causes_are_the_ranked_ones_and_a_version_that_had_just_come():
    ranked = found(
        details={
            "causes": [{"feature": "temp", "share": 0.62, "influence": 0.3}],
            "changed_at": "2013-03-08T00:00:00Z",
            "segments": [{"segment": "carrier=UA", "share": 0.4, "rows": 0.125}],
        }
    )
    versions = [
        SimpleNamespace(version="v2", first_seen=AT - timedelta(hours=5)),
        SimpleNamespace(version="v1", first_seen=AT - 90 * DAY),
    ]
    assert incident.causes([ranked], [], versions, AT) == [
        "version v2 came into service 5h before", "temp moved: likely 62 % of the score's movement",
        "carrier=UA: 40 % of the loss from 12 % of the rows", "the change is put at 2013-03-08 00:00 UTC",
    ]  # fmt: skip


def test_without_ranked_causes_what_moved_is_said_and_else_the_findings_reason():
    moved = [Moved("temp", 0.4, 0.2, "alarm"), Moved("wind", 0.1, 0.2, "ok")]
    assert incident.causes([found()], moved, [], AT) == ["temp moved: PSI 0.400 of 0.200"]
    assert incident.causes([found()], [], [], AT) == ["2013-03-09: why"]


def test_what_is_being_done_names_who_has_it_what_runs_and_what_comes_next():
    plan = Plan(name="p", steps=[{"notify": "hook"}, {"wait": "15m"}, {"checklist": ["look"]}])
    steps = [SimpleNamespace(step=0, iteration=0, state="running", title="Tell the channel")]
    left = incident.waiting(plan, steps)
    assert [step.title for step in left] == ["wait 15m", "checklist: look"]
    assert incident.doing(an_incident(), steps, [], left) == [
        "nobody has acknowledged it", "under way: Tell the channel", "next: wait 15m",
    ]  # fmt: skip
    taken = an_incident("acknowledged", acknowledged_at=AT, acknowledged_by="ann")
    action = SimpleNamespace(name="retrain", state="running")
    assert incident.doing(taken, [], [action], []) == ["ann has it since 2013-03-10", "retrain running"]


def test_a_summary_is_of_what_is_over():
    assert incident.summary(an_incident(), [], [], [], []) == []
    over = an_incident(
        "resolved", acknowledged_at=AT + timedelta(minutes=22), acknowledged_by="ann", resolved_at=AT + DAY
    )
    steps = [SimpleNamespace(state="done"), SimpleNamespace(state="done"), SimpleNamespace(state="failed")]
    actions = [SimpleNamespace(name="retrain", state="succeeded", model_version="v3")]
    told = [SimpleNamespace(state="delivered"), SimpleNamespace(state="dead")]
    assert dict(incident.summary(over, [alert()], steps, actions, told)) == {
        "Lasted": "1d, from 2013-03-10 to 2013-03-11", "Seen": "1d after the first sign",
        "Acknowledged": "after 22m by ann", "About": "1 alert: Latency p95", "Steps": "2 done, 1 failed",
        "Started": "retrain succeeded (v3)", "Messages": "1 of 2 delivered",
    }  # fmt: skip
