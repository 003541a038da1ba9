"""Read a request's body within bounds, and unpack it within bounds."""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass

from starlette.requests import Request

from collector.errors import BodyError

__all__ = ["Limits", "read_body", "unpack"]

_STEP = 65_536
_RATIO_FROM = 1 << 20
_MAX_RATIO = 100
_PACKED = {"gzip", "deflate"}
_EITHER = (
    32 + zlib.MAX_WBITS
)  # zlib sees by the first bytes whether it is gzip (RFC 1952) or deflate (RFC 1950)


@dataclass(frozen=True)
class Limits:
    """Bytes on the wire, bytes when unpacked, records in one request, seconds to send it."""

    wire: int = 4 << 20
    decoded: int = 16 << 20
    records: int = 10_000
    seconds: float = 10.0


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body, unpacked. Raises BodyError: 400, 408, 413 or 415."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "", *_PACKED}:
        raise BodyError(415, "the content encoding is not supported: send gzip, deflate or none")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limits.wire:
        raise BodyError(413, f"the body is larger than {limits.wire} bytes: send it in parts")
    try:
        async with asyncio.timeout(limits.seconds):
            body = await _collect(request, limits.wire)
    except TimeoutError:
        raise BodyError(408, f"the body did not arrive within {limits.seconds:g} seconds") from None
    return unpack(body, limits.decoded) if encoding in _PACKED else body


async def _collect(request: Request, limit: int) -> bytes:
    parts, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyError(413, f"the body is larger than {limit} bytes: send it in parts")
        parts.append(chunk)
    return b"".join(parts)


def unpack(body: bytes, limit: int) -> bytes:
    """Unpack gzip or deflate step by step, so that a bomb is refused before it takes the memory. Raises BodyError."""
    unpacker = zlib.decompressobj(_EITHER)
    parts, size, rest = [], 0, body
    try:
        while rest and not unpacker.eof:
            part = unpacker.decompress(rest, _STEP)
            rest = unpacker.unconsumed_tail
            size += len(part)
            if size > limit or (size > _RATIO_FROM and size > _MAX_RATIO * len(body)):
                raise BodyError(
                    413, f"the body is larger than {limit} bytes when unpacked, or packed too tightly"
                )
            parts.append(part)
    except zlib.error:
        raise BodyError(400, "the body is not packed as its content encoding says") from None
    if not unpacker.eof:
        raise BodyError(400, "the packed body ends too early")
    if unpacker.unused_data:
        raise BodyError(400, "something follows the packed body")
    return b"".join(parts)
