"""TensorFlow Serving's REST API, which KServe's first version and Vertex AI's `:predict` share."""

from __future__ import annotations

import re
from typing import Any

from collector.errors import UnreadableError
from collector.formats.base import Answered, Asked, Mapping, Message
from collector.formats.documents import is_json, loads
from collector.formats.rows import columns_to_rows, features_of
from collector.paths import version_of

__all__ = ["TfServing", "answers_of"]

_PATH = re.compile(
    r"/(?:v1/models|endpoints)/[^/]+(?:/(?:versions|labels)/[^/:]+)?:(?:predict|classify|regress)$"
)
_ROWS = ("instances", "examples")


class TfServing:
    """See `collector.formats.base.Format`."""

    name = "tf_serving"

    def accepts(self, request: Message) -> bool:
        """By the path, or JSON that begins with what only this API says."""
        if _PATH.search(request.path):
            return True
        return is_json(request) and b'"signature_name"' in request.body

    def asked(self, request: Message, mapping: Mapping) -> Asked:
        """`instances` and `examples` are rows, `inputs` columns; a batch of one row has the request's own id."""
        top = loads(request.body, "request_not_json")
        if not isinstance(top, dict):
            raise UnreadableError("request_without_rows")
        rows = _rows(top)
        features = [features_of(row, mapping.columns) for row in rows]
        return Asked(features, len(rows) > 1, version=version_of(request.path))

    def answered(self, answer: Message, count: int, mapping: Mapping) -> Answered:  # noqa: ARG002
        """Rows or columns, by whatever of its four names."""
        top = loads(answer.body, "answer_not_json")
        answers = answers_of(top, count)
        return Answered(answers, version=top.get("modelVersionId") if isinstance(top, dict) else None)


def _rows(top: dict[str, Any]) -> list[Any]:
    for key in _ROWS:
        if isinstance(top.get(key), list):
            found: list[Any] = top[key]
            return found
    inputs = top.get("inputs")
    if isinstance(inputs, dict) and inputs:
        return columns_to_rows(inputs, "request_of_other_length")
    if isinstance(inputs, list):
        return inputs
    raise UnreadableError("request_without_rows")


def answers_of(said: Any, count: int) -> list[Any]:
    """`predictions`, `outputs`, or `result` (also written `results`). Raises UnreadableError."""
    if not isinstance(said, dict):
        raise UnreadableError("answer_without_outputs")
    found = next((said[key] for key in ("predictions", "outputs", "result", "results") if key in said), None)
    if isinstance(found, dict) and found:
        return columns_to_rows(found, "answer_of_other_length")
    if not isinstance(found, list):
        raise UnreadableError("answer_without_outputs")
    if count == 1 and len(found) != 1:
        found = [found]
    return [_classified(item) for item in found]


def _classified(item: Any) -> Any:
    """`[["cat", 0.9], ["dog", 0.1]]`, an example's answer to :classify, as prediction and scores."""
    if not isinstance(item, list) or not item:
        return item
    pairs = [
        entry for entry in item if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str)
    ]
    if len(pairs) != len(item) or not all(isinstance(score, int | float) for _, score in pairs):
        return item
    scores = dict(map(tuple, pairs))
    return {"prediction": max(scores, key=scores.__getitem__), "probabilities": scores}
