"""Silences as they are stored and shown."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from alerts.bodies import NewSilence
from alerts.identity import new_id
from alerts.queries import Silence
from alerts.receivers.base import iso
from remora.tables import silences

__all__ = ["add", "end", "newest", "shown"]


def add(connection: sa.Connection, body: NewSilence, starts: datetime, ends: datetime) -> Silence:
    silence = Silence(
        id=new_id("sil", starts),
        matchers=[matcher.model_dump(by_alias=True) for matcher in body.matchers],
        starts_at=starts,
        ends_at=ends,
        created_by=body.created_by,
        comment=body.comment,
    )
    connection.execute(sa.insert(silences).values(asdict(silence)))
    return silence


def newest(connection: sa.Connection) -> list[Silence]:
    statement = sa.select(silences).order_by(silences.c.starts_at.desc(), silences.c.id).limit(1000)
    return [Silence(**row) for row in connection.execute(statement).mappings()]


def end(connection: sa.Connection, identity: str, now: datetime) -> Silence | None:
    """End it now; one that is over already stays as it was. None where there is none."""
    row = connection.execute(sa.select(silences).where(silences.c.id == identity)).mappings().first()
    if row is None:
        return None
    silence = Silence(**row)
    if silence.ends_at <= now:
        return silence
    ended = replace(silence, starts_at=min(silence.starts_at, now), ends_at=now)
    connection.execute(
        sa.update(silences).where(silences.c.id == identity).values(starts_at=ended.starts_at, ends_at=now)
    )
    return ended


def shown(silence: Silence, now: datetime) -> dict[str, Any]:
    """As Alertmanager shows it."""
    state = "expired" if silence.ends_at <= now else "active" if silence.starts_at <= now else "pending"
    return {
        "id": silence.id,
        "matchers": silence.matchers,
        "startsAt": iso(silence.starts_at),
        "endsAt": iso(silence.ends_at),
        "createdBy": silence.created_by,
        "comment": silence.comment,
        "status": {"state": state},
    }
