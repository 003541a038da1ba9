"""Seldon's feedback, `{request, response, reward, truth}`: the truth is the label of the request's rows."""

from __future__ import annotations

from typing import Any

from collector.errors import UnreadableError
from collector.events.kinds import Side
from collector.formats.documents import loads
from collector.formats.seldon import message_rows, puid_of
from remora.records import Label, check_label

__all__ = ["labels_of"]


def labels_of(side: Side) -> list[Label] | str:
    """The labels, or what is wrong with the feedback."""
    try:
        told = loads(side.data, "feedback_not_json")
        _, rows = message_rows(
            told.get("truth") if isinstance(told, dict) else None, "feedback_without_truth"
        )
    except UnreadableError:
        return "the feedback is no JSON object with a `truth`; a reward alone is no label"
    identity = side.id or puid_of(told.get("response")) or puid_of(told.get("request"))
    if not identity:
        return "the feedback names no prediction: neither `requestid` nor `meta.puid` of request or response"
    keys = [identity] if len(rows) == 1 else [f"{identity}-{index}" for index in range(len(rows))]
    labels = [_label(side, key, _value(row)) for key, row in zip(keys, rows, strict=True)]
    wrong = next(
        (f"row {index} of the truth: {one}" for index, one in enumerate(labels) if isinstance(one, str)), None
    )
    return wrong or [one for one in labels if isinstance(one, Label)]


def _label(side: Side, key: str, value: Any) -> Label | str:
    if not isinstance(value, str | int | float):
        return "is neither text, number nor true or false"
    label = Label(model=side.model, id=key, label=value, timestamp=side.time)
    return check_label(label) or label


def _value(row: Any) -> Any:
    while isinstance(row, list) and len(row) == 1:
        row = row[0]
    return row
