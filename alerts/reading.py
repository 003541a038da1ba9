"""Reading what callers send: bounded, and with every mistake named."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import HTTPException, Path, Request
from pydantic import BaseModel, ValidationError

__all__ = ["Identity", "parse_body", "read_body"]

_MAX_BODY = 64 * 1024
Identity = Annotated[str, Path(max_length=100, pattern=r"^[A-Za-z0-9_]+$")]
_Body = TypeVar("_Body", bound=BaseModel)


async def read_body(request: Request) -> bytes:
    """The whole body, at most 64 KiB; else 413."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MAX_BODY:
            raise HTTPException(413, f"the body is longer than {_MAX_BODY} bytes")
    return body


def parse_body(kind: type[_Body], raw: bytes) -> _Body:
    """What the body says; else 422 with what is wrong where."""
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        wrong = [
            f"{'.'.join(str(part) for part in item['loc']) or 'body'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()[:5]
        ]
        raise HTTPException(422, "; ".join(wrong)) from None
