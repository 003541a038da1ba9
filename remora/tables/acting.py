"""What people decide beside the plans: pauses, ticks on checklists; and the key of the links that let them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Table

from remora.tables.base import Instant, metadata, text

__all__ = ["checklist_ticks", "pauses", "signing_keys"]

pauses = Table(  # while one holds, nothing is started
    "pauses", metadata,
    text("id", primary_key=True),
    text("model"),  # '' is every model
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant),  # unset: until somebody ends it
    text("created_by"),
    text("comment"),
)  # fmt: skip

checklist_ticks = Table(
    "checklist_ticks", metadata,
    Column("incident_id", sa.Text, ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True),
    Column("step", sa.Integer, primary_key=True),
    Column("item", sa.Integer, primary_key=True),
    Column("at", Instant, nullable=False),
    text("actor"),
)  # fmt: skip

signing_keys = Table(  # the first server that needs one makes it
    "signing_keys", metadata,
    text("name", primary_key=True),  # links
    Column("key", sa.LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)  # fmt: skip
