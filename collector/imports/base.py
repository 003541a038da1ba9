"""What a source of files is: it recognises an item, and makes records of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Protocol

import msgspec

from collector.capture import Capture
from remora.config.models import Table
from remora.records import Label, Prediction

__all__ = ["Context", "Found", "Place", "Source", "instant", "number"]

# Records, or why there are none.
Found = list[Prediction | Label] | str

_SECONDS, _MILLISECONDS = (
    1e8,
    1e11,
)  # an epoch number from here on counts these: 1973 in seconds is 1973 in both
_MICROSECONDS, _NANOSECONDS = 1e14, 1e17


@dataclass(frozen=True)
class Context:
    """How the files of one run are read."""

    capture: Capture
    table: Table = field(default_factory=Table)
    zone: tzinfo = UTC
    when: datetime | None = None  # of rows that do not say
    labels_only: bool = False
    renamed: dict[str, str] = field(default_factory=dict)  # ids that some files use, and the prediction's own


@dataclass(frozen=True)
class Place:
    """Where an item stands, a line or a row from 1 on, and what stands there."""

    path: Path
    number: int
    item: Any = None
    as_text: bool = False  # a CSV's row: every value is text, and may mean a number

    @property
    def id(self) -> str:
        """An id for an item without one: the same in every run, also when its file has moved or has grown since."""
        content = msgspec.json.encode([self.path.name, self.item], enc_hook=str, order="sorted")
        return f"{hashlib.sha256(content).hexdigest()[:16]}-{self.number}"


class Source(Protocol):
    """One kind of file. A source may remember items, as halves of pairs: `rest` gives what is left at the end."""

    name: str

    def recognises(self, item: dict[str, Any]) -> bool:
        """Whether an item looks like this source's."""

    def records(self, item: dict[str, Any], place: Place) -> Found:
        """The records of an item; an empty list while its other half is awaited. Never raises."""

    def rest(self) -> Iterable[tuple[Place, Found]]:
        """Records of what was remembered and not completed."""


def instant(value: Any, zone: tzinfo) -> datetime | None:
    """An aware instant: RFC 3339, a date with time in `zone`, or a number since 1970 in s, ms, µs or ns. Else None."""
    if isinstance(value, str):
        text = value.strip()
        if text.replace(".", "", 1).isdecimal() and (found := _since_1970(float(text))):
            return found
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _since_1970(float(value))
    if not isinstance(value, datetime):
        return None
    aware = value if value.tzinfo is not None else value.replace(tzinfo=zone)
    return aware.astimezone(UTC) if 1901 < aware.year < 2199 else None


def _since_1970(value: float) -> datetime | None:
    size = abs(value)
    if not _SECONDS <= size < 1e20:
        return None
    scale = (
        1e9 if size >= _NANOSECONDS else 1e6 if size >= _MICROSECONDS else 1e3 if size >= _MILLISECONDS else 1
    )
    seconds = value / scale
    return datetime.fromtimestamp(seconds, UTC) if seconds < 7e9 else None


def number(value: Any) -> float | None:
    """A finite number, written as one or as text; else None."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            return None
        return found if math.isfinite(found) else None
    return None
