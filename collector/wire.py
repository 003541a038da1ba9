"""HTTP messages out of the bytes that were on the wire: framing off, unpacked, within bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httptools

from collector.bodies import unpack
from collector.errors import BodyError, UnreadableError
from collector.formats import Message

__all__ = ["MAX_UNPACKED", "read_answer", "read_request", "unpacked"]

MAX_UNPACKED = 8 << 20

_Parts = tuple[dict[str, str], bytes, str]  # headers, body as it was sent, URL

# Of methods, characters and status codes those about which nobody has doubts.
_REQUEST_LINE = re.compile(
    r"(?:POST|PUT|PATCH|GET|DELETE) (/[A-Za-z0-9/._~:%?=&,+\-@;$!*'()]*) HTTP/1\.[01]\r\n"
)
_STATUS_LINE = re.compile(r"HTTP/1\.[01] (?!204)[245][0-9][0-9](?: [ -~]*)?()\r\n")
_HEADER = re.compile(r"\r\n([!#$%&'*+\-.^_`|~0-9A-Za-z]+): *([ -~\x80-\xff]*)(?=\r\n|\Z)")
_UNUSUAL = {"transfer-encoding", "upgrade"}


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
    return _message(
        _usual(raw, _REQUEST_LINE) or _parsed(raw, httptools.HttpRequestParser, "request"), "request"
    )


def read_answer(raw: bytes) -> Message:
    """Raises UnreadableError."""
    return _message(
        _usual(raw, _STATUS_LINE) or _parsed(raw, httptools.HttpResponseParser, "answer"), "answer"
    )


def _message(found: _Parts, side: str) -> Message:
    headers, body, url = found
    return Message(headers, unpacked(body, headers, side), url.partition("?")[0])


def _usual(raw: bytes, first_line: re.Pattern[str]) -> _Parts | None:
    """A whole message with a length and without a doubtful character, as nearly all are; the parser costs thrice as much."""
    head, _, body = raw.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    line = first_line.match(text)
    lines = _HEADER.findall(text)
    if line is None or len(lines) != text.count("\n"):
        return None
    headers = {name.lower(): value.rstrip(" ") for name, value in lines}
    usual = len(headers) == len(lines) and headers.get("content-length") == str(len(body))
    return None if not usual or not _UNUSUAL.isdisjoint(headers) else (headers, body, line[1] or "")


def _parsed(raw: bytes, parser_class: Any, side: str) -> _Parts:
    collected = _Collected()
    parser = parser_class(collected)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        if not collected.complete:  # what follows a whole message is not ours to judge
            raise UnreadableError(f"{side}_not_http") from None
    return collected.headers, b"".join(collected.body), collected.url.decode("latin-1")


def unpacked(body: bytes, headers: Mapping[str, str], side: str) -> bytes:
    """A body without its content encoding; `side` begins the reason. Raises UnreadableError."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"gzip", "deflate"} and body:
        try:
            return unpack(body, MAX_UNPACKED)
        except BodyError:
            raise UnreadableError(f"{side}_not_{encoding}") from None
    if encoding not in {"identity", "", "gzip", "deflate"}:
        raise UnreadableError(f"{side}_encoding")
    return body
