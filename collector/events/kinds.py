"""Which events are understood, and what each says: its side, its model, the key of its pair, its time.

KServe gives request and answer one `id`, Seldon one `requestid`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from collector.events.envelope import Event
from collector.identity import usable

__all__ = ["ANSWER", "FEEDBACK", "REQUEST", "Side", "side_of"]

REQUEST: Final = "request"
ANSWER: Final = "answer"
FEEDBACK: Final = "feedback"

_KINDS: Final = {
    "org.kubeflow.serving.inference.request": REQUEST,
    "org.kubeflow.serving.inference.response": ANSWER,
    "io.seldon.serving.inference.request": REQUEST,
    "io.seldon.serving.inference.response": ANSWER,
    "io.seldon.serving.feedback": FEEDBACK,
}
_TAGS: Final = ("namespace", "component", "endpoint")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Side:
    """`kind` is request, answer or feedback; `id` names the prediction; `key` is the same for both sides of a pair."""

    kind: str
    model: str
    id: str
    key: str
    time: datetime
    status: int
    tags: dict[str, str]
    headers: dict[str, str]
    data: bytes


def side_of(event: Event, model: str, now: datetime) -> Side | str:
    """What an event says, or what is wrong with it. `model` is whose an event is that names none."""
    kind = _KINDS.get(event.get("type"))
    if kind is None:
        return f"`type` is not one that is understood here: {', '.join(_KINDS)}"
    seldon = event.get("type").startswith("io.seldon.")
    identity = usable(event.get("requestid") if seldon else event.get("id"))
    if identity is None and kind != FEEDBACK:
        name = "requestid" if seldon else "id"
        return f"`{name}` is missing, or not 1 to 128 printable characters: nothing else pairs request and answer"
    name = event.get("inferenceservicename", "modelid") or model
    if not _NAME.fullmatch(name):
        return (
            "no model is named: set the attribute `inferenceservicename` to letters, digits, dots and dashes"
        )
    time = _time(event.get("time"), now)
    if time is None:
        return "`time` is not an RFC 3339 time with a time zone, in the years 1901 to 2199"
    status = event.get("statuscode") or "200"
    if not re.fullmatch("[1-5][0-9][0-9]", status):
        return "`statuscode` is not an HTTP status"
    key = f"{name}\n{event.get('namespace')}\n{event.get('component')}\n{identity}"
    tags = {tag: value[:128] for tag in _TAGS if (value := event.get(tag)) and value.isprintable()}
    return Side(kind, name, identity or "", key, time, int(status), tags, event.headers, event.data)


def _time(text: str, now: datetime) -> datetime | None:
    if not text:
        return now
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        return None
    return told.astimezone(UTC) if told.tzinfo is not None and 1900 < told.year < 2200 else None
