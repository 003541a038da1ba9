"""Where the spool's batches go: into the database, or to another collector."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import msgspec
import sqlalchemy as sa

from collector.errors import BusyError, RefusedError
from collector.spool import Receipt
from collector.store import Store
from remora import __version__, schema
from remora.database import Database
from remora.errors import SchemaError, UnavailableError
from remora.records import Batch, CollectorReport
from remora.summaries.profile import Shape
from remora.telemetry import get_logger

if TYPE_CHECKING:
    import httpx

__all__ = ["DatabaseSink", "HttpSink", "Sink"]

log = get_logger("delivery")

_REFUSALS = {400, 413, 415, 422}


class Sink(Protocol):
    """Takes batches, each as often as it is sent and with effect once."""

    def write(self, batch: Batch) -> Receipt:
        """What became of its rows and labels. Raises UnavailableError (try again) or RefusedError (never again)."""

    def report(self, reports: Sequence[CollectorReport]) -> None:
        """Pass on what collectors say about themselves; raises UnavailableError."""

    def tidy(self) -> None:
        """What is to be done now and then, between batches; raises UnavailableError."""

    def close(self) -> None:
        """Let go of connections."""


class DatabaseSink:
    """Writes into the database; creates its tables when it is empty and reachable for the first time.

    `apart` spares the memory of that, see `remora.schema.prepare`.
    """

    def __init__(
        self, database: Database, shapes: Mapping[str, Shape], clock: Callable[[], datetime], *,
        apart: bool = False,
    ) -> None:  # fmt: skip
        self.store = Store(database, shapes)
        self._clock = clock
        self._apart = apart
        self._prepared = False

    def _prepare(self) -> None:
        if self._prepared:
            return
        try:
            schema.prepare(self.store.database, apart=self._apart)
        except SchemaError as error:
            raise UnavailableError(
                str(error)
            ) from error  # someone will migrate it; until then the spool keeps
        self._prepared = True

    def write(self, batch: Batch) -> Receipt:
        self._prepare()
        try:
            written = self.store.write(batch, self._clock())
        except sa.exc.DBAPIError as error:
            code = getattr(error.orig, "sqlstate", None)
            if code is None:
                raise
            # said by the server, as for a missing privilege: not the records' fault, and a person can mend it
            raise UnavailableError(f"the database refuses: {type(error.orig).__name__} {code}") from error
        return Receipt(written=written.changed, repeated=written.repeated, known=written.known)

    def report(self, reports: Sequence[CollectorReport]) -> None:
        self._prepare()
        self.store.report(reports, self._clock())

    def tidy(self) -> None:
        self._prepare()
        self.store.join_waiting(self._clock())

    def close(self) -> None:
        self.store.database.dispose()


class HttpSink:
    """Sends to `POST {url}/v1/batches` as gzipped msgpack; the batch's id makes a repetition harmless.

    `verify` holds the authorities that may have signed the other's certificate, where the system's are not the ones.
    """

    def __init__(
        self, url: str, token: str | None, transport: httpx.BaseTransport | None = None, *,
        verify: ssl.SSLContext | bool = True,
    ) -> None:  # fmt: skip
        import httpx  # noqa: PLC0415  (4 MB, with rich and pygments, that whoever writes into a database need not carry)

        headers = {
            "content-encoding": "gzip",
            "user-agent": f"remora/{__version__}",
        }
        if token:
            headers["authorization"] = f"Bearer {token}"
        self._url = url.rstrip("/")
        self._fault = httpx.HTTPError
        self._client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(30.0, connect=5.0),
            transport=transport,
            verify=verify,
            follow_redirects=False,
            trust_env=False,
        )

    def write(self, batch: Batch) -> Receipt:
        answer = self._post("batches", msgspec.msgpack.encode(batch), "application/msgpack")
        if answer.status_code in _REFUSALS:
            raise RefusedError(f"the collector refused the batch with status {answer.status_code}")
        _check(answer)
        rows = len(batch.predictions) + len(batch.labels)
        return Receipt(written=rows, known=b'"new":false' in answer.content)

    def report(self, reports: Sequence[CollectorReport]) -> None:
        """An older collector that does not know of reports is left alone."""
        answer = self._post("collectors", msgspec.json.encode(reports), "application/json")
        if answer.status_code not in _REFUSALS | {404, 405}:
            _check(answer)

    def _post(self, what: str, body: bytes, kind: str) -> httpx.Response:
        url = f"{self._url}/v1/{what}"
        packed = gzip.compress(body, compresslevel=1)
        try:
            return self._client.post(url, content=packed, headers={"content-type": kind})
        except self._fault as error:
            raise UnavailableError(
                f"collector {url}: {type(error).__name__}: {error}".rstrip(": ")
            ) from error

    def tidy(self) -> None:
        """Nothing to do here: the other collector joins its labels itself."""

    def close(self) -> None:
        self._client.close()


def _check(answer: httpx.Response) -> None:
    """Raises UnavailableError for an answer that does not say that it is done."""
    if answer.is_success:
        return
    said = f"collector {answer.url} answered {answer.status_code}"
    seconds = answer.headers.get("retry-after", "")
    if seconds.isascii() and seconds.isdigit():
        raise BusyError(said, float(seconds[:9]))
    raise UnavailableError(said)
