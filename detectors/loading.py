"""The summaries of a window, merged: by version and segment, and of all versions together."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from detectors import queries
from remora.summaries import Summary, TrafficSummary, encode, merge_encoded
from remora.summaries.codec import UnreadableSummaryError
from remora.summaries.profile import LATENCY, LOST, PERFORMANCE, SCORES, TRAFFIC
from remora.tables import summaries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from detectors.windows import Window
    from remora.database import Database

__all__ = ["Loaded", "Slice", "load"]

_Merged = Summary | UnreadableSummaryError
S = TypeVar("S", bound=Any)

_NO_FEATURES = {TRAFFIC, LATENCY, PERFORMANCE, LOST, SCORES}

# What each job reads. Drift is judged over all segments together.
_COLUMNS: dict[str, sa.ColumnElement[bool]] = {
    "traffic": summaries.c.column_name.in_((TRAFFIC, LATENCY, LOST)),
    "drift": sa.and_(summaries.c.segment == "", summaries.c.column_name.not_in((LATENCY, PERFORMANCE, LOST))),
    "performance": summaries.c.column_name.in_((TRAFFIC, PERFORMANCE)),
}


@dataclass(frozen=True)
class Slice:
    """One version's (or all versions') window, by (column, kind)."""

    merged: Mapping[tuple[str, str], _Merged]

    def get(self, column: str, kind: type[S]) -> S | None:
        """The column's summary of this kind, or None; raises `UnreadableSummaryError` where its bytes are damaged."""
        found = self.merged.get((column, kind.kind))
        if isinstance(found, UnreadableSummaryError):
            raise found
        return found if isinstance(found, kind) else None

    @property
    def columns(self) -> set[str]:
        """Names of the features, the score and the predicted class."""
        return {column for column, _ in self.merged if column not in _NO_FEATURES}

    @property
    def answered(self) -> int:
        """Rows that were answered with success: those that have features and a prediction."""
        traffic = self.get(TRAFFIC, TrafficSummary)
        if traffic is None:
            return 0
        return sum(count for status, count in traffic.by_status.items() if status < 400)


@dataclass(frozen=True)
class Loaded:
    """A window by (version, segment); version '' is all versions together and always there.

    `personal` are the features that were first seen in it to look personal, and what they look like.
    """

    slices: Mapping[tuple[str, str], Slice]
    watermark: int
    personal: Mapping[str, str] = field(default_factory=dict)


def load(database: Database, model: str, window: Window, job: str) -> Loaded:
    """Read and merge what a job looks at. Everything up to `watermark` is in it, and nothing beyond."""
    watermark = database.settled(summaries.c.seq)
    with database.read() as connection:
        rows = queries.summaries_of(connection, model, window, _COLUMNS[job], watermark)
        personal = queries.personal_fields_of(connection, model, window) if job == "traffic" else {}
    return Loaded(_slices(rows), watermark, personal)


def _slices(rows: Iterable[Any]) -> dict[tuple[str, str], Slice]:
    blobs: dict[tuple[str, str, str], dict[str, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    for version, segment, column, kind, data in rows:
        blobs[segment, column, kind][version].append(data)
    found: dict[tuple[str, str], dict[tuple[str, str], _Merged]] = {("", ""): {}}
    for (segment, column, kind), versions in blobs.items():
        parts = {version: _merge(data) for version, data in versions.items()}
        found.setdefault(("", segment), {})[column, kind] = _together(list(parts.values()))
        if not segment:
            for version, part in parts.items():
                if version:
                    found.setdefault((version, ""), {})[column, kind] = part
    return {key: Slice(merged) for key, merged in found.items()}


def _merge(blobs: list[bytes]) -> _Merged:
    try:
        merged = merge_encoded(blobs)
    except UnreadableSummaryError as error:
        return error
    if merged is None:
        raise AssertionError("a column without summaries")
    return merged


def _together(parts: list[_Merged]) -> _Merged:
    """All versions as one; the versions' own summaries stay as they are."""
    whole = []
    for part in parts:
        if isinstance(part, UnreadableSummaryError):
            return part
        whole.append(part)
    return whole[0] if len(whole) == 1 else _merge([encode(part) for part in whole])
