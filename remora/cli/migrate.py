"""`remora migrate --database URL`."""

from __future__ import annotations

from remora.cli.options import DatabaseUrl

__all__ = ["migrate"]


def migrate(database: DatabaseUrl) -> None:
    """Create Remora's tables, or bring them to this version. Running it twice changes nothing."""
    from remora import schema
    from remora.database import connect

    opened = connect(database)
    before, after = schema.migrate(opened)
    opened.dispose()
    where = opened.engine.url.render_as_string(hide_password=True)
    print(f"{where}: was {before.value}, is {after.value}")
