"""Both middlewares: app and caller notice one more header, and the collector is told what passed."""

from __future__ import annotations

import asyncio
import base64
import io
import json

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.client import Client, asgi, wsgi
from remora.client.exchanges import HEADER

HEADERS = [
    (b"content-type", b"application/json"),
    (b"x-request-id", b"r1"),
    (b"authorization", b"Bearer secret"),
]


class Kept:
    """A client whose exchanges stay here."""

    def __init__(self) -> None:
        self.exchanges: list[dict] = []
        self.client = Client(model="m", transport=httpx.MockTransport(self.answer), interval=0.001)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.exchanges += [json.loads(line) for line in request.content.splitlines()]
        return httpx.Response(202, json={"accepted": 1, "rejected": []})

    def only(self) -> dict:
        assert self.client.flush()
        (one,) = self.exchanges
        return one


@pytest.fixture
def kept():
    made = Kept()
    yield made
    made.client.close()


def body_of(side: dict) -> bytes:
    return base64.b64decode(side["body"])


# --- ASGI ------------------------------------------------------------------------------------------------------------


def scope(path: str = "/predict", method: str = "POST", kind: str = "http") -> dict:
    return {"type": kind, "method": method, "path": path, "headers": HEADERS}


def drive(app, chunks: list[bytes], scope: dict, *, leave: bool = False) -> list[dict]:
    """Run an ASGI app over a request in these chunks; what it sent."""
    sent: list[dict] = []
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
        for index, chunk in enumerate(chunks)
    ]

    async def receive() -> dict:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        if leave and message["type"] == "http.response.body":
            raise OSError("the caller left")
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def echo(pieces: list[bytes], status: int = 200):
    async def app(scope, receive, send):
        while True:
            message = await receive()
            if not message.get("more_body"):
                break
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/x")]}
        )
        for index, piece in enumerate(pieces):
            await send({"type": "http.response.body", "body": piece, "more_body": index < len(pieces) - 1})

    return app


@given(
    st.lists(st.binary(max_size=20), min_size=1, max_size=4),
    st.lists(st.binary(max_size=20), min_size=1, max_size=4),
    st.sampled_from([200, 404, 500]),
)
@settings(max_examples=60, deadline=None)
def test_asgi_an_app_and_its_caller_notice_nothing_but_the_header(asked, answered, status):
    kept = Kept()
    app = echo(answered, status)
    plain = drive(app, asked, scope())
    watched = drive(asgi.Middleware(app, kept.client), asked, scope())
    assert (HEADER.encode(), b"r1") in watched[0]["headers"]
    watched[0]["headers"].remove((HEADER.encode(), b"r1"))
    assert watched == plain
    one = kept.only()
    assert body_of(one["request"]) == b"".join(asked)
    assert body_of(one["answer"]) == b"".join(answered)
    assert (one["id"], one["status"], one["path"]) == ("r1", status, "/predict")
    assert one["request"]["headers"] == {"content-type": "application/json"}
    assert not one["request"]["cut"]
    kept.client.close()


@pytest.mark.parametrize(
    "other",
    [
        scope(method="GET"),
        scope("/healthz"),
        scope("/predictions"),
        scope(kind="websocket"),
    ],
)
def test_asgi_whatever_is_no_prediction_passes_untouched(kept, other):
    seen = []

    async def app(*args):
        seen.append(args)

    async def channel(*_):
        raise AssertionError

    asyncio.run(asgi.Middleware(app, kept.client, ["/predict"])(other, channel, channel))
    assert seen == [(other, channel, channel)]


def test_asgi_what_waits_is_sent_before_the_app_shuts_down(kept):
    kept.client.log(features={"a": 1})
    seen = []

    async def app(scope, receive, send):
        seen.append((await receive())["type"])
        seen.append(len(kept.exchanges))

    async def receive() -> dict:
        return {"type": "lifespan.shutdown"}

    asyncio.run(asgi.Middleware(app, kept.client)({"type": "lifespan"}, receive, receive))
    assert seen == ["lifespan.shutdown", 1]


def test_asgi_an_error_is_recorded_and_raised(kept):
    async def app(scope, receive, send):
        await receive()
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        drive(asgi.Middleware(app, kept.client), [b"{}"], scope())
    assert (kept.only()["status"], kept.only()["answer"]) == (500, None)


def test_asgi_a_cancelled_request_is_a_caller_who_left(kept):
    async def app(scope, receive, send):
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        drive(asgi.Middleware(app, kept.client), [b"{}"], scope())
    assert kept.only()["status"] == 499


def test_asgi_a_stream_is_passed_on_piece_by_piece(kept):
    passed: list[bytes] = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"1", b"2"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            assert passed[-1] == piece  # before the next is made
        await send({"type": "http.response.body"})

    async def receive() -> dict:
        return {"type": "http.request", "body": b""}

    async def send(message: dict) -> None:
        passed.append(message.get("body", b""))

    asyncio.run(asgi.Middleware(app, kept.client)(scope(), receive, send))
    assert body_of(kept.only()["answer"]) == b"12"


def test_long_bodies_are_cut_and_unread_ones_are_not_whole(kept):
    drive(asgi.Middleware(echo([b"y" * 9]), kept.client, max_body=5), [b"x" * 9], scope())
    one = kept.only()
    assert (body_of(one["request"]), one["request"]["cut"]) == (b"xxxxx", True)
    assert (body_of(one["answer"]), one["answer"]["cut"]) == (b"yyyyy", True)


def test_the_header_may_be_turned_off_and_the_id_named_by_another(kept):
    sent = drive(
        asgi.Middleware(echo([b""]), kept.client, answer_id=False, id_header="Authorization"), [b""], scope()
    )
    assert sent[0]["headers"] == [(b"content-type", b"text/x")]
    assert kept.only()["id"] == "Bearer secret"


# --- WSGI ------------------------------------------------------------------------------------------------------------


def environ(body: bytes, path: str = "/predict", method: str = "POST", length: bool = True) -> dict:
    return {
        "REQUEST_METHOD": method, "PATH_INFO": path, "SCRIPT_NAME": "", "CONTENT_TYPE": "application/json",
        "HTTP_X_REQUEST_ID": "r1", "wsgi.input": io.BytesIO(body), **({"CONTENT_LENGTH": str(len(body))} if length else {}),
    }  # fmt: skip


def serve(app, environ: dict) -> tuple[str, list, bytes]:
    """What a server does with an app."""
    begun: list = []
    written: list[bytes] = []

    def start_response(status, headers, exc_info=None):
        begun.append((status, headers))
        return written.append

    chunks = app(environ, start_response)
    try:
        written.extend(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    return (*begun[-1], b"".join(written))


READERS = {
    "read": lambda body: body.read(),
    "read in parts": lambda body: b"".join(iter(lambda: body.read(3), b"")),
    "readline": lambda body: b"".join(iter(body.readline, b"")),
    "readlines": lambda body: b"".join(body.readlines()),
    "iterate": b"".join,
}


@pytest.mark.parametrize("how", READERS)
@pytest.mark.parametrize("length", [True, False])
def test_wsgi_an_app_and_its_caller_notice_nothing_but_the_header(kept, how, length):
    asked = b'{"a":\n 1}\n'

    def app(environ, start_response):
        assert READERS[how](environ["wsgi.input"]) == asked
        write = start_response("200 OK", [("Content-Type", "application/json")])
        write(b"<")
        return [b"one", b"two"]

    plain = serve(app, environ(asked, length=length))
    watched = serve(wsgi.Middleware(app, kept.client), environ(asked, length=length))
    assert watched == (plain[0], [*plain[1], (HEADER, "r1")], plain[2])
    one = kept.only()
    assert (body_of(one["request"]), body_of(one["answer"])) == (asked, b"<onetwo")
    assert (one["id"], one["status"], one["request"]["cut"]) == ("r1", 200, False)


def test_wsgi_a_list_still_has_a_length_and_a_generator_none(kept):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [b"x"] if environ["PATH_INFO"] == "/list" else iter([b"x"])

    middleware = wsgi.Middleware(app, kept.client)
    assert len(middleware(environ(b"", "/list"), lambda *_: None)) == 1
    assert not hasattr(middleware(environ(b"", "/other"), lambda *_: None), "__len__")


def test_wsgi_generators_are_closed_and_a_caller_who_left_is_one(kept):
    closed = []

    def pieces():
        try:
            yield b"1"
            yield b"2"
        finally:
            closed.append(True)

    def app(environ, start_response):
        start_response("200 OK", [])
        return pieces()

    answer = wsgi.Middleware(app, kept.client)(environ(b"{}"), lambda *_: None)
    assert next(iter(answer)) == b"1"
    answer.close()
    assert closed == [True]
    assert kept.only()["status"] == 499


@pytest.mark.parametrize("late", [False, True])
def test_wsgi_an_error_is_recorded_and_raised(kept, late):
    def app(environ, start_response):
        if late:
            start_response("200 OK", [])
            return (1 / 0 for _ in range(1))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        serve(wsgi.Middleware(app, kept.client), environ(b""))
    assert (kept.only()["status"], kept.only()["answer"]) == (500, None)


def test_wsgi_whatever_is_no_prediction_passes_untouched(kept):
    marker = object()
    middleware = wsgi.Middleware(lambda environ, start_response: marker, kept.client, ["/predict/"])
    for other in (environ(b"", "/health"), environ(b"", method="GET"), environ(b"", "/predictions")):
        body = other["wsgi.input"]
        assert middleware(other, None) is marker
        assert other["wsgi.input"] is body
