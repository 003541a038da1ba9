"""Where the spool's batches go: into the database, or to another collector."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

import httpx
import msgspec
import sqlalchemy as sa

from collector.errors import RefusedError
from collector.store import Store
from remora import __version__, schema
from remora.database import Database
from remora.errors import SchemaError, UnavailableError
from remora.records import Batch
from remora.summaries.profile import Shape
from remora.telemetry import get_logger

__all__ = ["DatabaseSink", "HttpSink", "Sink"]

log = get_logger("delivery")

_REFUSALS = {400, 413, 415, 422}


class Sink(Protocol):
    """Takes batches, each as often as it is sent and with effect once."""

    def write(self, batch: Batch) -> None:
        """Raises UnavailableError (try again) or RefusedError (never try this again)."""

    def tidy(self) -> None:
        """What is to be done now and then, between batches; raises UnavailableError."""

    def close(self) -> None:
        """Let go of connections."""


class DatabaseSink:
    """Writes into the database; creates its tables when it is empty and reachable for the first time."""

    def __init__(
        self, database: Database, shapes: Mapping[str, Shape], clock: Callable[[], datetime]
    ) -> None:
        self.store = Store(database, shapes)
        self._clock = clock
        self._prepared = False

    def _prepare(self) -> None:
        if self._prepared:
            return
        try:
            schema.prepare(self.store.database)
        except SchemaError as error:
            raise UnavailableError(
                str(error)
            ) from error  # someone will migrate it; until then the spool keeps
        self._prepared = True

    def write(self, batch: Batch) -> None:
        self._prepare()
        try:
            self.store.write(batch, self._clock())
        except sa.exc.DBAPIError as error:
            code = getattr(error.orig, "sqlstate", None)
            if code is None:
                raise
            # said by the server, as for a missing privilege: not the records' fault, and a person can mend it
            raise UnavailableError(f"the database refuses: {type(error.orig).__name__} {code}") from error

    def tidy(self) -> None:
        self._prepare()
        self.store.join_waiting()

    def close(self) -> None:
        self.store.database.dispose()


class HttpSink:
    """Sends to `POST {url}/v1/batches` as gzipped msgpack; the batch's id makes a repetition harmless."""

    def __init__(self, url: str, token: str | None, transport: httpx.BaseTransport | None = None) -> None:
        headers = {
            "content-type": "application/msgpack",
            "content-encoding": "gzip",
            "user-agent": f"remora/{__version__}",
        }
        if token:
            headers["authorization"] = f"Bearer {token}"
        self._url = f"{url.rstrip('/')}/v1/batches"
        self._client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(30.0, connect=5.0),
            transport=transport,
            follow_redirects=False,
            trust_env=False,
        )

    def write(self, batch: Batch) -> None:
        body = gzip.compress(msgspec.msgpack.encode(batch), compresslevel=1)
        try:
            answer = self._client.post(self._url, content=body)
        except httpx.HTTPError as error:
            raise UnavailableError(f"collector {self._url}: {type(error).__name__}") from error
        if answer.status_code in _REFUSALS:
            raise RefusedError(f"the collector refused the batch with status {answer.status_code}")
        if not answer.is_success:
            raise UnavailableError(f"collector {self._url} answered {answer.status_code}")

    def tidy(self) -> None:
        """Nothing to do here: the other collector joins its labels itself."""

    def close(self) -> None:
        self._client.close()
