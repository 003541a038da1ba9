"""From a payload that was logged to the message that it was on the wire, and from two messages to records."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

import msgspec

from collector.capture import Capture
from collector.formats import Message
from collector.identity import usable
from collector.imports.base import Found, number
from collector.observed import Observed
from remora.records import MAX_LATENCY_MS

__all__ = ["Payload", "as_message", "records_of", "with_base64"]

Payload = Message | None


def as_message(body: Any, path: str = "", content_type: str = "application/json") -> Payload:
    """A body that was logged as text or as JSON; None where there is none."""
    if body is None:
        return None
    content = body.encode("utf-8", "replace") if isinstance(body, str) else msgspec.json.encode(body)
    return Message({"content-type": content_type}, content, path)


def with_base64(text: Any) -> bytes | None:
    """The bytes of base64; None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def records_of(
    capture: Capture, key: str, started: datetime | None, request: Payload, answer: Payload, **more: Any
) -> Found:
    """The records of a request that was logged; `more`: latency_ms, status, sample."""
    if started is None:
        return "has no time, or one that is not RFC 3339 and no number since 1970"
    if usable(key) is None:
        return "has an id that is not 1 to 128 printable ASCII characters"
    latency, status, sample = (number(more.get(name)) for name in ("latency_ms", "status", "sample"))
    if latency is not None and not 0 <= latency <= MAX_LATENCY_MS:
        latency = None
    status = 200 if status is None else status
    if not 100 <= status <= 599:
        return "has a status that is not one of HTTP"
    seen = Observed(
        id=key, started=started, latency_ms=latency, status=int(status), request=request,
        answer=answer if status < 400 else None,
    )  # fmt: skip
    rows = capture.rows(seen)
    if sample is not None and 0 < sample < 1:
        rows = [msgspec.structs.replace(row, sample=sample) for row in rows]
    return list(rows)
