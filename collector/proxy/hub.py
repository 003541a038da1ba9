"""What all connections of one proxy share: options, clocks, the ring, and the ways to the two upstreams."""

import asyncio
import os
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from collector import ring as names
from collector.exchange import encode
from collector.identity import BODY
from collector.paths import is_control_path
from collector.proxy import failures
from collector.proxy.flight import Flight
from collector.proxy.framing import RequestHead, header_value, path_of
from collector.proxy.ids import IdMaker, body_id, usable_id
from collector.proxy.options import ProxyOptions
from collector.ring import Ring

if TYPE_CHECKING:
    from collector.proxy.client import ClientSide
    from collector.proxy.upstream import UpstreamSide

__all__ = ["API_PREFIX", "ID_HEADER", "Hub"]

API_PREFIX: Final = b"/remora/"
ID_HEADER: Final = "x-remora-prediction-id"
_CACHED_TARGETS: Final = 1024
_UNWANTED, _WANTED, _NAMED_INSIDE = 1, 2, 3  # none of them is false: a cached answer is found by one look
_ID_NAME: Final = ID_HEADER.encode()
_BODY: Final = BODY.encode()


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
        ids = [name.encode() for name in options.ids]
        at = ids.index(_BODY) if _BODY in ids else len(ids)
        self._before_body, self._after_body = ids[:at], ids[at + 1 :]
        self._peeks = _BODY in ids
        self._methods = frozenset(method.upper().encode() for method in options.capture_methods)
        self._id_line = options.add_id_header
        self._ids = IdMaker()
        self._api = options.api_socket is not None
        self._limit = options.capture_limit
        self._wanted: dict[bytes, int] = {}
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
        settled = _named(self._before_body, head, lowered) if self._before_body else None
        identity = settled or _named(self._after_body, head, lowered) or self._ids.new(now)
        flight = Flight(identity, method, head, now, began or clock)
        flight.waiting = clock
        if self._id_line:
            flight.id_line = b"%b: %b\r\n" % (_ID_NAME, identity.encode())
        wanted = self._wanted.get(target) or self._want(target) if method in self._methods else _UNWANTED
        if wanted == _UNWANTED:
            self.counts[names.NOT_PREDICTION] += 1
        else:
            flight.limit = self._limit
            flight.peek = self._peeks and wanted == _NAMED_INSIDE and settled is None
        return flight

    def _want(self, target: bytes) -> int:
        path = path_of(target).decode("latin-1")
        wanted = _UNWANTED
        if any(_matches(path, pattern) for pattern in self.options.capture_paths) and not is_control_path(
            path
        ):
            wanted = _NAMED_INSIDE if path.endswith("/infer") else _WANTED
        if len(self._wanted) < _CACHED_TARGETS and len(target) < 256:
            self._wanted[target] = wanted
        return wanted

    def settle(self, flight: Flight) -> None:
        """An Open Inference request may carry its id in its body, which goes before the common headers."""
        flight.peek = False
        found = body_id(flight.request_so_far()) if flight.body is None else None
        if found is not None:
            flight.id = found
            if self._id_line:
                flight.id_line = b"%b: %b\r\n" % (_ID_NAME, found.encode())

    def is_api(self, target: bytes) -> bool:
        return self._api and (target if target.startswith(b"/") else path_of(target)).startswith(API_PREFIX)

    def land(self, flight: Flight, outcome: str) -> None:
        """Hand the copy to the ring. Never waits; a full ring drops and counts."""
        if flight.limit:
            if flight.peek:
                self.settle(flight)
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
                path = options.api_socket if side.api else options.upstream.path
                if path is not None:
                    await loop.create_unix_connection(lambda: side, str(path))
                else:
                    await loop.create_connection(lambda: side, options.upstream.host, options.upstream.port)
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


def _named(headers: list[bytes], head: bytes, lowered: bytes) -> str | None:
    """The id in the first of these headers that has one."""
    for name in headers:
        if name in lowered:
            found = _id_in(head, lowered, name)
            if found is not None:
                return found
    return None


def _id_in(head: bytes, lowered: bytes, name: bytes) -> str | None:
    value = header_value(head, lowered, name)
    return usable_id(value) if value else None


def _matches(path: str, pattern: str) -> bool:
    if "*" in pattern:
        return fnmatchcase(path, pattern)
    return path == pattern or path.startswith(pattern.rstrip("/") + "/")
