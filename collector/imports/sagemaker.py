"""SageMaker Data Capture: a JSON line per invocation, and ground truth as Model Monitor takes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from collector.errors import UnreadableError
from collector.formats import Message
from collector.formats.documents import cell, loads, table
from collector.imports.base import Context, Found, Place, instant
from collector.imports.payloads import Payload, records_of, with_base64
from remora.records import Label, check_label

__all__ = ["SageMakerCapture", "SageMakerTruth"]

_RENAMED = 1_000_000  # events whose inferenceId is remembered
_TYPES = {"CSV": "text/csv", "JSON": "application/json"}


def _payload(side: Any, path: str = "") -> Payload | str:
    if side is None:
        return None
    if not isinstance(side, dict) or not isinstance(side.get("data"), str):
        return "has an input or output without `data`"
    encoding = side.get("encoding", "BASE64")
    kind = str(side.get("observedContentType") or _TYPES.get(encoding, ""))
    if encoding != "BASE64":
        return Message({"content-type": kind}, side["data"].encode("utf-8", "replace"), path)
    body = with_base64(side["data"])
    return "says BASE64 and is not" if body is None else Message({"content-type": kind}, body, path)


class SageMakerCapture:
    """See `collector.imports.base.Source`."""

    name = "sagemaker"

    def __init__(self, context: Context) -> None:
        self._context = context

    def recognises(self, item: dict[str, Any]) -> bool:
        return "captureData" in item and "eventMetadata" in item

    def records(self, item: dict[str, Any], place: Place) -> Found:
        data, meta = item.get("captureData"), item.get("eventMetadata")
        if not isinstance(data, dict) or not isinstance(meta, dict):
            return "has no captureData or eventMetadata"
        request = _payload(data.get("endpointInput"), "/invocations")
        answer = _payload(data.get("endpointOutput"))
        if isinstance(request, str) or isinstance(answer, str):
            return request if isinstance(request, str) else str(answer)
        started = instant(meta.get("inferenceTime"), self._context.zone)
        own, event = meta.get("inferenceId"), meta.get("eventId")
        if own and event and len(self._context.renamed) < _RENAMED:
            self._context.renamed[str(event)] = str(own)
        key = str(own or event or place.id)
        return records_of(self._context.capture, key, started, request, answer)

    def rest(self) -> Iterable[tuple[Place, Found]]:
        return ()


class SageMakerTruth:
    """Labels; `eventId` should be the invocation's inferenceId where it had one, and often is its eventId all the same.

    Both find the prediction where its capture was read before in the same run.
    """

    name = "sagemaker_truth"

    def __init__(self, context: Context) -> None:
        self._context = context

    def recognises(self, item: dict[str, Any]) -> bool:
        return "groundTruthData" in item

    def records(self, item: dict[str, Any], place: Place) -> Found:  # noqa: ARG002
        truth, meta = item.get("groundTruthData"), item.get("eventMetadata")
        key = meta.get("inferenceId") or meta.get("eventId") if isinstance(meta, dict) else None
        if not isinstance(truth, dict) or not key:
            return "has no groundTruthData, or no eventMetadata.eventId"
        try:
            values = _values(truth)
        except UnreadableError:
            return "has ground truth that is not what its encoding says"
        told = meta.get("eventTime") if isinstance(meta, dict) else None
        when = instant(told, self._context.zone) or self._context.when
        if when is None:
            return "has no time: give --timestamp now, or the time at which the labels were known"
        key = self._context.renamed.get(str(key), str(key))
        ids = [key] if len(values) == 1 else [f"{key}-{index}" for index in range(len(values))]
        labels: list[Any] = [
            Label(model=self._context.capture.model, id=one, label=value, timestamp=when)
            for one, value in zip(ids, values, strict=True)
        ]
        wrong = next((problem for label in labels if (problem := _wrong(label))), None)
        return wrong or labels

    def rest(self) -> Iterable[tuple[Place, Found]]:
        return ()


def _wrong(label: Label) -> str | None:
    if not isinstance(label.label, str | int | float):
        return "has a label that is neither text, number nor true or false"
    return check_label(label)


def _values(truth: dict[str, Any]) -> list[Any]:
    """Raises UnreadableError."""
    text = truth.get("data")
    if not isinstance(text, str):
        raise UnreadableError("truth")
    body = (
        (with_base64(text) or b"") if truth.get("encoding") == "BASE64" else text.encode("utf-8", "replace")
    )
    if truth.get("encoding") == "JSON":
        found = loads(body, "truth")
        return found if isinstance(found, list) and found else [found]
    values = [cell(line[0]) for line in table(body, "truth")]
    if not values:
        raise UnreadableError("truth")
    return values
