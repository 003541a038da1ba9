"""The shapes that the reading API answers with; they are what /openapi.json documents."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Action", "Alert", "Delivery", "Finding", "Incident", "IncidentDetail", "Latest", "Model", "OpenAlerts",
    "Ready", "Report", "Step", "TimelineEvent", "Version", "rows_of",
]  # fmt: skip


class _Row(BaseModel):
    model_config = ConfigDict(from_attributes=True, protected_namespaces=())


class Ready(BaseModel):
    status: str = Field(description="ready")


class Version(_Row):
    version: str
    first_seen: datetime = Field(description="event time of its first prediction")
    last_seen: datetime


class Latest(_Row):
    """The newest window's value of a metric, all versions together."""

    metric: str
    value: float | None
    threshold: float | None
    verdict: str = Field(description="ok, alarm, not_enough_data, labels_not_mature or could_not_compute")
    window_start: datetime
    window_end: datetime


class OpenAlerts(BaseModel):
    pending: int
    firing: int


class Model(BaseModel):
    name: str
    first_seen: datetime
    last_seen: datetime
    versions: list[Version] = Field(description="those seen last first")
    metrics: list[Latest]
    alerts: OpenAlerts


class Finding(_Row):
    """One metric in one window. `version` '' is all versions together, `segment` '' the whole traffic."""

    model: str
    version: str
    segment: str
    metric: str
    feature: str
    window_start: datetime
    window_end: datetime
    value: float | None
    low: float | None = Field(description="confidence interval of the value, where there is one")
    high: float | None
    reference_value: float | None
    threshold: float | None
    size: int = Field(description="rows behind the value")
    reference_size: int | None
    coverage: float | None = Field(description="share of the rows that have a label")
    effect: float | None = Field(
        description="how large the difference is, in terms that do not grow with the rows"
    )
    details: dict[str, Any] = Field(description="what else is known, such as causes and segments, ranked")
    verdict: str
    reason: str
    revision: int
    computed_at: datetime


class Alert(_Row):
    id: str
    rule: str
    model: str
    state: str = Field(description="pending, firing or resolved")
    severity: str
    labels: dict[str, str]
    annotations: dict[str, str]
    value: float | None
    active_at: datetime
    fired_at: datetime | None
    resolved_at: datetime | None
    evaluated_at: datetime
    window_start: datetime
    window_end: datetime


class Incident(_Row):
    id: str
    plan: str
    model: str
    title: str
    state: str = Field(description="open, acknowledged or resolved")
    severity: str
    alert_ids: list[str]
    opened_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    resolved_at: datetime | None


class TimelineEvent(_Row):
    at: datetime
    actor: str
    kind: str
    text: str


class Step(_Row):
    step: int
    iteration: int
    kind: str
    title: str
    state: str = Field(description="running, done, failed or skipped")
    detail: str
    started_at: datetime
    finished_at: datetime | None


class Action(_Row):
    id: str
    name: str
    state: str = Field(description="requested, running, succeeded, failed or timed_out")
    reason: str
    requested_at: datetime
    expires_at: datetime
    finished_at: datetime | None
    model_version: str | None
    url: str | None
    detail: str | None


class IncidentDetail(Incident):
    alerts: list[Alert]
    timeline: list[TimelineEvent]
    steps: list[Step]
    actions: list[Action]


class Delivery(_Row):
    """One message to one receiver; its body stays in the database."""

    id: str
    event_id: str
    receiver: str
    kind: str
    state: str = Field(description="pending, delivered or dead")
    attempts: int
    created_at: datetime
    next_attempt_at: datetime
    delivered_at: datetime | None
    last_status: int | None
    last_error: str | None


class Report(_Row):
    id: str
    model: str
    version: str
    window_start: datetime
    window_end: datetime
    alert_id: str | None
    state: str = Field(description="wanted, running, done or failed")
    error: str | None
    requested_at: datetime
    finished_at: datetime | None
    rows: int | None


def rows_of(shape: type[Any], rows: Any) -> list[Any]:
    """Database rows in this shape."""
    return [shape.model_validate(row) for row in rows]
