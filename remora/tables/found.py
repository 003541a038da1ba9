"""What was found: written by the detectors."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from remora.tables.base import Instant, Serial, metadata, text

__all__ = ["archives", "clock", "findings", "job_runs", "reference_columns", "reference_sets"]

reference_sets = Table(
    "reference_sets", metadata,
    text("id", primary_key=True),
    text("model"),
    text("version"),  # '' serves every version without a reference of its own
    text("name", default="default"),
    Column("number", sa.Integer, nullable=False, server_default="1"),  # counts those of one model, version and name
    Column("provenance", sa.JSON, nullable=False, server_default="{}"),  # engine, file and its digest, from, to, remora
    text("source"),  # provenance: the file's name and the rows' time range
    Column("rows", sa.Integer, nullable=False),
    Column("built_at", Instant, nullable=False),
    Column("active", sa.Boolean, nullable=False),
    Column("calibration", sa.JSON, nullable=False, server_default="{}"),  # limits that all its columns share
    Column("sample", sa.LargeBinary, nullable=False),  # gzip of JSON lines, at most 2,000 rows, for reports
    Index(None, "model", "version"),
)  # fmt: skip

reference_columns = Table(
    "reference_columns", metadata,
    Column("reference_id", sa.Text, ForeignKey("reference_sets.id", ondelete="CASCADE"), primary_key=True),
    text("column_name", primary_key=True),
    text("kind"),
    Column("data", sa.LargeBinary, nullable=False),
    Column("bins", sa.JSON, nullable=False),  # edges or categories, made once; windows never re-bin
    Column("calibration", sa.JSON, nullable=False),  # how far the reference's own windows lie apart
)  # fmt: skip

_ALARMS = "verdict = 'alarm' AND latest = {true}"

findings = Table(
    "findings", metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    text("model"),
    text("version"),  # '' is all versions together
    text("segment"),
    text("metric"),
    text("feature"),  # '' where the metric has none
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
    Column("effect", sa.Double),  # how large the difference is, in terms that do not grow with the rows
    Column("details", sa.JSON, nullable=False, server_default="{}"),  # causes, segments, changed_at, …; no feature's value
    text("verdict"),  # ok | alarm | not_enough_data | labels_not_mature | could_not_compute
    text("reason"),
    Column("revision", sa.Integer, nullable=False),
    Column("latest", sa.Boolean, nullable=False),
    Column("computed_at", Instant, nullable=False),
    UniqueConstraint(
        "model", "window_start", "window_end", "metric", "feature", "version", "segment", "revision",
        name="uq_findings_key",
    ),
    # Pages read a metric's windows, of one feature or of none: what follows the window is looked at in the index alone.
    Index("ix_findings_series", "model", "metric", "window_end", "feature", "version", "segment"),
    # One finding in hundreds, and every page over a year asks for them; all that it is counted by stands in the index.
    Index("ix_findings_alarms", "model", "metric", "window_end", "feature", "version", "segment", "latest", "verdict",
          sqlite_where=sa.text(_ALARMS.format(true="1")), postgresql_where=sa.text(_ALARMS.format(true="true"))),
)  # fmt: skip

job_runs = Table(
    "job_runs", metadata,
    text("job", primary_key=True),  # traffic | drift | performance | rules
    text("model", primary_key=True),
    Column("window_start", Instant, primary_key=True),
    Column("window_end", Instant, nullable=False),
    text("state"),  # running | done | failed
    text("owner"),
    Column("lease_until", Instant, nullable=False),  # wall clock, also under a replayed one
    Column("epoch", sa.Integer, nullable=False),  # fencing: results commit only under the epoch that was claimed
    Column("attempts", sa.Integer, nullable=False),
    Column("revision", sa.Integer, nullable=False),
    Column("watermark", sa.BigInteger, nullable=False),  # highest summaries.seq that was read
    Column("finished_at", Instant),
    Column("error", sa.Text),
    Index(None, "model", "window_start", "state", "job"),
)  # fmt: skip

archives = Table(  # rows that were moved out of `predictions` and `labels`, a row per file
    "archives", metadata,
    text("file", primary_key=True),  # below the archive's folder
    text("model"),
    Column("day", Instant, nullable=False),
    Column("rows", sa.Integer, nullable=False),
    Column("bytes", sa.BigInteger, nullable=False),
    Column("first", Instant, nullable=False),  # event time
    Column("last", Instant, nullable=False),
    Column("made_at", Instant, nullable=False),
    Index(None, "model", "first"),
)  # fmt: skip

clock = Table(
    "clock", metadata,
    text("name", primary_key=True),  # replay
    Column("now", Instant, nullable=False),
    Column("settled", Instant),  # everything that was due at this instant is done
)  # fmt: skip
