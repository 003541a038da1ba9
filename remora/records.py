"""The two records that everything is made of: a prediction, and the label that came later.

Both are plain structs in the shape of the ingest API, with every optional field settled: an id, an aware UTC
instant, a version. ``check_*`` says in one sentence what is wrong with a record, with no value of a feature in it.
"""

from __future__ import annotations

import math
import secrets
import time
from datetime import UTC, datetime
from typing import Any

import msgspec

__all__ = [
    "MAX_FEATURES",
    "MAX_NAME",
    "MAX_NUMBER",
    "MAX_STRING",
    "Batch",
    "Label",
    "Prediction",
    "Scalar",
    "check_label",
    "check_prediction",
    "new_id",
]

Scalar = str | int | float | bool | None

MAX_NAME = 128
MAX_STRING = 4096
MAX_FEATURES = 1000
MAX_NUMBER = 1e100  # of labels, predictions and scores: the sums of their squares stay finite


class Prediction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row that a model answered.

    ``timestamp`` is event time, ``latency_ms`` milliseconds of the request that carried the row, ``status`` its HTTP
    status, ``scores`` the probability of the positive class, a number, or one number per class.
    """

    model: str
    id: str
    timestamp: datetime
    version: str = ""
    features: dict[str, Any] = {}
    prediction: str | int | float | bool | None = None
    scores: float | dict[str, float] | None = None
    latency_ms: float | None = None
    status: int = 200
    tags: dict[str, str] = {}


class Label(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What turned out to be true for the prediction ``id``, known at ``timestamp``."""

    model: str
    id: str
    label: str | int | float | bool
    timestamp: datetime


class Batch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The unit of exactly-once: written whole or not at all, and never twice under one id."""

    id: str
    source: str
    predictions: list[Prediction] = []
    labels: list[Label] = []


def new_id() -> str:
    """A new id, 26 hexadecimal digits, that sorts by time of making (milliseconds) and is random behind."""
    return f"{int(time.time() * 1000):012x}{secrets.token_hex(7)}"


def check_prediction(row: Prediction) -> str | None:
    """What is wrong with a prediction, or None."""
    return (
        _name("model", row.model)
        or _name("id", row.id)
        or _text("version", row.version)
        or _instant(row.timestamp)
        or _features(row.features)
        or _scores(row.scores)
        or _tags(row.tags)
        or _numbers(row)
    )


def check_label(row: Label) -> str | None:
    """What is wrong with a label, or None."""
    wrong = _name("model", row.model) or _name("id", row.id) or _instant(row.timestamp)
    if wrong is None and not _sane(row.label):
        return "`label` must be a finite number, at most 1e100"
    return wrong or (_text("label", row.label) if isinstance(row.label, str) else None)


def _name(field: str, value: str) -> str | None:
    if not value:
        return f"`{field}` is empty"
    return _text(field, value)


def _text(field: str, value: str) -> str | None:
    if len(value) > MAX_NAME:
        return f"`{field}` has {len(value)} characters, at most {MAX_NAME} are kept"
    if not value.isprintable():
        return f"`{field}` has characters that cannot be printed"
    return None


def _instant(value: datetime) -> str | None:
    if value.tzinfo is None:
        return "`timestamp` has no time zone: write 2013-03-01T10:00:00Z"
    if not 1900 < value.astimezone(UTC).year < 2200:
        return "`timestamp` lies outside the years 1901 to 2199"
    return None


def _features(features: dict[str, Any]) -> str | None:
    if len(features) > MAX_FEATURES:
        return f"`features` has {len(features)} entries, at most {MAX_FEATURES} are kept"
    for name, value in features.items():
        if not name or len(name) > MAX_NAME or name.startswith("$") or not name.isprintable():
            return f"`features` has a name that is empty, unprintable, over {MAX_NAME} characters or begins with $"
        if isinstance(value, str):
            if len(value) > MAX_STRING:
                return f"`features.{name}` has {len(value)} characters, at most {MAX_STRING} are kept"
            if "\x00" in value:
                return f"`features.{name}` holds a NUL character, which a database cannot keep"
        elif value is not None and not isinstance(value, int | float):
            return f"`features.{name}` is neither text, number, true, false nor null"
    return None


def _scores(scores: float | dict[str, float] | None) -> str | None:
    values = scores.values() if isinstance(scores, dict) else () if scores is None else (scores,)
    if not all(_sane(value) for value in values):
        return "`scores` must be finite numbers, at most 1e100"
    return None


def _tags(tags: dict[str, str]) -> str | None:
    for name, value in tags.items():
        if _name("tags", name) or _text("tags", value):
            return f"`tags` has a name or a value that is empty, unprintable or over {MAX_NAME} characters"
    return None


def _sane(value: object) -> bool:
    return not isinstance(value, int | float) or abs(value) <= MAX_NUMBER  # which NaN and infinity are not


def _numbers(row: Prediction) -> str | None:
    if not _sane(row.prediction):
        return "`prediction` must be a finite number, at most 1e100"
    if row.latency_ms is not None and not (math.isfinite(row.latency_ms) and row.latency_ms >= 0):
        return "`latency_ms` must be a number from 0"
    if not 100 <= row.status <= 599:
        return "`status` must be an HTTP status from 100 to 599"
    return None
