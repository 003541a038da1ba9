"""What every table is made of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column
from sqlalchemy.types import TypeDecorator

__all__ = ["Instant", "Serial", "metadata", "text"]


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
Serial = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def text(name: str, *, default: str | None = None, **kw: Any) -> Column[str]:
    return Column(name, sa.Text, nullable=False, server_default=default, **kw)
