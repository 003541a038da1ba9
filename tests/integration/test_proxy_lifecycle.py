"""The recorder's paths, the port, and the end."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from collector.proxy import serve
from collector.ring import Ring
from remora.errors import UserError
from tests.proxy_world import OK, guarded, post, read_message, run, say, without_id, world


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
