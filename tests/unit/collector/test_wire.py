"""The quick way of reading a message gives what the parser gives, or nothing."""

from __future__ import annotations

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.wire import _REQUEST_LINE, _STATUS_LINE, _parsed, _usual, read_answer, read_request

NAMES = st.sampled_from(
    [
        "Content-Type",
        "X-A",
        "x-a",
        "Host",
        "Content-Encoding",
        "Upgrade",
        "Transfer-Encoding",
        "Bad Name",
        "",
        "É",
    ]
)
VALUES = st.one_of(
    st.sampled_from(["", "text/plain", " padded \t", "chunked", "h2c", "a\r\n folded", "\x00", "é"]),
    st.text(st.characters(max_codepoint=255), max_size=5),
)
BODIES = st.one_of(st.binary(max_size=40), st.just(b'{"a": 1}'), st.just(b"2\r\n{}\r\n0\r\n\r\n"))
LENGTHS = st.sampled_from(["right", "right", "right", "short", "long", "none", "twice", "+1", "0x2"])
REQUESTS = st.sampled_from(
    ["POST /predict HTTP/1.1", "POST /p?x=1#y HTTP/1.1", "PUT http://m/p HTTP/1.0", "FOO / HTTP/1.1", "POST p HTTP/1.1",
     "POST /é HTTP/1.1", "CONNECT m:1 HTTP/1.1", "POST / HTTP/2.0"]
)  # fmt: skip
ANSWERS = st.sampled_from(
    ["HTTP/1.1 200 OK", "HTTP/1.0 404 Not Found", "HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified", "HTTP/1.1 503",
     "HTTP/1.1 200 Très bien", "HTTP/1.1 100 Continue", "HTTP/1.1 999 X", "ICY 200 OK"]
)  # fmt: skip


def message(line: str, headers, body: bytes, length: str) -> bytes:
    right = str(len(body))
    lengths = {
        "right": [right],
        "short": [str(len(body) - 1)],
        "long": [str(len(body) + 9)],
        "none": [],
        "twice": [right, right],
    }
    lines = [line, *(f"{name}: {value}" for name, value in headers)]
    lines += [f"Content-Length: {value}" for value in lengths.get(length, [length])]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@given(REQUESTS, st.lists(st.tuples(NAMES, VALUES), max_size=4), BODIES, LENGTHS)
@example("POST /predict HTTP/1.1", [("Host", "m")], b"{}", "right")
def test_a_request_is_read_as_the_parser_reads_it(line, headers, body, length):
    raw = message(line, headers, body, length)
    quick = _usual(raw, _REQUEST_LINE)
    assert quick is None or quick == _parsed(raw, httptools.HttpRequestParser, "request")


@given(ANSWERS, st.lists(st.tuples(NAMES, VALUES), max_size=4), BODIES, LENGTHS)
@example("HTTP/1.1 200 OK", [("Content-Type", "application/json")], b"{}", "right")
def test_an_answer_is_read_as_the_parser_reads_it(line, headers, body, length):
    raw = message(line, headers, body, length)
    quick = _usual(raw, _STATUS_LINE)
    assert quick is None or quick == _parsed(raw, httptools.HttpResponseParser, "answer")


@pytest.mark.parametrize("extra", [[], [("X-Request-Id", "r-1")], [("Accept", "*/*"), ("User-Agent", "a b")]])
def test_what_clients_and_servers_usually_send_is_read_the_quick_way(extra):
    asked = message("POST /v1/models/m:predict?x=1 HTTP/1.1", [("Host", "m"), *extra], b"{}", "right")
    answered = message("HTTP/1.1 200 OK", [("Server", "s"), *extra], b"{}", "right")
    assert _usual(asked, _REQUEST_LINE) is not None
    assert _usual(answered, _STATUS_LINE) is not None
    assert read_request(asked).path == "/v1/models/m:predict"
    assert read_answer(answered).body == b"{}"
