"""A feature's distribution: the reference with its stored bins, and a window's merged summaries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from remora.summaries import Summary, merge_encoded
from remora.tables import reference_columns, reference_sets, summaries

__all__ = ["reference_column", "window_summary"]

_MAX_ROWS = 50_000  # minutes of a month; summaries that are compacted are far fewer


def reference_column(connection: sa.Connection, model: str, column: str) -> Any | None:
    """The active reference of all versions, or the newest active one: bins, kind, bytes and where it came from."""
    query = (
        sa.select(
            reference_columns.c.kind, reference_columns.c.data, reference_columns.c.bins,
            reference_sets.c.source, reference_sets.c.rows, reference_sets.c.built_at,
        )
        .join(reference_sets, reference_sets.c.id == reference_columns.c.reference_id)
        .where(reference_sets.c.model == model, reference_sets.c.active, reference_columns.c.column_name == column)
        .order_by(reference_sets.c.version, reference_sets.c.built_at.desc())
    )  # fmt: skip
    return connection.execute(query.limit(1)).first()


def window_summary(
    connection: sa.Connection, model: str, column: str, kind: str, window: tuple[datetime, datetime],
) -> Summary | None:  # fmt: skip
    """All versions' summaries of a column in a window, merged; None where there was no traffic."""
    query = sa.select(summaries.c.data).where(
        summaries.c.model == model, summaries.c.start >= window[0], summaries.c.start < window[1],
        summaries.c.column_name == column, summaries.c.kind == kind, summaries.c.segment == "",
    )  # fmt: skip
    return merge_encoded(connection.execute(query.limit(_MAX_ROWS)).scalars())
