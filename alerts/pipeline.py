"""The order of things, written out once.

`evaluate_window`: findings → what the rules say → what that does to the alerts' states → incidents.
`notify`: alerts → inhibition, silences, maintenance → groups → timing → deduplication → outbox.

Each is one transaction. Notifications look at the states as they are at `now`, after every window that was due: so
after a downtime only the end state of each alert is told, and one that fired and resolved meanwhile is not.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import prometheus_client
import sqlalchemy as sa

from alerts import announcements, grouping, incidents, metrics, outbox, queries
from alerts.decision import decide, rules_for
from alerts.dedup import ALL_RESOLVED, Told, needs_message
from alerts.identity import event_id
from alerts.messages import NO_DATA, title_of, views
from alerts.queries import AlertRow, Window
from alerts.receivers.base import Event
from alerts.rules import Reason
from alerts.transitions import Change, retired
from alerts.turn import Turn
from remora.config import Config

__all__ = ["MOST_MESSAGES", "evaluate_window", "notify", "wants_notifying"]

MOST_MESSAGES = 500
"""In one transaction: whoever acknowledges in the middle of a storm does not wait for all of it."""


def evaluate_window(turn: Turn, window: Window) -> None:
    """Everything that follows from one finished window of one job and model."""
    connection, config = turn.connection, turn.config
    stored = queries.unresolved_alerts(connection, window.model)
    changes: list[Change] = retired(config, stored, window)
    if rules := rules_for(config, window):
        found = queries.findings_for(connection, window, [rule for _, rule in rules])
        for decision in decide(rules, window, stored, found):
            _outcomes(decision.rule.alert, decision.outcome.reason).inc()
            changes += decision.changes
    queries.put_alerts(connection, [change.row for change in changes if not change.dropped])
    queries.delete_alerts(connection, [change.row.id for change in changes if change.dropped])
    fired = [change.row for change in changes if change.fired]
    incidents.take_in(turn, fired)
    if any(change.resolved or change.dropped for change in changes):
        incidents.note_quiet(turn)


@functools.cache
def _outcomes(alert: str, reason: Reason) -> prometheus_client.Counter:
    """Looking a counter up by its labels takes as long as evaluating the rule."""
    return metrics.EVALUATIONS.labels(alert, str(reason))


@dataclass(frozen=True)
class Knows:
    """A receiver, and what it was told of a group."""

    receiver: str
    send_resolved: bool
    told: Told | None


@dataclass(frozen=True)
class Send:
    """A message that is due: what the receiver will know afterwards, and why it is told."""

    group: grouping.Bundle
    receiver: str
    firing: list[AlertRow]
    resolved: list[AlertRow]
    known: Told
    reason: str


def wants_notifying(connection: sa.Connection, config: Config, now: datetime) -> bool:
    """Whether `notify` has something to do; asked without the lock, most rounds end here."""
    return bool(_decide(connection, config, now))


def notify(
    connection: sa.Connection, config: Config, *, now: datetime, wall: datetime,
) -> tuple[int, dict[str, Exception]]:  # fmt: skip
    """Write the messages that are due into the outbox: how many, and the groups that failed with their errors.

    What to say is decided once for all groups. Each group is a savepoint: one that fails leaves nothing behind and
    keeps no other from being told.
    """
    done, failed = 0, {}
    for send in _decide(connection, config, now):
        if done >= MOST_MESSAGES:
            break
        if send.group.key in failed:
            continue
        try:
            with connection.begin_nested():
                _send(connection, config, send, now, wall)
        except sa.exc.OperationalError:
            raise
        except Exception as error:  # noqa: BLE001  # the edge of one group: the caller logs and counts it
            failed[send.group.key] = error
        else:
            done += 1
    return done, failed


def _send(connection: sa.Connection, config: Config, send: Send, now: datetime, wall: datetime) -> None:
    queries.remember(connection, send.group.key, send.receiver, send.known, send.reason)
    if send.reason == ALL_RESOLVED and not config.receivers[send.receiver].send_resolved:
        return
    metrics.NOTIFICATIONS.labels(send.receiver, send.reason).inc()
    identity = event_id(send.group.key, send.reason, now.isoformat())
    event = _event(connection, config, send, now)
    outbox.enqueue(connection, config, event, event_id=identity, order_key=send.group.key, wall=wall)


def _decide(connection: sa.Connection, config: Config, now: datetime) -> list[Send]:
    if not config.routes:
        return []
    told = queries.told(connection)
    rows = queries.notifiable(connection, {name for known in told.values() for name in known.firing})
    silences = queries.live_silences(connection, now)
    muted = grouping.hushed(rows, silences, config.maintenance, now) | grouping.inhibited(rows)
    covered = announcements.covered(connection, config, [row.id for row in rows])
    sends = []
    for group in grouping.make_groups(config.routes, rows):
        for receiver in dict.fromkeys(group.route.receivers):
            if config.receivers[receiver].kind == "alertmanager":
                continue  # `relay` keeps those told
            known = Knows(receiver, config.receivers[receiver].send_resolved, told.get((group.key, receiver)))
            theirs = [row for row in group.alerts if receiver not in covered.get(row.id, ())]
            send = _for_receiver(group, known, theirs, muted, now)
            if send is not None:
                sends.append(send)
    return sends


def _for_receiver(
    group: grouping.Bundle, known: Knows, rows: Sequence[AlertRow], muted: set[str], now: datetime
) -> Send | None:
    told = known.told
    firing = [row for row in rows if row.state == "firing" and row.id not in muted]
    before = told.firing if told else frozenset()
    resolved = [row for row in rows if row.state == "resolved" and row.fingerprint in before]
    audible = {row.id for row in firing}
    hushed = {
        row.fingerprint for row in group.alerts if row.state == "firing" and row.id not in audible
    } & before
    if not firing and (not resolved or hushed):
        return None  # nothing audible happened, or what is left of the group is only muted, not over
    if not grouping.due(group.route, told, firing, now):
        return None
    reason = needs_message(
        told,
        frozenset(row.fingerprint for row in firing),
        frozenset(row.fingerprint for row in resolved),
        send_resolved=known.send_resolved,
        repeat_interval=group.route.repeat_interval,
        now=now,
    )
    if reason is None:
        return None
    now_told = Told(
        firing=frozenset(row.fingerprint for row in firing) | hushed,
        resolved=frozenset(row.fingerprint for row in resolved),
        sent_at=now,
    )
    return Send(group, known.receiver, firing, resolved, now_told, reason)


def _event(connection: sa.Connection, config: Config, send: Send, now: datetime) -> Event:
    rows = [*send.firing, *(send.resolved if config.receivers[send.receiver].send_resolved else [])]
    kind = "alert.firing" if send.firing else "alert.resolved"
    if send.firing and all(row.labels["alertname"] == NO_DATA for row in send.firing):
        kind = "alert.no_data"
    return Event(
        type=kind,
        timestamp=now,
        receiver=send.receiver,
        title=title_of(rows),
        external_url=config.external_url,
        alerts=views(connection, config, rows),
        reason=send.reason,
        group_key=send.group.key,
        group_labels=send.group.labels,
    )
