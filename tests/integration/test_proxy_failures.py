"""Clients and models that leave, hang, lie or are not there."""

import asyncio
import json
import socket
import struct
from pathlib import Path

import pytest

from collector.proxy import Upstream
from collector.ring import Ring
from tests.proxy_world import ID, OK, answer_ok, guarded, post, read_message, run, until, without_id, world


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_model_that_is_down_is_a_502_that_names_it(ring: Ring) -> None:
    port = closed_port()

    async def main() -> None:
        async with world(ring, upstream=Upstream("127.0.0.1", port)) as w:
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


def test_a_model_behind_a_unix_socket_may_be_down_and_come(ring: Ring, tmp_path: Path) -> None:
    path = tmp_path / "model.sock"

    async def main() -> None:
        async with world(ring, upstream=Upstream(path=path)) as w:
            reader, writer = await w.connect()
            writer.write(post())
            answer = await read_message(reader)
            assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
            assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {
                "error": "the model cannot be reached: No such file or directory",
                "upstream": f"unix:{path}",
            }
            server = await asyncio.start_unix_server(guarded(answer_ok, w.failures), path)
            for _ in range(2):
                writer.write(post())
                assert without_id(await read_message(reader)) == OK
            writer.close()
            server.close()
            assert [record.status for record in w.records()] == [502, 200, 200]

    run(main())


def test_a_502_reaches_a_client_that_is_still_sending(ring: Ring) -> None:
    async def main() -> None:
        async with world(ring, upstream=Upstream("127.0.0.1", closed_port())) as w:
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
            async with world(ring, upstream=Upstream("127.0.0.1", address[1]), connect_timeout=0.2) as w:
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


def test_a_client_that_leaves_amid_its_request_is_gone_whatever_the_model_makes_of_the_part(
    ring: Ring,
) -> None:
    bad = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad"

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (
            await reader.read() == post(body=b"{" + b" " * 99)[:-50]
        )  # a model server sees the end and answers
        writer.write(bad)

    async def main() -> None:
        async with world(ring, handler) as w:
            reader, writer = await w.connect()
            writer.write(post(body=b"{" + b" " * 99)[:-50])
            writer.write_eof()
            assert without_id(await reader.read()) == bad
            (record,) = w.records()
            assert (record.outcome, record.status, record.request_cut) == ("client_gone", 400, True)
            assert ring.counters()["client_gone"] == 1
            writer.close()

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
