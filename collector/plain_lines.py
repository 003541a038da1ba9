"""The quick way from NDJSON to predictions, for bodies in which nothing is wrong; `collector.parsing` reads the others.

The decoder checks types and ranges while it reads, the whole body at once. What it cannot see is checked of the body
as a whole (a line's length bounds the length of its texts) or once for each new name of a feature.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from collector.bodies import Limits
from remora.records import (
    MAX_FEATURES,
    MAX_INTEGER,
    MAX_LATENCY_MS,
    MAX_NAME,
    MAX_NUMBER,
    MAX_STRING,
    Prediction,
    check_prediction,
    new_id,
)

__all__ = ["parse_plain_lines", "prediction_of"]

_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
_Integer = Annotated[int, Meta(ge=-MAX_INTEGER, le=MAX_INTEGER - 1)]
_Number = Annotated[float, Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
_Instant = Annotated[datetime, Meta(tz=True)]
_KNOWN_NAMES: Final = 10_000


class _Plain(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`PredictionIn`, as far as types can say what is allowed."""

    model: _Name
    features: Annotated[dict[str, str | _Integer | float | bool | None], Meta(max_length=MAX_FEATURES)]
    version: Annotated[str, Meta(max_length=MAX_NAME)] | int = ""
    id: _Name | int | None = None
    timestamp: _Instant | None = None
    prediction: str | _Integer | _Number | bool | list[_Name | _Integer] | None = None
    scores: _Number | dict[str, float] | None = None
    latency_ms: Annotated[float, Meta(ge=0, le=MAX_LATENCY_MS)] | None = None
    status: Annotated[int, Meta(ge=100, le=599)] = 200
    tags: dict[str, str] | None = None


_decode_lines = msgspec.json.Decoder(_Plain).decode_lines
_printable: set[str] = set()  # names of features that were found good


def parse_plain_lines(body: bytes, now: datetime, limits: Limits) -> list[Prediction] | None:
    """The predictions of a body, one per line; None where anything is unusual or wrong."""
    lines = body.strip(b" \t\r\n").split(b"\n")
    if (
        len(lines) > limits.records
        or max(map(len, lines)) > MAX_STRING
        or (b"\\" in body and b"\\u0000" in body)
    ):
        return None
    try:
        items = _decode_lines(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if len(items) != len(lines):
        return None
    records = [prediction_of(item, now) for item in items]
    unusual = [record for record in records if not _plain(record)]
    for record in unusual:
        if check_prediction(record) is not None:
            return None
        if len(_printable) < _KNOWN_NAMES:
            _printable.update(record.features)
    return records


def prediction_of(item: Any, now: datetime) -> Prediction:
    """The record of what a caller wrote (`PredictionIn`); what is missing gets an id of its own, and the time of now."""
    return Prediction(
        model=item.model,
        id=new_id() if item.id is None else str(item.id),
        timestamp=now if item.timestamp is None else item.timestamp,
        version=str(item.version),
        features=item.features,
        prediction=item.prediction,
        scores=item.scores,
        latency_ms=item.latency_ms,
        status=item.status,
        tags=item.tags or {},
    )


def _plain(record: Prediction) -> bool:
    """Whether nothing is left for `check_prediction` to find."""
    return (
        _printable.issuperset(record.features)
        and not record.tags
        and not isinstance(record.scores, dict)
        and not isinstance(record.prediction, list)
        and record.id.isprintable()
        and record.model.isprintable()
        and record.version.isprintable()
        and 1900 < record.timestamp.year < 2200
    )
