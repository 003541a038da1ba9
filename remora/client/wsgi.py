"""WSGI middleware (PEP 3333): `app.wsgi_app = Middleware(app.wsgi_app, client)` for Flask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from remora.client.exchanges import HEADER, Flight, Options

if TYPE_CHECKING:
    from remora.client.sending import Client

__all__ = ["Middleware"]

_StartResponse = Callable[..., Callable[[bytes], object]]


class Middleware:
    """Copies requests and answers for the collector; the app and its caller notice one more header. See `Options`."""

    def __init__(
        self,
        app: Callable[[dict[str, Any], _StartResponse], Iterable[bytes]],
        client: Client,
        paths: Iterable[str] = (),
        **options: Any,
    ) -> None:
        self._app = app
        self._options = Options(client, paths, **options)

    def __call__(self, environ: dict[str, Any], start_response: _StartResponse) -> Iterable[bytes]:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if not self._options.wants(environ.get("REQUEST_METHOD", ""), path):
            return self._app(environ, start_response)
        flight = Flight(self._options, path, _headers(environ))
        environ["wsgi.input"] = _Input(environ["wsgi.input"], flight, environ.get("CONTENT_LENGTH"))

        def starting(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Callable[[bytes], object]:
            flight.begin_answer(int(status[:3]), headers)
            if self._options.answer_id:
                headers = [*headers, (HEADER, flight.id)]
            write = start_response(status, headers, *((exc_info,) if exc_info else ()))

            def copying(data: bytes) -> object:
                flight.answer.keep(data)
                return write(data)

            return copying

        try:
            chunks = self._app(environ, starting)
        except BaseException:
            flight.done(whole=False)
            raise
        return (_Sized if hasattr(chunks, "__len__") else _Answer)(chunks, flight)


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return headers | {"content-type": environ.get("CONTENT_TYPE", "")}


class _Input:
    """The request's body, copied as the app reads it."""

    def __init__(self, body: Any, flight: Flight, length: str | None) -> None:
        self._body = body
        self._flight = flight
        self._left = int(length) if length and length.isascii() and length.isdigit() else None
        flight.request_whole = self._left == 0

    def _kept(self, data: bytes) -> bytes:
        self._flight.request.keep(data)
        if self._left is not None:
            self._left -= len(data)
            self._flight.request_whole = self._left <= 0
        elif not data:
            self._end()
        return data

    def read(self, *size: int) -> bytes:
        data = self._kept(self._body.read(*size))
        if not size or size[0] < 0:
            self._end()
        return data

    def _end(self) -> None:
        """Everything was read that there was, whatever length was said."""
        if self._left is None:
            self._flight.request_whole = True

    def readline(self, *size: int) -> bytes:
        return self._kept(self._body.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        lines = [self._kept(line) for line in self._body.readlines(*hint)]
        if not hint:
            self._end()
        return lines

    def __iter__(self) -> Iterator[bytes]:
        for line in self._body:
            yield self._kept(line)
        self._end()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)


class _Answer:
    """The answer's body, copied as the server takes it; over when the server closes it, as PEP 3333 demands."""

    def __init__(self, chunks: Iterable[bytes], flight: Flight) -> None:
        self._chunks = chunks
        self._flight = flight
        self._whole = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._chunks:
                self._flight.answer.keep(chunk)
                yield chunk
        except GeneratorExit:
            raise
        except BaseException:
            self._flight.done(whole=False)
            raise
        self._whole = True

    def close(self) -> None:
        try:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
        finally:
            if self._whole:
                self._flight.done(whole=True)
            else:
                self._flight.left()


class _Sized(_Answer):
    """An app that returns a list lets the server set Content-Length."""

    def __len__(self) -> int:
        return len(self._chunks)  # type: ignore[arg-type]
