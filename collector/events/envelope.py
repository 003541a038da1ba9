"""CloudEvents 0.3 and 1.0 over HTTP: binary, structured and batched mode, as one kind of event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec

from collector.errors import BodyError

__all__ = ["Event", "read_events"]

_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_VERSIONS = {"1.0", "0.3"}
_REQUIRED = ("id", "source", "type")
_UNSET = {"", "NOTIMPLEMENTED"}  # what Seldon's servers write where they know nothing
_MOST = 10_000


@dataclass(frozen=True)
class Event:
    """`attributes` have lower-case names; `headers` are those of the data, not of the transport."""

    attributes: dict[str, str]
    headers: dict[str, str]
    data: bytes

    def get(self, *names: str) -> str:
        """The first of these attributes that is set, or ''."""
        return next((value for name in names if (value := self.attributes.get(name, ""))), "")


def read_events(headers: Mapping[str, str], body: bytes) -> list[Event | str]:
    """The events of an HTTP request, or in an event's place what is wrong with it. Raises BodyError.

    `headers` have lower-case names.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _STRUCTURED:
        return [_structured(_json(body))]
    if kind == _BATCH:
        found = _json(body)
        if not isinstance(found, list):
            raise BodyError(400, "a batch of CloudEvents is a JSON array of them")
        if len(found) > _MOST:
            raise BodyError(413, f"more than {_MOST} events in one request: send them in parts")
        return [_structured(item) for item in found]
    attributes = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
    if not attributes:
        raise BodyError(
            400, "the request is no CloudEvent: it has neither ce-… headers nor a content type of CloudEvents"
        )
    return [_checked(attributes, {"content-type": headers.get("content-type", "")}, body)]


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BodyError(400, "the body is not JSON") from None


def _structured(item: Any) -> Event | str:
    if not isinstance(item, dict):
        return "is not a JSON object"
    attributes = {
        str(name).lower(): str(value)
        for name, value in item.items()
        if isinstance(value, str | int) and name not in {"data", "data_base64"}
    }
    try:
        data = _data(item)
    except ValueError:
        return "`data_base64` is not base64"
    content_type = attributes.get("datacontenttype", "application/json")
    return _checked(attributes, {"content-type": content_type}, data)


def _data(item: dict[str, Any]) -> bytes:
    """Raises ValueError."""
    if "data_base64" in item:
        return msgspec.convert(item["data_base64"], bytes)
    data = item.get("data")
    if isinstance(data, str):
        return data.encode("utf-8", "replace")
    return b"" if data is None else msgspec.json.encode(data)


def _checked(attributes: dict[str, str], headers: dict[str, str], data: bytes) -> Event | str:
    known = {name: value for name, value in attributes.items() if value.strip() not in _UNSET}
    if known.get("specversion") not in _VERSIONS:
        return "`specversion` is missing or neither 1.0 nor 0.3"
    missing = [name for name in _REQUIRED if name not in known]
    if missing:
        return f"`{missing[0]}` is missing"
    return Event(known, headers, data)
