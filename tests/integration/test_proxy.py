"""The forwarder between real sockets: a raw upstream that does what each test says, a raw client."""

import asyncio
import json
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from collector.exchange import Exchange, decode
from collector.proxy import Proxy, ProxyOptions, serve
from collector.ring import Ring
from remora.errors import UserError

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

LIMIT = 20.0  # seconds; a bound, not a measure
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ID = re.compile(rb"x-remora-prediction-id: ([^\r]*)\r\n")


def post(path: str = "/predict", body: bytes = b"{}", *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: model", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def without_id(answer: bytes) -> bytes:
    plain, count = ID.subn(b"", answer)
    assert count == 1
    return plain


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """One message with a Content-Length (or none)."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    return head + (await reader.readexactly(int(length[1])) if length else b"")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110  (what is waited for has no event)
            await asyncio.sleep(0.005)


@dataclass
class World:
    proxy: Proxy
    port: int
    ring: Ring
    failures: list[BaseException]

    async def connect(self) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, request: bytes) -> bytes:
        reader, writer = await self.connect()
        writer.write(request)
        answer = await read_message(reader)
        writer.close()
        return answer

    def records(self) -> list[Exchange]:
        return [decode(payload) for payload, _ in self.ring.read(0, 10_000)]


async def answer_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await read_message(reader)
        writer.write(OK)


def say(answer: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_message(reader)
            writer.write(answer)

    return handler


def guarded(handler: Handler, failures: list[BaseException]) -> Handler:
    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except AssertionError as failure:
            failures.append(failure)
        finally:
            writer.close()

    return run


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    opened = Ring.create_or_open(tmp_path / "spool", 4 * 1024 * 1024)
    yield opened
    opened.release(opened.head)
    opened.unlink()
    opened.close()


@asynccontextmanager
async def world(ring: Ring, handler: Handler = answer_ok, **options: Any) -> AsyncIterator[World]:
    failures: list[BaseException] = []
    server = await asyncio.start_server(guarded(handler, failures), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = replace(ProxyOptions(upstream_host="127.0.0.1", upstream_port=port), **options)
    proxy = Proxy(settings, ring)
    try:
        yield World(proxy, await proxy.start(), ring, failures)
    finally:
        await proxy.stop(0)
        server.close()
    assert not failures


def run(main: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(LIMIT):
            await main

    uvloop.run(bounded())


def test_one_request_passes_unchanged_and_is_recorded(ring: Ring) -> None:
    async def main() -> None:
        async with world(ring) as w:
            answer = await w.ask(post())
            assert without_id(answer) == OK
            [record] = w.records()
            assert record.request == post()
            assert record.response == OK
            assert (record.status, record.outcome) == (200, "complete")
            assert not record.request_cut
            assert not record.response_cut
            assert ID.search(answer)[1].decode() == record.id
            assert record.latency_ms > 0

    run(main())


def test_the_model_sees_the_very_bytes_of_the_client(ring: Ring) -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_message(reader))
        writer.write(OK)

    request = post("/a?b=c", b"\x00\xff", "X-Odd:  spaces  kept ", "host: twice")

    async def main() -> None:
        async with world(ring, handler) as w:
            await w.ask(request)
        assert seen == [request]

    run(main())


def test_many_requests_on_one_connection(ring: Ring) -> None:
    async def main() -> None:
        async with world(ring) as w:
            reader, writer = await w.connect()
            for number in range(50):
                writer.write(post(f"/{number}"))
                assert without_id(await read_message(reader)) == OK
            records = w.records()
            assert [record.request for record in records] == [post(f"/{number}") for number in range(50)]
            assert len({record.id for record in records}) == 50
            assert ring.counters()["connections"] == 1
            writer.close()

    run(main())


def test_pipelined_requests_are_answered_one_after_the_other(ring: Ring) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(20):
            request = await read_message(reader)
            assert request == post(f"/{number}", b"b" * number)
            assert not reader._buffer  # the next one waits in the proxy
            content = str(number).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))

    async def main() -> None:
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            writer.write(b"".join(post(f"/{number}", b"b" * number) for number in range(20)))
            for number in range(20):
                assert (await read_message(reader)).endswith(b"\r\n\r\n" + str(number).encode())
            assert len(w.records()) == 20
            writer.close()

    run(main())


def test_chunks_trailers_and_extensions_pass_both_ways(ring: Ring) -> None:
    request = (
        b"POST /p HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;name=value\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nX-Sum: 1\r\n\r\n"
    )
    answer = request.replace(b"POST /p HTTP/1.1", b"HTTP/1.1 200 OK")

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            assert await reader.readexactly(len(request)) == request
            for byte in answer:
                writer.write(bytes([byte]))
                await asyncio.sleep(0)

    async def main() -> None:
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            for _ in range(2):
                writer.write(request)
                got = await reader.readuntil(b"X-Sum: 1\r\n\r\n")
                assert without_id(got) == answer
            assert [(r.request, r.response) for r in w.records()] == [(request, answer)] * 2
            writer.close()

    run(main())


def test_expect_continue_is_between_client_and_model(ring: Ring) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(interim)
        assert await reader.readexactly(4) == b"body"
        writer.write(OK)

    async def main() -> None:
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            request = post("/p", b"body", "Expect: 100-continue")
            writer.write(request.removesuffix(b"body"))
            assert await reader.readexactly(len(interim)) == interim
            writer.write(b"body")
            assert without_id(await read_message(reader)) == OK
            [record] = w.records()
            assert (record.request, record.response) == (request, OK)
            writer.close()

    run(main())


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
    ],
)
def test_answers_without_a_body_end_with_their_head(ring: Ring, method: bytes, answer: bytes) -> None:
    async def main() -> None:
        async with world(ring, say(answer)) as w:
            reader, writer = await w.connect()
            for _ in range(3):
                writer.write(method + b" / HTTP/1.1\r\nHost: m\r\n\r\n")
                assert without_id(await reader.readuntil(b"\r\n\r\n")) == answer
            assert w.records() == []
            assert ring.counters()["not_prediction"] == 3
            writer.close()

    run(main())


def test_the_first_event_of_a_stream_arrives_before_the_model_sends_the_second(ring: Ring) -> None:
    seen = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await seen.wait()
        writer.write(b"data: 2\n\n")

    async def main() -> None:
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            writer.write(post())
            assert (await reader.readuntil(b"data: 1\n\n")).startswith(b"HTTP/1.1 200 OK\r\n")
            seen.set()
            assert await reader.read() == b"data: 2\n\n"
            [record] = w.records()
            assert record.response.endswith(b"data: 1\n\ndata: 2\n\n")
            assert (record.outcome, record.response_cut) == ("complete", False)
            writer.close()

    run(main())


@pytest.mark.parametrize("method", [b"GET", b"CONNECT"])
def test_after_an_upgrade_bytes_pass_unread(ring: Ring, method: bytes) -> None:
    begin = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"
        if method == b"GET"
        else b"HTTP/1.1 200 OK\r\n\r\n"
    )

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begin)
        while data := await reader.read(1000):
            writer.write(data.upper())
        writer.write(b"END")

    async def main() -> None:
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            writer.write(method + b" x:1 HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
            assert await reader.readexactly(len(begin)) == begin
            writer.write(b"POST / HTTP/1.1\r\n\r\nping")
            assert await reader.readuntil(b"PING") == b"POST / HTTP/1.1\r\n\r\nPING"
            writer.write_eof()
            assert await reader.read() == b"END"
            assert w.records() == []
            assert ring.counters()["tunnels"] == 1
            writer.close()

    run(main())


@pytest.mark.parametrize(
    "hello", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00", b"*1\r\n$4\r\nPING\r\n"]
)
def test_another_protocol_passes_as_it_is(ring: Ring, hello: bytes) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(len(hello)) == hello
        writer.write(b"\x00answer")

    async def main() -> None:
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            for byte in hello:
                writer.write(bytes([byte]))
                await writer.drain()
            assert await reader.read() == b"\x00answer"
            writer.close()

    run(main())


def test_the_prediction_id_is_the_callers_when_it_is_usable(ring: Ring) -> None:
    async def main() -> None:
        async with world(ring) as w:
            given = await w.ask(post("/p", b"{}", "X-Request-ID:  order 17 "))
            assert b"x-remora-prediction-id: order 17\r\n" in given
            for bad in ("", "x" * 129, "caf\u00e9", "tab\there"):
                made = ID.search(await w.ask(post("/p", b"{}", f"X-Request-ID: {bad}")))
                assert re.fullmatch(
                    rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", made[1]
                )
            ids = [record.id for record in w.records()]
            assert ids[0] == "order 17"
            assert len(set(ids)) == 5

    run(main())


def test_the_added_header_can_be_turned_off(ring: Ring) -> None:
    async def main() -> None:
        async with world(ring, add_id_header=False) as w:
            assert await w.ask(post()) == OK
            assert len(w.records()) == 1

    run(main())


def test_only_what_is_configured_is_captured(ring: Ring) -> None:
    async def main() -> None:
        async with world(ring, capture_paths=("/predict", "/v2/*/infer")) as w:
            for path in ("/predict", "/predict/x?y", "/predictions", "/v2/models/m/infer", "/v2/infer", "/"):
                await w.ask(post(path))
            paths = [record.request.split()[1] for record in w.records()]
            assert paths == [b"/predict", b"/predict/x?y", b"/v2/models/m/infer"]
            assert ring.counters()["not_prediction"] == 3

    run(main())


def test_a_full_ring_costs_records_and_no_traffic(ring: Ring, tmp_path: Path) -> None:
    small = Ring.create_or_open(tmp_path / "small", 4096)

    async def main() -> None:
        async with world(small) as w:
            for _ in range(100):
                assert without_id(await w.ask(post())) == OK
            counters = small.counters()
            assert counters["received"] == counters["forwarded"] == 100
            assert counters["dropped_full"] > 0
            assert len(w.records()) == counters["captured"] == 100 - counters["dropped_full"]

    run(main())
    small.unlink()
    small.path.unlink(missing_ok=True)
    small.close()


def test_large_bodies_stream_with_little_memory_and_a_capped_copy(ring: Ring) -> None:
    size = 50_000_000
    go = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await go.wait()
        received = 0
        while received < size:
            received += len(await reader.read(1 << 20))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 1_000_000):
            writer.write(b"y" * 1_000_000)
            await writer.drain()

    async def main() -> None:
        peak = 0
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            writer.write(b"POST /p HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size)
            sent = 0

            async def send() -> None:
                nonlocal sent, peak
                while sent < size:
                    writer.write(b"x" * 1_000_000)
                    await writer.drain()
                    sent += 1_000_000
                    peak = max(peak, w.proxy.hub.buffered_bytes())

            sending = asyncio.create_task(send())
            await until(lambda: any(not client._reading for client in w.proxy.hub.clients))
            assert sent < size  # the model does not read, so the client had to stop
            go.set()
            await sending
            await reader.readuntil(b"\r\n\r\n")
            await until(
                lambda: any(client.full for client in w.proxy.hub.clients)
            )  # now the client does not read
            peak = max(peak, w.proxy.hub.buffered_bytes())
            received = 0
            while received < size:
                received += len(await reader.read(1 << 20))
                peak = max(peak, w.proxy.hub.buffered_bytes())
            await until(w.records)
            [record] = w.records()
            assert len(record.request) == len(record.response) == 256 * 1024
            assert record.request_cut
            assert record.response_cut
            writer.close()
        assert peak < 2_000_000

    run(main())


# Ends and failures.


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_model_that_is_down_is_a_502_that_names_it(ring: Ring) -> None:
    port = closed_port()

    async def main() -> None:
        async with world(ring, upstream_port=port) as w:
            reader, writer = await w.connect()
            for _ in range(2):  # the connection stays usable, so that the next request may succeed
                writer.write(post())
                answer = await read_message(reader)
                head, _, body = answer.partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
                assert ID.search(answer)
                assert json.loads(body) == {
                    "error": "the model cannot be reached: Connection refused",
                    "upstream": f"127.0.0.1:{port}",
                }
            records = w.records()
            assert [(r.status, r.outcome, r.request) for r in records] == [(502, "upstream_gone", post())] * 2
            assert ring.counters()["upstream_errors"] == 2
            writer.close()

    run(main())


def test_a_502_reaches_a_client_that_is_still_sending(ring: Ring) -> None:
    async def main() -> None:
        async with world(ring, upstream_port=closed_port()) as w:
            reader, writer = await w.connect()
            writer.write(b"POST / HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 2_000_000)
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 502 ")
            assert b"connection: close\r\n" in answer
            writer.close()

    run(main())


def test_a_silent_model_is_a_504_and_the_client_may_go_on(ring: Ring) -> None:
    calls = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await read_message(reader)
        if calls > 1:
            writer.write(OK)
        await reader.read()

    async def main() -> None:
        async with world(ring, handler, response_timeout=0.2) as w:
            reader, writer = await w.connect()
            writer.write(post())
            answer = await read_message(reader)
            assert answer.startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")
            assert "in time" in json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
            writer.write(post())
            assert without_id(await read_message(reader)) == OK
            assert [(r.status, r.outcome) for r in w.records()] == [(504, "timeout"), (200, "complete")]
            writer.close()

    run(main())


def test_no_connection_in_time_is_a_502(ring: Ring) -> None:
    with (
        socket.socket() as full
    ):  # its queue is full, so that the kernel leaves further connections unanswered
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)

        async def main() -> None:
            async with world(ring, upstream_port=address[1], connect_timeout=0.2) as w:
                answer = await w.ask(post())
                assert b"no connection within 0.2 s" in answer
                assert answer.startswith(b"HTTP/1.1 502 ")

        run(main())
        for filler in fillers:
            filler.close()


def test_a_model_that_leaves_in_the_middle_of_its_answer(ring: Ring) -> None:
    begin = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        writer.write(begin)

    async def main() -> None:
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            writer.write(post())
            assert without_id(await reader.read()) == begin
            [record] = w.records()
            assert (record.outcome, record.status, record.response_cut) == ("upstream_gone", 200, True)
            writer.close()

    run(main())


def test_a_model_that_leaves_without_a_word_closes_the_client_too(ring: Ring) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)

    async def main() -> None:
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            writer.write(post())
            assert await reader.read() == b""
            [record] = w.records()
            assert (record.outcome, record.status, record.response) == ("upstream_gone", 0, b"")
            writer.close()

    run(main())


def test_an_idle_connection_ends_on_both_sides(ring: Ring) -> None:
    ends = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        writer.write(OK)
        if await reader.read(1) == b"":
            ends.set()

    async def main() -> None:
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            writer.write(post())
            await read_message(reader)
            writer.close()
            await ends.wait()
        async with world(ring, lambda r, w: say_once(r, w)) as w:  # noqa: PLW0108
            reader, writer = await w.connect()
            writer.write(post())
            assert without_id(await reader.read()) == OK
            writer.close()
            await until(lambda: not w.proxy.hub.clients)

    async def say_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        writer.write(OK)

    run(main())


def test_a_client_that_hangs_up_is_noticed_by_the_model_and_recorded(ring: Ring) -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1")
        arrived.set()
        try:
            await reader.read()
        finally:
            left.set()

    async def main() -> None:
        async with world(ring, handler) as w:
            _, writer = await w.connect()
            writer.write(post())
            await arrived.wait()
            writer.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            writer.transport.abort()  # a reset
            await left.wait()
            await until(w.records)
            [record] = w.records()
            assert (record.outcome, record.status, record.response_cut) == ("client_gone", 200, True)
            assert ring.counters()["client_gone"] == 1

    run(main())


def test_half_closing_after_the_request_still_gets_the_answer(ring: Ring) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == post()  # to the end: the half-close has arrived
        writer.write(OK)

    async def main() -> None:
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            writer.write(post())
            writer.write_eof()
            assert without_id(await reader.read()) == OK
            writer.close()

    run(main())


def test_an_early_answer_reaches_a_client_that_is_still_sending(ring: Ring) -> None:
    answer = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.write_eof()
        await reader.read()

    async def main() -> None:
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            writer.write(b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n123")
            assert without_id(await reader.read()) == answer
            writer.write(b"x" * 500)
            writer.close()
            [record] = w.records()
            assert (record.status, record.outcome, record.request_cut) == (413, "complete", True)

    run(main())


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "both"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "conflicting"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "chunk's size"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, "longer than"),
    ],
)
def test_what_two_servers_might_read_differently_is_refused(ring: Ring, request_: bytes, reason: str) -> None:
    async def main() -> None:
        async with world(ring) as w:
            reader, writer = await w.connect()
            writer.write(request_)
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            assert head.split()[1] in (b"400", b"431")
            assert b"connection: close" in head
            assert reason in json.loads(body)["error"]
            assert ring.counters()["bad_requests"] == 1
            writer.close()

    run(main())


def test_words_out_of_turn_pass_and_end_the_capture(ring: Ring) -> None:
    late = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        writer.write(OK + b"surplus")
        await reader.readexactly(4)
        writer.write(late)

    async def main() -> None:
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            writer.write(post())
            assert without_id(await reader.readuntil(b"surplus")) == OK + b"surplus"
            writer.write(b"more")
            assert await reader.read() == late
            assert [record.response for record in w.records()] == [OK]
            writer.close()

    run(main())


# The recorder's API on the same port.


def test_paths_of_remora_go_to_the_recorder_and_the_rest_to_the_model(ring: Ring, tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    api_answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\n\r\napi"
    connections = 0

    async def api(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await guarded(say(api_answer), [])(reader, writer)

    async def main() -> None:
        server = await asyncio.start_unix_server(api, path)
        async with world(ring, api_socket=path) as w:
            reader, writer = await w.connect()
            for _ in range(3):
                writer.write(post("/remora/v1/labels"))
                assert await read_message(reader) == api_answer
                writer.write(post("/predict"))
                assert without_id(await read_message(reader)) == OK
            writer.write(post("/remora/x") + post("/predict") + post("http://host/remora/x"))
            answers = [await read_message(reader) for _ in range(3)]
            assert [answers[0], without_id(answers[1]), answers[2]] == [api_answer, OK, api_answer]
            assert connections == 1
            assert len(w.records()) == 4
            assert ring.counters()["api_requests"] == 5
            writer.close()
        server.close()

    run(main())


def test_without_a_recorder_its_paths_are_503_and_the_model_is_served(ring: Ring, tmp_path: Path) -> None:
    async def main() -> None:
        async with world(ring, api_socket=tmp_path / "absent.sock") as w:
            reader, writer = await w.connect()
            writer.write(post("/remora/v1/labels"))
            answer = await read_message(reader)
            assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
            assert b"retry-after: 1\r\n" in answer
            writer.write(post())
            assert without_id(await read_message(reader)) == OK
            writer.close()

    run(main())


def test_without_an_api_socket_the_model_owns_every_path(ring: Ring) -> None:
    async def main() -> None:
        async with world(ring) as w:
            assert without_id(await w.ask(post("/remora/v1/labels"))) == OK

    run(main())


# Start and stop.


def test_a_port_in_use_is_one_clear_line(ring: Ring) -> None:
    async def main() -> None:
        async with world(ring) as w:
            options = replace(w.proxy.hub.options, listen_port=w.port)
            with pytest.raises(
                UserError, match=rf"cannot listen on 127.0.0.1:{w.port}: Address already in use"
            ):
                await serve(options, ring, asyncio.Event())

    run(main())


def test_stopping_lets_the_running_exchange_end(ring: Ring) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        asked.set()
        await go.wait()
        writer.write(OK)
        await reader.read()

    async def main() -> None:
        async with world(ring, handler) as w:
            stop: asyncio.Event = asyncio.Event()
            port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            options = replace(w.proxy.hub.options)
            serving = asyncio.create_task(serve(options, ring, stop, on_listening=port.set_result))
            reader, writer = await asyncio.open_connection("127.0.0.1", await port)
            idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", await port)
            writer.write(post())
            await asked.wait()
            stop.set()
            assert await idle_reader.read() == b""
            with pytest.raises(OSError, match=r"refused|Connect"):
                await asyncio.open_connection("127.0.0.1", await port)
            assert not serving.done()
            go.set()
            assert without_id(await reader.read()) == OK
            await serving
            assert len(w.records()) == 1
            writer.close()
            idle_writer.close()

    run(main())


def test_what_does_not_end_within_the_limit_is_cut_and_recorded(ring: Ring) -> None:
    asked = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader)
        asked.set()
        await reader.read()

    async def main() -> None:
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            writer.write(post())
            await asked.wait()
            await w.proxy.stop(0.05)
            assert await reader.read() == b""
            assert [record.outcome for record in w.records()] == ["client_gone"]
            writer.close()

    run(main())
