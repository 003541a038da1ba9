"""Containers on SageMaker: `POST /invocations` with CSV without a header, JSON lines, or JSON."""

from __future__ import annotations

import re
from typing import Any

from collector.formats.base import Answered, Asked, Mapping, Message
from collector.formats.documents import cell, is_json, loads, table
from collector.formats.rows import features_of
from collector.formats.tf_serving import answers_of

__all__ = ["SageMaker"]

_PATH = re.compile(r"(?:/invocations|/models/[^/]+/invoke)/?$")
_LINES = {"application/jsonlines", "application/x-jsonlines", "application/jsonl"}


class SageMaker:
    """See `collector.formats.base.Format`."""

    name = "sagemaker"

    def accepts(self, request: Message) -> bool:
        """At the two paths of a container; where CSV could be MLflow's it has been asked before."""
        if not _PATH.search(request.path):
            return False
        return request.content_type == "text/csv" or request.content_type in _LINES or is_json(request)

    def asked(self, request: Message, mapping: Mapping) -> Asked:
        """A batch of one row has the request's own id."""
        rows = _rows(request)
        return Asked([features_of(row, mapping.columns) for row in rows], len(rows) > 1)

    def answered(self, answer: Message, count: int, mapping: Mapping) -> Answered:  # noqa: ARG002
        """CSV: a line per row, or all rows in one line; JSON: a list, or under `predictions`."""
        return Answered(_answers(answer, count))


def _rows(request: Message) -> list[Any]:
    if request.content_type in _LINES:
        return [
            _instance(loads(line, "request_not_json")) for line in request.body.splitlines() if line.strip()
        ]
    if not is_json(request):
        return [[cell(text) for text in line] for line in table(request.body, "request_not_csv")]
    top = loads(request.body, "request_not_json")
    found = top.get("instances") if isinstance(top, dict) and isinstance(top.get("instances"), list) else top
    rows = found if isinstance(found, list) else [found]
    if rows and not isinstance(rows[0], list | dict):
        rows = [rows]
    return [_instance(row) for row in rows]


def _instance(row: Any) -> Any:
    """The built-in algorithms write a row as `{"features": [...]}`."""
    return row["features"] if isinstance(row, dict) and set(row) == {"features"} else row


def _answers(answer: Message, count: int) -> list[Any]:
    kind = answer.content_type
    if kind in _LINES:
        return [loads(line, "answer_not_json") for line in answer.body.splitlines() if line.strip()]
    if not is_json(answer) or kind == "text/plain":
        lines = [[cell(text) for text in line] for line in table(answer.body, "answer_not_csv")]
        if len(lines) == 1 and len(lines[0]) == count:
            return list(lines[0])
        return [line[0] if len(line) == 1 else line for line in lines]
    said = loads(answer.body, "answer_not_json")
    if isinstance(said, dict) and "predictions" in said:
        return answers_of(said, count)
    return said if isinstance(said, list) and (count > 1 or len(said) == 1) else [said]
