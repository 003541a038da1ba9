"""The pair of protocols on transports that only remember: however the bytes are cut, nothing changes."""

import asyncio
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.exchange import Exchange, decode
from collector.proxy import failures
from collector.proxy.client import ClientSide
from collector.proxy.hub import Hub
from collector.proxy.options import ProxyOptions, Upstream
from collector.ring import COUNTERS, Ring

ID_LINE = re.compile(rb"x-remora-prediction-id: [^\r]*\r\n")


@dataclass
class Transport:
    """The part of asyncio.Transport that the protocols use."""

    written: bytearray = field(default_factory=bytearray)
    closed: bool = False
    ended: bool = False
    reading: bool = True

    def write(self, data: bytes) -> None:
        assert not self.ended
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return 0


class Wire:
    """A client side and its upstream side; the upstream connects when told to."""

    def __init__(self, **options: Any) -> None:
        self.payloads: list[bytes] = []
        ring = SimpleNamespace(counts=[0] * len(COUNTERS), append=self.payloads.append)
        self.hub = Hub(ProxyOptions(upstream=Upstream("m", 1), **options), cast("Ring", ring))
        self.hub.connect = lambda side: setattr(self, "side", side)  # type: ignore[method-assign]
        self.side: Any = None
        self.to_client, self.to_model = Transport(), Transport()
        self.client = ClientSide(self.hub)
        self.client.connection_made(cast("asyncio.Transport", self.to_client))

    def connect(self) -> None:
        if self.side is not None and self.side.transport is None:
            self.side.connection_made(self.to_model)

    @property
    def records(self) -> list[Exchange]:
        return [decode(payload) for payload in self.payloads]


def chunked(parts: list[bytes], extension: bytes, trailer: bytes) -> bytes:
    chunks = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts if part)
    return chunks + b"0\r\n" + trailer + b"\r\n"


headers = st.lists(
    st.sampled_from([b"Host: m", b"X-A:  b ", b"x-note: content-length: 3", b"Accept: */*", b"X-Empty:"]),
    max_size=4,
)
content = st.one_of(
    st.binary(max_size=40).map(lambda body: (b"Content-Length: %d" % len(body), body)),
    st.builds(
        lambda parts, extension, trailer: (b"Transfer-Encoding: chunked", chunked(parts, extension, trailer)),
        st.lists(st.binary(max_size=30), max_size=4),
        st.sampled_from([b"", b";a=b", b' ; x="y"']),
        st.sampled_from([b"", b"X-Sum: 1\r\n"]),
    ),
)


def message(line: bytes, extra: list[bytes], framing: tuple[bytes, bytes]) -> bytes:
    return b"\r\n".join([line, *extra, framing[0], b"", framing[1]])


requests = st.builds(
    message, st.sampled_from([b"POST /p HTTP/1.1", b"\r\nPOST /q?r HTTP/1.1"]), headers, content
)
answers = st.one_of(
    st.builds(message, st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 500 "]), headers, content),
    st.just(b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"),
)
interims = st.sampled_from(
    [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 2]
)


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(requests, interims, answers), min_size=1, max_size=4), st.data())
def test_any_cut_of_the_packets_gives_the_same_bytes_and_records(
    exchanges: list[tuple[bytes, bytes, bytes]], data: st.DataObject
) -> None:
    wire = Wire()
    packets = data.draw(cuts(b"".join(request for request, _, _ in exchanges)))
    connect_after = data.draw(st.integers(0, len(packets)))
    replies = [data.draw(cuts(interim + answer)) for _, interim, answer in exchanges]
    run(wire, packets, connect_after, [len(request) for request, _, _ in exchanges], replies)
    assert bytes(wire.to_model.written) == b"".join(request for request, _, _ in exchanges)
    plain, added = ID_LINE.subn(b"", bytes(wire.to_client.written))
    assert plain == b"".join(interim + answer for _, interim, answer in exchanges)
    assert added == len(exchanges)
    assert [(r.request, r.response) for r in wire.records] == [
        (request, answer) for request, _, answer in exchanges
    ]
    assert not any(r.request_cut or r.response_cut for r in wire.records)
    assert wire.to_client.reading
    assert not wire.to_client.closed


def run(
    wire: Wire, packets: list[bytes], connect_after: int, sizes: list[int], replies: list[list[bytes]]
) -> None:
    """The model answers each request once it has it whole."""
    answered = 0
    for number, packet in enumerate([*packets, b""]):
        if packet:
            wire.client.data_received(packet)
        if number >= connect_after:
            wire.connect()
        while answered < len(sizes) and wire.side and wire.side.transport:
            if len(wire.to_model.written) < sum(sizes[: answered + 1]):
                break
            for part in replies[answered]:
                wire.side.data_received(part)
            answered += 1


@given(st.binary(max_size=300), st.data())
def test_what_is_not_http_passes_whatever_it_is(noise: bytes, data: st.DataObject) -> None:
    wire = Wire()
    stream = b"\x00" + noise
    for packet in data.draw(cuts(stream)):
        wire.client.data_received(packet)
        wire.connect()
    wire.side.data_received(b"reply")
    assert bytes(wire.to_model.written) == stream
    assert bytes(wire.to_client.written) == b"reply"
    assert wire.records == []


def begin(wire: Wire, request: bytes = b"POST /p HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody") -> None:
    wire.client.data_received(request)
    wire.connect()


def test_an_answer_until_close_is_whole_when_the_model_closes() -> None:
    wire = Wire()
    begin(wire)
    wire.side.data_received(b"HTTP/1.0 200 OK\r\n\r\nall of it")
    assert wire.records == []
    wire.side.eof_received()
    wire.side.connection_lost(None)
    assert [(r.outcome, r.response_cut) for r in wire.records] == [("complete", False)]
    assert wire.to_client.closed


def test_an_answer_until_close_that_is_reset_is_not_whole() -> None:
    wire = Wire()
    begin(wire)
    wire.side.data_received(b"HTTP/1.0 200 OK\r\n\r\nhalf of")
    wire.side.connection_lost(ConnectionResetError())
    assert [(r.outcome, r.response_cut) for r in wire.records] == [("upstream_gone", True)]


def test_broken_chunks_of_the_model_pass_on_until_it_closes() -> None:
    wire = Wire()
    begin(wire)
    wire.side.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc")
    wire.side.data_received(b"more")
    wire.side.eof_received()
    assert wire.to_client.written.endswith(b"2\r\nabcmore")
    assert wire.to_client.closed


def test_the_copy_stops_at_the_limit_and_the_bytes_do_not() -> None:
    wire = Wire(capture_limit=60)
    begin(wire, b"POST /p HTTP/1.1\r\nContent-Length: 400\r\n\r\n" + b"x" * 100)
    for _ in range(3):
        wire.client.data_received(b"x" * 100)
    wire.side.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    [record] = wire.records
    assert len(record.request) == 60
    assert (record.request_cut, record.response_cut) == (True, False)
    assert wire.to_model.written.count(b"x") == 400


def test_a_slow_model_stops_the_client_and_a_slow_client_the_model() -> None:
    wire = Wire()
    begin(wire, b"POST /p HTTP/1.1\r\nContent-Length: 400\r\n\r\n")
    wire.side.pause_writing()
    assert not wire.to_client.reading
    wire.side.resume_writing()
    assert wire.to_client.reading
    wire.client.pause_writing()
    assert not wire.to_model.reading
    wire.client.resume_writing()
    assert wire.to_model.reading


def test_a_client_far_ahead_of_its_turn_is_not_read() -> None:
    wire = Wire()
    request = b"POST /p HTTP/1.1\r\nContent-Length: 30000\r\n\r\n" + b"x" * 30_000
    begin(wire, request)
    for _ in range(3):
        wire.client.data_received(request)
    assert not wire.to_client.reading
    assert wire.client.buffered_bytes() == 3 * len(request)
    for _ in range(4):
        wire.side.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert wire.to_client.reading
    assert len(wire.records) == 4


def test_a_client_that_never_asks_is_closed_after_a_while() -> None:
    wire = Wire()
    now = wire.hub.clock()
    failures.check(wire.client, now + 10)
    assert not wire.to_client.closed
    failures.check(wire.client, now + 1000)
    assert wire.to_client.closed


def test_a_body_that_is_slow_to_come_is_no_slow_model() -> None:
    wire = Wire()
    begin(wire, b"POST /p HTTP/1.1\r\nContent-Length: 400\r\n\r\n")
    failures.check(wire.client, wire.hub.clock() + 1000)
    assert not wire.to_client.written


def test_the_ring_takes_what_the_forwarder_encodes() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ring = Ring.create_or_open(Path(folder), 1 << 16)
        wire = Wire()
        begin(wire)
        wire.side.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert ring.append(wire.payloads[0])
        [(payload, position)] = ring.read(0, 5)
        assert decode(payload) == wire.records[0]
        ring.release(position)
        assert ring.unlink()
        ring.close()


def test_a_client_is_read_again_after_its_full_and_silent_model_was_given_up() -> None:
    wire = Wire()
    begin(wire)
    wire.side.pause_writing()
    assert not wire.to_client.reading
    failures.check(wire.client, wire.hub.clock() + 1000)
    assert wire.to_client.written.startswith(b"HTTP/1.1 504 ")
    assert wire.to_client.reading
    assert not wire.to_client.closed
    assert [(r.status, r.outcome) for r in wire.records] == [(504, "timeout")]


def test_an_interim_answer_gives_the_model_new_time() -> None:
    wire = Wire()
    begin(wire)
    wire.side.data_received(b"HTTP/1.1 102 Processing\r\n\r\n")
    failures.check(wire.client, wire.hub.clock() + 1)
    assert bytes(wire.to_client.written) == b"HTTP/1.1 102 Processing\r\n\r\n"
