"""The business clock: the system's, or one that a replay of history sets.

A replayed clock stands in the table `clock` where everybody sees it, never goes back, and says up to where
everything that was due is done, so that a replay can wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from detectors import queries
from detectors.errors import ClockError
from remora.config import Config
from remora.database import Database, insert_new
from remora.tables import clock

__all__ = ["ClockState", "clock_state", "move_clock", "read_clock", "settle"]

_NAME = "replay"


@dataclass(frozen=True)
class ClockState:
    """`settled` is up to where everything due was judged, evaluated and planned; None where nothing is known."""

    mode: str
    now: datetime | None
    settled: datetime | None


def clock_state(database: Database, config: Config, wall: datetime) -> ClockState:
    """Where the clock stands; `wall` is the system's."""
    if config.schedule.clock == "system":
        return ClockState("system", wall, None)
    with database.read() as connection:
        row = queries.read_clock_row(connection)
    return ClockState("replay", *(row or (None, None)))


def read_clock(database: Database, config: Config, wall: datetime) -> datetime | None:
    """Business time; None while a replayed clock has not been set."""
    return clock_state(database, config, wall).now


def move_clock(database: Database, config: Config, to: datetime) -> ClockState:
    """Set a replayed clock forward. Raises `ClockError` where it is not replayed, or stands later already."""
    if config.schedule.clock != "replay":
        raise ClockError(
            "the clock is the system's: set `schedule: {clock: replay}` in remora.yaml to move it"
        )
    if to.tzinfo is None:
        raise ClockError("`now` has no time zone: write 2013-03-01T10:00:00Z")
    instant = to.astimezone(UTC)
    with database.write() as connection:
        insert_new(connection, clock, [{"name": _NAME, "now": instant, "settled": None}], ["name"])
        moved = connection.execute(
            sa.update(clock).where(clock.c.name == _NAME, clock.c.now <= instant).values(now=instant),
        )
        row = queries.read_clock_row(connection)
    if not moved.rowcount and row is not None:
        raise ClockError(f"the clock stands at {row[0].isoformat()} and does not go back")
    return ClockState("replay", *(row or (None, None)))


def settle(database: Database, config: Config, now: datetime) -> None:
    """Note that everything due at `now` is done; only of a replayed clock."""
    if config.schedule.clock != "replay":
        return
    later = sa.or_(clock.c.settled.is_(None), clock.c.settled < now)
    with database.read() as connection:
        row = queries.read_clock_row(connection)
    if row is None or (row[1] is not None and row[1] >= now):
        return  # a tick that changes nothing writes nothing
    with database.write() as connection:
        connection.execute(sa.update(clock).where(clock.c.name == _NAME, later).values(settled=now))
