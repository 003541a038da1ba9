"""What sidecars and servers say of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from remora.tables import collectors

__all__ = ["seen"]


def seen(connection: sa.Connection) -> Sequence[Any]:
    """Every collector, the one that spoke last first."""
    return connection.execute(
        sa.select(collectors).order_by(collectors.c.seen_at.desc(), collectors.c.id).limit(1000)
    ).all()
