"""HTTP messages out of the bytes that were on the wire: framing off, gzip off, within bounds."""

from __future__ import annotations

from typing import Any

import httptools

from collector.bodies import gunzip
from collector.errors import BodyError, UnreadableError
from collector.formats import Message

__all__ = ["MAX_UNPACKED", "read_answer", "read_request"]

MAX_UNPACKED = 8 << 20


class _Collected:
    """What httptools calls while it reads one message."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        if key not in self.headers:
            self.headers[key] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        self.body.append(part)

    def on_message_complete(self) -> None:
        self.complete = True


def read_request(raw: bytes) -> Message:
    """Raises UnreadableError."""
    return _read(raw, httptools.HttpRequestParser, "request")


def read_answer(raw: bytes) -> Message:
    """Raises UnreadableError."""
    return _read(raw, httptools.HttpResponseParser, "answer")


def _read(raw: bytes, parser_class: Any, side: str) -> Message:
    collected = _Collected()
    parser = parser_class(collected)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        if not collected.complete:  # what follows a whole message is not ours to judge
            raise UnreadableError(f"{side}_not_http") from None
    body = b"".join(collected.body)
    encoding = collected.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "gzip" and body:
        try:
            body = gunzip(body, MAX_UNPACKED)
        except BodyError:
            raise UnreadableError(f"{side}_not_gzip") from None
    elif encoding not in {"identity", "", "gzip"}:
        raise UnreadableError(f"{side}_encoding")
    return Message(collected.headers, body, collected.url.decode("latin-1").partition("?")[0])
