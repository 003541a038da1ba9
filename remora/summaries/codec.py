"""Bytes of a summary: one version byte, then msgpack of its kind and its fields.

The version is that of the layout, for all kinds together; a reader refuses a version it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

import msgspec

from remora.errors import RemoraError
from remora.summaries.categorical import CategoricalSummary
from remora.summaries.latency import LatencySummary
from remora.summaries.numeric import NumericSummary
from remora.summaries.performance import PerformanceSummary
from remora.summaries.scores import ScoreSummary
from remora.summaries.traffic import TrafficSummary

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Summary", "UnreadableSummaryError", "decode", "encode", "merge_encoded"]

_VERSION = 1


class UnreadableSummaryError(RemoraError):
    """The bytes of a summary are damaged, or of a version that this Remora does not know."""


class Summary(Protocol):
    """What every kind can do."""

    kind: str

    def merge(self, other: Self) -> None:
        """Take the other's values in; the other stays as it is."""

    def fields(self) -> list[Any]:
        """Plain values and bytes that `from_fields` makes the same summary of."""

    @classmethod
    def from_fields(cls, fields: list[Any]) -> Self:
        """The summary of these fields."""


_KINDS: dict[str, type[Summary]] = {
    kind.kind: kind
    for kind in (
        CategoricalSummary,
        LatencySummary,
        NumericSummary,
        PerformanceSummary,
        ScoreSummary,
        TrafficSummary,
    )
}


def encode(summary: Summary) -> bytes:
    """The bytes of a summary."""
    return bytes([_VERSION]) + msgspec.msgpack.encode([summary.kind, *summary.fields()])


def decode(data: bytes) -> Summary:
    """The summary of these bytes; raises `UnreadableSummaryError`."""
    if not data or data[0] != _VERSION:
        msg = f"a summary of version {data[0] if data else 'none'}: this Remora reads version {_VERSION}"
        raise UnreadableSummaryError(msg)
    try:
        kind, *fields = msgspec.msgpack.decode(memoryview(data)[1:])
        return _KINDS[kind].from_fields(fields)
    except (
        LookupError,
        ValueError,
        TypeError,
        RuntimeError,
        ArithmeticError,
        MemoryError,
        msgspec.MsgspecError,
    ) as error:
        msg = "the bytes of a summary are damaged"
        raise UnreadableSummaryError(msg) from error


def merge_encoded(blobs: Iterable[bytes]) -> Summary | None:
    """Merge the summaries of these bytes, all of one kind; None where there are none."""
    merged: Summary | None = None
    for blob in blobs:
        summary = decode(blob)
        if merged is None:
            merged = summary
        else:
            merged.merge(summary)
    return merged
