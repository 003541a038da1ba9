"""HTTP: what becomes of actions, who takes an incident, what is paused, and what a signed link lets its bearer do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, PlainTextResponse

from alerts import bodies, confirmation
from alerts.bodies import Acknowledgement, ActionStatus, NewPause, Note, Quiet, Tick
from alerts.desk import Desk
from alerts.reading import Identity, parse_body, read_body
from remora.config import Config
from remora.database import Database
from remora.refusals import EVERYWHERE, refusals
from remora.security import Guard

__all__ = ["router"]

Filter = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]


def router(
    database: Database, config: Config, guard: Guard, clock: Callable[[], datetime] | None = None
) -> APIRouter:
    """The routes. `clock` is the real time (for signatures); business time is read beside the data."""
    desk = Desk(database, config, clock or (lambda: datetime.now(UTC)))
    routes = APIRouter(responses=refusals(*EVERYWHERE, 404, 409, 413, 415, 422))
    _actions(routes, desk, guard)
    _incidents(routes, desk, guard)
    _pauses(routes, desk, guard)
    _links(routes, desk)
    return routes


def _actions(routes: APIRouter, desk: Desk, guard: Guard) -> None:
    write, read = guard.require("write"), guard.require("read")

    @routes.post("/v1/actions/{identity}/status", openapi_extra=bodies.schema(ActionStatus))
    async def action_status(identity: Identity, request: Request) -> dict[str, Any]:
        """What whoever runs the action says of it: signed with its secret, with the action's own token, or with one to write."""
        raw = await read_body(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        known_by = await run_in_threadpool(desk.sender_of, identity, headers, raw)
        if known_by is None:
            await write(request)
        body = parse_body(ActionStatus, raw)
        return await run_in_threadpool(desk.action_status, identity, body, known_by)

    @routes.get("/v1/actions")
    async def list_actions(
        request: Request, state: Filter = None, model: Filter = None
    ) -> list[dict[str, Any]]:
        """What was started or waits for it, the newest 200: with `state=waiting` those that want an approval."""
        await read(request)
        return await run_in_threadpool(desk.list_actions, state, model)

    @routes.get("/v1/actions/{identity}")
    async def show_action(identity: Identity, request: Request) -> dict[str, Any]:
        """One action, with what is sent to start it."""
        await read(request)
        return await run_in_threadpool(desk.show_action, identity)

    def decision(path: str, verb: str, text: str) -> None:
        async def decide(identity: Identity, request: Request) -> dict[str, Any]:
            await write(request)
            body = parse_body(Acknowledgement, await read_body(request))
            return await run_in_threadpool(desk.decide, verb, identity, body)

        routes.add_api_route(
            f"/v1/actions/{{identity}}/{path}",
            decide,
            methods=["POST"],
            name=f"{verb}_action",
            description=text,
            openapi_extra=bodies.schema(Acknowledgement),
        )

    decision("approve", "approve", "Let an action start that waits for it.")
    decision("reject", "reject", "Let it never start.")
    decision(
        "start-again",
        "start_again",
        "Ask once more for an action of which nobody knows whether it was started.",
    )


def _incidents(routes: APIRouter, desk: Desk, guard: Guard) -> None:
    write, read = guard.require("write"), guard.require("read")

    def verb(path: str, kind: type[Any], do: Callable[[str, Any], dict[str, Any]], text: str) -> None:
        async def handle(identity: Identity, request: Request) -> dict[str, Any]:
            await write(request)
            return await run_in_threadpool(do, identity, parse_body(kind, await read_body(request)))

        routes.add_api_route(
            f"/v1/incidents/{{identity}}/{path}",
            handle,
            methods=["POST"],
            name=f"{path}_incident",
            description=text,
            openapi_extra=bodies.schema(kind),
        )

    verb("acknowledge", Acknowledgement, desk.acknowledge,
         "Take an incident: escalation stops until it resolves or the acknowledgement expires.")  # fmt: skip
    verb("resolve", Acknowledgement, desk.resolve, "Say that it is over, whatever its alerts say.")
    verb("notes", Note, desk.note, "Write a line into its timeline; also when it is over.")
    verb("checklist", Tick, desk.tick, "Tick an item of a checklist, or take the tick back.")
    verb("silence", Quiet, desk.silence, "Keep its alerts quiet for a while.")

    @routes.get("/v1/incidents/{identity}/summary", response_class=PlainTextResponse)
    async def summary(identity: Identity, request: Request) -> PlainTextResponse:
        """The post-incident summary in Markdown: timeline, evidence, actions, times to detect, acknowledge and resolve."""
        await read(request)
        text = await run_in_threadpool(desk.summary, identity)
        return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")


def _pauses(routes: APIRouter, desk: Desk, guard: Guard) -> None:
    write, read = guard.require("write"), guard.require("read")

    @routes.post("/v1/pauses", status_code=201, openapi_extra=bodies.schema(NewPause))
    async def add_pause(request: Request) -> dict[str, Any]:
        """Start nothing for a model, or for none: the kill switch. What is decided meanwhile is not made up for."""
        await write(request)
        return await run_in_threadpool(desk.add_pause, parse_body(NewPause, await read_body(request)))

    @routes.get("/v1/pauses")
    async def list_pauses(request: Request) -> dict[str, Any]:
        """Pauses with their state: active or over; the newest 1,000."""
        await read(request)
        return await run_in_threadpool(desk.list_pauses)

    @routes.delete("/v1/pauses/{identity}")
    async def end_pause(identity: Identity, request: Request) -> dict[str, Any]:
        """End a pause now."""
        await write(request)
        return await run_in_threadpool(desk.end_pause, identity)


def _links(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/act/{word}", include_in_schema=False)
    async def ask(word: str) -> HTMLResponse:
        """A page that asks; looking at it, as mail scanners and previews do, changes nothing."""
        return await run_in_threadpool(confirmation.ask, desk, word)

    @routes.post("/act/{word}", include_in_schema=False)
    async def do(word: str, request: Request) -> HTMLResponse:
        """Do what the link permits, in the name that was given."""
        raw = await read_body(request)
        try:
            return await run_in_threadpool(confirmation.do, desk, word, raw)
        except HTTPException as error:
            return confirmation.failed(error)
