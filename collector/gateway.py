"""The collector inside a server: the same spool and delivery, without a ring."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime

from collector.delivery import Delivery, Pace
from collector.ingest import Ingest
from collector.privacy import Gate
from collector.privacy.keeping import Keeper
from collector.reporting import Reporter
from collector.runtime import tune
from collector.sinks import DatabaseSink
from collector.spool import Spool
from collector.store import shapes_of
from remora.config import Config
from remora.database import Database
from remora.settings import ServerSettings
from remora.telemetry import get_logger

__all__ = ["Gateway"]

log = get_logger("server")

_DRAIN_SECONDS = 10.0
_FAULT = 70


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _end() -> None:
    """Without its spool a server takes nothing and would not say so: whoever keeps it running starts it anew."""
    log.critical("server_ends", why="the spool cannot be written any more", exit_code=_FAULT)
    os._exit(_FAULT)


class Gateway:
    """`ingest` takes records from `collector.api`; `start` begins to write them into the database."""

    def __init__(self, database: Database, config: Config, settings: ServerSettings) -> None:
        gate = Gate(config, settings.hash_key)
        self._spool = Spool(settings.spool, settings.spool_bytes, on_death=_end)
        self.ingest = Ingest(self._spool, _utc_now, gate)
        self._delivery = Delivery(
            self._spool,
            DatabaseSink(database, shapes_of(config), _utc_now),
            source=f"server@{socket.gethostname()}",
            pace=Pace.of(config.delivery),
            prepare=Keeper(config, shapes_of(config), settings.hash_key).prepare,
            reporter=Reporter(self._spool, self.ingest.numbers, _utc_now, others=self.ingest.reports),
        )

    def start(self) -> None:
        """Begin to deliver."""
        tune()
        self.ingest.events.start()
        self._delivery.start()

    def stop(self) -> None:
        """Deliver what is spooled, for a while; the rest waits for the next start. The database stays open."""
        self.ingest.events.stop()
        self._delivery.drain(_DRAIN_SECONDS)
        self._spool.close()
