"""Which stretch of event time somebody looks at: out of a query string, with a default that fits the windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dashboards.errors import BadRequestError

__all__ = ["PRESETS", "Period", "Sample", "iso", "parse_instant", "parse_period", "sampled"]

PRESETS: dict[str, timedelta | None] = {
    "1d": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "1y": timedelta(days=366),
    "all": None,
}
_DAY = timedelta(days=1)
_BEGINNING = datetime(1901, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Period:
    """Windows that end in (start, end]; `choice` is the preset, `custom`, or `recent` for the default."""

    start: datetime
    end: datetime
    choice: str

    @property
    def query(self) -> str:
        """The query string that leads to the same stretch again; empty for the default."""
        if self.choice == "recent":
            return ""
        if self.choice != "custom":
            return f"range={self.choice}"
        return f"from={iso(self.start)}&to={iso(self.end)}"


def iso(instant: datetime) -> str:
    """`2013-03-01T10:00:00Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_instant(text: str, name: str) -> datetime:
    """Read a date or an RFC 3339 instant; one without a zone is UTC."""
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        msg = f"`{name}` is not a time: write 2013-03-01 or 2013-03-01T10:00:00Z"
        raise BadRequestError(msg) from None
    instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
    if not 1901 < instant.year < 2199:
        msg = f"`{name}` lies outside the years 1902 to 2198"
        raise BadRequestError(msg)
    return instant.astimezone(UTC)


def parse_period(query: Mapping[str, str], *, newest: datetime, recent: timedelta) -> Period:
    """The stretch of a query string: `from` and `to`, or `range`, or the `recent` stretch before `newest`."""
    given_from, given_to = query.get("from", "").strip(), query.get("to", "").strip()
    if given_from or given_to:
        end = parse_instant(given_to, "to") if given_to else newest
        start = parse_instant(given_from, "from") if given_from else _BEGINNING
        if start >= end:
            msg = "`from` must lie before `to`"
            raise BadRequestError(msg)
        return Period(start, end, "custom")
    choice = query.get("range", "").strip() or "recent"
    if choice == "recent":
        return Period(newest - recent, newest, choice)
    if choice not in PRESETS:
        msg = f"`range` is one of {', '.join(PRESETS)}"
        raise BadRequestError(msg)
    length = PRESETS[choice]
    return Period(_BEGINNING if length is None else newest - length, newest, choice)


@dataclass(frozen=True)
class Sample:
    """The windows of a period that are drawn: all of them, or those that end at `ends`, every `step`-th."""

    period: Period
    ends: tuple[datetime, ...] = ()
    step: int = 1


def sampled(period: Period, size: timedelta, most: int, since: datetime) -> Sample:
    """At most `most` windows of a period whose data begins at `since`.

    A step is a divisor or a multiple of a day wherever it can be, so that windows of another size, from before the
    configuration was changed, end at these instants too.
    """
    start, end = max(period.start, since - size), period.end
    number = max(0, (end - start) // size)
    if number <= most:
        return Sample(period)
    step = -(-number // most)
    a_day = max(1, _DAY // size)
    step = next((one for one in range(step, a_day + 1) if a_day % one == 0), -(-step // a_day) * a_day)
    length = size * step
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    last = epoch + (end - epoch) // length * length
    ends = [last - index * length for index in range((last - start) // length + 1)]
    return Sample(period, tuple(sorted(one for one in ends if start < one <= end)), step)
