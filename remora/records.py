"""The two records that everything is made of: a prediction, and the label that came later.

Both are plain structs in the shape of the ingest API, with every optional field settled: an id, an aware UTC
instant, a version. ``check_*`` says in one sentence what is wrong with a record, with no value of a feature in it.
"""

from __future__ import annotations

import secrets
import time
from datetime import datetime
from typing import Any

import msgspec

__all__ = [
    "MAX_FEATURES",
    "MAX_NAME",
    "MAX_NUMBER",
    "MAX_RANKED",
    "MAX_STRING",
    "Batch",
    "CollectorReport",
    "Item",
    "Label",
    "PersonalField",
    "Prediction",
    "Profiled",
    "Scalar",
    "check_label",
    "check_prediction",
    "new_id",
]

Scalar = str | int | float | bool | None
Item = str | int  # of a ranked list

MAX_NAME = 128
MAX_STRING = 4096
MAX_FEATURES = 1000
MAX_TAGS = 100
MAX_RANKED = 1000  # items of a ranked list, and of those that turned out to be relevant
MAX_LATENCY_MS = 1e9  # eleven days
MAX_INTEGER = 1 << 63  # what both databases keep exactly
MAX_NUMBER = 1e100  # of labels, predictions and scores: the sums of their squares stay finite


class Prediction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row that a model answered.

    ``timestamp`` is event time, ``latency_ms`` milliseconds of the request that carried the row, ``status`` its HTTP
    status, ``prediction`` a value, or the items of a ranking with the best first, ``scores`` the probability of the positive class, a number, or one number per class. ``sample`` is the
    probability with which rows like this one are kept: one row stands for 1 / sample of them.
    """

    model: str
    id: str
    timestamp: datetime
    version: str = ""
    features: dict[str, Any] = {}
    prediction: str | int | float | bool | list[Item] | None = None
    scores: float | dict[str, float] | None = None
    latency_ms: float | None = None
    status: int = 200
    tags: dict[str, str] = {}
    sample: float = 1.0


class Label(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What turned out to be true for the prediction ``id``, known at ``timestamp``.

    Of a ranking: the relevant item, all of them, or how relevant each is.
    """

    model: str
    id: str
    label: str | int | float | bool | list[Item] | dict[str, float]
    timestamp: datetime


class Profiled(msgspec.Struct, frozen=True, kw_only=True):
    """One summary of predictions that are not sent as rows: where it belongs, and its bytes (`summaries.codec`)."""

    model: str
    version: str
    segment: str
    start: datetime
    column: str
    kind: str
    data: bytes


class PersonalField(msgspec.Struct, frozen=True, kw_only=True):
    """A feature whose values look personal (an e-mail address, say) and that no redaction covers."""

    model: str
    feature: str
    looks_like: str
    at: datetime | None = None  # event time of the row that made it known


class CollectorReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a collector says about itself; `model` is '' where it takes records of any, `version` is Remora's."""

    id: str
    host: str
    model: str
    version: str
    started_at: datetime
    counters: dict[str, int | float]


class Batch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The unit of exactly-once: written whole or not at all, and never twice under one id.

    ``unkept`` predictions are in ``profiles`` alone: they were not sampled, or no raw value may leave the pod.
    """

    id: str
    source: str
    predictions: list[Prediction] = []
    labels: list[Label] = []
    profiles: list[Profiled] = []
    unkept: int = 0
    personal: list[PersonalField] = []


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
        or _answer(row.prediction)
        or _scores(row.scores)
        or _tags(row.tags)
        or _numbers(row)
    )


def check_label(row: Label) -> str | None:
    """What is wrong with a label, or None."""
    wrong = _name("model", row.model) or _name("id", row.id) or _instant(row.timestamp)
    if wrong is None and isinstance(row.label, list | dict):
        return _relevant(row.label)
    if wrong is None and not _sane(row.label):
        return "`label` must be a finite number, at most 1e100 (an integer: 64 bits)"
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
    if not 1900 < value.year < 2200:  # before any conversion: at the ends of the calendar there is none
        return "`timestamp` lies outside the years 1901 to 2199"
    return None


def _features(features: dict[str, Any]) -> str | None:
    if len(features) > MAX_FEATURES:
        return f"`features` has {len(features)} entries, at most {MAX_FEATURES} are kept"
    for name, value in features.items():
        if not name or len(name) > MAX_NAME or name.startswith("$") or not name.isprintable():
            return f"`features` has a name that is empty, unprintable, over {MAX_NAME} characters or begins with $"
        wrong = _value(value)
        if wrong:
            return f"`features.{name}` {wrong}"
    return None


def _value(value: object) -> str | None:
    if isinstance(value, str):
        if len(value) > MAX_STRING:
            return f"has {len(value)} characters, at most {MAX_STRING} are kept"
        return "holds a NUL character, which a database cannot keep" if "\x00" in value else None
    if value is not None and not isinstance(value, int | float):
        return "is neither text, number, true, false nor null"
    if isinstance(value, int) and not -MAX_INTEGER <= value < MAX_INTEGER:
        return "is an integer beyond 64 bits: send it as text"
    return None


def _scores(scores: float | dict[str, float] | None) -> str | None:
    if isinstance(scores, dict):
        if len(scores) > MAX_FEATURES:
            return f"`scores` has {len(scores)} entries, at most {MAX_FEATURES} are kept"
        if any(_name("scores", name) for name in scores):
            return f"`scores` has a name that is empty, unprintable or over {MAX_NAME} characters"
    values = scores.values() if isinstance(scores, dict) else () if scores is None else (scores,)
    if not all(_sane(value) for value in values):
        return "`scores` must be finite numbers, at most 1e100"
    return None


def _tags(tags: dict[str, str]) -> str | None:
    if len(tags) > MAX_TAGS:
        return f"`tags` has {len(tags)} entries, at most {MAX_TAGS} are kept"
    for name, value in tags.items():
        if _name("tags", name) or _text("tags", value):
            return f"`tags` has a name or a value that is empty, unprintable or over {MAX_NAME} characters"
    return None


def _sane(value: object) -> bool:
    if isinstance(value, int):
        return -MAX_INTEGER <= value < MAX_INTEGER
    return not isinstance(value, float) or abs(value) <= MAX_NUMBER  # which NaN and infinity are not


def _relevant(label: list[Item] | dict[str, float]) -> str | None:
    weights = label.values() if isinstance(label, dict) else ()
    if not all(_sane(weight) for weight in weights):
        return "`label` must give each item a finite number, at most 1e100"
    return _items("label", list(label))


def _items(field: str, items: list[Item]) -> str | None:
    """What is wrong with the items of a ranking, or None."""
    if len(items) > MAX_RANKED:
        return f"`{field}` has {len(items)} items, at most {MAX_RANKED} are kept"
    for item in items:
        if isinstance(item, bool) or not _sane(item):
            return f"`{field}` has an item that is true, false or an integer beyond 64 bits"
        if isinstance(item, str) and _name(field, item):
            return f"`{field}` has an item that is empty, unprintable or over {MAX_NAME} characters"
    return None


def _answer(value: object) -> str | None:
    if isinstance(value, list):
        return _items("prediction", value)
    wrong = _value(value) or (None if _sane(value) else "must be a finite number, at most 1e100")
    return f"`prediction` {wrong}" if wrong else None


def _numbers(row: Prediction) -> str | None:
    if row.latency_ms is not None and not 0 <= row.latency_ms <= MAX_LATENCY_MS:
        return "`latency_ms` must be a number from 0 to 1e9"
    if not 100 <= row.status <= 599:
        return "`status` must be an HTTP status from 100 to 599"
    if not 0 < row.sample <= 1:
        return "`sample` must be a probability above 0, at most 1"
    return None
