"""Who is told of what, pure: inhibition, silences, routes, groups and their timing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from alerts.dedup import Told
from alerts.identity import group_key
from alerts.queries import AlertRow, Silence
from remora.config.alerting import Route

__all__ = ["Bundle", "due", "inhibited", "make_groups", "matches", "silenced"]


@dataclass
class Bundle:
    """The alerts of one route that have the same values of its `group_by` labels."""

    route: Route
    key: str
    labels: Mapping[str, str]
    alerts: list[AlertRow] = field(default_factory=list)


def matches(matcher: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """One matcher as Alertmanager writes it; a label that is missing is empty; patterns match the whole value."""
    found = labels.get(str(matcher["name"]), "")
    wanted = str(matcher["value"])
    same = re.fullmatch(wanted, found) is not None if matcher.get("isRegex") else found == wanted
    return same == bool(matcher.get("isEqual", True))


def silenced(row: AlertRow, silences: Iterable[Silence]) -> bool:
    """Whether a silence has every one of its matchers met."""
    return any(all(matches(one, row.labels) for one in silence.matchers) for silence in silences)


def inhibited(row: AlertRow, firing: Iterable[AlertRow]) -> bool:
    """The one inhibition there is: while a model pages, its tickets stay quiet."""
    return row.severity == "ticket" and any(
        other.severity == "page" and other.state == "firing" and other.model == row.model for other in firing
    )


def make_groups(routes: Sequence[Route], rows: Iterable[AlertRow]) -> list[Bundle]:
    """Every alert into the group of the first route that fits; one that fits none is told to nobody."""
    groups: dict[tuple[int, str], Bundle] = {}
    for row in rows:
        for index, route in enumerate(routes):
            if all(row.labels.get(name, "") == value for name, value in route.match.items()):
                labels = {name: row.labels.get(name, "") for name in route.group_by}
                key = group_key(route.match, labels)
                groups.setdefault((index, key), Bundle(route, key, labels)).alerts.append(row)
                break
    return list(groups.values())


def due(route: Route, told: Told | None, firing: Sequence[AlertRow], now: datetime) -> bool:
    """Whether the group's turn has come: `group_wait` after its first alert, later every `group_interval`."""
    if told is None or not told.firing:
        return any(now - (row.fired_at or now) >= route.group_wait for row in firing)
    return now - told.sent_at >= route.group_interval
