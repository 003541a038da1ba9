"""HTTP: which alerts are to be quiet, and which messages are to be sent again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool

from alerts import bodies, ledger, outbox, queries, silencing
from alerts.bodies import NewSilence, Redelivery
from alerts.reading import Identity, parse_body, read_body
from remora.config import Config
from remora.database import Database
from remora.errors import UserError
from remora.refusals import EVERYWHERE, refusals
from remora.security import Guard

__all__ = ["router"]


def router(
    database: Database, config: Config, guard: Guard, clock: Callable[[], datetime] | None = None
) -> APIRouter:
    """The routes. `clock` is the real time (for signatures); business time is read beside the data."""
    desk = _Desk(database, config, clock or (lambda: datetime.now(UTC)))
    routes = APIRouter(prefix="/v1", responses=refusals(*EVERYWHERE, 404, 409, 413, 415, 422))
    write, read = guard.require("write"), guard.require("read")

    @routes.post("/silences", status_code=201, openapi_extra=bodies.schema(NewSilence))
    async def add_silence(request: Request) -> dict[str, Any]:
        """Keep alerts quiet for a while; what was told already still gets its resolution."""
        await write(request)
        return await run_in_threadpool(desk.add_silence, parse_body(NewSilence, await read_body(request)))

    @routes.get("/silences")
    async def list_silences(request: Request) -> dict[str, Any]:
        """Silences with their state: pending, active or expired; the newest 1,000."""
        await read(request)
        return await run_in_threadpool(desk.list_silences)

    @routes.delete("/silences/{identity}")
    async def end_silence(identity: Identity, request: Request) -> dict[str, Any]:
        """End a silence now."""
        await write(request)
        return await run_in_threadpool(desk.end_silence, identity)

    @routes.post("/deliveries/{identity}/redeliver", openapi_extra=bodies.schema(Redelivery))
    async def redeliver(identity: Identity, request: Request) -> dict[str, Any]:
        """Send a message that is finished or given up once more, under the id that it had."""
        await write(request)
        body = parse_body(Redelivery, await read_body(request))
        return await run_in_threadpool(desk.redeliver, identity, body)

    return routes


class _Desk:
    """The transactions behind the routes."""

    def __init__(self, database: Database, config: Config, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._config = config
        self._clock = clock

    def add_silence(self, body: NewSilence) -> dict[str, Any]:
        wall = self._clock()
        with self._database.write() as connection:
            now = queries.business_time(connection, self._config, wall)
            starts = max(body.starts_at or now, now)
            ends = body.ends_at if body.ends_at is not None else starts + (body.duration or bodies.SHORT)
            if ends <= starts:
                raise HTTPException(422, "endsAt: the silence would end before it begins")
            silence = silencing.add(connection, body, starts, ends)
            ledger.audit_entry(connection, wall, body.created_by, "silence.create", silence.id)
        return silencing.shown(silence, now)

    def list_silences(self) -> dict[str, Any]:
        with self._database.read() as connection:
            now = queries.business_time(connection, self._config, self._clock())
            return {"silences": [silencing.shown(silence, now) for silence in silencing.newest(connection)]}

    def end_silence(self, identity: str) -> dict[str, Any]:
        wall = self._clock()
        with self._database.write() as connection:
            now = queries.business_time(connection, self._config, wall)
            silence = silencing.end(connection, identity, now)
            if silence is None:
                raise HTTPException(404, f"there is no silence {identity}")
            ledger.audit_entry(connection, wall, "api", "silence.end", identity)
        return silencing.shown(silence, now)

    def redeliver(self, identity: str, body: Redelivery) -> dict[str, Any]:
        wall = self._clock()
        with self._database.write() as connection:
            try:
                before = outbox.redeliver(connection, identity, wall)
            except UserError as error:
                raise HTTPException(409, str(error)) from None
            if before is None:
                raise HTTPException(404, f"there is no delivery {identity}")
            ledger.audit_entry(connection, wall, body.by, "delivery.redeliver", identity)
        return {"id": identity, "state": "pending", "before": before}
