"""A model's windows over time, drift by feature, segments, versions, alerts, incidents, updates and reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dashboards.errors import BadRequestError
from dashboards.listing import Listing
from dashboards.pages.asked import Asked, Page
from dashboards.periods import Period, Sample, sampled
from dashboards.queries import findings, models, response
from dashboards.views import comparing, heat
from dashboards.views import model as view
from dashboards.views.columns import ACTIONS, ALERTS, INCIDENTS, REPORTS
from dashboards.views.limits import limits_of
from dashboards.views.overview import in_service, state_of
from dashboards.views.tiles import tiles
from remora.catalogue import METRICS

__all__ = ["Around", "around", "model"]

_WINDOWS = 400  # that the recent time has
_DRAWN = 400
_HEAT = 150
_FIRST = 10  # rows of a table on a page that is about more than it
_MOST = 300
_WHOLE = tuple(name for name, metric in METRICS.items() if not metric.per_feature)


@dataclass(frozen=True)
class Around:
    """The time that a model's page is about, and what happened in it."""

    period: Period
    versions: Any
    fired: Any
    retrains: Any
    sample: Sample


def around(asked: Asked, seen: Any, most: int = _DRAWN) -> Around:
    """What happened in the time that was asked for, or in the recent one."""
    size = asked.config.model(seen.name).windows.size
    period = asked.period(min(asked.now, seen.last_seen + size), size * _WINDOWS)
    period = Period(max(period.start, seen.first_seen - size), period.end, period.choice)
    return Around(
        period, models.versions_of(asked.connection, seen.name), response.fired_between(asked.connection, seen.name, period),
        response.retrains(asked.connection, seen.name), sampled(period, size, most, seen.first_seen),
    )  # fmt: skip


def model(asked: Asked, name: str) -> Page:
    """The page; `version` and `segment` choose whose findings the charts are of."""
    connection, seen = asked.connection, asked.model(name)
    of = findings.Slice(name, asked.query.get("version", ""), asked.query.get("segment", ""))
    here = around(asked, seen)
    size = asked.config.model(name).windows.size
    limits = limits_of(asked.rules(), name)
    newest = findings.newest(connection, _WHOLE, of)
    series = findings.series(connection, _WHOLE, here.sample, of)
    open_alerts = [row for row in models.open_alerts(connection) if row.model == name]
    marks = view.marks_of(here.fired, here.versions, here.retrains, here.period, limits)
    features, heated = _heat(asked, here, of)
    return asked.page(
        features, *_tables(asked, name, here, newest), of=of,
        model=seen, period=here.period, sample=here.sample, states=state_of(open_alerts, newest),
        in_service=in_service(here.versions, seen.last_seen, size),
        tiles=tiles(newest, series, limits), groups=view.charts(series, marks),
        judged=models.judged_until(connection, name),
        unnamed=next((row for row in here.versions if not row.version), None), **heated,
    )  # fmt: skip


def _heat(asked: Asked, here: Around, of: findings.Slice) -> tuple[Listing, dict[str, Any]]:
    """The heat map of the metric that was asked for, or of the worst of all."""
    choices = {heat.WORST: "worst of all"} | {
        name: metric.title for name, metric in METRICS.items() if metric.per_feature
    }
    choice = asked.query.get("heat", heat.WORST)
    if choice not in choices:
        msg = f"`heat` is one of {', '.join(choices)}"
        raise BadRequestError(msg)
    size = asked.config.model(of.model or "").windows.size
    sample = sampled(here.period, size, _HEAT, here.period.start + size)
    rows, ends = heat.heat(findings.of_features(asked.connection, heat.metrics_of(choice), sample, of))
    listing = asked.listing("features", heat.COLUMNS, rows)
    return listing, {"heat_ends": ends, "heat_choice": choice, "heat_choices": choices}


def _tables(asked: Asked, name: str, here: Around, newest: Any) -> list[Listing]:
    connection = asked.connection
    means = findings.by_version(connection, name, comparing.COMPARED, here.sample)
    versions = comparing.versions(here.versions, means)
    ends = sorted({row.window_end for row in newest})
    segments = comparing.segments(findings.of_segments(connection, name, comparing.COMPARED, ends))
    return [
        asked.listing("versions", comparing.columns("version", versions), versions),
        asked.listing("segments", comparing.columns("segment", segments), segments, first=20),
        asked.listing(
            "alerts", ALERTS, response.alert_list(connection, model=name, limit=_MOST), first=_FIRST
        ),
        asked.listing(
            "incidents", INCIDENTS, response.incident_list(connection, model=name, limit=_MOST), first=_FIRST
        ),
        asked.listing("updates", ACTIONS, here.retrains, first=_FIRST),
        asked.listing(
            "reports", REPORTS, response.report_list(connection, name, limit=_MOST), first=_FIRST // 2
        ),
    ]
