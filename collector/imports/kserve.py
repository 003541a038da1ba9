"""KServe's logger in blob mode: a JSON object (or an array of them) per request or answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from collector.formats import Message
from collector.imports.base import Context, Found, Place, instant
from collector.imports.pairs import Pairs
from collector.imports.payloads import records_of, with_base64

__all__ = ["KserveBlobs"]

_SIDES = {"request": True, "response": False}


@dataclass(frozen=True)
class _Half:
    time: datetime
    message: Message


class KserveBlobs:
    """See `collector.imports.base.Source`."""

    name = "kserve"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pairs: Pairs[_Half] = Pairs()

    def recognises(self, item: dict[str, Any]) -> bool:
        return "reqType" in item and "bytes" in item

    def records(self, item: dict[str, Any], place: Place) -> Found:
        side = _SIDES.get(str(item.get("reqType", "")).rpartition(".")[2])
        if side is None:
            return "has a reqType that is neither request nor response"
        body = with_base64(item.get("bytes"))
        time = instant(item.get("occurrenceTime"), self._context.zone) or self._context.when
        if body is None:
            return "has bytes that are not base64"
        if time is None:
            return "has no occurrenceTime: CSV and Parquet do not keep it; give --timestamp"
        kind = str(item.get("contentType") or "") if side else ""
        half = _Half(time, Message({"content-type": kind}, body))
        met = self._pairs.meet(str(item.get("id") or place.id), place, half, is_request=side)
        if met is None:
            return []
        return met if isinstance(met, str) else self._joined(str(item.get("id")), *met)

    def _joined(self, key: str, asked: _Half, answered: _Half | None) -> Found:
        wait = (answered.time - asked.time).total_seconds() * 1000 if answered else 0
        answer = answered.message if answered else None
        return records_of(
            self._context.capture, key, asked.time, asked.message, answer, latency_ms=wait or None
        )

    def rest(self) -> Iterable[tuple[Place, Found]]:
        for key, place, is_request, half in self._pairs.rest():
            yield (
                place,
                self._joined(key, half, None) if is_request else "is an answer whose request is not there",
            )
