"""What the forwarder hands to the recorder about one HTTP exchange, and its bytes in the ring."""

import msgspec

__all__ = ["CLIENT_GONE", "COMPLETE", "REFUSED", "TIMEOUT", "UPSTREAM_GONE", "Exchange", "decode", "encode"]

COMPLETE = "complete"  # the last byte of the answer was given to the client's socket
CLIENT_GONE = "client_gone"  # the client left before that
UPSTREAM_GONE = "upstream_gone"  # the model could not be reached, or left before its answer was whole
TIMEOUT = "timeout"  # the model said nothing within the response timeout
REFUSED = "refused"  # reserved: the proxy itself refused to pass the request on


class Exchange(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One request and its answer as they were on the wire.

    `request` and `response` are head and body, framing included (chunk sizes, trailers), each cut at the
    capture limit; interim (1xx) answers and the header that the proxy adds are not part of `response`.
    `started` is in seconds since the epoch, `latency_ms` runs from the first byte of the request to the
    last byte of the answer. `status` is 0 when no answer had begun. A `*_cut` flag means that bytes are
    missing at the end, because of the limit or because the sender stopped early.
    """

    id: str
    started: float
    latency_ms: float
    outcome: str
    request: bytes
    response: bytes
    request_cut: bool
    response_cut: bool
    status: int


encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Exchange)


def decode(payload: bytes) -> Exchange:
    """Raises msgspec.DecodeError when the payload is not an exchange."""
    return _decoder.decode(payload)
