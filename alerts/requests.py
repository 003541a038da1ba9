"""SQL for what is to be started: an action's request is a row of the outbox that the starter alone takes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from alerts.identity import new_id
from alerts.receivers.base import clip, iso
from remora.database import insert_new
from remora.tables import actions, deliveries, delivery_attempts

__all__ = [
    "KIND", "LIFETIME", "Request", "again", "claim", "encode", "expire", "finish", "is_stale", "lost_attempt", "put", "undeliverable", "waiting",
]  # fmt: skip

KIND = "action.requested"
LIFETIME = timedelta(hours=1)
"""A model update that starts 20 hours late is wrong."""

_MAX_BYTES = 20_000
_SIZES = (
    (1000, 20),
    (500, 10),
    (400, 3),
    (400, 1),
)  # characters in a text (a URL or token stays whole), things in a list


@dataclass(frozen=True)
class Request:
    """A claimed request; `id` is its webhook-id, the same in every attempt."""

    id: str
    action_id: str
    target: str
    message: bytes
    attempts: int
    expires_at: datetime


def put(connection: sa.Connection, action_id: str, target: str, message: bytes, wall: datetime) -> bool:
    """Write the request; False where the action has one already. The message never changes."""
    row = {
        "id": new_id("msg", wall), "event_id": action_id, "receiver": target, "kind": KIND, "order_key": action_id,
        "body": message, "state": "pending", "attempts": 0, "created_at": wall, "next_attempt_at": wall,
        "expires_at": wall + LIFETIME,
    }  # fmt: skip
    return bool(insert_new(connection, deliveries, [row], ["event_id", "receiver"]))


def again(connection: sa.Connection, action_id: str, wall: datetime) -> None:
    """Let a request whose outcome nobody knows be made once more, under the same id."""
    connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.event_id == action_id, deliveries.c.kind == KIND)
        .values(
            state="pending",
            next_attempt_at=wall,
            expires_at=wall + LIFETIME,
            lease_owner=None,
            lease_until=None,
        )
    )


def waiting(connection: sa.Connection, wall: datetime, paused: Collection[str]) -> list[tuple[str, str]]:
    """(id, target) of the requests whose time has come, oldest first; those of paused models wait."""
    statement = (
        sa.select(deliveries.c.id, deliveries.c.receiver)
        .select_from(deliveries.join(actions, actions.c.id == deliveries.c.event_id))
        .where(deliveries.c.kind == KIND, deliveries.c.state == "pending", actions.c.state == "requested")
        .where(deliveries.c.next_attempt_at <= wall, deliveries.c.expires_at > wall)
        .where(sa.or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until <= wall))
        .where(actions.c.model.not_in(paused))
        .order_by(deliveries.c.created_at)
        .limit(100)
    )
    return [(row.id, row.receiver) for row in connection.execute(statement)]


def claim(
    connection: sa.Connection, identity: str, *, owner: str, wall: datetime, lease: timedelta
) -> Request | None:
    """Take a request for as long as `lease`; None where another was faster."""
    row = connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.id == identity, deliveries.c.state == "pending")
        .where(sa.or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until <= wall))
        .values(lease_owner=owner, lease_until=wall + lease, attempts=deliveries.c.attempts + 1)
        .returning(
            deliveries.c.id,
            deliveries.c.event_id,
            deliveries.c.receiver,
            deliveries.c.body,
            deliveries.c.attempts,
            deliveries.c.expires_at,
        )
    ).first()
    return Request(*row) if row else None


def lost_attempt(connection: sa.Connection, request: Request) -> bool:
    """Whether the attempt before this one was begun and never written down: its server died in the middle of it."""
    known = sa.select(sa.func.count()).where(
        delivery_attempts.c.delivery_id == request.id, delivery_attempts.c.attempt < request.attempts
    )
    return connection.execute(known).scalar_one() < request.attempts - 1


def finish(
    connection: sa.Connection, request: Request, attempt: dict[str, Any], outcome: dict[str, Any], *, owner: str,
) -> bool:  # fmt: skip
    """Log an attempt and what it led to; False where somebody else has taken the request over meanwhile."""
    row = {"delivery_id": request.id, "attempt": request.attempts, **attempt}
    insert_new(connection, delivery_attempts, [row], ["delivery_id", "attempt"])
    changed = connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.id == request.id, deliveries.c.state == "pending")
        .where(deliveries.c.lease_owner == owner, deliveries.c.attempts == request.attempts)
        .values(lease_owner=None, lease_until=None, **outcome)
    )
    return changed.rowcount == 1


def expire(connection: sa.Connection, wall: datetime) -> list[str]:
    """Give up requests that nobody wants any more, such as those of a model that was paused; their targets."""
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.kind == KIND, deliveries.c.state == "pending", deliveries.c.expires_at <= wall)
        .where(sa.or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until <= wall))
        .values(state="dead", last_error=sa.func.coalesce(deliveries.c.last_error, "") + " (expired)")
        .returning(deliveries.c.receiver)
    )
    return list(connection.execute(statement).scalars())


def is_stale(connection: sa.Connection, wall: datetime) -> bool:
    """Whether `expire` has something to do."""
    statement = sa.select(deliveries.c.id).where(
        deliveries.c.kind == KIND, deliveries.c.state == "pending", deliveries.c.expires_at <= wall
    )
    return connection.execute(statement.limit(1)).first() is not None


def undeliverable(connection: sa.Connection, action_ids: Collection[str]) -> dict[str, str]:
    """Of these actions, those whose request was given up, with the last error."""
    statement = sa.select(deliveries.c.event_id, deliveries.c.last_error).where(
        deliveries.c.event_id.in_(action_ids), deliveries.c.kind == KIND, deliveries.c.state == "dead"
    )
    return {event: error or "given up" for event, error in connection.execute(statement)}


def encode(at: datetime, data: Mapping[str, Any]) -> bytes:
    """The message as it is frozen: the envelope of `remora.v1`, shorter than 20,000 bytes."""
    for characters, count in _SIZES:
        whole = {"type": KIND, "timestamp": iso(at), "data": _shortened(data, characters, count)}
        body = json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        if len(body) < _MAX_BYTES:
            break
    return body


def _shortened(value: Any, characters: int, count: int) -> Any:
    if isinstance(value, str):
        return clip(value, characters)
    if isinstance(value, Mapping):
        return {clip(str(key), 200): _shortened(item, characters, count) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shortened(item, characters, count) for item in value[:count]]
    return value
