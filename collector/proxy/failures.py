"""What a connection does when its upstream fails, falls silent or speaks out of turn."""

from typing import TYPE_CHECKING, Final

from collector import ring as names
from collector.exchange import COMPLETE, TIMEOUT, UPSTREAM_GONE
from collector.proxy.flight import EXCHANGES, TUNNEL

if TYPE_CHECKING:
    from collector.proxy.client import ClientSide
    from collector.proxy.upstream import UpstreamSide

__all__ = [
    "answered_too_much",
    "check",
    "peer_gone",
    "peer_refused",
    "peer_stops_sending",
    "spoken_to_out_of_turn",
]

SILENCE: Final = 75.0  # seconds without a whole request before a connection that has no upstream is closed


def peer_refused(client: "ClientSide", side: "UpstreamSide", reason: str) -> None:
    client.forget(side)
    if client.mode != EXCHANGES or client.flight is None:
        client.close()
    elif side.api:
        _api_down(client)
    else:
        client.hub.counts[names.UPSTREAM_ERRORS] += 1
        client.answer_myself(502, f"the model cannot be reached: {reason}", UPSTREAM_GONE)


def _api_down(client: "ClientSide") -> None:
    client.answer_myself(
        503, "the recorder is not running at the moment", UPSTREAM_GONE, b"retry-after: 1\r\n"
    )


def peer_stops_sending(client: "ClientSide", side: "UpstreamSide") -> bool:
    """Half of the peer's connection has ended; True when the other half is still of use."""
    if client.mode == TUNNEL:
        if client.eof:
            return False
        client.transport.write_eof()
        return True
    flight = client.flight
    if side is client.peer and flight is not None and flight.over and not client.closing:
        client.transport.write_eof()
        return True
    return False


def peer_gone(client: "ClientSide", side: "UpstreamSide", exc: Exception | None, *, whole: bool) -> None:
    """`whole`: the answer under way was one that ends with the connection, and it has ended well."""
    flight = client.flight
    if side is not client.peer or (flight is None and side.api):
        client.forget(side)
    elif flight is None or client.mode != EXCHANGES:
        client.close()
    elif flight.over:
        client.linger()
    elif whole:
        client.closing = True
        client.answered(COMPLETE)
        if flight.body is not None:
            client.linger()
    elif side.api and not flight.status:
        client.forget(side)
        _api_down(client)
    else:
        client.hub.counts[names.UPSTREAM_ERRORS] += 1
        client.hub.land(flight, UPSTREAM_GONE)
        client.flight = None
        client.close(hard=exc is not None)


def spoken_to_out_of_turn(client: "ClientSide", side: "UpstreamSide", data: bytes) -> None:
    """Bytes that answer nothing, such as a 408 before closing: the client sees what it would see directly."""
    if side.api or (client.peer is not None and side is not client.peer):
        client.forget(side)
    else:
        client.open_tunnel(side, data)


def answered_too_much(client: "ClientSide", side: "UpstreamSide", surplus: bytes) -> None:
    """After this nobody can say which answer belongs to which request: no more capture here."""
    flight = client.flight
    if flight is not None:
        flight.over = True
        client.hub.land(flight, COMPLETE)
    client.hub.counts[names.UPSTREAM_ERRORS] += 1
    client.open_tunnel(side, surplus)


def check(client: "ClientSide", now: float) -> None:
    """Give up on a silent model or a silent client; `now` is monotonic."""
    flight = client.flight
    if flight is None:
        if not client.sides and now - client.silent_since > SILENCE:
            client.close()
        return
    late = now - flight.waiting > client.hub.options.response_timeout
    peer = client.peer
    if late and peer is not None and not (flight.body or flight.status or flight.over or client.full):
        client.hub.counts[names.TIMEOUTS] += 1
        client.forget(peer)
        client.answer_myself(504, "the model did not answer in time", TIMEOUT)
