"""BentoML's HTTP services: a JSON object of the function's arguments, one of which holds the rows; the bare result back."""

from __future__ import annotations

import re
from typing import Any

from collector.errors import UnreadableError
from collector.formats.base import Answered, Asked, Mapping, Message
from collector.formats.documents import is_json, loads
from collector.formats.rows import columns_to_rows, features_of

__all__ = ["BentoMl"]

# {"argument": [[ or [{ or {"column": [ : looked at before anything is parsed, for every JSON comes by here
_BEGIN = re.compile(rb'\s*\{\s*"[^"]*"\s*:\s*(?:\[\s*[\[{]|\{\s*"[^"]*"\s*:\s*\[)')


class BentoMl:
    """See `collector.formats.base.Format`."""

    name = "bentoml"

    def accepts(self, request: Message) -> bool:
        """An object with one argument that is a list of rows."""
        if not is_json(request) or not _BEGIN.match(request.body):
            return False
        try:
            return _rows(loads(request.body, "")) is not None
        except UnreadableError:
            return False

    def asked(self, request: Message, mapping: Mapping) -> Asked:
        """A batch of one row has the request's own id."""
        top = loads(request.body, "request_not_json")
        rows = _rows(top) or [top]  # arguments that are no rows are features themselves
        return Asked([features_of(row, mapping.columns) for row in rows], len(rows) > 1)

    def answered(self, answer: Message, count: int, mapping: Mapping) -> Answered:  # noqa: ARG002
        """The bare result: a list, columns, or one value."""
        return Answered(_answers(loads(answer.body, "answer_not_json"), count))


def _rows(top: Any) -> list[Any] | None:
    """The rows in the one argument: lists, records, or a data frame's columns of lists."""
    if not isinstance(top, dict) or len(top) != 1:
        return None
    (found,) = top.values()
    if isinstance(found, list) and found and all(isinstance(row, list | dict) for row in found):
        return found
    if isinstance(found, dict) and found and all(isinstance(column, list) for column in found.values()):
        lengths = {len(column) for column in found.values()}
        return list(columns_to_rows(found, "")) if len(lengths) == 1 and 0 not in lengths else None
    return None


def _answers(said: Any, count: int) -> list[Any]:
    if isinstance(said, dict) and count > 1:
        return list(columns_to_rows(said, "answer_of_other_length"))
    return said if isinstance(said, list) and (count > 1 or len(said) == 1) else [said]
