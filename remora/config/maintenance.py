"""`maintenance:` — stretches of time in which some alerts are told to nobody: once, or every day or week."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, model_validator
from pydantic.types import AwareDatetime

from remora.config.base import Duration, Section

__all__ = ["Maintenance"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONGEST = timedelta(days=7)


def _time(value: object) -> object:
    """YAML reads 2:30 as the number 150: a time of the day stands in quotes."""
    if isinstance(value, int):
        msg = 'must stand in quotes, such as "02:30"'
        raise ValueError(msg)  # noqa: TRY004  # pydantic makes a mistake of the file out of this one only
    return value


class Maintenance(Section):
    """Either `from` and `to`, or `at`, `for` and, if not every day, `days`."""

    name: str = Field(min_length=1, max_length=200)
    match: dict[str, str] = {}
    from_: AwareDatetime | None = Field(default=None, alias="from")
    to: AwareDatetime | None = None
    at: Annotated[time | None, BeforeValidator(_time)] = Field(
        default=None, description='time of the day at which it begins, "02:30"'
    )
    for_: Duration | None = Field(default=None, alias="for")
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = []
    timezone: str = "UTC"

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        once = self.from_ is not None and self.to is not None
        again = self.at is not None and self.for_ is not None
        if (
            once == again
            or (once and (self.at or self.for_ or self.days))
            or (again and (self.from_ or self.to))
        ):
            msg = "give either from and to, or at and for (and days, if not every day)"
            raise ValueError(msg)
        if self.from_ and self.to and self.to <= self.from_:
            msg = "ends before it begins"
            raise ValueError(msg)
        if self.for_ is not None and not timedelta(0) < self.for_ <= _LONGEST:
            msg = "for must be longer than nothing and at most 7d"
            raise ValueError(msg)
        try:
            ZoneInfo(self.timezone)
        except (LookupError, ValueError, OSError):
            msg = f"there is no time zone {self.timezone!r}: write one such as Europe/Amsterdam"
            raise ValueError(msg) from None
        return self

    def holds_at(self, instant: datetime) -> bool:
        """Whether it is going on."""
        if self.from_ is not None and self.to is not None:
            return self.from_ <= instant < self.to
        if self.at is None or self.for_ is None:
            return False
        zone = ZoneInfo(self.timezone)
        day = instant.astimezone(zone).date()
        for back in range(_LONGEST.days + 1):
            begun = day - timedelta(days=back)
            if self.days and _DAYS[begun.weekday()] not in self.days:
                continue
            start = datetime.combine(
                begun, self.at, zone
            ).timestamp()  # an hour that is left out or comes twice is no matter
            if start <= instant.timestamp() < start + self.for_.total_seconds():
                return True
        return False
