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
from remora.config.maintenance import Maintenance

__all__ = ["Bundle", "due", "fits", "hushed", "inhibited", "make_groups", "matches", "silenced"]


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


def hushed(
    rows: Iterable[AlertRow], silences: Sequence[Silence], maintenance: Iterable[Maintenance], now: datetime
) -> set[str]:
    """The ids of firing alerts that somebody wants quiet: by a silence, or by maintenance that goes on."""
    going_on = [one for one in maintenance if one.holds_at(now)]
    return {
        row.id
        for row in rows
        if row.state == "firing"
        and (silenced(row, silences) or any(fits(one.match, row.labels) for one in going_on))
    }


def inhibited(rows: Sequence[AlertRow]) -> set[str]:
    """The one inhibition there is: while a model pages, its tickets stay quiet."""
    firing = [row for row in rows if row.state == "firing"]
    paging = {row.model for row in firing if row.severity == "page"}
    return {row.id for row in firing if row.severity == "ticket" and row.model in paging}


def fits(match: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Every one equal; a label that is missing is empty."""
    return all(labels.get(name, "") == value for name, value in match.items())


def make_groups(routes: Sequence[Route], rows: Iterable[AlertRow]) -> list[Bundle]:
    """Every alert into the group of the first route that fits; one that fits none is told to nobody."""
    groups: dict[tuple[int, str], Bundle] = {}
    for row in rows:
        for index, route in enumerate(routes):
            if fits(route.match, row.labels):
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
