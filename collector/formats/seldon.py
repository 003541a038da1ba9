"""Seldon Core, version 1: `POST /api/v1.0/predictions` with `data`, `jsonData` or `strData`."""

from __future__ import annotations

import math
import re
from typing import Any

from collector.errors import UnreadableError
from collector.formats.base import Answered, Asked, Mapping, Message
from collector.formats.documents import is_json, loads
from collector.formats.rows import features_of
from collector.identity import usable

__all__ = ["Seldon", "message_rows", "puid_of"]

_PATH = re.compile(r"/api/v[0-9.]+/predictions/?$")
_SIGN = re.compile(rb'"data"\s*:\s*\{\s*"(?:names|ndarray|tensor|tftensor)"')


class Seldon:
    """See `collector.formats.base.Format`."""

    name = "seldon"

    def accepts(self, request: Message) -> bool:
        """By the path, or JSON with a SeldonMessage's `data`."""
        return is_json(request) and bool(_PATH.search(request.path) or _SIGN.search(request.body[:65536]))

    def asked(self, request: Message, mapping: Mapping) -> Asked:
        """A batch of one row has the request's own id."""
        top = loads(request.body, "request_not_json")
        names, rows = message_rows(top, "request_without_rows")
        features = [features_of(row, names or mapping.columns) for row in rows]
        return Asked(features, len(rows) > 1, puid_of(top))

    def answered(self, answer: Message, count: int, mapping: Mapping) -> Answered:  # noqa: ARG002
        """The same document; its `names` name the classes."""
        top = loads(answer.body, "answer_not_json")
        classes, answers = message_rows(top, "answer_without_outputs")
        return Answered(answers, puid_of(top), classes=tuple(classes) if len(classes) > 1 else ())


def message_rows(message: Any, reason: str) -> tuple[list[str], list[Any]]:
    """The column names and the rows of a SeldonMessage. Raises UnreadableError."""
    if not isinstance(message, dict):
        raise UnreadableError(reason)
    data = message.get("data")
    if isinstance(data, dict):
        names = data.get("names")
        named = [str(name) for name in names] if isinstance(names, list) else []
        rows = data.get("ndarray") if "ndarray" in data else _tensor(data.get("tensor"))
        if not isinstance(rows, list) or not rows:
            raise UnreadableError(reason)
        return named, rows if isinstance(rows[0], list | dict) or len(named) != len(rows) else [rows]
    if "jsonData" in message:
        found = message["jsonData"]
        return [], found if isinstance(found, list) and found else [found]
    if "strData" in message:
        return [], [message["strData"]]
    if isinstance(message.get("binData"), str):
        return [], [{"data": {"b64": message["binData"]}}]
    raise UnreadableError(reason)


def _tensor(tensor: Any) -> list[Any] | None:
    shape = tensor.get("shape") if isinstance(tensor, dict) else None
    values = tensor.get("values") if isinstance(tensor, dict) else None
    if not isinstance(shape, list) or not isinstance(values, list) or not shape:
        return None
    if not all(isinstance(size, int) and 0 < size <= len(values) for size in shape):
        return None
    if math.prod(shape) != len(values):
        return None
    width = len(values) // shape[0]
    return [values[index * width : (index + 1) * width] for index in range(shape[0])]


def puid_of(message: Any) -> str | None:
    """The id that a SeldonMessage carries."""
    meta = message.get("meta") if isinstance(message, dict) else None
    return usable(meta.get("puid")) if isinstance(meta, dict) else None
