"""Writes Grafana's files: `python -m dashboards.grafana.build`. A test says whether they are up to date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from dashboards.grafana.panels import POSTGRES, PROMETHEUS, history, row, stat, table, timeseries

__all__ = ["FOLDER", "dashboard", "expressions", "files", "statements", "write"]

FOLDER = Path(__file__).parent
_WHERE = 'model =~ "$model"'
_MODELS = "model IN ($model)"  # Grafana quotes the values of a variable in SQL
_OF_ALL = "latest AND version = '' AND segment = ''"


def _of(metric: str) -> str:
    return f'remora_metric_value{{metric="{metric}", {_WHERE}}}'


def _findings(metrics: tuple[str, ...]) -> str:
    names = ", ".join(f"'{name}'" for name in metrics)
    return (
        "SELECT window_end AS \"time\", model || ' ' || metric AS metric, value FROM findings "
        f"WHERE {_OF_ALL} AND feature = '' AND metric IN ({names}) AND {_MODELS} "
        "AND value IS NOT NULL AND $__timeFilter(window_end) ORDER BY 1"
    )


def _panels() -> list[dict[str, Any]]:
    calm_until = (("green", None), ("orange", 1), ("red", 3))
    return [
        stat("Alerts firing", {"firing": f'sum(remora_alerts{{state="firing", {_WHERE}}}) or vector(0)'}, steps=calm_until),
        stat("Models", {"models": f"count(remora_model_last_seen_timestamp_seconds{{{_WHERE}}})"}),
        stat("Messages given up", {"dead": 'remora_deliveries{state="dead"}'}, steps=calm_until),
        stat("Database", {"up": "remora_database_up"}, steps=(("red", None), ("green", 1))),
        row("Traffic, errors, latency"),
        timeseries("Predictions of the newest window", {"{{model}}": _of("predictions")}),
        timeseries("Error rate", {"{{model}}": _of("error_rate")}, "percentunit"),
        timeseries("Latency", {f"{{{{model}}}} {name}": _of(f"latency_{name}") for name in ("p50", "p95", "p99")}, "ms"),
        timeseries("Predictions judged", {"{{model}}": f"sum by (model) (remora_predictions_total{{{_WHERE}}})"}),
        row("Performance"),
        timeseries("Quality", {f"{{{{model}}}} {name}": _of(name) for name in ("auc", "accuracy")}),
        timeseries("Labels", {f"{{{{model}}}} {name}": _of(name) for name in ("label_coverage", "base_rate")}, "percentunit"),
        history("Quality, window by window", _findings(("auc", "accuracy", "log_loss", "mae")), size=(24, 8)),
        row("Drift"),
        timeseries("Features that moved most", {"{{model}} {{feature}}": f'topk(10, remora_feature_value{{metric="psi", {_WHERE}}})'}),
        history("Highest PSI, window by window", (
            'SELECT window_end AS "time", model AS metric, max(value) AS value FROM findings '
            f"WHERE {_OF_ALL} AND metric = 'psi' AND {_MODELS} AND $__timeFilter(window_end) GROUP BY 1, 2 ORDER BY 1"
        )),
        row("Alerts, deliveries, progress"),
        timeseries("Alerts", {"{{model}} {{alertname}} {{state}}": f"remora_alerts{{{_WHERE}}}"}),
        timeseries("Age of the newest judged window", {
            "{{model}} {{job}}": f"time() - remora_window_judged_timestamp_seconds{{{_WHERE}}}"}, "s"),
        timeseries("Messages by state", {"{{state}}": "remora_deliveries"}, size=(24, 6)),
        table("Alerts of the chosen time", (
            "SELECT fired_at, resolved_at, model, rule, severity, state, value FROM alerts "
            f"WHERE {_MODELS} AND $__timeFilter(fired_at) ORDER BY fired_at DESC LIMIT 200"
        )),
    ]  # fmt: skip


def _placed(panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Panels from left to right, a new line where one does not fit."""
    x = y = tallest = 0
    placed = []
    for number, panel in enumerate(panels, 1):
        width, height = panel["size"]
        if x + width > 24:
            x, y, tallest = 0, y + tallest, 0
        place = {"x": x, "y": y, "w": width, "h": height}
        placed.append(
            {"id": number, "gridPos": place}
            | {name: value for name, value in panel.items() if name != "size"}
        )
        x, tallest = x + width, max(tallest, height)
    return placed


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    variable = {
        "name": "model", "label": "Model", "type": "query", "datasource": PROMETHEUS, "refresh": 2, "sort": 1,
        "query": {"query": "label_values(remora_model_last_seen_timestamp_seconds, model)", "refId": "model"},
        "definition": "label_values(remora_model_last_seen_timestamp_seconds, model)",
        "multi": True, "includeAll": True, "current": {"text": "All", "value": "$__all"}, "options": [], "hide": 0,
    }  # fmt: skip
    return {
        "uid": "remora", "title": "Remora", "tags": ["remora", "models"], "schemaVersion": 39, "version": 1,
        "editable": True, "graphTooltip": 1, "timezone": "utc", "refresh": "30s", "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [variable]}, "annotations": {"list": []}, "links": [], "panels": _placed(_panels()),
    }  # fmt: skip


def expressions() -> list[str]:
    """Every PromQL expression, with every model chosen."""
    found = [
        target["expr"]
        for panel in dashboard()["panels"]
        for target in panel.get("targets", [])
        if "expr" in target
    ]
    return [expression.replace("$model", ".*") for expression in found]


def statements(models: list[str]) -> list[str]:
    """Every SQL statement, with Grafana's macros put in: these models, all of time."""
    names = ", ".join("'" + name.replace("'", "''") + "'" for name in models)
    found = [
        target["rawSql"]
        for panel in dashboard()["panels"]
        for target in panel.get("targets", [])
        if "rawSql" in target
    ]
    return [
        sql.replace("$model", names).replace("$__timeFilter(window_end)", "window_end IS NOT NULL")
        .replace("$__timeFilter(fired_at)", "fired_at IS NOT NULL")
        for sql in found
    ]  # fmt: skip


def _datasources() -> dict[str, Any]:
    return {
        "apiVersion": 1,
        "datasources": [
            {"name": "Remora Prometheus", "uid": PROMETHEUS["uid"], "type": PROMETHEUS["type"], "access": "proxy",
             "url": "${REMORA_PROMETHEUS_URL}", "isDefault": True, "jsonData": {"timeInterval": "15s"}},
            {"name": "Remora PostgreSQL", "uid": POSTGRES["uid"], "type": POSTGRES["type"], "access": "proxy",
             "url": "${REMORA_POSTGRES_ADDRESS}", "user": "${REMORA_POSTGRES_USER}",
             "jsonData": {"database": "${REMORA_POSTGRES_DATABASE}", "sslmode": "disable", "postgresVersion": 1500},
             "secureJsonData": {"password": "${REMORA_POSTGRES_PASSWORD}"}},
        ],
    }  # fmt: skip


def _providers() -> dict[str, Any]:
    return {
        "apiVersion": 1,
        "providers": [
            {"name": "remora", "folder": "Remora", "type": "file", "allowUiUpdates": False,
             "options": {"path": "/var/lib/grafana/dashboards/remora"}},
        ],
    }  # fmt: skip


def files() -> dict[str, str]:
    """Path below this folder -> text."""
    note = "# Written by `python -m dashboards.grafana.build`.\n"
    return {
        "dashboards/remora.json": json.dumps(dashboard(), indent=2) + "\n",
        "provisioning/datasources/remora.yaml": note + yaml.safe_dump(_datasources(), sort_keys=False),
        "provisioning/dashboards/remora.yaml": note + yaml.safe_dump(_providers(), sort_keys=False),
    }


def write() -> None:
    """Write every file where it belongs."""
    for name, text in files().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
