"""Heads: what is read, what is refused; the expectations are RFC 9112's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.proxy.framing import (
    CHUNKED,
    UNTIL_CLOSE,
    BadMessageError,
    check_partial,
    header_value,
    looks_like_http,
    parse_request,
    parse_response,
    path_of,
)


def request(*headers: bytes, line: bytes = b"POST /p HTTP/1.1") -> bytes:
    return b"\r\n".join([line, *headers, b"", b""])


def answer(*headers: bytes, status: int = 200) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 %d Fine" % status, *headers, b"", b""])


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ([], 0),
        ([b"Content-Length: 12"], 12),
        ([b"CONTENT-LENGTH:12\t"], 12),
        ([b"Content-Length: 7", b"content-length: 7"], 7),
        ([b"X-Content-Length: 5"], 0),
        ([b"X-Note: content-length: 9", b"Content-Length: 3"], 3),
        ([b"Transfer-Encoding: chunked"], CHUNKED),
        ([b"transfer-encoding: gzip, CHUNKED"], CHUNKED),
        ([b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"], CHUNKED),
    ],
)
def test_the_length_of_a_request(headers: list[bytes], length: int) -> None:
    head = request(b"Host: m", *headers, b"X: y")
    assert parse_request(head) == (b"POST", b"/p", length, head.lower())


@pytest.mark.parametrize(
    "headers",
    [
        [b"Content-Length: 1", b"Transfer-Encoding: chunked"],
        [b"Content-Length: 1", b"Content-Length: 2"],
        [b"Content-Length: 1, 1"],
        [b"Content-Length: -1"],
        [b"Content-Length: +1"],
        [b"Content-Length: 0x10"],
        [b"Content-Length:"],
        [b"Content-Length : 1"],
        [b"\x0bContent-Length: 1"],
        [b"Content-Length\x00: 1"],
        [b"Content-Length: 99999999999999999999"],
        [b"Transfer-Encoding : chunked"],
        [b"Transfer-Encoding: gzip"],
        [b"Transfer-Encoding: chunked, gzip"],
        [b"Transfer-Encoding: chunked, chunked"],
        [b"Transfer-Encoding: xchunked"],
        [b"Transfer-Encoding:", b" chunked"],
        [b"X: a\nContent-Length: 5"],
        [b"X: a\rContent-Length: 5"],
        [b"Content-Length: 5", b" 7"],
        [b"X: a\n\nGET /two HTTP/1.1"],
    ],
)
def test_a_request_that_servers_read_differently_is_refused(headers: list[bytes]) -> None:
    with pytest.raises(BadMessageError) as refusal:
        parse_request(request(b"Host: m", *headers))
    assert refusal.value.status == 400


def test_chunks_in_http_1_0_are_refused() -> None:
    with pytest.raises(BadMessageError, match=r"1\.0"):
        parse_request(request(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0"))


@pytest.mark.parametrize(
    ("head", "method", "expected"),
    [
        (answer(b"Content-Length: 5"), b"GET", (200, 5)),
        (answer(b"Content-Length: 5"), b"HEAD", (200, 0)),
        (answer(b"Content-Length: 5", status=304), b"GET", (304, 0)),
        (answer(status=204), b"GET", (204, 0)),
        (answer(status=103), b"GET", (103, 0)),
        (answer(), b"GET", (200, UNTIL_CLOSE)),
        (answer(b"Transfer-Encoding: Chunked"), b"GET", (200, CHUNKED)),
        (answer(b"Transfer-Encoding: chunked", b"Content-Length: 5"), b"GET", (200, CHUNKED)),
        (answer(b"Transfer-Encoding: gzip"), b"GET", (200, UNTIL_CLOSE)),
        (answer(b"Content-Length: 5", b"Content-Length: 5"), b"GET", (200, 5)),
        (answer(b"Content-Length: 5", b"Content-Length: 6"), b"GET", (200, UNTIL_CLOSE)),
        (answer(b"Content-Length: x"), b"GET", (200, UNTIL_CLOSE)),
        (b"ICY 200 OK\r\n\r\n", b"GET", (0, UNTIL_CLOSE)),
        (b"HTTP/1.1 200\r\n\r\n", b"GET", (200, UNTIL_CLOSE)),
    ],
)
def test_the_length_of_an_answer(head: bytes, method: bytes, expected: tuple[int, int]) -> None:
    assert parse_response(head, method) == expected


@given(st.integers(0, 40))
def test_every_begin_of_a_request_looks_like_http(size: int) -> None:
    assert looks_like_http(b"\r\nPOST /path?x=y HTTP/1.1\r\nHost: m\r\n\r\n"[:size])


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI * HTTP/2", b"{}", b"GET /\r\n"]
)
def test_other_protocols_do_not(data: bytes) -> None:
    assert not looks_like_http(data)


@pytest.mark.parametrize(("data", "status"), [(b"GET / HTTP/1.1\n\n", 400), (b"x" * 70_000, 431)])
def test_a_head_that_cannot_end_is_refused_early(data: bytes, status: int) -> None:
    with pytest.raises(BadMessageError) as refusal:
        check_partial(data)
    assert refusal.value.status == status


def test_a_head_cut_between_cr_and_lf_may_still_end() -> None:
    check_partial(b"GET / HTTP/1.1\r\nHost: m\r")


def test_the_value_of_a_header_keeps_its_case() -> None:
    head = request(b"X-Request-Id: \tAbc d ", b"X-Other: z")
    assert header_value(head, head.lower(), b"x-request-id") == b"Abc d"
    assert header_value(head, head.lower(), b"request-id") is None


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a/b?c=/d", b"/a/b"),
        (b"http://h:1/a?b", b"/a"),
        (b"http://h", b"/"),
        (b"*", b"*"),
        (b"/a://b", b"/a://b"),
    ],
)
def test_the_path_of_a_target(target: bytes, path: bytes) -> None:
    assert path_of(target) == path
