"""The Open Inference Protocol, version 2 (Triton, MLServer, KServe): `POST /v2/models/<name>[/versions/<v>]/infer`."""

from __future__ import annotations

import re
from typing import Any

from collector.errors import UnreadableError
from collector.formats.base import Answered, Asked, Mapping, Message
from collector.formats.documents import is_json, loads
from collector.formats.rows import features_of, same_length
from collector.formats.tensors import Tensor, read_tensors
from collector.identity import usable
from collector.paths import version_of

__all__ = ["OpenInference"]

_PATH = re.compile(r"(?:^|/)v2/models/[^/]+(?:/versions/[^/]+)?/infer/?$")
_JSON_LENGTH = "inference-header-content-length"
_SIGNS = (b'"inputs"', b'"datatype"', b'"shape"')


class OpenInference:
    """See `collector.formats.base.Format`."""

    name = "open_inference"

    def accepts(self, request: Message) -> bool:
        """By the path, or JSON with typed tensors in it."""
        if _PATH.search(request.path):
            return True
        return is_json(request) and all(sign in request.body for sign in _SIGNS)

    def asked(self, request: Message, mapping: Mapping) -> Asked:
        """A tensor per column, or one whose rows are lists; a batch of one row has the request's own id."""
        top, binary = _parts(request, "request_not_json")
        tensors = read_tensors(top.get("inputs"), binary, "request_without_rows")
        count = same_length([range(tensor.rows) for tensor in tensors], "request_of_other_length")
        features = [_features(tensors, index, mapping) for index in range(count)]
        return Asked(features, count > 1, usable(top.get("id")), version_of(request.path))

    def answered(self, answer: Message, count: int, mapping: Mapping) -> Answered:  # noqa: ARG002
        """One output is the answer itself, several are an object by name; those that are not per row are left out."""
        top, binary = _parts(answer, "answer_not_json")
        outputs = read_tensors(top.get("outputs"), binary, "answer_without_outputs")
        return Answered(_answers(outputs, count), usable(top.get("id")), top.get("model_version"))


def _parts(message: Message, reason: str) -> tuple[dict[str, Any], bytes]:
    """The JSON of a message and the binary tensors behind it. Raises UnreadableError."""
    length = message.headers.get(_JSON_LENGTH, "").strip()
    if length and not (length.isascii() and length.isdigit() and len(length) < 10):
        raise UnreadableError(reason)
    size = int(length) if length else len(message.body)
    top = loads(message.body[:size], reason)
    if not isinstance(top, dict):
        raise UnreadableError(reason)
    return top, message.body[size:]


def _features(tensors: list[Tensor], index: int, mapping: Mapping) -> dict[str, Any]:
    if len(tensors) == 1 and len(tensors[0].values) > tensors[0].rows:
        return features_of(tensors[0].row(index), mapping.columns)
    return {tensor.name: tensor.row(index if tensor.rows > 1 else 0) for tensor in tensors}


def _answers(outputs: list[Tensor], count: int) -> list[Any]:
    fitting = [tensor for tensor in outputs if tensor.rows == count]
    if len(fitting) == 1:
        return [fitting[0].row(index) for index in range(count)]
    if not fitting:
        return []
    return [{tensor.name: tensor.row(index) for tensor in fitting} for index in range(count)]
