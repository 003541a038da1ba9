"""Every error of the HTTP API is `{"error": "one sentence"}`."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from remora.errors import UnavailableError
from remora.telemetry import get_logger

__all__ = ["install_error_answers"]

log = get_logger("http")


def install_error_answers(app: FastAPI) -> None:
    """Answer errors of every kind in the one form."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UnavailableError, _unavailable)
    app.add_exception_handler(Exception, _unexpected)


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


async def _unexpected(request: Request, error: Any) -> JSONResponse:
    log.error("request_failed", path=request.url.path, exc_info=error)
    return _answer(500, "something went wrong inside Remora; its log says what")
