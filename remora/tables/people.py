"""What people look at, and who may."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, Table, UniqueConstraint

from remora.tables.base import Instant, Serial, metadata, text

__all__ = ["audit", "reports", "tokens"]

reports = Table(
    "reports", metadata,
    text("id", primary_key=True),
    text("model"),
    text("version"),
    Column("window_start", Instant, nullable=False),
    Column("window_end", Instant, nullable=False),
    Column("alert_id", sa.Text),
    text("state"),  # wanted | running | done | failed
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
    text("id", primary_key=True),
    text("name"),
    text("digest"),  # SHA-256 of the secret; the secret is shown once
    Column("scopes", sa.JSON, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
)  # fmt: skip

audit = Table(
    "audit", metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    text("actor"),
    text("what"),
    text("subject"),
)  # fmt: skip
