"""The transactional outbox: what was decided is a row that commits with the decision; the sender does the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from alerts.identity import new_id
from alerts.receivers import RECEIVERS
from alerts.receivers.base import Event
from remora.config import Config
from remora.database import insert_new
from remora.tables import deliveries, delivery_attempts

__all__ = [
    "Delivery",
    "bury",
    "bury_expired",
    "claim",
    "enqueue",
    "finish",
    "receivers_waiting",
    "undeliverable",
]

NOTIFICATION_LIFETIME = timedelta(hours=24)
ACTION_LIFETIME = timedelta(hours=1)
"""A model update that starts 20 hours late is wrong."""


@dataclass(frozen=True)
class Delivery:
    """A claimed row of the outbox."""

    id: str
    receiver: str
    kind: str
    body: bytes
    attempts: int
    expires_at: datetime


def enqueue(
    connection: sa.Connection, config: Config, event: Event, *, event_id: str, order_key: str, wall: datetime,
) -> bool:  # fmt: skip
    """Write one delivery for the event's receiver; False where the receiver has this event already.

    The body is made now and never changes. Of one receiver and `order_key`, what is written first goes out first.
    """
    receiver = config.receivers[event.receiver]
    newest = connection.execute(
        sa.select(sa.func.max(deliveries.c.created_at)).where(
            deliveries.c.receiver == event.receiver,
            deliveries.c.order_key == order_key,
            deliveries.c.state == "pending",
        )
    ).scalar()
    created = max(wall, newest + timedelta(microseconds=1)) if newest else wall
    lifetime = ACTION_LIFETIME if event.type == "action.requested" else NOTIFICATION_LIFETIME
    row = {
        "id": new_id("msg", wall), "event_id": event_id, "receiver": event.receiver, "kind": event.type,
        "order_key": order_key, "body": RECEIVERS[receiver.kind].body(event, receiver.body), "state": "pending",
        "attempts": 0, "created_at": created, "next_attempt_at": wall, "expires_at": wall + lifetime,
    }  # fmt: skip
    return bool(insert_new(connection, deliveries, [row], ["event_id", "receiver"]))


def receivers_waiting(connection: sa.Connection, wall: datetime) -> list[str]:
    """Receivers with a delivery whose time has come."""
    statement = (
        sa.select(deliveries.c.receiver)
        .distinct()
        .where(deliveries.c.state == "pending", deliveries.c.next_attempt_at <= wall)
    )
    return list(connection.execute(statement).scalars())


def bury_expired(connection: sa.Connection, wall: datetime) -> list[str]:
    """Give up deliveries that nobody wants any more; returns their receivers."""
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.state == "pending", deliveries.c.expires_at <= wall)
        .where(sa.or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until <= wall))
        .values(state="dead", last_error=sa.func.coalesce(deliveries.c.last_error, "") + " (expired)")
        .returning(deliveries.c.receiver)
    )
    return list(connection.execute(statement).scalars())


def claim(
    connection: sa.Connection, receiver: str, *, owner: str, wall: datetime, lease: timedelta,
) -> Delivery | None:  # fmt: skip
    """Take the next due delivery of a receiver for as long as `lease`; None where there is none.

    One that has an earlier unfinished one of the same order key waits for it. Rows that another process is
    claiming at this moment are passed over.
    """
    earlier = deliveries.alias("earlier")
    blocked = sa.exists().where(
        earlier.c.receiver == deliveries.c.receiver,
        earlier.c.order_key == deliveries.c.order_key,
        earlier.c.state == "pending",
        earlier.c.created_at < deliveries.c.created_at,
    )
    row = connection.execute(
        sa.select(deliveries.c.id, deliveries.c.attempts)
        .where(
            deliveries.c.receiver == receiver,
            deliveries.c.state == "pending",
            deliveries.c.next_attempt_at <= wall,
            sa.or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until <= wall),
            ~blocked,
        )
        .order_by(deliveries.c.next_attempt_at, deliveries.c.created_at)
        .limit(1)
        .with_for_update(skip_locked=True, of=deliveries)
    ).first()
    if row is None:
        return None
    taken = connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.id == row.id)
        .values(lease_owner=owner, lease_until=wall + lease, attempts=deliveries.c.attempts + 1)
        .returning(*(deliveries.c[name] for name in Delivery.__dataclass_fields__))
    ).one()
    return Delivery(*taken)


def finish(
    connection: sa.Connection, delivery: Delivery, attempt: dict[str, Any], outcome: dict[str, Any], *,
    owner: str,
) -> None:  # fmt: skip
    """Log an attempt and what it led to; `outcome` are columns of `deliveries`."""
    row = {"delivery_id": delivery.id, "attempt": delivery.attempts, **attempt}
    insert_new(connection, delivery_attempts, [row], ["delivery_id", "attempt"])
    connection.execute(
        sa.update(deliveries)
        .where(
            deliveries.c.id == delivery.id, deliveries.c.state == "pending", deliveries.c.lease_owner == owner
        )
        .where(deliveries.c.attempts == delivery.attempts)
        .values(lease_owner=None, lease_until=None, **outcome)
    )


def bury(connection: sa.Connection, receiver: str, error: str, *, before: datetime) -> None:
    """Give up what waits for a receiver and was written by `before`."""
    connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.receiver == receiver, deliveries.c.state == "pending")
        .where(deliveries.c.created_at <= before)
        .values(state="dead", last_error=error, lease_owner=None, lease_until=None)
    )


def undeliverable(connection: sa.Connection, event_ids: Sequence[str]) -> dict[str, str]:
    """Of these events, those whose delivery was given up, with the last error."""
    statement = sa.select(deliveries.c.event_id, deliveries.c.last_error).where(
        deliveries.c.event_id.in_(event_ids), deliveries.c.state == "dead"
    )
    return {event: error or "given up" for event, error in connection.execute(statement)}
