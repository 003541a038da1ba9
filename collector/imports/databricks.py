"""Databricks inference tables, exported: a row per request, with both payloads as JSON text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from collector.imports.base import Context, Found, Place, instant
from collector.imports.payloads import as_message, records_of

__all__ = ["DatabricksTable"]


class DatabricksTable:
    """See `collector.imports.base.Source`. Legacy tables and those of the AI Gateway."""

    name = "databricks"

    def __init__(self, context: Context) -> None:
        self._context = context

    def recognises(self, item: dict[str, Any]) -> bool:
        return "databricks_request_id" in item and "request" in item

    def records(self, item: dict[str, Any], place: Place) -> Found:
        told = item.get("timestamp_ms") or item.get("request_time") or item.get("timestamp")
        return records_of(
            self._context.capture,
            str(item.get("client_request_id") or item.get("databricks_request_id") or place.id),
            instant(told, self._context.zone) or self._context.when,
            as_message(item.get("request"), "/invocations"),
            as_message(item.get("response")),
            latency_ms=item.get("execution_time_ms") or item.get("execution_duration_ms"),
            status=item.get("status_code"),
            sample=item.get("sampling_fraction"),
        )

    def rest(self) -> Iterable[tuple[Place, Found]]:
        return ()
