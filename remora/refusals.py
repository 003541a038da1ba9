"""Answers that refuse: every error of every API of ours is `{"error": "one sentence"}`, and OpenAPI says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from remora.errors import UnavailableError
from remora.telemetry import get_logger

__all__ = ["EVERYWHERE", "install_error_answers", "refusals"]

log = get_logger("http")

_MEANINGS: Final = {
    400: "Not what is asked for here, or a token in the address.",
    401: "No valid token.",
    403: "The token may not do this, or a page of another site asks.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "It is too late for that, or it cannot be so.",
    413: "Too large: send it in parts.",
    415: "Content type or encoding not supported.",
    422: "A value that cannot be used; the sentence says which, and what would be right.",
    429: "Too many requests: try again after `Retry-After` seconds.",
    503: "Not now: try again after `Retry-After` seconds.",
}
_SCHEMA: Final = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}

EVERYWHERE: Final = (400, 401, 403, 429, 503)
"""The codes that any guarded route may answer with."""


def refusals(*codes: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a router or route: these codes, with their meaning and the form of the answer."""
    content = {"application/json": {"schema": _SCHEMA}}
    return {code: {"description": _MEANINGS[code], "content": content} for code in sorted(codes)}


def install_error_answers(app: FastAPI, on_fault: Callable[[], None] | None = None) -> None:
    """Answer errors of every kind in the one form; `on_fault` is called where the fault is ours."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UnavailableError, _unavailable)

    async def unexpected(request: Request, error: Any) -> JSONResponse:
        if on_fault is not None:
            on_fault()
        log.error("request_failed", path=request.url.path, exc_info=error)
        return _answer(500, "something went wrong inside Remora; its log says what")

    app.add_exception_handler(Exception, unexpected)


def _answer(status: int, error: str, headers: Any = None) -> JSONResponse:
    return JSONResponse({"error": error}, status, headers=headers)


async def _http(request: Request, error: Any) -> JSONResponse:
    text = f"there is nothing at {request.url.path}" if error.detail == "Not Found" else str(error.detail)
    return _answer(error.status_code, text, error.headers)


async def _invalid(_request: Request, error: Any) -> JSONResponse:
    """Say where and what, never the value: it may be a feature."""
    sentences = [
        f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()[:5]
    ]
    return _answer(422, "; ".join(sentences))


async def _unavailable(_request: Request, error: Any) -> JSONResponse:
    log.warning("unavailable", error=str(error))
    return _answer(503, "the database does not answer; try again", {"Retry-After": "5"})
