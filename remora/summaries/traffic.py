"""Traffic: how many rows were asked for, and with which status they were answered. Exact."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["TrafficSummary"]


class TrafficSummary:
    """Counts of predictions by HTTP status; an error is a 5xx."""

    kind = "traffic"

    def __init__(self, by_status: Mapping[int, int] | None = None) -> None:
        self.by_status: Counter[int] = Counter(by_status or {})

    def update(self, statuses: Iterable[int]) -> None:
        """Count one prediction per status."""
        self.by_status.update(statuses)

    @property
    def count(self) -> int:
        return self.by_status.total()

    @property
    def errors(self) -> int:
        return sum(count for status, count in self.by_status.items() if status >= 500)

    @property
    def refused(self) -> int:
        """Rows that the model refused as the caller's mistake (4xx)."""
        return sum(count for status, count in self.by_status.items() if 400 <= status < 500)

    def merge(self, other: TrafficSummary) -> None:
        self.by_status.update(other.by_status)

    def fields(self) -> list[Any]:
        return [sorted(self.by_status.items())]

    @classmethod
    def from_fields(cls, fields: list[Any]) -> Self:
        return cls({int(status): int(count) for status, count in fields[0]})
