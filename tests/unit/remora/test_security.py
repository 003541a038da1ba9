from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import sqlalchemy as sa
from fastapi import Depends, FastAPI

from remora import security, tables
from remora.database import connect
from remora.errors import UserError
from remora.security import Guard, create_token, revoke_token

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Caller:
    """Calls an ASGI application, one request per event loop."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def get(self, path: str, **more) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                return await client.get(path, **more)

        return asyncio.run(call())


def client_of(guard: Guard) -> Caller:
    app = FastAPI()
    for scope in security.SCOPES:
        app.add_api_route(f"/{scope}", lambda: {"ok": True}, dependencies=[Depends(guard.require(scope))])
    return Caller(app)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def no_cache(monkeypatch):
    monkeypatch.setattr(security, "_CACHE_SECONDS", 0.0)


def test_without_any_token_everything_is_open(sqlite_database):
    guard = Guard(None, sqlite_database)
    assert not guard.protected
    assert client_of(guard).get("/admin").status_code == 200
    assert client_of(Guard(None, None)).get("/ingest").status_code == 200


def test_the_configured_token_may_do_everything():
    guard = Guard("secret", None)
    assert guard.protected
    client = client_of(guard)
    assert client.get("/admin").status_code == 401
    assert client.get("/admin", headers=bearer("wrong")).status_code == 401
    assert client.get("/admin", headers=bearer("secret")).status_code == 200


def test_a_browser_shows_the_token_as_a_password():
    client = client_of(Guard("secret", None))
    word = base64.b64encode(b"anybody:secret").decode()
    assert client.get("/read", headers={"Authorization": f"Basic {word}"}).status_code == 200
    assert client.get("/read", headers={"Authorization": "Basic %%%"}).status_code == 401
    assert "Basic" in client.get("/read").headers["www-authenticate"]


def test_scopes_are_kept_apart(database):
    token = create_token(database, name="model", scopes=["ingest"], now=NOW, actor="me")
    boss = create_token(database, name="boss", scopes=["admin"], now=NOW, actor="me")
    client = client_of(Guard(None, database, clock=lambda: NOW))
    assert client.get("/ingest", headers=bearer(token)).status_code == 200
    assert client.get("/read", headers=bearer(token)).status_code == 403
    assert client.get("/read", headers=bearer(boss)).status_code == 200
    assert client.get("/read").status_code == 401


def test_only_the_digest_is_kept_and_the_making_is_audited(database):
    token = create_token(database, name="model", scopes=["ingest", "read"], now=NOW, actor="me")
    prefix, key, rest = token.split("_")
    assert (prefix, len(key), len(rest)) == ("rmr", 12, 49)
    with database.read() as connection:
        row = connection.execute(sa.select(tables.tokens)).one()
        assert token not in str(row)
        assert rest not in str(row)
        assert row.scopes == ["ingest", "read"]
        assert connection.execute(sa.select(tables.audit.c.what, tables.audit.c.actor)).all() == [
            ("token.created", "me")
        ]


def test_a_revoked_token_ends_and_never_opens_the_api(database, no_cache):
    token = create_token(database, name="model", scopes=["read"], now=NOW, actor="me")
    client = client_of(Guard(None, database, clock=lambda: NOW))
    assert client.get("/read", headers=bearer(token)).status_code == 200
    assert revoke_token(database, token.split("_")[1], now=NOW, actor="me")
    assert not revoke_token(database, token.split("_")[1], now=NOW, actor="me")
    assert client.get("/read", headers=bearer(token)).status_code == 401
    assert client.get("/read").status_code == 401


def test_an_expired_token_ends(sqlite_database):
    token = create_token(
        sqlite_database, name="m", scopes=["read"], now=NOW, actor="me", expires_at=NOW + timedelta(hours=1)
    )
    at = [NOW]
    client = client_of(Guard(None, sqlite_database, clock=lambda: at[0]))
    assert client.get("/read", headers=bearer(token)).status_code == 200
    at[0] += timedelta(hours=2)
    assert client.get("/read", headers=bearer(token)).status_code == 401


def test_a_mistyped_token_is_not_valid(sqlite_database):
    token = create_token(sqlite_database, name="m", scopes=["read"], now=NOW, actor="me")
    client = client_of(Guard(None, sqlite_database))
    for wrong in (token[:-1], token + "0", token.replace("rmr", "rmx"), "rmr_x", "_", "", token[:20] + "é"):
        value = f"Bearer {wrong}".encode("latin-1")
        assert client.get("/read", headers={"Authorization": value}).status_code == 401


@pytest.mark.parametrize("query", ["token=x", "access_token=x", "q=rmr_abc", "API_KEY=x"])
def test_tokens_in_the_address_are_refused(query):
    answer = client_of(Guard("secret", None)).get(f"/read?{query}", headers=bearer("secret"))
    assert answer.status_code == 400
    assert "header" in answer.json()["detail"]


def test_a_database_that_is_away_at_the_start_opens_nothing():
    guard = Guard(None, connect("postgresql+psycopg://nobody@127.0.0.1:9/none"))
    assert client_of(guard).get("/read").status_code == 503


def test_what_is_known_holds_while_the_database_is_away(sqlite_database, no_cache, monkeypatch):
    token = create_token(sqlite_database, name="m", scopes=["read"], now=NOW, actor="me")
    guard = Guard(None, sqlite_database)
    client = client_of(guard)
    assert client.get("/read", headers=bearer(token)).status_code == 200
    guard._database = connect("postgresql+psycopg://nobody@127.0.0.1:9/none")
    assert client.get("/read", headers=bearer(token)).status_code == 200


def test_unknown_scopes_are_refused(sqlite_database):
    with pytest.raises(UserError, match="flying"):
        create_token(sqlite_database, name="m", scopes=["flying"], now=NOW, actor="me")
    with pytest.raises(ValueError, match="flying"):
        Guard(None, None).require("flying")


def test_a_token_that_asks_too_often_waits_and_no_other_does(sqlite_database):
    busy = create_token(sqlite_database, name="busy", scopes=["read"], now=NOW, actor="me")
    calm = create_token(sqlite_database, name="calm", scopes=["read"], now=NOW, actor="me")
    client = client_of(Guard(None, sqlite_database, rate=0.01))
    assert client.get("/read", headers=bearer(busy)).status_code == 200
    limited = client.get("/read", headers=bearer(busy))
    assert (limited.status_code, limited.json()) == (
        429,
        {"detail": "this token asks too often: try again later"},
    )
    assert 90 <= int(limited.headers["retry-after"]) <= 100
    assert client.get("/read", headers=bearer(calm)).status_code == 200


def test_guessing_is_slowed_down_and_a_valid_token_is_not(sqlite_database):
    token = create_token(sqlite_database, name="ann", scopes=["read"], now=NOW, actor="me")
    client = client_of(Guard(None, sqlite_database))
    tried = [client.get("/read", headers=bearer("wrong")) for _ in range(40)]
    codes = [answer.status_code for answer in tried]
    assert codes[:30] == [401] * 30
    assert codes[-1] == 429
    assert tried[-1].headers["retry-after"] == "1"
    assert client.get("/read", headers=bearer(token)).status_code == 200
