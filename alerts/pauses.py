"""SQL for pauses: while one holds, nothing is started, for one model or for all."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from alerts.guards import Switches
from alerts.identity import new_id
from alerts.receivers.base import iso
from remora.config import Config
from remora.tables import pauses

__all__ = ["Pause", "add", "end", "newest", "shown", "switches"]


@dataclass(frozen=True)
class Pause:
    """`model` is empty for all models; without an end it holds until somebody ends it."""

    id: str
    model: str
    starts_at: datetime
    ends_at: datetime | None
    created_by: str
    comment: str


def switches(connection: sa.Connection, config: Config, now: datetime) -> Switches:
    """What is switched off now: by the configuration, or by a pause."""
    holds = sa.or_(pauses.c.ends_at.is_(None), pauses.c.ends_at > now)
    statement = sa.select(pauses.c.model).where(pauses.c.starts_at <= now, holds)
    paused = set(connection.execute(statement).scalars())
    return Switches(config.actions.enabled and "" not in paused, paused | set(config.actions.paused_models))


def add(
    connection: sa.Connection, model: str, starts: datetime, ends: datetime | None, *, by: str, comment: str
) -> Pause:
    pause = Pause(new_id("pause", starts), model, starts, ends, by, comment)
    connection.execute(sa.insert(pauses).values(asdict(pause)))
    return pause


def end(connection: sa.Connection, identity: str, now: datetime) -> Pause | None:
    """End a pause now; one that is over stays as it is. None where there is none."""
    over = sa.and_(pauses.c.ends_at.is_not(None), pauses.c.ends_at <= now)
    connection.execute(sa.update(pauses).where(pauses.c.id == identity, ~over).values(ends_at=now))
    row = connection.execute(sa.select(pauses).where(pauses.c.id == identity)).mappings().first()
    return Pause(**row) if row else None


def newest(connection: sa.Connection) -> list[Pause]:
    statement = sa.select(pauses).order_by(pauses.c.starts_at.desc(), pauses.c.id.desc()).limit(1000)
    return [Pause(**row) for row in connection.execute(statement).mappings()]


def shown(pause: Pause, now: datetime) -> dict[str, Any]:
    """A pause as the API shows it."""
    over = pause.ends_at is not None and pause.ends_at <= now
    return {
        "id": pause.id,
        "model": pause.model or None,
        "startsAt": iso(pause.starts_at),
        "endsAt": iso(pause.ends_at) if pause.ends_at else None,
        "createdBy": pause.created_by,
        "comment": pause.comment,
        "state": "over" if over else "pending" if pause.starts_at > now else "active",
    }
