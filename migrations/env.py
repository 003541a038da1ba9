"""Run revisions on the connection that `remora.schema` hands over."""

from __future__ import annotations

from typing import Any

from alembic import context

from remora.tables import Instant, metadata


def _plain_types(kind: str, item: Any, _context: Any) -> str | bool:
    """Revisions stand alone: our own type is written as the one below it."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, Instant) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    render_as_batch=True,
    render_item=_plain_types,
)
with context.begin_transaction():
    context.run_migrations()
