"""Ids for predictions whose request brought none: UUIDs of version 7, so they sort by time."""

import random
import re

import msgspec

from collector.identity import usable

__all__ = ["IdMaker", "body_id", "usable_id"]

_USABLE = re.compile(rb"[ -~]{1,128}")
_LONGEST_PEEK = 64 * 1024  # reading on for an id would cost more than it is worth
_JSON_LENGTH = re.compile(rb"\r\ninference-header-content-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)


class _Named(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw()  # empty: there is none


_read_named = msgspec.json.Decoder(_Named).decode


class IdMaker:
    """Layout: RFC 9562, section 5.7, with the 12 bits of `rand_a` as a counter (section 6.2, method 1).

    Within a millisecond only the counter moves, so an id costs one formatting; the 62 random bits, drawn for
    every millisecond, keep the makers of different processes apart.
    """

    def __init__(self) -> None:
        self._bits = random.Random().getrandbits  # noqa: S311  (unique, not secret; seeded by the system)
        self._millisecond = -1
        self._counter = 0
        self._begin = self._end = ""

    def new(self, now: float) -> str:
        """`now` in seconds since the epoch."""
        millisecond = int(now * 1000)
        if millisecond != self._millisecond or self._counter == 0xFFF:
            noise = self._bits(62)
            self._begin = f"{millisecond >> 16:08x}-{millisecond & 0xFFFF:04x}-7"
            self._end = f"-{0x8000 | noise >> 48:04x}-{noise & 0xFFFFFFFFFFFF:012x}"
            self._millisecond = millisecond
            self._counter = -1
        self._counter += 1
        return f"{self._begin}{self._counter:03x}{self._end}"


def usable_id(value: bytes) -> str | None:
    """A caller's id: 1 to 128 printable ASCII characters, else None."""
    return value.decode("ascii") if _USABLE.fullmatch(value) else None


def body_id(request: bytes) -> str | None:
    """The top-level `id` of an Open Inference request, head and body as on the wire; None where it is not to be had.

    The decoder skips all the rest: about a microsecond per kilobyte. Chunked bodies are not looked into.
    """
    head, _, body = request.partition(b"\r\n\r\n")
    if len(request) > _LONGEST_PEEK or not body.startswith(b"{"):
        return None
    length = _JSON_LENGTH.search(head + b"\r\n")
    try:
        found = _read_named(body[: int(length[1])] if length else body).id
        return usable(msgspec.json.decode(found)) if bytes(found) else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
