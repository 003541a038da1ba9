"""Where a body that did not come in one piece ends. Pure; bytes are counted, never kept."""

import re
from typing import ClassVar, Final, Protocol

from collector.proxy.framing import CHUNKED, HEAD_LIMIT, UNTIL_CLOSE, BadMessageError

__all__ = ["Body", "body_of"]

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_LINE_LIMIT: Final = 8 * 1024

_SIZE, _DATA, _DATA_END, _TRAILER = range(4)


class Body(Protocol):
    """`feed` takes a packet from `position` on and returns where the body's part of it ends."""

    until_close: ClassVar[bool]
    done: bool

    def feed(self, data: bytes, position: int) -> int: ...


def body_of(length: int) -> Body:
    if length == CHUNKED:
        return _Chunked()
    return _UntilClose() if length == UNTIL_CLOSE else _Counted(length)


class _Counted:
    __slots__ = ("done", "left")
    until_close: ClassVar[bool] = False

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0

    def feed(self, data: bytes, position: int) -> int:
        taken = min(self.left, len(data) - position)
        self.left -= taken
        self.done = self.left == 0
        return position + taken


class _UntilClose:
    __slots__ = ("done",)
    until_close: ClassVar[bool] = True

    def __init__(self) -> None:
        self.done = False

    def feed(self, data: bytes, position: int) -> int:  # noqa: ARG002  (all of it, from wherever)
        return len(data)


class _Chunked:
    """Chunks with extensions and a trailer section (RFC 9112 section 7.1). Raises BadMessageError."""

    __slots__ = ("_left", "_line", "_state", "_trailers", "done")
    until_close: ClassVar[bool] = False

    def __init__(self) -> None:
        self.done = False
        self._state = _SIZE
        self._left = 0
        self._line = b""  # the begin of a line whose end has not come yet
        self._trailers = 0

    def feed(self, data: bytes, position: int) -> int:
        end = len(data)
        while position < end and not self.done:
            if self._state == _DATA:
                taken = min(self._left, end - position)
                self._left -= taken
                position += taken
                if not self._left:
                    self._state = _DATA_END
            else:
                position = self._take_line(data, position)
        return position

    def _take_line(self, data: bytes, position: int) -> int:
        newline = data.find(b"\n", position)
        stop = newline + 1 if newline >= 0 else len(data)
        line = self._line + data[position:stop]
        if len(line) > _LINE_LIMIT:
            raise BadMessageError("a line of the chunked body is too long")
        if newline < 0:
            self._line = line
            return stop
        self._line = b""
        if not line.endswith(b"\r\n"):
            raise BadMessageError("a line of the chunked body does not end in CR LF")
        self._line_done(line)
        return stop

    def _line_done(self, line: bytes) -> None:
        if self._state == _SIZE:
            size = _SIZE_LINE.fullmatch(line)
            if size is None:
                raise BadMessageError("a chunk's size is not a number")
            self._left = int(size[1], 16)
            self._state = _DATA if self._left else _TRAILER
        elif self._state == _DATA_END:
            if line != b"\r\n":
                raise BadMessageError("a chunk is longer than its size")
            self._state = _SIZE
        elif line == b"\r\n":
            self.done = True
        else:
            self._trailers += len(line)
            if self._trailers > HEAD_LIMIT:
                raise BadMessageError("the trailers are too long")
