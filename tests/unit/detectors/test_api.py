"""The clock's routes."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI

from detectors.api import router
from detectors.clock import settle
from remora.config import parse
from remora.security import Guard

REPLAY = parse("version: 1\nschedule: {clock: replay}")
START = datetime(2013, 3, 1, tzinfo=UTC)


@pytest.fixture
def moved():
    return []


class Web:
    """Calls the application without a socket."""

    def __init__(self, app):
        self.app = app

    def get(self, path):
        return asyncio.run(self._call("GET", path))

    def put(self, path, json):
        return asyncio.run(self._call("PUT", path, json=json))

    async def _call(self, method, path, **kw):
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://remora") as client:
            return await client.request(method, path, **kw)


@contextmanager
def client(database, config, moved, token=None):
    app = FastAPI()
    app.include_router(router(database, config, Guard(token, None), lambda: moved.append(True)))
    yield Web(app)


def test_the_clock_is_set_and_read(sqlite_database, moved):
    with client(sqlite_database, REPLAY, moved) as web:
        assert web.get("/v1/clock").json() == {"mode": "replay", "now": None, "settled": None}
        answer = web.put("/v1/clock", json={"now": "2013-03-01T01:00:00+01:00"})
        assert (answer.status_code, moved) == (200, [True])
        assert answer.json() == {"mode": "replay", "now": "2013-03-01T00:00:00Z", "settled": None}
        settle(sqlite_database, REPLAY, START)
        assert web.get("/v1/clock").json()["settled"] == "2013-03-01T00:00:00Z"


def test_it_does_not_go_back(sqlite_database, moved):
    with client(sqlite_database, REPLAY, moved) as web:
        web.put("/v1/clock", json={"now": "2013-03-02T00:00:00Z"})
        answer = web.put("/v1/clock", json={"now": "2013-03-01T00:00:00Z"})
        assert answer.status_code == 409
        assert "does not go back" in answer.json()["detail"]
        assert moved == [True]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"now": "2013-03-01T00:00:00"},
        {"now": "soon"},
        {"now": None},
        {"now": "2013-03-01T00:00:00Z", "x": 1},
    ],
)
def test_what_is_no_instant_is_refused(sqlite_database, moved, body):
    with client(sqlite_database, REPLAY, moved) as web:
        assert web.put("/v1/clock", json=body).status_code == 422
        assert moved == []


def test_the_systems_clock_cannot_be_set(sqlite_database, moved):
    with client(sqlite_database, parse("version: 1"), moved) as web:
        assert web.get("/v1/clock").json()["mode"] == "system"
        assert web.put("/v1/clock", json={"now": "2013-03-01T00:00:00Z"}).status_code == 409


def test_a_token_is_asked_for(sqlite_database, moved):
    with client(sqlite_database, REPLAY, moved, "secret") as web:
        assert web.put("/v1/clock", json={"now": "2013-03-01T00:00:00Z"}).status_code == 401
        assert web.get("/v1/clock").status_code == 401
