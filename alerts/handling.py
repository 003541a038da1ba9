"""What people do with an incident: take it, note something, tick what is done, keep its alerts quiet, say that it is over."""

from __future__ import annotations

from datetime import timedelta

from alerts import incidents, ledger, queries, silencing
from alerts.announcements import find_plan
from alerts.bodies import Matcher, NewSilence
from alerts.ledger import IncidentRow
from alerts.queries import Silence
from alerts.turn import Turn
from remora.errors import UserError

__all__ = ["note", "resolve", "silence", "tick"]


def note(turn: Turn, incident: IncidentRow, *, by: str, text: str) -> None:
    """A line of a person's in the timeline; also afterwards, for the summary."""
    ledger.note(turn.connection, incident.id, turn.at, "note", text, actor=by)


def resolve(turn: Turn, incident: IncidentRow, *, by: str, text: str) -> None:
    """End it by hand; raises `UserError` where it is over. An alert that still fires does not reopen it, a new one does."""
    if incident.state == "resolved":
        raise UserError("the incident is resolved already")
    incidents.resolve(turn, incident, by=by, note=text)


def tick(turn: Turn, incident: IncidentRow, place: tuple[int, int], *, done: bool, by: str) -> str:
    """Tick an item of a checklist, or take the tick back; `place` is (step, item), both from 0. Returns the item.

    Raises `UserError` where the plan has no such item.
    """
    plan = find_plan(turn.config, incident.plan)
    step = plan.steps[place[0]] if plan and 0 <= place[0] < len(plan.steps) else None
    items = (step.checklist if step else None) or []
    if not 0 <= place[1] < len(items):
        raise UserError(f"the plan {incident.plan} has no item {place[1]} in its step {place[0]}")
    changed = (
        ledger.tick(turn.connection, incident.id, place, by, turn.at)
        if done
        else ledger.untick(turn.connection, incident.id, place)
    )
    if changed:
        words = "ticks" if done else "takes back"
        ledger.note(
            turn.connection, incident.id, turn.at, "ticked" if done else "unticked", f"{by} {words}: {items[place[1]]}",
            actor=by,
        )  # fmt: skip
    return items[place[1]]


def silence(turn: Turn, incident: IncidentRow, duration: timedelta, *, by: str) -> list[Silence]:
    """Keep the incident's alerts quiet for a while: one silence for each, that fits it and nothing else."""
    made = []
    for row in queries.alerts_by_id(turn.connection, incident.alert_ids[:50]):
        if row.state != "resolved":
            matchers = [Matcher(name=name, value=text) for name, text in sorted(row.labels.items())][:20]
            body = NewSilence(matchers=matchers, created_by=by, comment=f"incident {incident.id}")
            made.append(silencing.add(turn.connection, body, turn.at, turn.at + duration))
    text = f"{by} silences {len(made)} alert{'' if len(made) == 1 else 's'} until {turn.at + duration:%Y-%m-%d %H:%M} UTC"
    ledger.note(turn.connection, incident.id, turn.at, "silenced", text, actor=by)
    return made
