"""Plain JSON: an object or an array of rows in, an object, an array or a `predictions` list out."""

from __future__ import annotations

from typing import Any

from collector.errors import UnreadableError
from collector.formats.answers import is_distribution
from collector.formats.base import Answered, Asked, Mapping, Message, at
from collector.formats.documents import is_json, loads
from collector.formats.rows import features_of

__all__ = ["PlainJson"]


class PlainJson:
    """See `collector.formats.base.Format`. Takes all JSON: the last to be asked."""

    name = "plain_json"

    def accepts(self, request: Message) -> bool:
        """Any JSON."""
        return is_json(request)

    def asked(self, request: Message, mapping: Mapping) -> Asked:
        """A list of rows is numbered, also when it has one row."""
        top = loads(request.body, "request_not_json")
        found = top if mapping.rows is None else at(top, mapping.rows)
        if not isinstance(found, list | dict):
            raise UnreadableError("request_without_rows")
        rows = found if isinstance(found, list) else [found]
        features = [features_of(at(row, mapping.features), mapping.columns) for row in rows]
        return Asked(features, isinstance(found, list))

    def answered(self, answer: Message, count: int, mapping: Mapping) -> Answered:
        """An object, a list, or either under `predictions`."""
        top = loads(answer.body, "answer_not_json")
        version = at(top, mapping.version) if mapping.version else None
        return Answered(_answers(top, mapping, count), version=version)


def _answers(top: Any, mapping: Mapping, count: int) -> list[Any]:
    """One answer per row. Raises UnreadableError when their numbers differ."""
    found = at(top, mapping.answers) if mapping.answers else top
    if mapping.answers is None and isinstance(found, dict) and isinstance(found.get("predictions"), list):
        found = found["predictions"]
    if isinstance(found, dict) and count != 1:
        found = _columns(found, mapping, count)
    vector = isinstance(found, list) and count == 1 and is_distribution(found)
    return found if isinstance(found, list) and not vector else [found]


def _columns(found: dict[str, Any], mapping: Mapping, count: int) -> list[Any]:
    """An object of lists, `{"prediction": [..], "scores": [..]}`, as a list of objects."""
    columns = {
        key: values for key, values in found.items() if isinstance(values, list) and len(values) == count
    }
    if not columns or (mapping.prediction and {mapping.prediction, mapping.scores}.isdisjoint(columns)):
        raise UnreadableError("answer_of_other_length")
    return [{key: values[index] for key, values in columns.items()} for index in range(count)]
