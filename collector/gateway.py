"""The collector inside a server: the same spool and delivery, without a ring."""

from __future__ import annotations

import socket
from datetime import UTC, datetime

from collector.delivery import Delivery
from collector.ingest import Ingest
from collector.sinks import DatabaseSink
from collector.spool import Spool
from collector.store import shapes_of
from remora.config import Config
from remora.database import Database
from remora.settings import ServerSettings

__all__ = ["Gateway"]

_DRAIN_SECONDS = 10.0


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Gateway:
    """`ingest` takes records from `collector.api`; `start` begins to write them into the database."""

    def __init__(self, database: Database, config: Config, settings: ServerSettings) -> None:
        self._spool = Spool(settings.spool, settings.spool_bytes)
        self.ingest = Ingest(self._spool, _utc_now)
        self._delivery = Delivery(
            self._spool,
            DatabaseSink(database, shapes_of(config), _utc_now),
            source=f"server@{socket.gethostname()}",
            rows=config.delivery.batch_rows,
            interval=config.delivery.interval.total_seconds(),
        )

    def start(self) -> None:
        """Begin to deliver."""
        self._delivery.start()

    def stop(self) -> None:
        """Deliver what is spooled, for a while; the rest waits for the next start. The database stays open."""
        self._delivery.drain(_DRAIN_SECONDS)
        self._spool.close()
