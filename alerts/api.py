"""HTTP: what became of an action, who takes an incident, and which alerts are to be quiet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ValidationError

from alerts import bodies, incidents, ledger, queries, silencing
from alerts.actions import FINAL, report
from alerts.bodies import Acknowledgement, ActionStatus, NewSilence
from alerts.secrets import resolve
from alerts.signing import verify
from alerts.turn import Turn
from remora.config import Config
from remora.database import Database
from remora.errors import UserError
from remora.security import Guard

__all__ = ["router"]

_MAX_BODY = 64 * 1024
Identity = Annotated[str, Path(max_length=100, pattern=r"^[A-Za-z0-9_]+$")]
_Body = TypeVar("_Body", bound=BaseModel)


def router(
    database: Database, config: Config, guard: Guard, clock: Callable[[], datetime] | None = None
) -> APIRouter:
    """The routes. `clock` is the real time (for signatures); business time is read beside the data."""
    desk = _Desk(database, config, clock or (lambda: datetime.now(UTC)))
    routes = APIRouter(prefix="/v1")
    write, read = guard.require("write"), guard.require("read")

    @routes.post("/actions/{identity}/status", openapi_extra=bodies.schema(ActionStatus))
    async def action_status(identity: Identity, request: Request) -> dict[str, Any]:
        """What the receiver says of an action: signed with its secret (Standard Webhooks), or with a token to write."""
        raw = await _read(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        signed_id = await run_in_threadpool(desk.signed, identity, headers, raw)
        if signed_id is None:
            await write(request)
        body = _parse(ActionStatus, raw)
        return await run_in_threadpool(desk.action_status, identity, body, signed_id)

    @routes.post("/incidents/{identity}/acknowledge", openapi_extra=bodies.schema(Acknowledgement))
    async def acknowledge(identity: Identity, request: Request) -> dict[str, Any]:
        """Take an incident: escalation stops until it resolves or the acknowledgement expires."""
        await write(request)
        return await run_in_threadpool(
            desk.acknowledge, identity, _parse(Acknowledgement, await _read(request))
        )

    @routes.post("/silences", status_code=201, openapi_extra=bodies.schema(NewSilence))
    async def add_silence(request: Request) -> dict[str, Any]:
        """Keep alerts quiet for a while; what was told already still gets its resolution."""
        await write(request)
        return await run_in_threadpool(desk.add_silence, _parse(NewSilence, await _read(request)))

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

    return routes


async def _read(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY:
            raise HTTPException(413, f"the body is longer than {_MAX_BODY} bytes")
    return body


def _parse(kind: type[_Body], raw: bytes) -> _Body:
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        wrong = [
            f"{'.'.join(str(part) for part in item['loc']) or 'body'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()[:5]
        ]
        raise HTTPException(422, "; ".join(wrong)) from None


class _Desk:
    """The transactions behind the routes."""

    def __init__(self, database: Database, config: Config, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._config = config
        self._clock = clock
        self._targets = resolve(config)

    def signed(self, identity: str, headers: dict[str, str], raw: bytes) -> str | None:
        """The message's id when it is signed by the action's receiver; None when it is not signed at all."""
        if "webhook-signature" not in headers:
            return None
        with self._database.read() as connection:
            action = ledger.action(connection, identity)
        target = self._targets.get(action.name) if action else None
        if target is None or target.secret is None:
            return None  # nothing to check it with: a token is needed
        wrong = verify(target.secret.get_secret_value(), headers, raw, self._clock().timestamp())
        if wrong:
            raise HTTPException(401, wrong)
        return headers["webhook-id"]

    def action_status(self, identity: str, body: ActionStatus, signed_id: str | None) -> dict[str, Any]:
        wall = self._clock()
        with self._database.write() as connection:
            queries.lock_alerts(connection)
            action = ledger.action(connection, identity)
            if action is None:
                raise HTTPException(404, f"there is no action {identity}")
            subject = f"{identity} {signed_id}"
            replayed = signed_id is not None and ledger.has_audit(connection, "action.callback", subject)
            repeated = action.state == body.status
            if action.state in FINAL and not (replayed or repeated):
                raise HTTPException(409, f"the action is over: {action.state}")
            if not (replayed or (repeated and action.state in FINAL)):
                turn = Turn(
                    connection, self._config, queries.business_time(connection, self._config, wall), wall
                )
                details = {"model_version": body.model_version, "url": body.url, "detail": body.detail}
                report(turn, action, body.status, details)
                ledger.audit_entry(connection, wall, action.name, "action.callback", subject)
            after = ledger.action(connection, identity)
        return {"id": identity, "state": after.state if after else body.status}

    def acknowledge(self, identity: str, body: Acknowledgement) -> dict[str, Any]:
        wall = self._clock()
        with self._database.write() as connection:
            queries.lock_alerts(connection)
            turn = Turn(connection, self._config, queries.business_time(connection, self._config, wall), wall)
            try:
                incident = incidents.acknowledge(turn, identity, by=body.by, note=body.note or "")
            except UserError as error:
                raise HTTPException(409, str(error)) from None
            if incident is None:
                raise HTTPException(404, f"there is no incident {identity}")
            ledger.audit_entry(connection, wall, body.by, "incident.acknowledge", identity)
        return {"id": identity, "state": incident.state, "acknowledged_by": incident.acknowledged_by}

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
