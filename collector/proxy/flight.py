"""One exchange on its way: what must be remembered about it until its last byte has gone."""

from collector.exchange import Exchange
from collector.proxy.bodies import Body

__all__ = ["Flight", "Tape"]


class Tape:
    """The first `limit` bytes of what passed by."""

    __slots__ = ("_data", "_limit", "cut")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data: bytes | bytearray = b""
        self.cut = False

    def add(self, data: bytes) -> None:
        room = self._limit - len(self._data)
        if len(data) > room:
            self.cut = True
            if not room:
                return
            data = data[:room]
        if not self._data:
            self._data = data
            return
        if not isinstance(self._data, bytearray):
            self._data = bytearray(self._data)
        self._data += data

    def __bytes__(self) -> bytes:
        return bytes(self._data)


class Flight:
    """`began` and `waiting` are monotonic seconds; `waiting` is when the request was whole.

    `body` scans what is still missing of the request (None: it is whole), `over` means that the answer is.
    The tapes are None when the exchange is not captured.
    """

    __slots__ = (
        "began", "body", "head", "id", "id_line", "method", "over", "request", "response", "started", "status", "waiting",
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
        self.request: Tape | None = None
        self.response: Tape | None = None

    def exchange(self, outcome: str, now: float) -> Exchange | None:
        """The record, `now` being monotonic; None when the exchange is not captured."""
        request, response = self.request, self.response
        if request is None or response is None:
            return None
        return Exchange(
            self.id,
            self.started,
            (now - self.began) * 1000.0,
            outcome,
            bytes(request),
            bytes(response),
            request.cut or self.body is not None,
            response.cut or not self.over,
            self.status,
        )
