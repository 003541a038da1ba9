"""Keep Alertmanagers told: what fires again and again, what resolved for a while more. Grouping and inhibition are theirs.

What one was told is a row of `notifications` under a key of its own; its times are the real ones, because an
Alertmanager lives in them. A message takes the place of those that still wait, so an Alertmanager that was away is told
the present and not the past.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from alerts import grouping, outbox, queries
from alerts.dedup import Told
from alerts.identity import new_id
from alerts.messages import title_of, views
from alerts.queries import AlertRow
from alerts.receivers.base import Event
from remora.config import Config
from remora.config.receivers import Alertmanager
from remora.tables import alerts, deliveries

__all__ = ["KIND", "due", "relay"]

KIND = "alert.relay"
_KEY = "relay"
_AT_ONCE = 200  # alerts in one call
_STILL_TOLD = timedelta(minutes=15)  # as Prometheus does
_KEPT = timedelta(hours=1)
_NOTHING = Told(frozenset(), frozenset(), datetime.min.replace(tzinfo=UTC))


@dataclass(frozen=True)
class Send:
    """What an Alertmanager is to be told now."""

    receiver: str
    firing: Sequence[AlertRow]
    resolved: Sequence[AlertRow]


def due(connection: sa.Connection, config: Config, now: datetime, wall: datetime) -> list[Send]:
    """The Alertmanagers whose turn has come, or for whom there is news."""
    named = {name: one for name, one in config.receivers.items() if isinstance(one, Alertmanager)}
    if not named:
        return []
    told = {receiver: known for (key, receiver), known in queries.told(connection).items() if key == _KEY}
    known_firing = {name for known in told.values() for name in known.firing}
    rows = [*queries.notifiable(connection, known_firing), *_just_resolved(connection, now)]
    muted = grouping.hushed(rows, queries.live_silences(connection, now), config.maintenance, now)
    sends = []
    for name, receiver in named.items():
        known = told.get(name)
        send = _for(name, _theirs(config, name, rows), muted, known or _NOTHING)
        news = known is None or _told(send, wall) != Told(known.firing, known.resolved, wall)
        something = bool(send.firing or send.resolved)
        if something and (news or known is None or wall - known.sent_at >= receiver.interval):
            sends.append(send)
    return sends


def relay(connection: sa.Connection, config: Config, send: Send, *, now: datetime, wall: datetime) -> None:
    """Write what an Alertmanager is to be told into the outbox, in calls of some alerts each."""
    _make_room(connection, send.receiver, wall)
    queries.remember(connection, _KEY, send.receiver, _told(send, wall), "relayed")
    rows = [*send.firing, *send.resolved]
    shown = views(connection, config, rows)
    for start in range(0, len(rows), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        event = Event(
            type=KIND,
            timestamp=now,
            receiver=send.receiver,
            title=title_of(rows[part]),
            external_url=config.external_url,
            alerts=shown[part],
            group_key=_KEY,
        )
        identity = new_id("evt", wall)  # only what was not told yet comes here: `remember` commits with it
        order = f"{_KEY}/{start // _AT_ONCE}"
        outbox.enqueue(connection, config, event, event_id=identity, order_key=order, wall=wall)


def _just_resolved(connection: sa.Connection, now: datetime) -> list[AlertRow]:
    statement = sa.select(*(alerts.c[name] for name in AlertRow.__dataclass_fields__)).where(
        alerts.c.state == "resolved", alerts.c.resolved_at > now - _STILL_TOLD, alerts.c.fired_at.is_not(None)
    )
    return [AlertRow(*row) for row in connection.execute(statement)]


def _theirs(config: Config, receiver: str, rows: Sequence[AlertRow]) -> list[AlertRow]:
    """By the first route that fits, as for everybody."""
    groups = grouping.make_groups(config.routes, rows)
    return [row for group in groups if receiver in group.route.receivers for row in group.alerts]


def _for(receiver: str, rows: Sequence[AlertRow], muted: Collection[str], known: Told) -> Send:
    """What is silenced is not begun to be told; what was told goes on, else Alertmanager took it for resolved."""
    firing = {
        row.fingerprint: row
        for row in rows
        if row.state == "firing" and (row.id not in muted or row.fingerprint in known.firing)
    }
    resolved = {
        row.fingerprint: row
        for row in sorted(rows, key=lambda row: row.resolved_at or row.active_at)
        if row.state == "resolved"
        and row.fingerprint not in firing
        and row.fingerprint in known.firing | known.resolved
    }
    return Send(receiver, list(firing.values()), list(resolved.values()))


def _told(send: Send, wall: datetime) -> Told:
    firing = frozenset(row.fingerprint for row in send.firing)
    return Told(firing, frozenset(row.fingerprint for row in send.resolved), wall)


def _make_room(connection: sa.Connection, receiver: str, wall: datetime) -> None:
    mine = sa.and_(deliveries.c.receiver == receiver, deliveries.c.kind == KIND)
    free = sa.or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until <= wall)
    connection.execute(
        sa.update(deliveries)
        .where(mine, deliveries.c.state == "pending", free)
        .values(state="collapsed", last_error="a newer message took its place")
    )
    connection.execute(
        sa.delete(deliveries).where(
            mine, deliveries.c.state.in_(("delivered", "collapsed")), deliveries.c.created_at < wall - _KEPT
        )
    )
