"""What `/metrics` says of collectors: a number per model, however many pods there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from remora.tables import collectors

__all__ = ["collectors_by_model"]

_MOST = 10_000


def collectors_by_model(connection: sa.Connection) -> dict[str, Sequence[Any]]:
    """Model ('' are servers) -> its collectors' `seen_at` and `counters`."""
    query = sa.select(collectors.c.model, collectors.c.seen_at, collectors.c.counters)
    found: dict[str, list[Any]] = {}
    for row in connection.execute(query.order_by(collectors.c.model).limit(_MOST)):
        found.setdefault(row.model, []).append(row)
    return dict(found)
