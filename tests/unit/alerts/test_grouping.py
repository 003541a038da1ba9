from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerts.dedup import Told
from alerts.grouping import due, hushed, inhibited, make_groups, matches, silenced
from alerts.identity import fingerprint, group_key, new_id
from alerts.queries import AlertRow, Silence
from remora.config.alerting import Route
from remora.config.maintenance import Maintenance

NOW = datetime(2013, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def row(name="A", severity="ticket", model="m", fired=NOW, **labels) -> AlertRow:
    every = {"alertname": name, "model": model, "severity": severity} | labels
    return AlertRow(name, name, fingerprint(every), model, "firing", severity, every, {}, 1.0, fired, fired, None, None,
                    NOW, NOW, NOW, 0)  # fmt: skip


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        ({"value": "ml"}, True), ({"value": "m"}, False), ({"value": "m.", "isRegex": True}, True),
        ({"value": "m", "isRegex": True}, False), ({"value": "ml", "isEqual": False}, False),
        ({"value": "x|ml", "isRegex": True, "isEqual": False}, False), ({"name": "none", "value": ""}, True),
    ],
)  # fmt: skip
def test_matchers_are_alertmanagers(matcher, expected):
    assert matches({"name": "team"} | matcher, {"team": "ml"}) is expected


def test_a_silence_needs_all_its_matchers():
    both = Silence("s", [{"name": "team", "value": "ml"}, {"name": "model", "value": "m"}], NOW, NOW, "", "")
    assert silenced(row(team="ml"), [both])
    assert not silenced(row(team="ops"), [both])


def test_a_page_mutes_tickets_of_its_model_only():
    rows = [row("P", "page"), row("T"), row("O", model="other"), row("Q", "page"), row("I", "info")]
    assert inhibited(rows) == {"T"}


def test_maintenance_mutes_what_it_matches_while_it_goes_on():
    nightly = Maintenance.model_validate({"name": "n", "match": {"team": "ml"}, "at": "11:30", "for": "1h"})
    rows = [row("A", team="ml"), row("B", team="ops")]
    assert hushed(rows, [], [nightly], NOW.replace(hour=12, minute=0)) == {"A"}
    assert hushed(rows, [], [nightly], NOW.replace(hour=12, minute=30)) == set()


def test_the_first_route_that_fits():
    routes = [Route(match={"severity": "page"}, receivers=["a"], group_by=["model"]), Route(receivers=["b"])]
    groups = make_groups(routes, [row("P", "page"), row("Q", "page"), row("T"), row("U", model='"')])
    assert [(group.key, [one.id for one in group.alerts]) for group in groups] == [
        ('{}/{severity="page"}:{model="m"}', ["P", "Q"]),
        ('{}:{alertname="T", model="m"}', ["T"]),
        ('{}:{alertname="U", model="\\""}', ["U"]),
    ]
    assert make_groups(routes[:1], [row("T")]) == []


def test_group_wait_then_group_interval():
    route = Route(receivers=["a"], group_wait=MINUTE, group_interval=5 * MINUTE)
    assert not due(route, None, [row(fired=NOW)], NOW + 0.5 * MINUTE)
    assert due(route, None, [row(fired=NOW)], NOW + MINUTE)
    assert not due(route, None, [], NOW + MINUTE)
    told = Told(frozenset("x"), frozenset(), NOW)
    assert not due(route, told, [row()], NOW + 4 * MINUTE)
    assert due(route, told, [], NOW + 5 * MINUTE)


def test_ids_sort_as_they_are_made():
    ids = [new_id("msg", NOW) for _ in range(1000)]
    assert ids == sorted(ids)
    assert len({len(one) for one in ids}) == 1
    assert group_key({}, {}) == "{}:{}"
