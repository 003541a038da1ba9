"""What passes between real sockets: framing, pipelining, streams, upgrades; bytes unchanged but for one header."""

import asyncio

import pytest

from collector.ring import Ring
from tests.proxy_world import ID, OK, post, read_message, run, say, without_id, world


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
