"""What is done about it: written by the alerts."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from remora.tables.base import Instant, Serial, metadata, text

__all__ = [
    "actions",
    "alerts",
    "deliveries",
    "delivery_attempts",
    "incident_events",
    "incidents",
    "notifications",
    "plan_steps",
    "silences",
]

alerts = Table(
    "alerts", metadata,
    text("id", primary_key=True),
    text("rule"),
    text("fingerprint"),
    text("model"),
    text("state"),  # pending | firing | resolved
    text("severity"),
    Column("labels", sa.JSON, nullable=False),
    Column("annotations", sa.JSON, nullable=False),
    Column("value", sa.Double),
    Column("active_at", Instant, nullable=False),
    Column("fired_at", Instant),
    Column("keep_firing_since", Instant),
    Column("resolved_at", Instant),
    Column("evaluated_at", Instant, nullable=False),
    Column("window_start", Instant, nullable=False),
    Column("window_end", Instant, nullable=False),
    Column("missing", sa.Integer, nullable=False),  # evaluations in a row without this instance
    Index("uq_alerts_active", "rule", "fingerprint", unique=True,
          sqlite_where=sa.text("state <> 'resolved'"), postgresql_where=sa.text("state <> 'resolved'")),
    Index(None, "model", "state"),
)  # fmt: skip

notifications = Table(  # the last thing that each receiver was told of each group
    "notifications", metadata,
    text("group_key", primary_key=True),
    text("receiver", primary_key=True),
    Column("firing", sa.JSON, nullable=False),  # fingerprints
    Column("resolved", sa.JSON, nullable=False),
    text("reason"),
    Column("sent_at", Instant, nullable=False),
)  # fmt: skip

incidents = Table(
    "incidents", metadata,
    text("id", primary_key=True),
    text("plan"),
    text("group_key"),
    text("model"),
    text("title"),
    text("state"),  # open | acknowledged | resolved
    text("severity"),
    Column("alert_ids", sa.JSON, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("acknowledged_at", Instant),
    Column("acknowledged_by", sa.Text),
    Column("quiet_since", Instant),  # all its alerts are resolved since
    Column("resolved_at", Instant),
    Index(None, "model", "state"),
    Index("uq_incidents_open", "plan", "group_key", unique=True,
          sqlite_where=sa.text("state <> 'resolved'"), postgresql_where=sa.text("state <> 'resolved'")),
)  # fmt: skip

incident_events = Table(
    "incident_events", metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("incident_id", sa.Text, ForeignKey("incidents.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Instant, nullable=False),
    text("actor"),
    text("kind"),  # opened alert_attached step_started step_succeeded step_failed step_skipped acknowledged …
    text("text"),
)  # fmt: skip

plan_steps = Table(
    "plan_steps", metadata,
    Column("incident_id", sa.Text, ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True),
    Column("step", sa.Integer, primary_key=True),
    Column("iteration", sa.Integer, primary_key=True),
    text("kind"),  # notify | action | wait | checklist
    text("title"),
    text("state"),  # running | done | failed | skipped
    text("detail"),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
)  # fmt: skip

actions = Table(
    "actions", metadata,
    text("id", primary_key=True),
    text("name"),
    text("model"),
    Column("incident_id", sa.Text, ForeignKey("incidents.id", ondelete="SET NULL")),
    Column("step", sa.Integer),
    Column("iteration", sa.Integer),
    text("state"),  # waiting requested running unknown succeeded failed timed_out rejected dry_run
    text("reason"),
    Column("requested_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("model_version", sa.Text),
    Column("url", sa.Text),
    Column("detail", sa.Text),
    Column("run_id", sa.Text),  # what the target calls it
    Column("decided_by", sa.Text),  # who approved or rejected it
    Column("request", sa.JSON, nullable=False, server_default="{}"),  # what is sent, without its token
    Index(None, "model", "requested_at"),
)  # fmt: skip

deliveries = Table(  # the transactional outbox; id is the webhook-id
    "deliveries", metadata,
    text("id", primary_key=True),
    text("event_id"),
    text("receiver"),
    text("kind"),  # alert.firing | alert.resolved | incident.opened | action.requested | …
    text("order_key"),  # deliveries of one receiver and key go out one after the other
    Column("body", sa.LargeBinary, nullable=False),  # frozen when it was decided
    text("state"),  # pending | delivered | dead | collapsed (over before it was told) | standby (for a fallback)
    text("title", default=""),  # what a person reads in a list of messages
    Column("manual", sa.Boolean, nullable=False, server_default=sa.false()),  # somebody asked for the next attempt
    Column("standby_for", sa.Text),  # the delivery in whose place this one is sent if that one cannot be
    Column("attempts", sa.Integer, nullable=False),
    Column("created_at", Instant, nullable=False),  # wall clock from here on: these are real calls
    Column("next_attempt_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("lease_owner", sa.Text),
    Column("lease_until", Instant),
    Column("delivered_at", Instant),
    Column("last_status", sa.Integer),
    Column("last_error", sa.Text),
    UniqueConstraint("event_id", "receiver"),
    Index(None, "state", "next_attempt_at"),
    Index(None, "receiver", "order_key"),
)  # fmt: skip

delivery_attempts = Table(
    "delivery_attempts", metadata,
    Column("delivery_id", sa.Text, ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", sa.Integer, primary_key=True),
    Column("started_at", Instant, nullable=False),
    Column("duration_ms", sa.Double, nullable=False),
    Column("status", sa.Integer),
    Column("error", sa.Text),
    Column("response", sa.Text),  # at most 4 kB
    Column("manual", sa.Boolean, nullable=False, server_default=sa.false()),
)  # fmt: skip

receiver_states = Table(  # receivers that failed since their last success
    "receiver_states", metadata,
    text("receiver", primary_key=True),
    Column("failures", sa.Integer, nullable=False),  # in a row, over all processes
    Column("pause_ms", sa.BigInteger, nullable=False),
    Column("probe_at", Instant),  # the breaker is open until then
    Column("open_since", Instant),
)  # fmt: skip

message_references = Table(  # what a receiver calls its newest message about a group or incident
    "message_references", metadata,
    text("receiver", primary_key=True),
    text("order_key", primary_key=True),
    text("reference"),
    Column("noted_at", Instant, nullable=False),
)  # fmt: skip

silences = Table(
    "silences", metadata,
    text("id", primary_key=True),
    Column("matchers", sa.JSON, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    text("created_by"),
    text("comment"),
)  # fmt: skip
