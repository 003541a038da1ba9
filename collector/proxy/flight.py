"""One exchange on its way: what must be remembered about it until its last byte has gone."""

from collector.exchange import Exchange
from collector.proxy.bodies import Body

__all__ = ["EXCHANGES", "LINGERING", "TUNNEL", "Flight"]

# What a connection is used for: one exchange after the other, bytes that nobody reads, or only for its end.
EXCHANGES, TUNNEL, LINGERING = range(3)


class Flight:
    """`began` and `waiting` are monotonic seconds; `waiting` is when the request was whole.

    `body` scans what is still missing of the request (None: it is whole), `over` means that the answer is.
    `limit` is the most that is kept of either side; 0 when the exchange is not captured. `peek` means that the body
    may still name the request.
    """

    __slots__ = (
        "_request", "_response", "began", "body", "head", "id", "id_line", "limit", "method", "over", "peek",
        "started", "status", "waiting",
    )  # fmt: skip

    def __init__(self, identity: str, method: bytes, head: bytes, started: float, began: float) -> None:
        self.id = identity
        self.method = method
        self.head = head
        self.started = started
        self.began = began
        self.waiting = began
        self.id_line = b""
        self.body: Body | None = None
        self.status = 0
        self.over = False
        self.limit = 0
        self.peek = False
        self._request: bytes | bytearray = b""
        self._response: bytes | bytearray = b""

    def keep_request(self, data: bytes) -> None:
        """One byte more than the limit is kept, to know that there was more."""
        self._request = (
            data[: self.limit + 1] if not self._request else _grown(self._request, data, self.limit)
        )

    def keep_response(self, data: bytes) -> None:
        self._response = (
            data[: self.limit + 1] if not self._response else _grown(self._response, data, self.limit)
        )

    def request_so_far(self) -> bytes:
        """What was kept of the request."""
        return bytes(self._request)

    def exchange(self, outcome: str, now: float) -> Exchange:
        """The record; `now` is monotonic."""
        limit = self.limit
        return Exchange(
            self.id,
            self.started,
            (now - self.began) * 1000.0,
            outcome,
            bytes(self._request[:limit]),
            bytes(self._response[:limit]),
            self.body is not None or len(self._request) > limit,
            not self.over or len(self._response) > limit,
            self.status,
        )


def _grown(kept: bytes | bytearray, data: bytes, limit: int) -> bytearray:
    grown = kept if isinstance(kept, bytearray) else bytearray(kept)
    grown += data[: max(0, limit + 1 - len(grown))]
    return grown
