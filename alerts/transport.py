"""One HTTP call to a receiver: no redirect, no proxy from the environment, a deadline over everything.

Where a name leads is checked at the moment of connecting, and the checked address is the one that is called, so that
a name that answers differently the second time gains nothing. Receivers come from the configuration file, so they may
be anywhere but at link-local and metadata addresses.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from alerts.errors import BlockedAddressError
from alerts.receivers.base import Answer, Request

__all__ = ["call", "check_address", "checked_addresses"]

_EXCERPT = 65_536
_CONNECT_SECONDS = 5.0
_BLOCKED = [
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",  # link-local, and the metadata service of most clouds
        "fe80::/10",
        "fd00:ec2::254/128",  # AWS, IPv6
        "fd20:ce::254/128",  # Google Cloud, IPv6
        "100.100.100.200/32",  # Alibaba Cloud
        "192.0.0.192/32",  # Oracle Cloud
        "168.63.129.16/32",  # Azure
    )
]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def check_address(text: str) -> None:
    """Raises `BlockedAddressError` for a link-local or metadata address, in whatever disguise."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            address = address.ipv4_mapped
        elif address.sixtofour:
            address = address.sixtofour
        elif address in _NAT64:
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if any(address.version == network.version and address in network for network in _BLOCKED):
        raise BlockedAddressError("its name leads to a link-local or metadata address, which is never called")


def checked_addresses(host: str, port: int) -> list[str]:
    """Where a name leads now; one blocked address among them is enough to raise `BlockedAddressError`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise OSError("the name is not known") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        check_address(address)
    return addresses


def call(request: Request, *, timeout: float, tls: ssl.SSLContext) -> Answer:
    """Make the call; raises httpcore's errors, OSError and `BlockedAddressError`. `timeout` (seconds) is for all."""
    backend = _Guarded(time.monotonic() + timeout)
    limits = {"connect": min(_CONNECT_SECONDS, timeout), "read": timeout, "write": timeout, "pool": timeout}
    with (
        httpcore.ConnectionPool(ssl_context=tls, network_backend=backend, max_connections=1) as pool,
        pool.stream(
            request.method,
            request.url.get_secret_value(),
            headers=list(request.headers.items()),
            content=request.body,
            extensions={"timeout": limits},
        ) as response,
    ):
        excerpt = b""
        for part in response.iter_stream():
            excerpt += part
            if len(excerpt) >= _EXCERPT:  # the rest, however long, is not read
                break
        headers = {name.lower(): value for name, value in response.headers}
        after, location = headers.get(b"retry-after"), headers.get(b"location")
        return Answer(
            response.status,
            after.decode("latin-1") if after else None,
            excerpt[:_EXCERPT],
            location.decode("latin-1")[:2000] if location else None,
        )


def _left(deadline: float, timeout: float | None) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the answer took too long")
    return left if timeout is None else min(timeout, left)


class _Guarded(httpcore.NetworkBackend):
    """Connects to checked addresses only, and stops every stream at the deadline."""

    def __init__(self, deadline: float) -> None:
        self._inner = httpcore.SyncBackend()
        self._deadline = deadline

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        try:
            addresses = checked_addresses(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        for index, address in enumerate(addresses):
            try:
                stream = self._inner.connect_tcp(
                    address, port, timeout=_left(self._deadline, timeout), local_address=local_address,
                    socket_options=socket_options,
                )  # fmt: skip
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if index == len(addresses) - 1:
                    raise
            else:
                return _Deadline(stream, self._deadline)
        raise httpcore.ConnectError("the name has no address")


class _Deadline(httpcore.NetworkStream):
    """A stream whose every wait ends at one instant: a byte now and then does not hold the sender."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def _left(self, timeout: float | None) -> float:
        return _left(self._deadline, timeout)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        return _Deadline(
            self._inner.start_tls(ssl_context, server_hostname, self._left(timeout)), self._deadline
        )

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
