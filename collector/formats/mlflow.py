"""MLflow's scoring server, also behind Databricks: `POST /invocations`, JSON or CSV with a header."""

from __future__ import annotations

import re
from typing import Any

from collector.errors import UnreadableError
from collector.formats.base import Answered, Asked, Mapping, Message
from collector.formats.documents import cell, is_json, loads, table
from collector.formats.rows import columns_to_rows, features_of
from collector.identity import usable

__all__ = ["Mlflow", "has_header"]

_PATH = re.compile(r"/invocations/?$")
_KEYS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_SIGN = re.compile(rb'"dataframe_(?:split|records)"')


class Mlflow:
    """See `collector.formats.base.Format`."""

    name = "mlflow"

    def accepts(self, request: Message) -> bool:
        """At `/invocations` JSON with one of the four keys, or CSV with a header; elsewhere a data frame."""
        if is_json(request):
            if _SIGN.search(request.body):
                return True
            return _PATH.search(request.path) is not None and _key_in(request.body)
        if request.content_type != "text/csv" or not _PATH.search(request.path):
            return False
        return has_header(request.body)

    def asked(self, request: Message, mapping: Mapping) -> Asked:
        """A batch of one row has the request's own id."""
        rows = _table(request.body) if request.content_type == "text/csv" else _rows(request.body)
        return Asked([features_of(row, mapping.columns) for row in rows], len(rows) > 1)

    def answered(self, answer: Message, count: int, mapping: Mapping) -> Answered:  # noqa: ARG002
        """`predictions`, and what Databricks adds."""
        top = loads(answer.body, "answer_not_json")
        answers = _answers(top, count)
        output = top.get("databricks_output") if isinstance(top, dict) else None
        identity = output.get("databricks_request_id") if isinstance(output, dict) else None
        return Answered(answers, usable(identity))


def has_header(body: bytes) -> bool:
    """Whether the first line of a CSV names columns: texts, none twice, none empty."""
    first = body[:65536].partition(b"\n")[0]
    try:
        names = table(first, "")
    except UnreadableError:
        return False
    if not names:
        return False
    cells = [cell(name) for name in names[0]]
    return all(isinstance(name, str) for name in cells) and len(set(cells)) == len(cells)


def _key_in(body: bytes) -> bool:
    return any(f'"{key}"'.encode() in body for key in _KEYS)


def _table(body: bytes) -> list[dict[str, Any]]:
    lines = table(body, "request_not_csv")
    names = lines[0] if lines else []
    if not names or any(len(line) != len(names) for line in lines):
        raise UnreadableError("request_of_other_length")
    return [dict(zip(names, map(cell, line), strict=True)) for line in lines[1:]]


def _rows(body: bytes) -> list[Any]:
    top = loads(body, "request_not_json")
    if not isinstance(top, dict):
        raise UnreadableError("request_without_rows")
    key = next((key for key in _KEYS if key in top), None)
    found = top.get(key) if key else None
    if key == "dataframe_split":
        return _split(found)
    if isinstance(found, dict) and found:
        return columns_to_rows(found, "request_of_other_length")
    if not isinstance(found, list):
        raise UnreadableError("request_without_rows")
    return found


def _split(found: Any) -> list[Any]:
    columns = found.get("columns") if isinstance(found, dict) else None
    data = found.get("data") if isinstance(found, dict) else None
    if not isinstance(data, list):
        raise UnreadableError("request_without_rows")
    if columns is None:
        return data
    if not isinstance(columns, list) or any(
        not isinstance(row, list) or len(row) != len(columns) for row in data
    ):
        raise UnreadableError("request_of_other_length")
    return [dict(zip(map(str, columns), row, strict=True)) for row in data]


def _answers(said: Any, count: int) -> list[Any]:
    """`{"predictions": ...}`: a list, records, or columns; older servers answer with the list alone."""
    found = said.get("predictions") if isinstance(said, dict) else said
    if isinstance(found, dict) and found:
        return columns_to_rows(found, "answer_of_other_length")
    if not isinstance(found, list):
        raise UnreadableError("answer_without_outputs")
    return [found] if count == 1 and len(found) != 1 else found
