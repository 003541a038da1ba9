"""A batch of another collector, judged before it is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from collector.errors import BodyError
from collector.privacy import Gate
from collector.spool_file import Entry
from collector.spool_records import Unkept, encode_record, encode_records
from remora.records import (
    MAX_NAME,
    Batch,
    Label,
    Prediction,
    Profiled,
    check_label,
    check_prediction,
)
from remora.summaries.codec import UnreadableSummaryError, decode

__all__ = ["check_profiled", "read_batch"]

_R = TypeVar("_R", Prediction, Label)
_MAX_UNKEPT = 1 << 31

_decode_msgpack = msgspec.msgpack.Decoder(Batch).decode
_decode_json = msgspec.json.Decoder(Batch).decode


def read_batch(body: bytes, gate: Gate, *, packed: bool) -> tuple[Batch, list[Entry]]:
    """A batch and its records for the spool. Raises BodyError.

    One bad record refuses the whole batch: its sender then halves it until the bad one stands alone.
    """
    try:
        batch = _decode_msgpack(body) if packed else _decode_json(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BodyError(400, "the body is not a batch of records") from None
    if not batch.id or len(batch.id) > 200:
        raise BodyError(400, "the batch has no id, or one over 200 characters")
    try:
        batch.id.encode()
    except UnicodeEncodeError:
        raise BodyError(400, "the batch's id is not valid Unicode") from None
    entries = [
        *_entries("predictions", gate.redact(_checked("predictions", batch.predictions, check_prediction))),
        *_entries("labels", _checked("labels", batch.labels, check_label)),
        *_unkept(batch),
    ]
    return batch, entries


def _checked(kind: str, records: Sequence[_R], check: Callable[[_R], str | None]) -> Sequence[_R]:
    for index, record in enumerate(records):
        if problem := check(record):
            raise BodyError(400, f"{kind}[{index}]: {problem}")
    return records


def _entries(kind: str, records: Sequence[_R]) -> list[Entry]:
    try:
        return encode_records(records)
    except ValueError:
        return [_encoded(kind, index, record) for index, record in enumerate(records)]


def _encoded(kind: str, index: int, record: Prediction | Label | Unkept) -> Entry:
    try:
        return encode_record(record)
    except ValueError as error:
        raise BodyError(400, f"{kind}[{index}]: {error}") from None


def _unkept(batch: Batch) -> list[Entry]:
    """What the batch says of predictions that it does not hold, as one record."""
    if not (batch.profiles or batch.unkept or batch.personal):
        return []
    if not 0 <= batch.unkept < _MAX_UNKEPT:
        raise BodyError(400, "`unkept` must be a count from 0 to 2147483647")
    for index, each in enumerate(batch.profiles):
        if problem := check_profiled(each):
            raise BodyError(400, f"profiles[{index}]: {problem}")
    for index, one in enumerate(batch.personal):
        if not all(_named(text) for text in (one.model, one.feature, one.looks_like)):
            raise BodyError(400, f"personal[{index}]: has a name that is empty, unprintable or too long")
        if one.at is not None and (one.at.tzinfo is None or not 1900 < one.at.year < 2200):
            raise BodyError(400, f"personal[{index}]: `at` is no instant of the years 1901 to 2199")
    rest = Unkept(profiles=batch.profiles, unkept=batch.unkept, personal=batch.personal)
    return [_encoded("profiles", 0, rest)]


def check_profiled(each: Profiled) -> str | None:
    """What is wrong with a summary, or None."""
    if not _named(each.model) or not _named(each.column):
        return "a summary has no model or column, or one that is unprintable or too long"
    if not (each.version == "" or _named(each.version)) or not _segment(each.segment):
        return "a summary has a version or a segment that is unprintable or too long"
    start = each.start
    if start.tzinfo is None or not 1900 < start.year < 2200 or start.timestamp() % 60:
        return "a summary does not start at a whole minute with a time zone, in the years 1901 to 2199"
    try:
        summary = decode(each.data)
        kind = summary.kind
        type(summary)().merge(summary)
    except UnreadableSummaryError as error:
        return str(error)
    except (LookupError, ValueError, TypeError, RuntimeError, ArithmeticError):
        return "the bytes of a summary hold something that does not add up"
    return None if kind == each.kind else f"a summary is of another kind than it says: {kind}"


def _named(text: str) -> bool:
    return 0 < len(text) <= 2 * MAX_NAME and text.isprintable()  # `$score.` and a class's name make a column


def _segment(text: str) -> bool:
    return len(text) <= 2 * MAX_NAME + 1 and text.isprintable()
