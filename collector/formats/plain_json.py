"""Plain JSON: an object or an array of rows in, an object, an array or a `predictions` list out."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from collector.errors import UnreadableError
from collector.formats.base import Mapping, Message, Row, at

__all__ = ["PlainJson", "loads"]

_decode = msgspec.json.Decoder().decode


def loads(body: bytes, reason: str) -> Any:
    """JSON with NaN and Infinity read as null. Raises UnreadableError with `reason`."""
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(body, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        raise UnreadableError(reason) from None


class PlainJson:
    """See `collector.formats.base.Format`."""

    name = "plain_json"

    def accepts(self, request: Message) -> bool:
        """JSON by its content type, or by its first character where the type says nothing."""
        kind = request.content_type
        if kind == "application/json" or kind.endswith("+json"):
            return True
        return kind in {
            "",
            "text/plain",
            "application/octet-stream",
            "application/x-www-form-urlencoded",
        } and (request.body.lstrip()[:1] in {b"{", b"["})

    def read(self, request: Message, answer: Message | None, mapping: Mapping) -> tuple[list[Row], bool, str]:
        """The rows of a request with their answers."""
        asked = loads(request.body, "request_not_json")
        found = asked if mapping.rows is None else at(asked, mapping.rows)
        if found is None or not isinstance(found, list | dict):
            raise UnreadableError("request_without_rows")
        many = isinstance(found, list)
        features = [_features(row, mapping) for row in (found if many else [found])]
        if answer is None:
            return [Row(row) for row in features], many, ""
        try:
            top = loads(answer.body, "answer_not_json")
            answers = _answers(top, mapping, len(features))
        except UnreadableError as error:
            return [Row(row) for row in features], many, error.reason
        version = at(top, mapping.version) if mapping.version else None
        rows = [_row(row, item, mapping, version) for row, item in zip(features, answers, strict=True)]
        return rows, many, ""


def _features(row: Any, mapping: Mapping) -> dict[str, Any]:
    found = at(row, mapping.features)
    if isinstance(found, dict):
        return found
    if isinstance(found, list):  # columns without names
        return {f"f{index}": value for index, value in enumerate(found)}
    return {} if found is None else {"value": found}


def _answers(top: Any, mapping: Mapping, count: int) -> list[Any]:
    """One answer per row. Raises UnreadableError when their numbers differ."""
    found = at(top, mapping.answers) if mapping.answers else top
    if mapping.answers is None and isinstance(found, dict) and isinstance(found.get("predictions"), list):
        found = found["predictions"]
    if isinstance(found, dict) and count != 1:
        found = _columns(found, mapping, count)
    answers = found if isinstance(found, list) else [found]
    if len(answers) != count:
        raise UnreadableError("answer_of_other_length")
    return answers


def _columns(found: dict[str, Any], mapping: Mapping, count: int) -> list[Any]:
    """An object of lists, `{"prediction": [..], "scores": [..]}`, as a list of objects."""
    columns = {
        key: values for key, values in found.items() if isinstance(values, list) and len(values) == count
    }
    if mapping.prediction not in columns and (mapping.scores or "") not in columns:
        raise UnreadableError("answer_of_other_length")
    return [{key: values[index] for key, values in columns.items()} for index in range(count)]


def _row(features: dict[str, Any], answer: Any, mapping: Mapping, version: Any) -> Row:
    if not isinstance(answer, dict):
        return Row(features, prediction=answer, version=version)
    return Row(
        features,
        prediction=at(answer, mapping.prediction),
        scores=at(answer, mapping.scores) if mapping.scores else None,
        version=version if version is not None or not mapping.version else at(answer, mapping.version),
    )
