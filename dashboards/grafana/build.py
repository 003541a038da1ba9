"""Writes Grafana's files: `python -m dashboards.grafana.build`. A test says whether they are up to date.

Needs `grafana-foundation-sdk`, which is among the extras for tests: whoever runs Remora has the files already.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dashboards.grafana import alerting, alerts, collectors, features, model, overview
from dashboards.grafana.sources import POSTGRES, PROMETHEUS

__all__ = ["FOLDER", "Asked", "asked", "boards", "files", "write"]

FOLDER = Path(__file__).parent
_RULES = FOLDER.parents[1] / "deploy" / "prometheus" / "rules.yml"
_BOARDS = (overview.BOARD, model.BOARD, features.BOARD, collectors.BOARD, alerts.BOARD)


@dataclass(frozen=True)
class Asked:
    """A query of a dashboard: where it stands, its language (promql or sql) and its text with Grafana's variables in it."""

    board: str
    where: str
    language: str
    text: str


def boards() -> dict[str, dict[str, Any]]:
    """Every dashboard by its uid."""
    return {board.uid: board.as_json() for board in _BOARDS}


def asked() -> Iterator[Asked]:
    """Every query: of panels, of variables, and of what is marked in the pictures."""
    for uid, board in boards().items():
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                language = "promql" if "expr" in target else "sql"
                yield Asked(uid, panel["title"], language, target.get("expr") or target["rawSql"])
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                query = variable["query"]
                of_prometheus = isinstance(query, dict)
                text = query["query"] if of_prometheus else query
                yield Asked(uid, f"variable {variable['name']}", "promql" if of_prometheus else "sql", text)
        for mark in board["annotations"].get("list", []):
            yield Asked(uid, f"marks {mark['name']}", "sql", mark["target"]["rawSql"])


def _datasources() -> dict[str, Any]:
    return {
        "apiVersion": 1,
        "datasources": [
            {"name": "Remora Prometheus", "uid": PROMETHEUS.uid, "type": PROMETHEUS.type_val, "access": "proxy",
             "url": "${REMORA_PROMETHEUS_URL}", "isDefault": True, "jsonData": {"timeInterval": "15s"}},
            {"name": "Remora PostgreSQL", "uid": POSTGRES.uid, "type": POSTGRES.type_val, "access": "proxy",
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
    made = boards()
    rules = alerting.provisioned(yaml.safe_load(_RULES.read_text(encoding="utf-8"))["groups"], made)
    drawn = {f"dashboards/{uid}.json": json.dumps(board, indent=2) + "\n" for uid, board in made.items()}
    return drawn | {
        "provisioning/datasources/remora.yaml": note + yaml.safe_dump(_datasources(), sort_keys=False),
        "provisioning/dashboards/remora.yaml": note + yaml.safe_dump(_providers(), sort_keys=False),
        "provisioning/alerting/remora.yaml": note + yaml.safe_dump(rules, sort_keys=False),
    }


def write() -> None:
    """Write every file where it belongs."""
    for name, text in files().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
