"""The transactional outbox: what was decided is a row that commits with the decision; the sender does the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from alerts.deliveries import Delivery
from alerts.identity import new_id
from alerts.receiver_state import breakers
from alerts.receivers import RECEIVERS
from alerts.receivers.base import Event, clip
from remora.config import Config
from remora.database import insert_new
from remora.errors import UserError
from remora.tables import deliveries, delivery_attempts

__all__ = [
    "bury",
    "bury_expired",
    "call_fallbacks",
    "claim",
    "collapse",
    "drop_standbys",
    "enqueue",
    "finish",
    "receivers_waiting",
    "redeliver",
]

NOTIFICATION_LIFETIME = timedelta(hours=24)
_ACTION = "action.requested"


def enqueue(
    connection: sa.Connection, config: Config, event: Event, *, event_id: str, order_key: str, wall: datetime,
) -> bool:  # fmt: skip
    """Write one delivery for the event's receiver; False where there is nothing to send.

    That is so where the receiver has this event already, and where it says that something is over of which the
    receiver was never told: then what waits of it is given up as well. The body is made now and never changes. Of one
    receiver and `order_key`, what is written first goes out first. What a receiver's fallback would be told instead
    stands by beside it.
    """
    # A replay's days are seconds of the sender's time: there, what was over in seconds was not over at once.
    at_once = event.type.endswith(".resolved") and config.schedule.clock != "replay"
    if at_once and collapse(connection, event.receiver, order_key):
        return False
    row = _row(connection, config, event, event_id, order_key, wall)
    if not insert_new(connection, deliveries, [row], ["event_id", "receiver"]):
        return False
    fallback = config.receivers[event.receiver].fallback
    if fallback is not None:
        known = breakers(connection).get(event.receiver)
        instead = replace(event, receiver=fallback)
        standby = _row(connection, config, instead, f"{event_id}~{event.receiver}", order_key, wall) | {
            "standby_for": row["id"],
            "state": "pending" if known is not None and known.is_open else "standby",
        }
        insert_new(connection, deliveries, [standby], ["event_id", "receiver"])
    return True


def _row(
    connection: sa.Connection, config: Config, event: Event, event_id: str, order_key: str, wall: datetime
) -> dict[str, Any]:
    receiver = config.receivers[event.receiver]
    newest = connection.execute(
        sa.select(sa.func.max(deliveries.c.created_at)).where(
            deliveries.c.receiver == event.receiver,
            deliveries.c.order_key == order_key,
            deliveries.c.state.in_(("pending", "standby")),
        )
    ).scalar()
    created = max(wall, newest + timedelta(microseconds=1)) if newest else wall
    return {
        "id": new_id("msg", wall), "event_id": event_id, "receiver": event.receiver, "kind": event.type,
        "order_key": order_key, "body": RECEIVERS[receiver.kind].body(event, receiver), "state": "pending",
        "title": clip(event.title.replace("\x00", ""), 300), "attempts": 0, "created_at": created,
        "next_attempt_at": wall, "expires_at": wall + NOTIFICATION_LIFETIME,
    }  # fmt: skip


def collapse(connection: sa.Connection, receiver: str, order_key: str) -> bool:
    """Give up what waits unsent about something that is over, if the receiver knows nothing of it; whether that was so."""
    mine = sa.and_(deliveries.c.receiver == receiver, deliveries.c.order_key == order_key)
    waiting = sa.and_(mine, deliveries.c.state == "pending")
    held = (
        connection.execute(sa.select(deliveries.c.attempts).where(waiting).with_for_update()).scalars().all()
    )
    if not held or any(held):
        return False
    last = connection.execute(
        sa.select(deliveries.c.kind, deliveries.c.state)
        .where(mine, deliveries.c.attempts > 0)
        .order_by(deliveries.c.created_at.desc())
        .limit(1)
    ).first()
    if last is not None and not (last.kind.endswith(".resolved") and last.state == "delivered"):
        return False
    text = "over before it was sent"
    gone = connection.execute(
        sa.update(deliveries)
        .where(waiting)
        .values(state="collapsed", last_error=text)
        .returning(deliveries.c.id)
    )
    drop_standbys(connection, list(gone.scalars()))
    return True


def drop_standbys(connection: sa.Connection, ids: Sequence[str]) -> None:
    """The fallback need not be told: the receiver itself was, or there is nothing to tell."""
    if ids:
        connection.execute(
            sa.delete(deliveries).where(deliveries.c.standby_for.in_(ids), deliveries.c.state == "standby")
        )


def call_fallbacks(connection: sa.Connection, wall: datetime, *, unanswered: Sequence[str]) -> None:
    """Tell fallbacks what was given up, and what waits for receivers that do not answer."""
    first = deliveries.alias("first")
    lost = sa.select(first.c.id).where(
        sa.or_(first.c.state == "dead", sa.and_(first.c.state == "pending", first.c.receiver.in_(unanswered)))
    )
    connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.state == "standby", deliveries.c.standby_for.in_(lost))
        .values(state="pending", next_attempt_at=wall)
    )


def redeliver(connection: sa.Connection, identity: str, wall: datetime) -> str | None:
    """Send a finished delivery again, under the same id; its state before, None where there is none.

    One that is pending stays as it is: it will be sent anyhow. Raises `UserError` for what starts something: that is
    started again by its action, whose guards it has to pass.
    """
    row = connection.execute(
        sa.select(deliveries.c.state, deliveries.c.kind).where(deliveries.c.id == identity).with_for_update()
    ).first()
    if row is not None and row.kind == _ACTION:
        msg = f"{identity} starts an action: start that again (remora action start-again), so that its guards are asked"
        raise UserError(msg)
    if row is not None and row.state != "pending":
        connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.id == identity)
            .values(
                state="pending",
                manual=True,
                next_attempt_at=wall,
                expires_at=wall + NOTIFICATION_LIFETIME,
                lease_owner=None,
                lease_until=None,
                delivered_at=None,
            )
        )
    return row.state if row is not None else None


def receivers_waiting(connection: sa.Connection, wall: datetime) -> list[str]:
    """Receivers with a message whose time has come; what starts something is the starter's (`alerts.starter`)."""
    statement = (
        sa.select(deliveries.c.receiver)
        .distinct()
        .where(deliveries.c.state == "pending", deliveries.c.next_attempt_at <= wall)
        .where(deliveries.c.kind != _ACTION)
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
            deliveries.c.kind != _ACTION,
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
    row = {"delivery_id": delivery.id, "attempt": delivery.attempts, "manual": delivery.manual, **attempt}
    insert_new(connection, delivery_attempts, [row], ["delivery_id", "attempt"])
    connection.execute(
        sa.update(deliveries)
        .where(
            deliveries.c.id == delivery.id, deliveries.c.state == "pending", deliveries.c.lease_owner == owner
        )
        .where(deliveries.c.attempts == delivery.attempts)
        .values(lease_owner=None, lease_until=None, manual=False, **outcome)
    )
    if outcome["state"] == "delivered":
        drop_standbys(connection, [delivery.id])


def bury(connection: sa.Connection, receiver: str, error: str, *, before: datetime) -> None:
    """Give up what waits for a receiver and was written by `before`."""
    connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.receiver == receiver, deliveries.c.state == "pending")
        .where(deliveries.c.created_at <= before)
        .values(state="dead", last_error=error, lease_owner=None, lease_until=None)
    )
