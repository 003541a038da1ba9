"""The forwarder between real sockets: a raw upstream that does what each test says, a raw client."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import uvloop

from collector.exchange import Exchange, decode
from collector.proxy import Proxy, ProxyOptions, Upstream
from collector.ring import Ring

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


@asynccontextmanager
async def world(ring: Ring, handler: Handler = answer_ok, **options: Any) -> AsyncIterator[World]:
    failures: list[BaseException] = []
    server = await asyncio.start_server(guarded(handler, failures), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = replace(ProxyOptions(upstream=Upstream("127.0.0.1", port)), **options)
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
