"""Rules and budget: how each rule stands, when it looks next, how many false alarms it costs; and silences."""

from __future__ import annotations

from dashboards.pages.asked import Asked, Page
from dashboards.queries import findings, models
from dashboards.queries import rules as queries
from dashboards.views import rules as view

__all__ = ["rules"]

_LENGTHS = ("1h", "2h", "8h", "1d", "7d")


def rules(asked: Asked) -> Page:
    """The page."""
    judged = models.judged_until(asked.connection)
    metrics = sorted({rule.metric for rule in asked.rules() if rule.condition is None})
    rows = view.rules(
        asked.config, queries.by_rule(asked.connection), view.next_look(asked.config, judged),
        findings.expected_false_alarms(asked.connection, metrics),
    )  # fmt: skip
    silences = view.silences(queries.newest_silences(asked.connection), asked.now)
    return asked.page(
        asked.listing("rules", view.RULES, rows),
        asked.listing("silences", view.SILENCES, silences),
        lengths=_LENGTHS, known=[row.name for row in models.models_seen(asked.connection)],
    )  # fmt: skip
