"""What every section of the configuration shares: strictness and durations."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

__all__ = ["Duration", "Interval", "Name", "Section", "format_duration", "parse_duration"]

_UNITS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_LONGEST = 10 * 366 * _UNITS["d"]  # reckoning with dates stays inside the calendar
_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?")


class Section(BaseModel):
    """A part of the file: unknown keys are mistakes, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


def parse_duration(value: object) -> timedelta:
    """Read a duration as Prometheus writes it: `30s`, `5m`, `1h30m`, `7d`, `0`; raises ValueError."""
    if isinstance(value, timedelta):
        return value
    text = str(value).strip()
    if text == "0":
        return timedelta(0)
    match = _DURATION.fullmatch(text)
    if not match or not text:
        msg = f"{text!r} is not a duration: write 30s, 5m, 1h30m or 7d"
        raise ValueError(msg)
    amounts = zip(match.groups(), _UNITS.values(), strict=True)
    total = sum(int(amount) * unit for amount, unit in amounts if amount)
    if total > _LONGEST:
        msg = f"{text!r} is longer than ten years"
        raise ValueError(msg)
    return timedelta(milliseconds=total)


def format_duration(value: timedelta) -> str:
    """The shortest way to write a duration: 90 minutes are `1h30m`."""
    left = round(value.total_seconds() * 1000)
    parts = []
    for unit, size in _UNITS.items():
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"


def _some_time(value: timedelta) -> timedelta:
    if value < timedelta(milliseconds=10):
        msg = f"{format_duration(value)} is too short: at least 10ms"
        raise ValueError(msg)
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(
        {"type": ["string", "integer"], "pattern": f"^(0|(?=.){_DURATION.pattern})$", "maximum": 0}
    ),
]
Interval = Annotated[Duration, AfterValidator(_some_time)]
"""How often something is done: never all the time."""
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
