"""What happens to incidents because time passes: steps, timeouts, expired acknowledgements, resolution.

The one that is due first happens first, again and again up to a horizon: everything in the order of time, so that a step that was due before the next window's evaluation happens before it, also when the clock jumps.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from alerts import actions, announcements, incidents, ledger, requests, steps
from alerts.ledger import ActionRow, IncidentRow
from alerts.plans import Due, next_due
from alerts.turn import Turn
from remora.config import Config

__all__ = ["Timer", "first_timer", "is_due", "let_happen"]

_ORDER = ("undeliverable", "timed_out", "resolve", "ack_expired", "step")
_STABLE = timedelta(minutes=30)
_STALE = timedelta(hours=1)


@dataclass(frozen=True)
class Timer:
    """Something that is to happen at `at`."""

    at: datetime
    kind: str
    incident: IncidentRow | None = None
    due: Due | None = None
    action: ActionRow | None = None
    text: str = ""

    @property
    def of(self) -> str:
        """The id of the incident or action that it belongs to."""
        owner = self.incident or self.action
        return owner.id if owner else ""


def first_timer(
    connection: sa.Connection, config: Config, now: datetime, skip: Collection[str] = ()
) -> Timer | None:
    """The timer that runs out first, of all incidents and actions but those whose ids are to be skipped."""
    timers = [timer for timer in _action_timers(connection, now) if timer.of not in skip]
    for incident in ledger.unresolved(connection):
        if incident.id not in skip:
            timers += _incident_timers(connection, config, incident, now)
    return min(timers, key=lambda timer: (timer.at, _ORDER.index(timer.kind)), default=None)


def is_due(timer: Timer | None, horizon: datetime, *, inclusive: bool) -> bool:
    """Whether the timer runs out before the horizon; `inclusive`: at the horizon as well."""
    return timer is not None and (timer.at < horizon or (inclusive and timer.at == horizon))


def let_happen(connection: sa.Connection, config: Config, timer: Timer, wall: datetime) -> None:
    """Do what the timer stands for, at its instant."""
    turn = Turn(connection, config, timer.at, wall)
    if timer.action is not None:
        waiting = timer.action.state == "waiting"
        state = "rejected" if waiting else "timed_out" if timer.kind == "timed_out" else "failed"
        actions.conclude(turn, timer.action, state, "nobody approved it in time" if waiting else timer.text)
    elif timer.incident is None:
        return
    elif timer.kind == "resolve":
        incidents.resolve(turn, timer.incident)
    elif timer.kind == "ack_expired":
        incidents.expire_acknowledgement(turn, timer.incident)
    elif timer.due is not None:
        steps.take(turn, timer.incident, timer.due)


def _action_timers(connection: sa.Connection, now: datetime) -> list[Timer]:
    running = ledger.unfinished_actions(connection)
    lost = requests.undeliverable(connection, [row.id for row in running if row.state == "requested"])
    timers = []
    for row in running:
        if row.id in lost:
            text = f"its request could not be delivered: {lost[row.id]}"
            timers.append(Timer(min(now, row.expires_at), "undeliverable", action=row, text=text))
        else:
            timers.append(Timer(row.expires_at, "timed_out", action=row, text="no word of its end in time"))
    return timers


def _incident_timers(
    connection: sa.Connection, config: Config, incident: IncidentRow, now: datetime
) -> list[Timer]:
    plan = announcements.find_plan(config, incident.plan)
    if incident.quiet_since is not None:  # nothing is started or escalated while all its alerts are resolved
        stable = plan.stable_for if plan else _STABLE
        return [Timer(incident.quiet_since + stable, "resolve", incident)]
    if plan is None:
        return []
    timers = []
    acknowledged = incident.state == "acknowledged"
    if acknowledged and incident.acknowledged_at is not None:
        timers.append(Timer(incident.acknowledged_at + plan.ack_timeout, "ack_expired", incident))
    due = next_due(
        plan, incident.opened_at, ledger.steps_of(connection, incident.id), acknowledged=acknowledged
    )
    if due is not None:
        at = max(due.at, ledger.last_event(connection, incident.id) or due.at)
        is_action = plan.steps[due.step].action is not None
        if is_action and config.schedule.clock == "system" and now - at > _STALE:
            at = now  # after a downtime the newest windows decide first whether it is still wanted
        timers.append(Timer(at, "step", incident, due))
    return timers
