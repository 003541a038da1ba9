"""The ingest API: predictions, labels, and batches of other collectors. 202 means: on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from collector.bodies import read_body
from collector.documents import ASIDE, BATCH, COLLECTORS, EVENTS, EXCHANGES, LABELS, PREDICTIONS, STATUS
from collector.errors import BodyError, SpoolError
from collector.events.envelope import read_events
from collector.ingest import Ingest
from collector.parsing import Parsed
from remora.listening import REFUSED
from remora.refusals import EVERYWHERE, refusals
from remora.security import Guard

__all__ = ["router"]

_JSON = {"application/json", ""}
_LINES = {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}
_PACKED = {"application/msgpack", "application/x-msgpack"}
_RETRY_SECONDS = "5"
BatchId = Annotated[str, Path(max_length=200, pattern=r"^[A-Za-z0-9._-]+$")]

_NEWEST = 1 << 62
AsideLimit = Annotated[int, Query(ge=1, le=1000, description="at most so many, the newest")]
AsideBefore = Annotated[
    int, Query(ge=1, le=_NEWEST, description="the `next` of the page before; the newest without it")
]


def router(ingest: Ingest, guard: Guard) -> APIRouter:
    """`POST /v1/predictions`, `/v1/labels`, `/v1/exchanges`, `/v1/events`, `/v1/batches`, `/v1/collectors`; `GET /v1/status`.

    `GET /v1/aside` shows what was set aside, `POST /v1/aside/{batch}/retry` and `DELETE /v1/aside/{batch}` settle it.
    """
    routes = APIRouter(responses=refusals(*EVERYWHERE))

    async def predictions(request: Request) -> Response:
        return await _records(request, ingest, ingest.predictions)

    async def labels(request: Request) -> Response:
        return await _records(request, ingest, ingest.labels)

    async def exchanges(request: Request) -> Response:
        return await _records(request, ingest, ingest.exchanges)

    async def cloud_events(request: Request) -> Response:
        return await _answered(_events(request, ingest))

    async def batches(request: Request) -> Response:
        return await _answered(_batch(request, ingest))

    async def collectors(request: Request) -> Response:
        return await _answered(_reports(request, ingest))

    async def status() -> dict[str, Any]:
        return ingest.status()

    may_write = [Depends(guard.require("ingest"))]
    for path, endpoint, document in (
        ("/v1/predictions", predictions, PREDICTIONS),
        ("/v1/labels", labels, LABELS),
        ("/v1/exchanges", exchanges, EXCHANGES),
        ("/v1/events", cloud_events, EVENTS),
        ("/v1/batches", batches, BATCH),
        ("/v1/collectors", collectors, COLLECTORS),
    ):
        routes.add_api_route(
            path, endpoint, methods=["POST"], status_code=202, dependencies=may_write, response_class=JSONResponse,
            response_model=None, **document,
        )  # fmt: skip
    routes.add_api_route(
        "/v1/status", status, methods=["GET"], dependencies=[Depends(guard.require("read"))], **STATUS
    )
    _aside(routes, ingest, guard)
    return routes


def _aside(routes: APIRouter, ingest: Ingest, guard: Guard) -> None:
    common: dict[str, Any] = {
        "dependencies": [Depends(guard.require("write"))], "response_model": None, "responses": refusals(404, 422),
    }  # fmt: skip

    @routes.get("/v1/aside", dependencies=[Depends(guard.require("read"))], response_model=None, **ASIDE)
    async def listing(limit: AsideLimit = 100, before: AsideBefore = _NEWEST) -> Response:
        return await _answered(_page(ingest, limit, before))

    @routes.post("/v1/aside/{batch}/retry", status_code=202, **common)
    async def retry(batch: BatchId) -> Response:
        """Deliver a batch that was set aside after all, behind all that waits."""
        return await _answered(_settled(batch, ingest.retry_aside(batch), "accepted"))

    @routes.delete("/v1/aside/{batch}", **common)
    async def discard(batch: BatchId) -> Response:
        """Delete a batch that was set aside, for good."""
        return await _answered(_settled(batch, ingest.discard_aside(batch), "discarded"))


async def _page(ingest: Ingest, limit: int, before: int) -> Response:
    return JSONResponse(await ingest.list_aside(limit, before))


async def _settled(batch: str, work: Awaitable[int], name: str) -> Response:
    records = await work
    if not records:
        raise HTTPException(404, f"no batch {batch} was set aside, or it is gone already")
    return JSONResponse({"batch": batch, name: records}, 202 if name == "accepted" else 200)


async def _records(request: Request, ingest: Ingest, take: Callable[..., Awaitable[Parsed]]) -> Response:
    return await _answered(_taken(request, ingest, take))


async def _taken(request: Request, ingest: Ingest, take: Callable[..., Awaitable[Parsed]]) -> Response:
    kind = _content_type(request, _JSON | _LINES)
    parsed = await take(await read_body(request, ingest.limits), lines=kind in _LINES)
    content: dict[str, Any] = {"accepted": len(parsed.records), "rejected": parsed.rejected}
    if parsed.rejected and not parsed.records:
        first = parsed.rejected[0]["error"]
        return JSONResponse({"error": f"no record could be accepted; the first: {first}", **content}, 400)
    return JSONResponse(content, 202)


async def _events(request: Request, ingest: Ingest) -> Response:
    """Any content type: that of an event in binary mode is its data's."""
    found = read_events(dict(request.headers), await read_body(request, ingest.limits))
    now = ingest.now()
    taken = [event if isinstance(event, str) else ingest.events.take(event, now) for event in found]
    rejected = [{"index": index, "error": one} for index, one in enumerate(taken) if isinstance(one, str)]
    done = [await asyncio.wrap_future(one) for one in taken if not isinstance(one, str)]
    content: dict[str, Any] = {
        "accepted": len(done),
        "repeated": sum(one.repeated for one in done),
        "records": sum(one.records for one in done),
        "rejected": rejected,
    }
    if rejected and not done:
        return JSONResponse(
            {"error": f"no event could be taken; the first: {rejected[0]['error']}", **content}, 400
        )
    return JSONResponse(content, 202)


async def _batch(request: Request, ingest: Ingest) -> Response:
    kind = _content_type(request, _JSON | _PACKED)
    records, new = await ingest.batch(await read_body(request, ingest.limits), packed=kind in _PACKED)
    return JSONResponse({"accepted": records, "new": new}, 202)


async def _reports(request: Request, ingest: Ingest) -> Response:
    _content_type(request, _JSON)
    return JSONResponse({"accepted": await ingest.collectors(await read_body(request, ingest.limits))}, 202)


async def _answered(work: Awaitable[Response]) -> Response:
    """The collector's errors as answers."""
    try:
        return await work
    except BodyError as error:
        REFUSED.labels(error.reason).inc()
        return JSONResponse({"error": str(error), "accepted": 0, "rejected": []}, error.status)
    except SpoolError as error:
        answer = {"error": f"{error}: try again later", "accepted": 0, "rejected": []}
        return JSONResponse(answer, 503, {"retry-after": _RETRY_SECONDS})
    except ClientDisconnect:
        return Response(status_code=400)  # nobody is there to read it


def _content_type(request: Request, known: set[str]) -> str:
    """The media type; raises BodyError (415) for one that is not known here."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    if kind not in known:
        wanted = ", ".join(sorted(known - {""}))
        raise BodyError(415, f"the content type is not supported here: send one of {wanted}")
    charset = parameters.lower().replace(" ", "").partition("charset=")[2].strip('"')
    if charset not in {"", "utf-8", "utf8", "us-ascii"}:
        raise BodyError(415, "the charset is not supported: send UTF-8")
    return kind
