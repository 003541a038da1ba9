"""What was seen: written by the collector."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, Index, Table

from remora.tables.base import Instant, Serial, metadata, text

__all__ = [
    "batches",
    "collectors",
    "labels",
    "models",
    "personal_fields",
    "predictions",
    "segments",
    "summaries",
    "versions",
]

models = Table(
    "models", metadata,
    text("name", primary_key=True),
    Column("first_seen", Instant, nullable=False),  # event time of the earliest prediction
    Column("last_seen", Instant, nullable=False),
)  # fmt: skip

versions = Table(
    "versions", metadata,
    text("model", primary_key=True),
    text("version", primary_key=True),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
)  # fmt: skip

batches = Table(
    "batches", metadata,
    text("id", primary_key=True),
    text("source"),
    Column("predictions", sa.Integer, nullable=False),
    Column("labels", sa.Integer, nullable=False),
    Column("repeated", sa.Integer, nullable=False),  # records refused because their id was there already
    Column("unkept", sa.Integer, nullable=False, server_default="0"),  # predictions that are in summaries alone
    Column("committed_at", Instant, nullable=False),
)  # fmt: skip

predictions = Table(
    "predictions", metadata,
    text("id", primary_key=True),
    text("model", primary_key=True),
    text("version"),
    Column("timestamp", Instant, nullable=False),
    Column("latency_ms", sa.Double),
    Column("status", sa.Integer, nullable=False),
    Column("features", sa.JSON, nullable=False),
    Column("prediction", sa.JSON(none_as_null=True)),
    Column("scores", sa.JSON(none_as_null=True)),
    Column("tags", sa.JSON, nullable=False),
    text("batch_id"),
    Column("sample", sa.Double, nullable=False, server_default="1"),  # one row stands for 1 / sample of its kind
    Index(None, "model", "timestamp"),
)  # fmt: skip

labels = Table(
    "labels", metadata,
    text("id", primary_key=True),
    text("model", primary_key=True),
    Column("label", sa.JSON, nullable=False),
    Column("timestamp", Instant, nullable=False),  # when it became known
    Column("joined", sa.Boolean, nullable=False),  # counted in the summaries of its prediction's minute
    text("batch_id"),
    Index("ix_labels_waiting", "model", sqlite_where=sa.text("NOT joined"), postgresql_where=sa.text("NOT joined")),
)  # fmt: skip

personal_fields = Table(
    "personal_fields", metadata,
    text("model", primary_key=True),
    text("feature", primary_key=True),
    text("looks_like"),  # email | card | phone | iban | token: what its values look like, while nothing redacts them
    Column("first_seen", Instant, nullable=False),
)  # fmt: skip

segments = Table(  # watched apart: the first hundred values of each
    "segments", metadata,
    text("model", primary_key=True),
    text("segment", primary_key=True),  # `key=value`, of a crossing `key=value*key=value`
    Column("first_seen", Instant, nullable=False),
)  # fmt: skip

summaries = Table(
    "summaries", metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),  # jobs remember the highest they have seen
    text("model"),
    text("version"),
    text("segment"),  # '' is everything, else `key=value`
    text("granularity"),  # minute | hour | day
    Column("start", Instant, nullable=False),
    text("column_name"),  # a feature, or $traffic $latency $score $prediction $performance
    text("kind"),  # traffic | latency | numeric | categorical | performance
    Column("data", sa.LargeBinary, nullable=False),
    text("batch_id"),  # '' where it was merged out of several
    Index(None, "model", "start"),
    Index(None, "granularity", "model", "start"),  # what compaction has still to do
)  # fmt: skip

collectors = Table(  # the newest word of each sidecar and server about itself
    "collectors", metadata,
    text("id", primary_key=True),  # that of its spool: a start with the same spool goes on under it
    text("host"),
    text("model"),  # '' takes records of any model, as a server does
    text("version"),  # of Remora
    Column("started_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("counters", sa.JSON, nullable=False),  # see docs/operations.md
)  # fmt: skip
