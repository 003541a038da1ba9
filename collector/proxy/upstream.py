"""The proxy's end of a connection to the model, or to the recorder's API."""

import asyncio
from typing import TYPE_CHECKING, cast

from collector.exchange import COMPLETE
from collector.proxy import failures
from collector.proxy.bodies import Body, body_of
from collector.proxy.framing import (
    HEAD_END,
    HEAD_LIMIT,
    UNTIL_CLOSE,
    BadMessageError,
    parse_response,
)

if TYPE_CHECKING:
    from collector.proxy.client import ClientSide
    from collector.proxy.flight import Flight

__all__ = ["UpstreamSide"]


class UpstreamSide(asyncio.Protocol):
    """Belongs to one client connection for life. `full` means: do not read more from the client for it."""

    def __init__(self, client: "ClientSide", *, api: bool) -> None:
        self.client = client
        self.api = api
        self.transport: asyncio.Transport | None = None
        self.connecting: asyncio.Task[None] | None = None
        self.full = False
        self._dropped = False
        self._ended = False
        self._sending_ends = False
        self._backlog: list[bytes] = []
        self._begin = b""  # of a head that is not whole yet
        self._body: Body | None = None  # of an answer that is not whole yet

    # To the upstream.

    def send(self, data: bytes) -> None:
        if self.transport is None:
            self._backlog.append(data)
        else:
            self.transport.write(data)

    def finish_sending(self) -> None:
        """The client will send no more: say so, once everything before it is written."""
        if self.transport is None:
            self._sending_ends = True
        elif not self.transport.is_closing() and self.transport.can_write_eof():
            self.transport.write_eof()

    def drop(self, *, hard: bool = False) -> None:
        """Have done with it; what comes from it afterwards is ignored."""
        self._dropped = True
        if self.connecting is not None and self.transport is None:
            self.connecting.cancel()
        if self.transport is not None:
            (self.transport.abort if hard else self.transport.close)()

    # Callbacks of the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self._dropped:
            transport.close()
            return
        for data in self._backlog:
            self.transport.write(data)
        self._backlog.clear()
        if self._sending_ends:
            self.finish_sending()
        self.client.peer_ready(self)

    def refused(self, reason: str) -> None:
        if not self._dropped:
            self._ended = True
            failures.peer_refused(self.client, self, reason)

    def data_received(self, data: bytes) -> None:
        client = self.client
        if self._dropped:
            return
        if client.mode:
            client.pass_on(data)
            return
        flight = client.flight
        if flight is None or flight.over or client.peer is not self:
            failures.spoken_to_out_of_turn(client, self, data)
        elif self._body is None:
            self._head(flight, self._begin + data if self._begin else data)
        else:
            self._more(flight, self._body, data)

    def eof_received(self) -> bool:
        if self._dropped:
            return False
        if failures.peer_stops_sending(self.client, self):
            return True
        self._end(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)

    def pause_writing(self) -> None:
        self.full = True
        self.client.regulate()

    def resume_writing(self) -> None:
        self.full = False
        self.client.regulate()

    # The answer.

    def _head(self, flight: "Flight", data: bytes) -> None:
        end = data.find(HEAD_END) + 4
        if end < 4 and len(data) <= HEAD_LIMIT and data[:7] == b"HTTP/1."[: len(data)]:
            self._begin = data
            return
        self._begin = b""
        status, length = parse_response(data[: max(end, 0)], flight.method) if end >= 4 else (0, UNTIL_CLOSE)
        if status == 101 or (flight.method == b"CONNECT" and 200 <= status < 300):
            self.client.open_tunnel(self, data)
        elif 100 <= status < 200:
            self._interim(flight, data, end)
        else:
            self._answer(flight, data, end if status else 0, (status, length))

    def _interim(self, flight: "Flight", data: bytes, end: int) -> None:
        flight.waiting = self.client.hub.clock()
        self.client.pass_on(data[:end])
        if len(data) > end:
            self._head(flight, data[end:])

    def _answer(self, flight: "Flight", data: bytes, end: int, framing: tuple[int, int]) -> None:
        flight.status, length = framing
        if flight.peek:
            self.client.hub.settle(flight)
        stop = size = len(data)
        whole = size - end == length  # the usual case: one answer, one packet
        if not whole:
            body = self._body = body_of(length)
            stop = self._feed(body, data, end)
            whole = body.done
        message = data if stop == size else data[:stop]
        if flight.limit:
            flight.keep_response(message)
        if end and flight.id_line:
            message = message[: end - 2] + flight.id_line + message[end - 2 :]
        self._pass_on(message, whole, data[stop:])

    def _more(self, flight: "Flight", body: Body, data: bytes) -> None:
        stop = self._feed(body, data, 0)
        message = data if stop == len(data) else data[:stop]
        if flight.limit:
            flight.keep_response(message)
        self._pass_on(message, body.done, data[stop:])

    def _pass_on(self, message: bytes, whole: bool, surplus: bytes) -> None:  # noqa: FBT001
        if whole and not surplus:
            self._body = None
            self.client.answered(COMPLETE, message)
            return
        self.client.pass_on(message)
        if whole:
            self._body = None
            failures.answered_too_much(self.client, self, surplus)

    def _feed(self, body: Body, data: bytes, position: int) -> int:
        """Broken chunks are not ours to mend: pass on what comes until the connection closes."""
        try:
            return body.feed(data, position)
        except BadMessageError:
            self._body = body_of(UNTIL_CLOSE)
            return len(data)

    def _end(self, exc: Exception | None) -> None:
        if self._ended or self._dropped:
            return
        self._ended = True
        whole = exc is None and self._body is not None and self._body.until_close
        if self._begin and not self.api:
            self.client.pass_on(self._begin)
        failures.peer_gone(self.client, self, exc, whole=whole)

    def buffered_bytes(self) -> int:
        waiting = 0 if self.transport is None else self.transport.get_write_buffer_size()
        return waiting + len(self._begin) + sum(map(len, self._backlog))
