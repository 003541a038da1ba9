"""Panels of Grafana's classic dashboard JSON (schema 39, read by Grafana 11 to 13) as plain dicts."""

from __future__ import annotations

from typing import Any

__all__ = ["POSTGRES", "PROMETHEUS", "history", "row", "stat", "table", "timeseries"]

Panel = dict[str, Any]

PROMETHEUS = {"type": "prometheus", "uid": "remora-prometheus"}
POSTGRES = {"type": "grafana-postgresql-datasource", "uid": "remora-postgres"}


def _targets(queries: dict[str, str]) -> list[dict[str, Any]]:
    """PromQL expressions by their legends."""
    return [
        {"refId": chr(ord("A") + index), "datasource": PROMETHEUS, "expr": expression, "legendFormat": legend}
        for index, (legend, expression) in enumerate(queries.items())
    ]


def row(title: str) -> Panel:
    """A headline across the dashboard."""
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "size": (24, 1)}


def timeseries(
    title: str, queries: dict[str, str], unit: str = "short", size: tuple[int, int] = (12, 8)
) -> Panel:
    """Lines over time from Prometheus."""
    return {
        "type": "timeseries", "title": title, "datasource": PROMETHEUS, "targets": _targets(queries), "size": size,
        "fieldConfig": {"defaults": {"unit": unit, "custom": {"lineWidth": 2, "fillOpacity": 6, "showPoints": "never",
                                                              "spanNulls": True}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                    "tooltip": {"mode": "multi", "sort": "desc"}},
    }  # fmt: skip


def stat(
    title: str, queries: dict[str, str], unit: str = "short", steps: tuple[tuple[str, float | None], ...] = ()
) -> Panel:
    """One large number; `steps` are colours from a value on."""
    marks = [{"color": colour, "value": value} for colour, value in steps or (("blue", None),)]
    return {
        "type": "stat", "title": title, "datasource": PROMETHEUS, "targets": _targets(queries), "size": (6, 4),
        "fieldConfig": {"defaults": {"unit": unit, "thresholds": {"mode": "absolute", "steps": marks}}, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value",
                    "graphMode": "area", "textMode": "auto", "orientation": "auto", "justifyMode": "auto"},
    }  # fmt: skip


def table(title: str, sql: str, size: tuple[int, int] = (24, 8)) -> Panel:
    """Rows from PostgreSQL."""
    target = {
        "refId": "A",
        "datasource": POSTGRES,
        "format": "table",
        "rawQuery": True,
        "editorMode": "code",
        "rawSql": sql,
    }
    return {
        "type": "table", "title": title, "datasource": POSTGRES, "targets": [target], "size": size,
        "fieldConfig": {"defaults": {"custom": {"align": "auto", "filterable": True}}, "overrides": []},
        "options": {"showHeader": True, "cellHeight": "sm"},
    }  # fmt: skip


def history(title: str, sql: str, unit: str = "short", size: tuple[int, int] = (12, 8)) -> Panel:
    """Lines over event time from PostgreSQL: columns time, metric, value."""
    panel = timeseries(title, {}, unit, size)
    target = {
        "refId": "A",
        "datasource": POSTGRES,
        "format": "time_series",
        "rawQuery": True,
        "editorMode": "code",
        "rawSql": sql,
    }
    return panel | {"datasource": POSTGRES, "targets": [target]}
