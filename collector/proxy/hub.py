"""What all connections of one proxy share: options, clocks, the ring, and the ways to the two upstreams."""

import asyncio
import os
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from collector import ring as names
from collector.exchange import encode
from collector.proxy import failures
from collector.proxy.flight import Flight
from collector.proxy.framing import RequestHead, header_value, path_of
from collector.proxy.ids import IdMaker, usable_id
from collector.proxy.options import ProxyOptions
from collector.ring import Ring

if TYPE_CHECKING:
    from collector.proxy.client import ClientSide
    from collector.proxy.upstream import UpstreamSide

__all__ = ["API_PREFIX", "ID_HEADER", "Hub"]

API_PREFIX: Final = b"/remora/"
ID_HEADER: Final = "x-remora-prediction-id"
_CACHED_TARGETS: Final = 1024


class Hub:
    """One per listening socket; every connection holds a reference."""

    def __init__(self, options: ProxyOptions, ring: Ring) -> None:
        self.options = options
        self.ring = ring
        self.counts = ring.counts
        self.clients: set[ClientSide] = set()
        self.draining = False
        self.empty = asyncio.Event()
        self.now = time.time
        self.clock = time.perf_counter
        self._id_header = options.id_header.lower().encode()
        self._methods = frozenset(method.upper().encode() for method in options.capture_methods)
        self._id_line = options.add_id_header
        self._ids = IdMaker()
        self._api = options.api_socket is not None
        self._limit = options.capture_limit
        self._wanted: dict[bytes, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take_off(self, request: RequestHead, head: bytes, began: float, *, api: bool) -> Flight:
        """Begin an exchange; `began` is the monotonic time of its first byte, 0.0 for this moment."""
        method, target, _, lowered = request
        clock = self.clock()
        now = self.now()
        if began:
            now -= clock - began
        if api:
            self.counts[names.API_REQUESTS] += 1
            return Flight("", method, head, now, began or clock)
        self.counts[names.RECEIVED] += 1
        given = header_value(head, lowered, self._id_header)
        identity = (usable_id(given) if given else None) or self._ids.new(now)
        flight = Flight(identity, method, head, now, began or clock)
        flight.waiting = clock
        if self._id_line:
            flight.id_line = f"{ID_HEADER}: {identity}\r\n".encode()
        if method in self._methods and self._is_wanted(target):
            flight.limit = self._limit
        else:
            self.counts[names.NOT_PREDICTION] += 1
        return flight

    def _is_wanted(self, target: bytes) -> bool:
        wanted = self._wanted.get(target)
        if wanted is None:
            path = path_of(target).decode("latin-1")
            wanted = any(_matches(path, pattern) for pattern in self.options.capture_paths)
            if len(self._wanted) < _CACHED_TARGETS and len(target) < 256:
                self._wanted[target] = wanted
        return wanted

    def is_api(self, target: bytes) -> bool:
        return self._api and (target if target.startswith(b"/") else path_of(target)).startswith(API_PREFIX)

    def land(self, flight: Flight, outcome: str) -> None:
        """Hand the copy to the ring. Never waits; a full ring drops and counts."""
        if flight.limit:
            self.ring.append(encode(flight.exchange(outcome, self.clock())))

    def connect(self, side: "UpstreamSide") -> None:
        task = asyncio.get_running_loop().create_task(self._connect(side))
        side.connecting = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, side: "UpstreamSide") -> None:
        loop = asyncio.get_running_loop()
        options = self.options
        try:
            async with asyncio.timeout(options.connect_timeout):
                if side.api:
                    await loop.create_unix_connection(lambda: side, str(options.api_socket))
                else:
                    await loop.create_connection(lambda: side, options.upstream_host, options.upstream_port)
        except TimeoutError:
            side.refused(f"no connection within {options.connect_timeout:g} s")
        except OSError as error:
            side.refused(
                os.strerror(error.errno) if error.errno and error.errno > 0 else "its name is not known"
            )

    def joined(self, client: "ClientSide") -> None:
        self.counts[names.CONNECTIONS] += 1
        self.clients.add(client)

    def left(self, client: "ClientSide") -> None:
        self.counts[names.CONNECTIONS_CLOSED] += 1
        self.clients.discard(client)
        if not self.clients:
            self.empty.set()

    def sweep(self) -> None:
        """Look for what has waited too long. One timer for all: a timer per request would cost more than it."""
        now = self.clock()
        for client in tuple(self.clients):
            failures.check(client, now)

    def buffered_bytes(self) -> int:
        """What waits in this process to be written, or to be forwarded."""
        return sum(client.buffered_bytes() for client in self.clients)


def _matches(path: str, pattern: str) -> bool:
    if "*" in pattern:
        return fnmatchcase(path, pattern)
    return path == pattern or path.startswith(pattern.rstrip("/") + "/")
