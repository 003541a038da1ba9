"""The few answers that the proxy gives in its own name."""

from http import HTTPStatus

import msgspec

from collector.proxy.framing import header_value

__all__ = ["local_answer", "wants_close"]


def local_answer(
    status: int,
    error: str,
    *,
    upstream: str | None = None,
    extra: bytes = b"",
    close: bool = False,
    body: bool = True,
) -> bytes:
    """A whole JSON answer; `extra` are more header lines, `body` is False for HEAD."""
    message = {"error": error} if upstream is None else {"error": error, "upstream": upstream}
    content = msgspec.json.encode(message) + b"\n"
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(content)}\r\n"
    ).encode()
    return head + extra + (b"connection: close\r\n\r\n" if close else b"\r\n") + (content if body else b"")


def wants_close(head: bytes) -> bool:
    """Whether the sender of this request expects the connection to end with the answer."""
    lowered = head.lower()
    connection = header_value(lowered, lowered, b"connection") or b""
    if b" http/1.0\r\n" in lowered[: lowered.index(b"\r\n") + 2]:
        return b"keep-alive" not in connection
    return b"close" in connection
