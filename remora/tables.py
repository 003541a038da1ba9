"""Every table, one screen each. The parts meet here and nowhere else.

Instants are aware UTC. JSON columns are read with plain SQL; blobs are the summaries of `remora.summaries`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint
from sqlalchemy.types import TypeDecorator

__all__ = [
    "Instant", "actions", "alerts", "audit", "batches", "clock", "deliveries", "delivery_attempts", "findings",
    "incident_events", "incidents", "job_runs", "labels", "metadata", "models", "notifications", "plan_steps",
    "predictions", "reference_columns", "reference_sets", "reports", "silences", "summaries", "tokens", "versions",
]  # fmt: skip


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant; a naive one is refused before it reaches the database."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "a naive datetime reached the database"
            raise ValueError(msg)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    },
)

# SQLite counts up by itself only in an INTEGER primary key.
_Serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _text(name: str, *, default: str | None = None, **kw: Any) -> Column[str]:
    return Column(name, sa.Text, nullable=False, server_default=default, **kw)


# --- what was seen: written by the collector -----------------------------------------------------------------------

models = Table(
    "models", metadata,
    _text("name", primary_key=True),
    Column("first_seen", Instant, nullable=False),  # event time of the earliest prediction
    Column("last_seen", Instant, nullable=False),
)  # fmt: skip

versions = Table(
    "versions", metadata,
    _text("model", primary_key=True),
    _text("version", primary_key=True),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
)  # fmt: skip

batches = Table(
    "batches", metadata,
    _text("id", primary_key=True),
    _text("source"),
    Column("predictions", sa.Integer, nullable=False),
    Column("labels", sa.Integer, nullable=False),
    Column("repeated", sa.Integer, nullable=False),  # records refused because their id was there already
    Column("committed_at", Instant, nullable=False),
)  # fmt: skip

predictions = Table(
    "predictions", metadata,
    _text("id", primary_key=True),
    _text("model", primary_key=True),
    _text("version"),
    Column("timestamp", Instant, nullable=False),
    Column("latency_ms", sa.Double),
    Column("status", sa.Integer, nullable=False),
    Column("features", sa.JSON, nullable=False),
    Column("prediction", sa.JSON(none_as_null=True)),
    Column("scores", sa.JSON(none_as_null=True)),
    Column("tags", sa.JSON, nullable=False),
    _text("batch_id"),
    Index(None, "model", "timestamp"),
)  # fmt: skip

labels = Table(
    "labels", metadata,
    _text("id", primary_key=True),
    _text("model", primary_key=True),
    Column("label", sa.JSON, nullable=False),
    Column("timestamp", Instant, nullable=False),  # when it became known
    Column("joined", sa.Boolean, nullable=False),  # counted in the summaries of its prediction's minute
    _text("batch_id"),
    Index("ix_labels_waiting", "model", sqlite_where=sa.text("NOT joined"), postgresql_where=sa.text("NOT joined")),
)  # fmt: skip

summaries = Table(
    "summaries", metadata,
    Column("seq", _Serial, primary_key=True, autoincrement=True),  # jobs remember the highest they have seen
    _text("model"),
    _text("version"),
    _text("segment"),  # '' is everything, else `key=value`
    _text("granularity"),  # minute | hour | day
    Column("start", Instant, nullable=False),
    _text("column_name"),  # a feature, or $traffic $latency $score $prediction $performance
    _text("kind"),  # traffic | latency | numeric | categorical | performance
    Column("data", sa.LargeBinary, nullable=False),
    _text("batch_id"),
    Index(None, "model", "start"),
)  # fmt: skip

# --- what was found: written by the detectors ----------------------------------------------------------------------

reference_sets = Table(
    "reference_sets", metadata,
    _text("id", primary_key=True),
    _text("model"),
    _text("version"),  # '' serves every version without a reference of its own
    _text("source"),  # provenance: the file's name and the rows' time range
    Column("rows", sa.Integer, nullable=False),
    Column("built_at", Instant, nullable=False),
    Column("active", sa.Boolean, nullable=False),
    Column("sample", sa.LargeBinary, nullable=False),  # gzip of JSON lines, at most 2,000 rows, for reports
    Index(None, "model", "version"),
)  # fmt: skip

reference_columns = Table(
    "reference_columns", metadata,
    Column("reference_id", sa.Text, ForeignKey("reference_sets.id", ondelete="CASCADE"), primary_key=True),
    _text("column_name", primary_key=True),
    _text("kind"),
    Column("data", sa.LargeBinary, nullable=False),
    Column("bins", sa.JSON, nullable=False),  # edges or categories, made once; windows never re-bin
    Column("calibration", sa.JSON, nullable=False),  # how far the reference's own windows lie apart
)  # fmt: skip

findings = Table(
    "findings", metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    _text("model"),
    _text("version"),  # '' is all versions together
    _text("segment"),
    _text("metric"),
    _text("feature"),  # '' where the metric has none
    Column("window_start", Instant, nullable=False),
    Column("window_end", Instant, nullable=False),
    Column("value", sa.Double),
    Column("low", sa.Double),  # confidence interval of the value, where the method gives one
    Column("high", sa.Double),
    Column("reference_value", sa.Double),
    Column("threshold", sa.Double),
    Column("size", sa.BigInteger, nullable=False),  # rows behind the value
    Column("reference_size", sa.BigInteger),
    Column("coverage", sa.Double),  # share of the rows that have a label, for metrics that need one
    _text("verdict"),  # ok | alarm | not_enough_data | labels_not_mature | could_not_compute
    _text("reason"),
    Column("revision", sa.Integer, nullable=False),
    Column("latest", sa.Boolean, nullable=False),
    Column("computed_at", Instant, nullable=False),
    UniqueConstraint(
        "model", "window_start", "window_end", "metric", "feature", "version", "segment", "revision",
        name="uq_findings_key",
    ),
    Index(None, "model", "metric", "window_end"),
)  # fmt: skip

job_runs = Table(
    "job_runs", metadata,
    _text("job", primary_key=True),  # traffic | drift | performance | rules
    _text("model", primary_key=True),
    Column("window_start", Instant, primary_key=True),
    Column("window_end", Instant, nullable=False),
    _text("state"),  # running | done | failed
    _text("owner"),
    Column("lease_until", Instant, nullable=False),  # wall clock, also under a replayed one
    Column("epoch", sa.Integer, nullable=False),  # fencing: results commit only under the epoch that was claimed
    Column("attempts", sa.Integer, nullable=False),
    Column("revision", sa.Integer, nullable=False),
    Column("watermark", sa.BigInteger, nullable=False),  # highest summaries.seq that was read
    Column("finished_at", Instant),
    Column("error", sa.Text),
    Index(None, "model", "window_start", "state", "job"),
)  # fmt: skip

clock = Table(
    "clock", metadata,
    _text("name", primary_key=True),  # replay
    Column("now", Instant, nullable=False),
    Column("settled", Instant),  # everything that was due at this instant is done
)  # fmt: skip

# --- what is done about it: written by the alerts ------------------------------------------------------------------

alerts = Table(
    "alerts", metadata,
    _text("id", primary_key=True),
    _text("rule"),
    _text("fingerprint"),
    _text("model"),
    _text("state"),  # pending | firing | resolved
    _text("severity"),
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
    _text("group_key", primary_key=True),
    _text("receiver", primary_key=True),
    Column("firing", sa.JSON, nullable=False),  # fingerprints
    Column("resolved", sa.JSON, nullable=False),
    _text("reason"),
    Column("sent_at", Instant, nullable=False),
)  # fmt: skip

incidents = Table(
    "incidents", metadata,
    _text("id", primary_key=True),
    _text("plan"),
    _text("group_key"),
    _text("model"),
    _text("title"),
    _text("state"),  # open | acknowledged | resolved
    _text("severity"),
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
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("incident_id", sa.Text, ForeignKey("incidents.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("at", Instant, nullable=False),
    _text("actor"),
    _text("kind"),  # opened alert_attached step_started step_succeeded step_failed step_skipped acknowledged …
    _text("text"),
)  # fmt: skip

plan_steps = Table(
    "plan_steps", metadata,
    Column("incident_id", sa.Text, ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True),
    Column("step", sa.Integer, primary_key=True),
    Column("iteration", sa.Integer, primary_key=True),
    _text("kind"),  # notify | action | wait | checklist
    _text("title"),
    _text("state"),  # running | done | failed | skipped
    _text("detail"),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
)  # fmt: skip

actions = Table(
    "actions", metadata,
    _text("id", primary_key=True),
    _text("name"),
    _text("model"),
    Column("incident_id", sa.Text, ForeignKey("incidents.id", ondelete="SET NULL")),
    Column("step", sa.Integer),
    Column("iteration", sa.Integer),
    _text("state"),  # requested | running | succeeded | failed | timed_out
    _text("reason"),
    Column("requested_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("model_version", sa.Text),
    Column("url", sa.Text),
    Column("detail", sa.Text),
    Index(None, "model", "requested_at"),
)  # fmt: skip

deliveries = Table(  # the transactional outbox; id is the webhook-id
    "deliveries", metadata,
    _text("id", primary_key=True),
    _text("event_id"),
    _text("receiver"),
    _text("kind"),  # alert.firing | alert.resolved | incident.opened | action.requested | …
    _text("order_key"),  # deliveries of one receiver and key go out one after the other
    Column("body", sa.LargeBinary, nullable=False),  # frozen when it was decided
    _text("state"),  # pending | delivered | dead
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
)  # fmt: skip

silences = Table(
    "silences", metadata,
    _text("id", primary_key=True),
    Column("matchers", sa.JSON, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    _text("created_by"),
    _text("comment"),
)  # fmt: skip

# --- what people look at, and who may --------------------------------------------------------------------------------

reports = Table(
    "reports", metadata,
    _text("id", primary_key=True),
    _text("model"),
    _text("version"),
    Column("window_start", Instant, nullable=False),
    Column("window_end", Instant, nullable=False),
    Column("alert_id", sa.Text),
    _text("state"),  # wanted | running | done | failed
    Column("path", sa.Text),
    Column("error", sa.Text),
    Column("requested_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("rows", sa.Integer),
    Column("lease_until", Instant),
    UniqueConstraint("model", "version", "window_start", "window_end"),
)  # fmt: skip

tokens = Table(
    "tokens", metadata,
    _text("id", primary_key=True),
    _text("name"),
    _text("digest"),  # SHA-256 of the secret; the secret is shown once
    Column("scopes", sa.JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
)  # fmt: skip

audit = Table(
    "audit", metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    _text("actor"),
    _text("what"),
    _text("subject"),
)  # fmt: skip
