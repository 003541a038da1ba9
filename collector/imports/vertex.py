"""Vertex AI's request-response logging, exported from BigQuery: payloads are arrays of texts, one per instance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from collector.imports.base import Context, Found, Place, instant
from collector.imports.payloads import as_message, records_of

__all__ = ["VertexLog"]


class VertexLog:
    """See `collector.imports.base.Source`."""

    name = "vertex"

    def __init__(self, context: Context) -> None:
        self._context = context

    def recognises(self, item: dict[str, Any]) -> bool:
        return "request_payload" in item and "logging_time" in item

    def records(self, item: dict[str, Any], place: Place) -> Found:
        asked, answered = _values(item.get("request_payload")), _values(item.get("response_payload"))
        path = "/endpoints/x:predict"
        if len(asked) == 1 and isinstance(asked[0], dict) and "instances" in asked[0]:
            request = as_message(asked[0], path)  # the whole body in one text
        else:
            request = as_message({"instances": asked}, path) if asked else None
        if len(answered) == 1 and isinstance(answered[0], dict) and "predictions" in answered[0]:
            answer = as_message(answered[0])
        else:
            answer = as_message({"predictions": answered}) if answered else None
        key = str(item.get("request_id") or place.id)
        started = instant(str(item.get("logging_time", "")).replace(" UTC", "Z"), self._context.zone)
        return records_of(self._context.capture, key, started, request, answer)

    def rest(self) -> Iterable[tuple[Place, Found]]:
        return ()


def _values(payload: Any) -> list[Any]:
    """The instances, each parsed where it is JSON."""
    if isinstance(payload, str):
        parsed = _parsed(payload)
        payload = parsed if isinstance(parsed, list) else [parsed]
    return [_parsed(one) for one in payload] if isinstance(payload, list) else []


def _parsed(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return msgspec.json.decode(text.encode("utf-8", "replace"))
    except (msgspec.MsgspecError, RecursionError):
        return text
