"""How every API of ours is served: connections that nobody holds open by sending nothing, and no more than there may be."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import uvicorn
from prometheus_client import Counter
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from remora.settings import Tls
from remora.telemetry import REGISTRY

__all__ = [
    "HEAD_BYTES",
    "HEAD_SECONDS",
    "REFUSED",
    "PatientProtocol",
    "server_settings",
]

REFUSED = Counter(
    "remora_requests_refused", "Requests that were refused before anything in them was read.", ["reason"],
    registry=REGISTRY,
)  # fmt: skip

HEAD_SECONDS: Final = (
    10.0  # for the whole head of a request, from its first byte or the connection's beginning
)
HEAD_BYTES: Final = 65_536
_CONNECTIONS: Final = 1024
_TOO_LATE: Final = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's HTTP with an end to its patience: a head that does not come, or does not end, closes the connection.

    Bodies have limits of their own (`collector.bodies`), idle connections uvicorn's.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _head_size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        cycle: Any = self.cycle  # None before the first request
        if self._head_timer is None and (cycle is None or cycle.response_complete):
            self._wait_for_head()
        if self._head_timer is not None:
            self._head_size += len(data)
            if self._head_size > HEAD_BYTES and not self._head_ends(data):
                self._give_up(_TOO_LARGE, "head_too_large")
                return
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._have_head()
        if self._busy():
            REFUSED.labels("busy").inc()
        super().on_headers_complete()

    def _busy(self) -> bool:
        """Whether uvicorn will answer 503, for there is more going on than may be."""
        most = self.limit_concurrency
        return most is not None and max(len(self.connections), len(self.tasks)) >= most

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_head()
        super().connection_lost(exc)

    @staticmethod
    def _head_ends(data: bytes) -> bool:
        """Whether a large packet is head and body: heads are small, and end within it."""
        return data.find(b"\r\n\r\n", 0, HEAD_BYTES) > -1

    def _wait_for_head(self) -> None:
        self._head_size = 0
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up, _TOO_LATE, "head_late")

    def _have_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self, answer: bytes, reason: str) -> None:
        self._have_head()
        if not self.transport.is_closing():
            if self._head_size:  # an idle connection that is closed was no request
                REFUSED.labels(reason).inc()
                self.transport.write(answer)
            self.transport.close()


def server_settings(
    app: Any, tls: Tls | None = None, *, connections: int = _CONNECTIONS, **more: Any
) -> uvicorn.Config:
    """How every API of ours is served; with so many `connections` the next caller is answered 503."""
    return uvicorn.Config(
        app,
        http=PatientProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=connections,
        ssl_certfile=str(tls.cert) if tls else None,
        ssl_keyfile=str(tls.key) if tls else None,
        **more,
    )
