"""Where HTTP/1.x messages begin and end: heads and body lengths, nothing else is understood.

Pure. The usual message costs a few searches in one packet; whatever looks odd takes the slow, exact way.
Rules: RFC 9112, sections 2 to 6.
"""

import re
from typing import Final

__all__ = [
    "CHUNKED",
    "HEAD_END",
    "HEAD_LIMIT",
    "UNTIL_CLOSE",
    "BadMessageError",
    "RequestHead",
    "check_partial",
    "header_value",
    "looks_like_http",
    "parse_request",
    "parse_response",
    "path_of",
]

HEAD_END: Final = b"\r\n\r\n"
HEAD_LIMIT: Final = 64 * 1024  # bytes of one head, request line and headers together
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

_REQUEST_LINE = re.compile(rb"(?:\r\n)*([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([^\x00-\x20\x7f]+) HTTP/1\.([01])\r\n")
_REQUEST_BEGIN = re.compile(
    rb"(?:\r\n)*[!#$%&'*+\-.^_`|~0-9A-Za-z]*(?: [^\x00-\x20\x7f]*(?: [HTP/1.0]{0,8}\r?)?)?\Z"
)
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9][0-9])[ \r]")
_NOT_TOKEN = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9a-z]+")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_USUAL_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n(?![ \t])")


class BadMessageError(Exception):
    """A request that cannot be framed safely; `status` is the answer it deserves."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


# Method, target, the body's length in bytes (or CHUNKED), and the whole head in lower case. A plain tuple: there is
# one for every request.
RequestHead = tuple[bytes, bytes, int, bytes]


def looks_like_http(data: bytes) -> bool:
    """Whether these first bytes of a connection can still become an HTTP/1.x request."""
    line, newline, _ = data.lstrip(b"\r\n").partition(b"\n")
    return (_REQUEST_LINE if newline else _REQUEST_BEGIN).match(line + newline) is not None


def check_partial(data: bytes) -> None:
    """Refuse early the begin of a head that could never end. Raises BadMessageError."""
    if len(data) > HEAD_LIMIT:
        raise BadMessageError(f"the head is longer than {HEAD_LIMIT} bytes", 431)
    _check_lines(data.removesuffix(b"\r"))


def parse_request(head: bytes) -> RequestHead:
    """`head` runs up to and with the empty line. Raises BadMessageError where a guess would be dangerous."""
    line = _REQUEST_LINE.match(head)
    if line is None:
        raise BadMessageError("the request line is not HTTP/1.x")
    if head.count(b"\n") != head.count(b"\r\n"):
        raise BadMessageError("a line of the head does not end in CR LF")
    method, target, minor = line.groups()
    lowered = head.lower()
    if b"transfer-encoding" not in lowered:
        lengths = lowered.count(b"content-length")
        if not lengths:
            return method, target, 0, lowered
        usual = _USUAL_LENGTH.search(lowered) if lengths == 1 else None
        if usual is not None:
            return method, target, int(usual[1]), lowered
    _check_lines(head)
    return method, target, _request_length(lowered, minor), lowered


def _check_lines(head: bytes) -> None:
    """A lone CR or LF, or a folded line, is read differently by different servers: refuse it."""
    lines = head.count(b"\n")
    if head.count(b"\r\n") != lines or head.count(b"\r") != lines:
        raise BadMessageError("a line of the head does not end in CR LF")
    if b"\n " in head or b"\n\t" in head:
        raise BadMessageError("a header is folded over two lines")


def _request_length(lowered: bytes, minor: bytes) -> int:
    encodings, lengths = _framing_headers(lowered, strict=True)
    if not encodings:
        return _one_length(lengths)
    if lengths:
        raise BadMessageError("both Content-Length and Transfer-Encoding are given")
    if minor == b"0":
        raise BadMessageError("Transfer-Encoding in an HTTP/1.0 request")
    codings = [coding.strip() for coding in b",".join(encodings).split(b",")]
    if codings[-1] != b"chunked" or codings.count(b"chunked") != 1:
        raise BadMessageError("Transfer-Encoding must end in one 'chunked'")
    return CHUNKED


def _framing_headers(lowered: bytes, *, strict: bool) -> tuple[list[bytes], list[bytes]]:
    """The values of Transfer-Encoding and of Content-Length."""
    encodings: list[bytes] = []
    lengths: list[bytes] = []
    for line in lowered.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        plain = _NOT_TOKEN.sub(b"", name)
        if plain not in (b"transfer-encoding", b"content-length"):
            continue
        if name != plain and strict:
            raise BadMessageError(f"the name of a {plain.decode()} header has stray characters")
        (encodings if plain == b"transfer-encoding" else lengths).append(value.strip(b" \t"))
    return encodings, lengths


def _one_length(values: list[bytes]) -> int:
    if len(set(values)) > 1:
        raise BadMessageError("conflicting Content-Length headers")
    return _length(values[0]) if values else 0


def _length(value: bytes) -> int:
    stripped = value.strip(b" \t")
    if _LENGTH.fullmatch(stripped) is None:
        raise BadMessageError("Content-Length is not a number")
    return int(stripped)


def parse_response(head: bytes, method: bytes) -> tuple[int, int]:
    """Status and body length (or CHUNKED, UNTIL_CLOSE) of the answer to a request of this method.

    An answer that is not HTTP/1.x has status 0 and lasts until the connection closes. Odd framing is never
    refused here: it is passed on and read as RFC 9112 section 6.3 says.
    """
    line = _STATUS_LINE.match(head)
    if line is None:
        return 0, UNTIL_CLOSE
    status = int(line[1])
    if method == b"HEAD" or status < 200 or status in (204, 304):
        return status, 0
    lowered = head.lower()
    if b"transfer-encoding" not in lowered and lowered.count(b"content-length") == 1:
        usual = _USUAL_LENGTH.search(lowered)
        if usual is not None:
            return status, int(usual[1])
    return status, _response_length(lowered)


def _response_length(lowered: bytes) -> int:
    encodings, lengths = _framing_headers(lowered, strict=False)
    if encodings:
        return CHUNKED if encodings[-1].split(b",")[-1].strip() == b"chunked" else UNTIL_CLOSE
    if len(set(lengths)) != 1 or _LENGTH.fullmatch(lengths[0]) is None:
        return UNTIL_CLOSE
    return int(lengths[0])


def header_value(head: bytes, lowered: bytes, name: bytes) -> bytes | None:
    """The first value of a header; `name` is in lower case, `lowered` is the head in lower case."""
    at = lowered.find(b"\r\n" + name + b":")
    if at < 0:
        return None
    begin = at + 3 + len(name)
    return head[begin : head.index(b"\r\n", begin)].strip(b" \t")


def path_of(target: bytes) -> bytes:
    """The path of a request target in origin or absolute form, without its query."""
    path = target.partition(b"?")[0]
    if not path.startswith(b"/") and b"://" in path:
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    return path
