"""Where the rules of the configuration alarm, as charts and tiles show it."""

from __future__ import annotations

from collections.abc import Iterable

from dashboards.charts import Limit
from remora.catalogue import show
from remora.config.alerting import Rule

__all__ = ["alarm_text", "limits_of"]


def limits_of(rules: Iterable[Rule], model: str) -> dict[str, list[Limit]]:
    """Metric -> where the rules about the whole of this model alarm."""
    found: dict[str, list[Limit]] = {}
    for rule in rules:
        whole = not rule.select.version and not rule.select.segment and rule.select.feature is None
        if rule.limit is not None and whole and rule.select.model in {None, model}:
            found.setdefault(rule.metric, []).append(Limit(rule.limit[1], alarm_text(rule)))
    return found


def alarm_text(rule: Rule) -> str:
    """`alarm at < 0.610`; empty where the finding's own verdict decides."""
    return f"alarm at {rule.limit[0]} {show(rule.metric, rule.limit[1])}" if rule.limit is not None else ""
