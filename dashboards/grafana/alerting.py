"""Grafana's alert rules, for those who are told by Grafana: made of Prometheus's, so that both say the same."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from grafana_foundation_sdk.builders import alerting, expr, prometheus
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.alerting import RelativeTimeRange

from dashboards.grafana.sources import PROMETHEUS

__all__ = ["provisioned", "taken_apart"]

_COMPARISON = re.compile(r"(.*) (==|>|<) ([\d. *]+)", re.DOTALL)
_LOOKS_BACK_SECONDS = 600
# Where to look: the panel of a dashboard that shows what an alert is about.
_SHOWN_BY = {
    "RemoraDatabaseAway": ("remora-overview", "Database"),
    "RemoraNotJudging": ("remora-overview", "Behind"),
    "RemoraCollectorSilent": ("remora-collectors", "Silent for"),
    "RemoraCollectorLoses": ("remora-collectors", "Losses"),
    "RemoraMessagesGivenUp": ("remora-alerts", "Messages given up"),
    "RemoraMessagesWait": ("remora-alerts", "Messages waiting"),
    "RemoraSpoolWaits": ("remora-collectors", "Oldest record waiting"),
    "RemoraErrorBudgetSpent": ("remora-overview", "Error budget left"),
    "RemoraModelAlert": ("remora-alerts", "Pages firing"),
}
_NOBODY_THERE = {"RemoraDown"}  # no answer at all is what this one is about


def taken_apart(expression: str) -> tuple[str, str, float]:
    """`up == 0` -> what is looked at, the comparison, and with what."""
    found = _COMPARISON.fullmatch(expression)
    if found is None:
        msg = f"a rule's expression ends in a comparison with a number, as `up == 0` does, not: {expression}"
        raise ValueError(msg)
    factors = (float(factor) for factor in found[3].split("*"))
    return found[1], found[2], math.prod(factors)


def provisioned(groups: list[dict[str, Any]], boards: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The file for Grafana's `provisioning/alerting`; `groups` are Prometheus's, `boards` the dashboards by uid."""
    made = [
        {
            "orgId": 1, "name": group["name"], "folder": "Remora", "interval": "1m",
            "rules": [_rule(rule, boards) for rule in group["rules"] if "alert" in rule],
        }
        for group in groups
    ]  # fmt: skip
    return {"apiVersion": 1, "groups": made}


def _rule(rule: dict[str, Any], boards: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    name = rule["alert"]
    operand, comparison, number = taken_apart(rule["expr"])
    uid = re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
    built = (
        alerting.Rule(name).uid(uid).condition("B").for_val(rule.get("for", "0s")).exec_err_state("Error")
        .no_data_state("Alerting" if name in _NOBODY_THERE else "OK")
        .labels(rule.get("labels", {})).annotations(_annotations(rule, boards))
        .with_query(_looked_at(operand)).with_query(_compared(comparison, number))
    )  # fmt: skip
    known = json.loads(JSONEncoder().encode(built.build()))
    kept = (
        "uid",
        "title",
        "condition",
        "data",
        "for",
        "noDataState",
        "execErrState",
        "labels",
        "annotations",
    )
    return {key: known[key] for key in kept}


def _annotations(rule: dict[str, Any], boards: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """The summary in Grafana's words: what Prometheus calls the value is its query A's here."""
    words = re.sub(
        r"\{\{ \$value(?: \| (\w+))? \}\}",
        lambda found: f"{{{{ {found[1] or 'humanize'} .Values.A.Value }}}}",
        rule["annotations"]["summary"],
    )
    annotations = {"summary": words.replace("$labels.", ".Labels.")}
    if rule["alert"] in _SHOWN_BY:
        uid, title = _SHOWN_BY[rule["alert"]]
        panel = next(panel["id"] for panel in boards[uid]["panels"] if panel["title"] == title)
        annotations |= {"__dashboardUid__": uid, "__panelId__": str(panel)}
    return annotations


def _looked_at(operand: str) -> alerting.Query:
    # Grafana puts environment variables into a rule's query, and takes `$$` for a dollar.
    model = prometheus.Dataquery().expr(operand.replace("$", "$$")).instant().ref_id("A")
    query = alerting.Query("A").datasource_uid(str(PROMETHEUS.uid)).model(model)
    return query.relative_time_range(RelativeTimeRange(from_val=_LOOKS_BACK_SECONDS, to=0))


def _compared(comparison: str, number: float) -> alerting.Query:
    # What is compared with == is 0 or 1, and `below 1` is a comparison that every version of Grafana has.
    evaluator = expr.ExprTypeThresholdConditionsEvaluator().type("gt" if comparison == ">" else "lt")
    evaluator = evaluator.params([number + 1 if comparison == "==" else number])
    condition = expr.ExprTypeThresholdConditions().evaluator(evaluator)
    model = expr.TypeThreshold().expression("A").conditions([condition]).ref_id("B")
    return alerting.Query("B").datasource_uid("__expr__").model(model)
