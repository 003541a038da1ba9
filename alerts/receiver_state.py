"""SQL for what is known of receivers: whether they answer, and what they call their newest message about something."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from alerts.breaker import Breaker
from alerts.deliveries import Delivery
from remora.database import insert_new, upsert
from remora.tables import message_references, receiver_states

__all__ = ["breakers", "claim_probe", "note", "put_breaker", "reference", "remember_reference"]


def breakers(connection: sa.Connection) -> dict[str, Breaker]:
    """Of every receiver that has failed since its last success."""
    return {row.receiver: _breaker(row) for row in connection.execute(sa.select(receiver_states))}


def _breaker(row: sa.Row[tuple[object, ...]]) -> Breaker:
    return Breaker(row.failures, timedelta(milliseconds=row.pause_ms), row.probe_at, row.open_since)


def note(connection: sa.Connection, receiver: str, wall: datetime, *, failed: bool, gone: bool) -> Breaker:
    """What one attempt teaches, counted over all processes; the breaker afterwards."""
    if not failed:
        connection.execute(sa.delete(receiver_states).where(receiver_states.c.receiver == receiver))
        return Breaker()
    insert_new(connection, receiver_states, [_row(receiver, Breaker())], ["receiver"])
    locked = sa.select(receiver_states).where(receiver_states.c.receiver == receiver).with_for_update()
    after = _breaker(connection.execute(locked).one()).failed(wall, gone=gone)
    put_breaker(connection, receiver, after)
    return after


def put_breaker(connection: sa.Connection, receiver: str, breaker: Breaker) -> None:
    upsert(connection, receiver_states, _row(receiver, breaker))


def _row(receiver: str, breaker: Breaker) -> dict[str, object]:
    return {
        "receiver": receiver,
        "failures": breaker.failures,
        "pause_ms": int(breaker.pause.total_seconds() * 1000),
        "probe_at": breaker.probe_at,
        "open_since": breaker.open_since,
    }


def claim_probe(connection: sa.Connection, receiver: str, breaker: Breaker, until: datetime) -> bool:
    """Whether this process is the one that asks an open receiver again; the others see it as closed until then."""
    claimed = connection.execute(
        sa.update(receiver_states)
        .where(receiver_states.c.receiver == receiver, receiver_states.c.probe_at == breaker.probe_at)
        .values(probe_at=until)
    )
    return claimed.rowcount == 1


def reference(connection: sa.Connection, receiver: str, order_key: str) -> str:
    """What the receiver calls its newest message about this; empty where it has none."""
    statement = sa.select(message_references.c.reference).where(
        message_references.c.receiver == receiver, message_references.c.order_key == order_key
    )
    return connection.execute(statement).scalar() or ""


def remember_reference(
    connection: sa.Connection, delivery: Delivery, found: str, *, over: bool, at: datetime
) -> None:
    """Keep it for the next message about this; what is over begins anew."""
    place = {"receiver": delivery.receiver, "order_key": delivery.order_key}
    if over:
        table = message_references
        connection.execute(sa.delete(table).where(*(table.c[name] == value for name, value in place.items())))
    elif found:
        upsert(connection, message_references, place | {"reference": found[:500], "noted_at": at})
