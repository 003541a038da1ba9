"""ASGI middleware: `app = Middleware(app, client)`, or FastAPI's `app.add_middleware(Middleware, client=client)`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import TYPE_CHECKING, Any

from remora.client.exchanges import HEADER, Flight, Options

if TYPE_CHECKING:
    from remora.client.sending import Client

__all__ = ["Middleware"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_NAME = HEADER.encode()
_FLUSH_SECONDS = 5.0


class Middleware:
    """Copies requests and answers for the collector; the app and its caller notice one more header. See `Options`."""

    def __init__(
        self,
        app: Callable[[_Message, _Receive, _Send], Awaitable[None]],
        client: Client,
        paths: Iterable[str] = (),
        **options: Any,
    ) -> None:
        self._app = app
        self._options = Options(client, paths, **options)

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, self._flushing(receive), send)
            return
        if scope["type"] != "http" or not self._options.wants(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        copy = _Copy(Flight(self._options, scope["path"], headers), receive, send, self._options)
        try:
            await self._app(scope, copy.receive, copy.send)
        except asyncio.CancelledError:
            copy.flight.left()
            raise
        except BaseException:
            copy.flight.done(whole=False)
            raise
        copy.ended()

    def _flushing(self, receive: _Receive) -> _Receive:
        """Send what waits when the server has answered its last request: uvicorn ends without Python's own exit."""

        async def receiving() -> _Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self._options.client.flush, _FLUSH_SECONDS)
            return message

        return receiving


class _Copy:
    """The two channels of one request."""

    def __init__(self, flight: Flight, receive: _Receive, send: _Send, options: Options) -> None:
        self.flight = flight
        self._receive = receive
        self._send = send
        self._options = options
        self._answered = False
        self._left = False

    async def receive(self) -> _Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self.flight.request.keep(message.get("body", b""))
            self.flight.request_whole = not message.get("more_body", False)
        elif message["type"] == "http.disconnect":
            self._left = True
        return message

    async def send(self, message: _Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ())]
            told = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
            self.flight.begin_answer(message["status"], told)
            if self._options.answer_id:
                message = {**message, "headers": [*headers, (_NAME, self.flight.id.encode())]}
        elif message["type"] == "http.response.body":
            self.flight.answer.keep(message.get("body", b""))
            self._answered = not message.get("more_body", False)
        await self._send(message)

    def ended(self) -> None:
        if self._left and not self._answered:
            self.flight.left()
        else:
            self.flight.done(whole=self._answered)
