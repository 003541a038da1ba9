"""The columns of the tables that stand on several pages."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from dashboards.listing import Column
from dashboards.words import title_of, when, window

__all__ = ["ACTIONS", "ALERTS", "DELIVERIES", "INCIDENTS", "REPORTS", "attribute", "instant"]


def attribute(
    key: str, title: str, *, number: bool = False, head: bool = False, hidden: bool = False
) -> Column:
    """A column that shows, sorts and downloads the row's attribute of that name."""
    of = attrgetter(key)
    return Column(key, title, of, lambda row: _text(of(row)), number=number, head=head, hidden=hidden)


def instant(key: str, title: str, *, hidden: bool = False) -> Column:
    """The same for a time."""
    of = attrgetter(key)
    return Column(key, title, of, lambda row: when(of(row)), hidden=hidden)


def _text(value: Any) -> str:
    return "-" if value is None or value == "" else str(value)


def _label(name: str) -> Callable[[Any], str]:
    return lambda row: str(row.labels.get(name, ""))


ALERTS = (
    attribute("state", "State"),
    attribute("rule", "Alert"),
    attribute("severity", "Severity", hidden=True),
    attribute("model", "Model"),
    Column("about", "About", lambda row: title_of(str(row.labels.get("metric", "")))),
    Column("feature", "Feature", _label("feature"), hidden=True),
    Column("version", "Version", _label("version"), hidden=True),
    Column("segment", "Segment", _label("segment"), hidden=True),
    attribute("value", "Value", number=True),
    instant("fired_at", "Fired"),
    instant("active_at", "Pending since", hidden=True),
    instant("resolved_at", "Resolved"),
    attribute("id", "Id", hidden=True),
)

INCIDENTS = (
    attribute("state", "State"),
    attribute("title", "Incident"),
    attribute("severity", "Severity", hidden=True),
    attribute("model", "Model"),
    instant("opened_at", "Opened"),
    instant("acknowledged_at", "Acknowledged"),
    attribute("acknowledged_by", "Acknowledged by", hidden=True),
    instant("resolved_at", "Resolved"),
    attribute("plan", "Plan", hidden=True),
    attribute("id", "Id", hidden=True),
)

DELIVERIES = (
    attribute("state", "State"),
    attribute("kind", "Message"),
    attribute("receiver", "To"),
    instant("created_at", "Made"),
    Column("delivered_at", "Delivered or next try", lambda row: row.delivered_at),
    attribute("attempts", "Attempts", number=True),
    attribute("last_status", "Last answer", hidden=True),
    attribute("last_error", "Last error", hidden=True),
    attribute("id", "Id", hidden=True),
)

REPORTS = (
    attribute("state", "State"),
    Column("window_start", "Window", lambda row: row.window_start, lambda row: window(row.window_start, row.window_end)),
    instant("window_end", "Window's end", hidden=True),
    attribute("model", "Model"),
    attribute("version", "Version", hidden=True),
    attribute("rows", "Rows", number=True),
    instant("finished_at", "Made"),
    attribute("error", "Error", hidden=True),
    attribute("id", "Id", hidden=True),
)  # fmt: skip

ACTIONS = (
    attribute("state", "State"),
    attribute("name", "Action"),
    attribute("reason", "Why"),
    attribute("detail", "Detail", hidden=True),
    instant("requested_at", "Requested"),
    instant("finished_at", "Ended"),
    attribute("model_version", "New version"),
    attribute("incident_id", "Incident", hidden=True),
)
