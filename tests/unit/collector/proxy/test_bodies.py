"""Where bodies end, whatever the packets; chunk grammar as in RFC 9112 section 7.1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.proxy.bodies import Body, body_of
from collector.proxy.framing import CHUNKED, UNTIL_CLOSE, BadMessageError

CHUNKS = b"5;a=b\r\nhello\r\n1A \r\nabcdefghijklmnopqrstuvwxyz\r\n000\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"


def feed(body: Body, data: bytes, size: int) -> int:
    """How much of `data`, in packets of `size`, belongs to the body."""
    taken = 0
    for begin in range(0, len(data), size):
        packet = data[begin : begin + size]
        stop = body.feed(packet, 0)
        taken += stop
        if stop < len(packet):
            break
    return taken


@given(st.integers(1, 120), st.binary(max_size=20))
def test_chunks_end_after_the_trailers(size: int, following: bytes) -> None:
    body = body_of(CHUNKED)
    assert feed(body, CHUNKS + following, size) == len(CHUNKS)
    assert body.done


@given(st.integers(0, 200), st.integers(1, 50))
def test_a_counted_body_ends_after_its_length(length: int, size: int) -> None:
    body = body_of(length)
    assert feed(body, b"x" * 200, size) == length
    assert body.done


def test_until_close_never_ends() -> None:
    body = body_of(UNTIL_CLOSE)
    assert body.feed(b"abc", 1) == 3
    assert body.until_close
    assert not body.done


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b"-1\r\n",
        b"0x5\r\n",
        b"\r\n",
        b"5\nhello\n",
        b"5\r\nhelloo\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5;a\rb\r\n",
        b"1" * 16 + b"\r\n",
        b"5;" + b"e" * 9000,
        b"0\r\n" + b"X: y\r\n" * 20_000,
    ],
)
@pytest.mark.parametrize("size", [1, 7, 100_000_000])
def test_what_two_servers_might_read_differently_is_refused(data: bytes, size: int) -> None:
    with pytest.raises(BadMessageError):
        feed(body_of(CHUNKED), data, min(size, len(data)))
