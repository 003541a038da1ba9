"""A feature's distribution: the reference with its stored bins, and a window's merged summaries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from remora.summaries import Summary, merge_encoded
from remora.summaries.granularity import holds
from remora.tables import findings, reference_columns, reference_sets, summaries

__all__ = ["reference_column", "window_summaries", "window_summary"]

_MAX_PARTS = 6000  # summaries behind a picture of many windows
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
        summaries.c.granularity.in_(holds(window[1] - window[0])),
    )  # fmt: skip
    return merge_encoded(connection.execute(query.limit(_MAX_ROWS)).scalars())


def window_summaries(
    connection: sa.Connection, model: str, column: str, kind: str, ends: Sequence[datetime], size: timedelta,
) -> dict[datetime, Summary]:  # fmt: skip
    """End of window -> all versions' summaries of a column in it, merged; the newest windows where there are too many.

    The windows are those of the feature's findings: a join finds their summaries by the index, window by window.
    """
    query = (
        sa.select(findings.c.window_end, summaries.c.data)
        .join(
            summaries,
            (summaries.c.model == findings.c.model)
            & (summaries.c.column_name == findings.c.feature)
            & (summaries.c.start >= findings.c.window_start)
            & (summaries.c.start < findings.c.window_end),
        )
        .where(
            findings.c.model == model, findings.c.metric == "psi", findings.c.feature == column,
            findings.c.version == "", findings.c.segment == "", findings.c.latest, findings.c.window_end.in_(ends),
            summaries.c.kind == kind, summaries.c.segment == "", summaries.c.granularity.in_(holds(size)),
        )
        .order_by(findings.c.window_end.desc())
    )  # fmt: skip
    parts: dict[datetime, list[bytes]] = {}
    for row in connection.execute(query.limit(_MAX_PARTS)):
        parts.setdefault(row.window_end, []).append(row.data)
    merged = {end: merge_encoded(blobs) for end, blobs in parts.items()}
    return {end: summary for end, summary in sorted(merged.items()) if summary is not None}
