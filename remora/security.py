"""Who may do what: tokens with scopes, shown as `Authorization: Bearer` or, by a browser, as Basic's password.

A token is `rmr_<12 of id>_<43 of secret><6 of checksum>` in base 62: 256 bits of secret, found by secret scanners.
Only its SHA-256 is kept. Without any token, configured or in the database, the API is open; `settings.check_exposure`
allows that on the loopback address alone.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import math
import secrets
import time
import zlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from fastapi import HTTPException, Request
from prometheus_client import Counter

from remora import tables
from remora.database import Database
from remora.errors import UnavailableError, UserError
from remora.rates import Rates
from remora.telemetry import REGISTRY

__all__ = ["RATE", "SCOPES", "Guard", "KnownToken", "create_token", "id_of", "list_tokens", "revoke_token"]

_LIMITED = Counter(
    "remora_requests_limited", "Requests that were answered with 429.", ["by"], registry=REGISTRY
)
SCOPES = ("ingest", "read", "write", "admin")

RATE = 1000.0
"""Requests a second that one token may make if nothing else is said; twice as many at once."""

_ATTEMPTS, _ATTEMPTS_AT_ONCE = 1.0, 30.0  # a second, from one address, with no or a wrong token
_CACHE_SECONDS = 30.0
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH, _CHECK_LENGTH, _ID_LENGTH = 43, 6, 12
_QUERY_NAMES = {"token", "access_token", "api_key", "apikey", "authorization"}


@dataclass(frozen=True)
class _Token:
    digest: str
    scopes: frozenset[str]
    expires_at: datetime | None
    revoked: bool


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Guard:
    """Checks requests against the configured token, which may do everything, and those of the database."""

    def __init__(
        self, token: str | None, database: Database | None, *, rate: float = RATE,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:  # fmt: skip
        self._own = _digest(token) if token else None
        self._database = database
        self._clock = clock
        self._known: dict[str, _Token] | None = None
        self._loaded = float("-inf")
        self._reloading = asyncio.Lock()
        self._requests = Rates(rate, max(1.0, 2 * rate))
        self._attempts = Rates(_ATTEMPTS, _ATTEMPTS_AT_ONCE)

    @property
    def protected(self) -> bool:
        """Whether a token is needed; once tokens were made, revoking them all does not open the API. Reads the database."""
        if self._own is None and self._known is None:
            self._load()
        return self._own is not None or bool(self._known)

    def require(self, scope: str) -> Callable[[Request], Coroutine[Any, Any, None]]:
        """A FastAPI dependency that lets a request pass or answers 400, 401, 403, 429 or 503."""
        if scope not in SCOPES:
            raise ValueError(f"{scope!r} is not a scope: choose among {', '.join(SCOPES)}")

        async def check(request: Request) -> None:
            if scope != "read" and _from_another_site(request):
                raise HTTPException(403, "a page of another site may not do this in your name")
            if _QUERY_NAMES & {name.lower() for name in request.query_params} or "rmr_" in request.url.query:
                raise HTTPException(400, "a token does not belong into the address: send it as a header")
            await self._refresh()
            if self._own is None and not self._known:
                return
            shown = _shown(request)
            granted = self._granted(shown)
            if granted is None:  # a valid token is not held up by who guesses beside it
                address = request.client.host if request.client else ""
                _slow_down("address", self._attempts.take(address, time.monotonic()))
                headers = {"WWW-Authenticate": 'Bearer realm="remora", Basic realm="remora"'}
                raise HTTPException(401, "a valid token is needed", headers)
            if not {scope, "admin"} & granted:
                raise HTTPException(403, f"this token may not do that: it needs the scope {scope}")
            _slow_down("token", self._requests.take(_digest(shown or ""), time.monotonic()))

        return check

    def _granted(self, shown: str | None) -> frozenset[str] | None:
        """The scopes of a token, or None for one that is not valid."""
        if not shown:
            return None
        digest = _digest(shown)
        if self._own is not None and hmac.compare_digest(digest, self._own):
            return frozenset(SCOPES)
        known = (self._known or {}).get(id_of(shown))
        if known is None or not hmac.compare_digest(digest, known.digest) or known.revoked:
            return None
        return known.scopes if known.expires_at is None or self._clock() < known.expires_at else None

    async def _refresh(self) -> None:
        if self._database is None or time.monotonic() - self._loaded < _CACHE_SECONDS:
            return
        async with self._reloading:
            if time.monotonic() - self._loaded < _CACHE_SECONDS:
                return
            try:
                await asyncio.to_thread(self._load)
            except UnavailableError:
                if self._known is None and self._own is None:
                    answer = "the database with the tokens does not answer: try again later"
                    raise HTTPException(503, answer, {"Retry-After": "5"}) from None
                self._loaded = (
                    time.monotonic() - _CACHE_SECONDS + 1
                )  # what is known holds; look again in a second

    def _load(self) -> None:
        if self._database is None:
            self._known = {}
            return
        with self._database.read() as connection:
            rows = connection.execute(sa.select(tables.tokens)).all()
        self._known = {
            row.id: _Token(row.digest, frozenset(row.scopes), row.expires_at, row.revoked_at is not None)
            for row in rows
        }
        self._loaded = time.monotonic()


def _slow_down(who: str, seconds: float) -> None:
    """Answer 429 where somebody has to wait; before any work is done for them."""
    if seconds > 0:
        _LIMITED.labels(who).inc()
        what = "this token asks too often" if who == "token" else "too many requests without a valid token"
        raise HTTPException(429, f"{what}: try again later", {"Retry-After": str(math.ceil(seconds))})


def create_token(
    database: Database, *, name: str, scopes: list[str], now: datetime, actor: str, expires_at: datetime | None = None,
) -> str:  # fmt: skip
    """Make a token, write its digest and who made it, and return it: it is never shown again."""
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise UserError(f"{', '.join(unknown) or 'nothing'} is not a scope: choose among {', '.join(SCOPES)}")
    key, secret = _random(_ID_LENGTH), _random(_SECRET_LENGTH)
    body = f"rmr_{key}_{secret}"
    token = body + _checksum(body)
    with database.write() as connection:
        row = {
            "id": key, "name": name, "digest": _digest(token), "scopes": sorted(set(scopes)), "created_at": now,
            "expires_at": expires_at, "revoked_at": None,
        }  # fmt: skip
        connection.execute(sa.insert(tables.tokens), row)
        _audit(connection, now, actor, "token.created", key)
    return token


@dataclass(frozen=True)
class KnownToken:
    """What the database keeps of a token, without its digest."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> str:
        """valid, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


def list_tokens(database: Database) -> list[KnownToken]:
    """Every token that was ever made, the newest first."""
    t = tables.tokens
    columns = (t.c.id, t.c.name, t.c.scopes, t.c.created_at, t.c.expires_at, t.c.revoked_at)
    with database.read() as connection:
        rows = connection.execute(sa.select(*columns).order_by(t.c.created_at.desc(), t.c.id)).all()
    return [KnownToken(row.id, row.name, tuple(row.scopes), *row[3:]) for row in rows]


def revoke_token(database: Database, token_id: str, *, now: datetime, actor: str) -> bool:
    """End a token, everywhere within half a minute; False when there is no such token that is still valid."""
    t = tables.tokens
    with database.write() as connection:
        statement = sa.update(t).where(t.c.id == token_id, t.c.revoked_at.is_(None)).values(revoked_at=now)
        revoked = connection.execute(statement).rowcount == 1
        if revoked:
            _audit(connection, now, actor, "token.revoked", token_id)
    return revoked


def _audit(connection: sa.Connection, now: datetime, actor: str, what: str, subject: str) -> None:
    connection.execute(sa.insert(tables.audit), {"at": now, "actor": actor, "what": what, "subject": subject})


def _from_another_site(request: Request) -> bool:
    """Whether a browser sends this for a page that is not ours: it would add the password that it remembers.

    Browsers say so in `Sec-Fetch-Site` where they trust the connection, else in `Origin`. What is no browser sends neither.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


def _shown(request: Request) -> str | None:
    """The token of a request, from Bearer or from Basic's password."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    value = value.strip()
    if kind.lower() == "bearer":
        return value
    if kind.lower() != "basic":
        return None
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None


def id_of(token: str) -> str:
    """The id in a token whose checksum is right, else an empty text: a mistyped one costs no comparison."""
    body, check = token[:-_CHECK_LENGTH], token[-_CHECK_LENGTH:]
    parts = body.split("_")
    if len(parts) != 3 or parts[0] != "rmr" or _checksum(body) != check:
        return ""
    return parts[1]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_DIGITS) for _ in range(length))


def _checksum(body: str) -> str:
    value, text = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK_LENGTH):
        value, digit = divmod(value, 62)
        text = _DIGITS[digit] + text
    return text
