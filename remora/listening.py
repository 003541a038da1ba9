"""Where an API listens: addresses, TLS, and connections that nobody holds open by sending nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
from pathlib import Path
from typing import Any, Final

import uvicorn
from prometheus_client import Counter
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from remora.errors import UserError
from remora.settings import Address, Tls, UnixAddress
from remora.telemetry import REGISTRY

__all__ = [
    "HEAD_BYTES",
    "HEAD_SECONDS",
    "REFUSED",
    "PatientProtocol",
    "check_tls",
    "listen",
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


def check_tls(tls: Tls | None) -> None:
    """Raises UserError when certificate and key cannot be used."""
    if tls is None:
        return
    for option, path in (("--tls-cert", tls.cert), ("--tls-key", tls.key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise UserError(f"{option} {path} cannot be read: {error.strerror}") from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.cert, tls.key, password=lambda: "")
    except (ssl.SSLError, ValueError, TypeError):
        raise UserError(
            f"--tls-cert {tls.cert} and --tls-key {tls.key} are not a PEM certificate and its key without a password"
        ) from None


def listen(address: Address | UnixAddress, option: str) -> socket.socket:
    """A socket that listens there. Raises UserError when it cannot be had."""
    try:
        found = _unix(address) if isinstance(address, UnixAddress) else _public(address)
        found.listen(128)  # from here on callers wait for the server instead of being turned away
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"
        raise UserError(
            f"cannot listen on {address}: {why}: choose another {option}, or end what is there"
        ) from None
    return found


def _public(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    public = socket.socket(family, socket.SOCK_STREAM)
    try:
        public.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        public.bind((address.host, address.port))
    except OSError:
        public.close()
        raise
    return public


def _unix(address: UnixAddress) -> socket.socket:
    """A socket whose file nobody else may open before its mode is set; one that a dead process left is replaced."""
    _remove_stale(address.path)
    local = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        local.bind(str(address.path))
        address.path.chmod(address.mode)
    except OSError:
        local.close()
        raise
    finally:
        os.umask(before)
    return local


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return  # bind will say that it is in use
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
