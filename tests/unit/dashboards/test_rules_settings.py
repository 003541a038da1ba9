from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from dashboards.views import collectors, rules, settings
from remora.config import parse

AT = datetime(2013, 3, 10, tzinfo=UTC)
CONFIG = parse("""
version: 1
models: {flights: {windows: {size: 1h, lateness: 10m, label_lateness: 2d}}}
receivers: {hook: {kind: webhook, url: "https://example/s3cret", secret: whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD}}
groups:
  - name: quality
    rules:
      - {alert: Fell, metric: auc, condition: "< 0.62", windows: 5 of 7, for: 1h, label_coverage: 0.5, labels: {severity: page}}
      - {alert: Drift, metric: psi}
""")


def test_each_rule_says_how_it_stands_and_what_it_asks_for():
    known = [
        SimpleNamespace(rule="Fell", state="resolved", number=3, fired_at=AT),
        SimpleNamespace(rule="Fell", state="firing", number=1, fired_at=AT + timedelta(days=1)),
    ]
    rows = rules.rules(CONFIG, known, {"performance": AT}, {"psi": 0.4})
    assert [(row.name, row.state, row.firing, row.last_fired, row.next_at, row.expected) for row in rows] == [
        ("Fell", "firing", 1, AT + timedelta(days=1), AT, None), ("Drift", "ok", 0, None, None, 0.4),
    ]  # fmt: skip
    assert rows[0].condition == "< 0.62 in 5 of 7 windows, for 1h, with 50 % labelled or more"
    assert rows[1].condition == "the finding's own verdict is alarm"


def test_the_next_look_is_when_the_next_window_is_due():
    due = rules.next_look(
        CONFIG, {("flights", "drift"): AT, ("flights", "performance"): AT, ("other", "drift"): AT}
    )
    assert due == {
        "drift": AT + timedelta(hours=1, minutes=10),
        "performance": AT + timedelta(hours=1, days=2),
    }


def test_silences_in_force_stand_first_and_read_as_matchers_do():
    silence = lambda name, starts, ends: SimpleNamespace(  # noqa: E731
        id=name, matchers=[{"name": "model", "value": "flights"}, {"name": "feature", "value": "t.*", "isRegex": True, "isEqual": False}],
        starts_at=AT + timedelta(hours=starts), ends_at=AT + timedelta(hours=ends), created_by="ann", comment="",
    )  # fmt: skip
    rows = rules.silences([silence("over", -2, -1), silence("later", 1, 2), silence("now", -1, 1)], AT)
    assert [(row.id, row.state) for row in rows] == [
        ("now", "active"),
        ("later", "pending"),
        ("over", "expired"),
    ]
    assert rows[0].matchers == "model=flights, feature!~t.*"


def test_settings_hide_every_secret_and_say_which_the_file_gives():
    rows = {row.path: row for row in settings.settings(CONFIG)}
    assert rows["receivers.hook.url"].value == settings.HIDDEN
    assert "s3cret" not in str(rows)
    assert "whsec" not in str(rows)
    assert (rows["models.flights.windows.size"].value, rows["models.flights.windows.size"].given) == (
        "1h",
        True,
    )
    backfill = rows["models.flights.windows.backfill"]
    assert (backfill.value, backfill.given) == ("57w1d", False)
    assert rows["groups[0].rules[0].for"].value == "1h"
    assert rows["schedule.tick"].given is False


def collector(name="c1", seen=0, version="1", **counters):
    return SimpleNamespace(id=name, host="pod-1", model="flights", version=version, started_at=AT - timedelta(days=1),
                           seen_at=AT - timedelta(seconds=seen), counters=counters)  # fmt: skip


def test_collectors_in_trouble_stand_first_and_say_why():
    rows = collectors.collectors(
        [
            collector("fine"),
            collector("quiet", seen=600),
            collector("losing", lost=3, dropped_full=3, running=1),
            collector("old", version="0"),
            collector("gone", seen=90_000, running=0),
        ],
        AT,
        "1",
    )
    assert [(row.id, row.state, row.wrong) for row in rows] == [
        ("quiet", "silent", ["not heard of for 10m"]), ("losing", "losing", ["3 dropped full"]), ("fine", "ok", []),
        ("old", "ok", ["runs Remora 0, this server 1"]), ("gone", "ended", []),
    ]  # fmt: skip
