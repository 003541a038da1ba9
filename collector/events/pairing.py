"""From two sides to the records of one request. A request is kept as its redacted rows, never as it was on the wire.

An answer that comes first is kept as it is but for what `privacy.mask` blots out: without its request nobody knows how
many rows it answers.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from collector import metrics
from collector.capture import UNREAD, Captures
from collector.errors import UnreadableError
from collector.events.kinds import REQUEST, Side
from collector.formats import FORMATS, Message
from collector.formats.documents import is_json
from collector.identity import usable
from collector.observed import Observed
from collector.privacy import Gate
from remora.records import Prediction
from remora.telemetry import get_logger

__all__ = ["UNPAIRED", "Half", "Pairing"]

log = get_logger("events")

UNPAIRED: Final = "remora.unpaired"  # the side that never came
_UNANSWERED: Final = 499  # nobody saw an answer: it may have failed, or its event was lost
_FAILED: Final = 400


class Half(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is kept of a side. A request has `rows` and the name of its `format` ('': it could not be read)."""

    model: str
    id: str
    time: datetime
    status: int = 200
    tags: dict[str, str] = {}
    rows: list[Prediction] = []
    format: str = ""
    content_type: str = ""
    data: bytes = b""


class Pairing:
    """How sides are read, redacted and put together; nothing is kept here."""

    def __init__(self, captures: Captures, gate: Gate) -> None:
        self._captures = captures
        self._gate = gate

    def half(self, side: Side) -> Half:
        """What of a side may be kept."""
        if side.kind == REQUEST:
            return self._request(side)
        data = self._gate.blotted(side.model, side.data)
        return Half(side.model, side.id, side.time, side.status, side.tags, data=data)

    def _request(self, side: Side) -> Half:
        seen = self._seen(side)
        capture = self._captures.of(side.model)
        try:
            known, asked = capture.ask(seen)
        except UnreadableError as error:
            rows, name = [capture.unread(seen, error.reason)], ""
        else:
            rows, name = capture.records(seen, asked, None, ""), known.name
        return Half(side.model, side.id, side.time, 200, side.tags, self._gate.redact(rows), name)

    def _seen(self, side: Side) -> Observed:
        return Observed(
            id=usable(side.id) or "",
            started=side.time,
            latency_ms=None,
            status=side.status,
            request=Message(side.headers, side.data),
            answer=None,
            tags=side.tags,
        )

    def joined(self, asked: Half, answered: Half) -> list[Prediction]:
        """The records of a pair; a fault of ours costs the answer, never the record or the spool's thread."""
        try:
            return self._joined(asked, answered)
        except Exception:
            metrics.FAULTS.labels("events").inc()
            log.exception("pairing_fault")
            return [msgspec.structs.replace(row, tags=row.tags | {UNREAD: "fault"}) for row in asked.rows]

    def _joined(self, asked: Half, answered: Half) -> list[Prediction]:
        wait = max(0.0, (answered.time - asked.time).total_seconds() * 1000)
        rows = [msgspec.structs.replace(row, latency_ms=wait, status=answered.status) for row in asked.rows]
        if not asked.format or answered.status >= _FAILED:
            return rows
        known = next(one for one in FORMATS if one.name == asked.format)
        capture = self._captures.of(asked.model)
        answer = Message({"content-type": _sniffed(answered.data)}, answered.data)
        found, problem = capture.answers(known, answer, len(rows))
        if found is None:
            metrics.CAPTURE_UNREADABLE.labels(problem).inc()
            return [msgspec.structs.replace(row, tags=row.tags | {UNREAD: problem}) for row in rows]
        return self._gate.redact(capture.complete(rows, found))

    def lonely(self, half: Half, kind: str) -> list[Prediction]:
        """The records of a side whose other one never came."""
        if kind == REQUEST:
            tags = {UNPAIRED: "answer"}
            return [
                msgspec.structs.replace(row, status=_UNANSWERED, tags=row.tags | tags) for row in half.rows
            ]
        seen = Observed(
            id=half.id,
            started=half.time,
            latency_ms=None,
            status=half.status,
            request=None,
            answer=None,
            tags={**half.tags, UNPAIRED: REQUEST},
        )
        return [self._captures.of(half.model).unread(seen, "request_missing")]


def _sniffed(data: bytes) -> str:
    """KServe gives an answer the content type of its request: look at the answer itself."""
    return "application/json" if is_json(Message({}, data)) else "text/csv"
