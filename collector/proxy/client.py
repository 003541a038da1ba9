"""The proxy's end of a client's connection: takes requests one after the other, decides where each goes."""

import asyncio
from typing import Final, cast

from collector import ring as names
from collector.exchange import CLIENT_GONE, REFUSED
from collector.proxy.answers import local_answer, wants_close
from collector.proxy.bodies import body_of
from collector.proxy.flight import EXCHANGES, LINGERING, TUNNEL, Flight
from collector.proxy.framing import (
    HEAD_END,
    HEAD_LIMIT,
    BadMessageError,
    RequestHead,
    check_partial,
    looks_like_http,
    parse_request,
)
from collector.proxy.hub import Hub
from collector.proxy.upstream import UpstreamSide

__all__ = ["ClientSide"]

PENDING_LIMIT: Final = 64 * 1024  # bytes kept of what the client sends ahead of its turn
LINGER: Final = 2.0  # seconds in which a client may still send what nobody needs, so that it sees its answer


class ClientSide(asyncio.Protocol):
    """`flight` is the exchange under way, `peer` the upstream that it (or the tunnel) uses."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.mode = EXCHANGES
        self.flight: Flight | None = None
        self.peer: UpstreamSide | None = None
        self.sides: dict[bool, UpstreamSide] = {}  # by: is it the API's
        self._pending = b""
        self._began = 0.0  # monotonic time of the first byte of a request whose head is not whole
        self.silent_since = 0.0
        self._first = True
        self.eof = False
        self.full = False
        self._reading = True
        self.closing = False

    # Callbacks of the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.silent_since = self.hub.clock()
        self.hub.joined(self)

    def data_received(self, data: bytes) -> None:
        if self._pending:
            data = self._pending + data
            self._pending = b""
        if self.flight is None and not self.mode:
            self._start(data)
        else:
            self._take(data)

    def eof_received(self) -> bool:
        self.eof = True
        if self.mode == LINGERING or (self.mode == EXCHANGES and self.flight is None):
            self.close()
            return False
        if not self._pending and self.peer is not None and not self.peer.api:
            self.peer.finish_sending()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.hub.left(self)
        flight = self.flight
        if flight is not None and not flight.over and self.mode == EXCHANGES:
            self.hub.counts[names.CLIENT_GONE] += 1
            self.hub.land(flight, CLIENT_GONE)
        self.closing = True
        self.flight = None
        for side in self.sides.values():
            side.drop(hard=exc is not None)

    def pause_writing(self) -> None:
        self.full = True
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        self.full = False
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.resume_reading()

    def regulate(self) -> None:
        """Read from the client only while there is a place for what it sends."""
        read = len(self._pending) <= PENDING_LIMIT and (self.peer is None or not self.peer.full)
        if read != self._reading and not self.closing:
            self._reading = read
            (self.transport.resume_reading if read else self.transport.pause_reading)()

    # Requests.

    def _take(self, data: bytes) -> None:
        flight = self.flight
        if self.mode:
            self._take_unframed(data)
        elif flight is None:
            self._start(data)
        elif flight.body is None or self.peer is None or self.peer.transport is None:
            self._pending = data
            self.regulate()
        else:
            self._more(flight, self.peer, data)

    def _start(self, data: bytes) -> None:
        end = data.find(HEAD_END) + 4
        try:
            if end < 4 or end > HEAD_LIMIT:
                self._wait_for_head(data)
                return
            head = data[:end]
            request = parse_request(head)
        except BadMessageError as error:
            self._refuse(error, data)
            return
        self._first = False
        api = self.hub.is_api(request[1])
        flight = self.flight = self.hub.take_off(request, head, self._began, api=api)
        self._began = 0.0
        peer = self.peer = self.sides.get(api) or self._connect(api=api)
        if self.full and peer.transport is not None:
            peer.transport.pause_reading()
        self._send_first(flight, peer, request, data)

    def _send_first(self, flight: Flight, peer: UpstreamSide, request: RequestHead, data: bytes) -> None:
        """Forward the head and what came with it."""
        if request[2] == len(data) - len(flight.head):  # the usual case: one request, one packet
            peer.send(data)
            if flight.limit:
                flight.keep_request(data)
        else:
            flight.body = body_of(request[2])
            self._more(flight, peer, data, len(flight.head))
            self.regulate()
        if self.eof and not self._pending and not peer.api and self.mode == EXCHANGES:
            peer.finish_sending()

    def _more(self, flight: Flight, peer: UpstreamSide, data: bytes, position: int = 0) -> None:
        """Forward what belongs to this request, its body continuing at `position`; keep the rest."""
        body = flight.body
        assert body is not None  # noqa: S101  (the caller looked)
        try:
            stop = body.feed(data, position)
        except BadMessageError as error:
            self._refuse(error, data)
            return
        message = data if stop == len(data) else data[:stop]
        peer.send(message)
        if flight.limit and not flight.over:
            flight.keep_request(message)
        self._pending = data[stop:]
        if body.done:
            self._request_whole(flight)

    def _request_whole(self, flight: Flight) -> None:
        flight.body = None
        flight.waiting = self.hub.clock()
        if flight.over:
            self._next()

    def _wait_for_head(self, data: bytes) -> None:
        if self._first and not looks_like_http(data):
            raise BadMessageError("not HTTP/1.x")
        check_partial(data)
        self._pending = data
        self._began = self._began or self.hub.clock()

    def _refuse(self, error: BadMessageError, data: bytes) -> None:
        """A stranger's protocol passes as it is; a request that two servers might read differently does not."""
        if self._first and not looks_like_http(data):
            peer = self.sides.get(False) or self._connect(api=False)
            self.open_tunnel(peer, b"")
            self._take_unframed(data)
            return
        self.hub.counts[names.BAD_REQUESTS] += 1
        flight = self.flight
        if flight is None:
            self.pass_on(local_answer(error.status, str(error), close=True))
            self.linger()
        elif flight.status:
            self.linger()
        else:
            self.answer_myself(error.status, str(error), REFUSED)

    def _connect(self, *, api: bool) -> UpstreamSide:
        side = self.sides[api] = UpstreamSide(self, api=api)
        self.hub.connect(side)
        return side

    def peer_ready(self, side: UpstreamSide) -> None:
        if self.full and side.transport is not None:
            side.transport.pause_reading()
        if self._pending:
            data, self._pending = self._pending, b""
            self._take(data)
            if self.eof and not self._pending and not side.api:
                side.finish_sending()
        self.regulate()

    # Answers.

    def pass_on(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def answered(self, outcome: str, last: bytes = b"") -> None:
        """The answer is whole; `last` is what is still to be passed on of it.

        The copy goes to the ring before the last bytes go to the client, so that no caller knows an answer that is lost
        when this process is killed. That costs a few microseconds; nothing before the last bytes ever waits.
        """
        flight = self.flight
        assert flight is not None  # noqa: S101  (the peer looked)
        flight.over = True
        if self._left_early(flight):
            self.hub.counts[names.CLIENT_GONE] += 1
            outcome = CLIENT_GONE
        self.hub.land(flight, outcome)
        if last:
            self.pass_on(last)
        if self.peer is not None and not self.peer.api:
            self.hub.counts[names.FORWARDED] += 1
        if flight.body is None:
            self._next()

    def _left_early(self, flight: Flight) -> bool:
        """Nothing more can come of a request that is not whole: the model has answered a part of it."""
        return flight.body is not None and self.eof and not self._pending

    def _next(self) -> None:
        self.flight = None
        if self.closing or self.hub.draining:
            self.close()
            return
        if self._pending:
            data, self._pending = self._pending, b""
            self._take(data)
            self.regulate()
        if self.eof and self._idle():
            self.close()

    def answer_myself(self, status: int, error: str, outcome: str, extra: bytes = b"") -> None:
        flight = self.flight
        assert flight is not None  # noqa: S101  (the callers looked)
        if flight.peek:
            self.hub.settle(flight)
        close = flight.body is not None or wants_close(flight.head)
        upstream = None if self.peer is not None and self.peer.api else str(self.hub.options.upstream)
        body = flight.method != b"HEAD"
        answer = local_answer(
            status, error, upstream=upstream, extra=extra + flight.id_line, close=close, body=body
        )
        self.pass_on(answer)
        flight.status = status
        if flight.limit:
            flight.keep_response(answer)
        flight.over = True
        self.hub.land(flight, outcome)
        if close:
            self.linger()
        else:
            self._next()

    # Ends.

    def forget(self, side: UpstreamSide) -> None:
        """The next request for this upstream connects anew."""
        self.sides.pop(side.api, None)
        side.full = False
        self.silent_since = self.hub.clock()
        side.drop(hard=True)
        self.regulate()

    def open_tunnel(self, side: UpstreamSide, data: bytes) -> None:
        """From here on bytes pass both ways unread, as after an upgrade."""
        self.hub.counts[names.TUNNELS] += 1
        self.mode = TUNNEL
        self.flight = None
        self.peer = side
        self.pass_on(data)
        if self._pending:
            pending, self._pending = self._pending, b""
            self._take_unframed(pending)
        if self.eof:
            side.finish_sending()

    def _take_unframed(self, data: bytes) -> None:
        if self.mode == LINGERING or self.peer is None:
            return
        if self.peer.transport is None:
            self._pending = data
            self.regulate()
        else:
            self.peer.send(data)

    def linger(self) -> None:
        """Closing with unread bytes would reset the connection and could destroy the answer on its way."""
        self.closing = True
        self.mode = LINGERING
        self._pending = b""
        if not self._reading:
            self._reading = True
            self.transport.resume_reading()
        for side in self.sides.values():
            side.drop(hard=True)
        if self.eof or self.transport.is_closing():
            self.transport.close()
            return
        self.transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER, self.transport.close)

    def close(self, *, hard: bool = False) -> None:
        self.closing = True
        (self.transport.abort if hard else self.transport.close)()
        for side in self.sides.values():
            side.drop()

    def drain(self) -> None:
        """Close now when nothing is under way, else after the exchange under way."""
        if self._idle():
            self.close()

    def _idle(self) -> bool:
        return self.mode == EXCHANGES and self.flight is None

    def buffered_bytes(self) -> int:
        sides = sum(side.buffered_bytes() for side in self.sides.values())
        return self.transport.get_write_buffer_size() + len(self._pending) + sides
