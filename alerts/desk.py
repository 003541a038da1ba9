"""The transactions behind what people and programs say of incidents and actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Any

from fastapi import HTTPException

from alerts import actions, approvals, handling, incidents, ledger, links, pauses, queries, silencing, summary
from alerts.bodies import Acknowledgement, ActionStatus, NewPause, Note, Quiet, Tick
from alerts.guards import FINAL
from alerts.ledger import ActionRow, IncidentRow
from alerts.signing import verify
from alerts.targets import startables
from alerts.turn import Turn
from remora.config import Config
from remora.database import Database
from remora.errors import UserError

__all__ = ["Desk"]

_DECISIONS = {
    "approve": approvals.approve,
    "reject": approvals.reject,
    "start_again": approvals.start_again,
}


class Desk:
    """Each method is one transaction. `clock` is the real time; business time is read beside the data."""

    def __init__(self, database: Database, config: Config, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._config = config
        self._clock = clock
        self._targets = startables(config)

    @contextmanager
    def _turn(self) -> Iterator[Turn]:
        wall = self._clock()
        with self._database.write() as connection:
            queries.lock_alerts(connection)
            at = queries.business_time(connection, self._config, wall)
            try:
                yield Turn(connection, self._config, at, wall)
            except UserError as error:
                raise HTTPException(409, str(error)) from None

    # --- actions -----------------------------------------------------------------------------------------------------

    def sender_of(self, identity: str, headers: dict[str, str], raw: bytes) -> str | None:
        """The id of a report that its signature or its action's token proves genuine; None where it shows neither."""
        wall = self._clock()
        with self._database.write() as connection:  # the key may have to be made
            action = ledger.action(connection, identity)
            key = ledger.signing_key(connection, wall)
        kind, _, word = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and "." in word:
            permission = links.read(key, word.strip(), wall)
            if permission is None or (permission.verb, permission.subject) != ("report", identity):
                raise HTTPException(401, "the token is not this action's, or it has expired")
            return ""
        target = self._targets.get(action.name) if action else None
        if "webhook-signature" not in headers or target is None or target.credentials.secret is None:
            return None  # nothing to check it with: a token is needed
        wrong = verify(target.credentials.secret.get_secret_value(), headers, raw, wall.timestamp())
        if wrong:
            raise HTTPException(401, wrong)
        return headers["webhook-id"]

    def action_status(self, identity: str, body: ActionStatus, signed_id: str | None) -> dict[str, Any]:
        """What whoever runs the action says of it; a repetition changes nothing."""
        with self._turn() as turn:
            action = self._action(turn, identity)
            subject = f"{identity} {signed_id}"
            replayed = bool(signed_id) and ledger.has_audit(turn.connection, "action.callback", subject)
            repeated = action.state == body.status
            if action.state in FINAL and not (replayed or repeated):
                raise HTTPException(409, f"the action is over: {action.state}")
            if action.state == "waiting":
                raise HTTPException(409, "the action waits for an approval: it was not started")
            if not (replayed or (repeated and action.state in FINAL)):
                details = {"model_version": body.model_version, "url": body.url, "detail": body.detail}
                actions.report(turn, action, body.status, details)
                ledger.audit_entry(turn.connection, turn.wall, action.name, "action.callback", subject)
            after = self._action(turn, identity)
        return {"id": identity, "state": after.state}

    def decide(self, verb: str, identity: str, body: Acknowledgement) -> dict[str, Any]:
        """Approve, reject, or start again."""
        with self._turn() as turn:
            changed = _DECISIONS[verb](turn, self._action(turn, identity), by=body.by, note=body.note or "")
            ledger.audit_entry(turn.connection, turn.wall, body.by, f"action.{verb}", identity)
        return {"id": identity, "state": changed.state, "decided_by": changed.decided_by}

    def list_actions(self, state: str | None, model: str | None) -> list[dict[str, Any]]:
        with self._database.read() as connection:
            found = ledger.newest_actions(connection, state=state, model=model)
        return [asdict(action) for action in found]

    def show_action(self, identity: str) -> dict[str, Any]:
        with self._database.read() as connection:
            action = ledger.action(connection, identity)
        if action is None:
            raise HTTPException(404, f"there is no action {identity}")
        return asdict(action)

    def _action(self, turn: Turn, identity: str) -> ActionRow:
        action = ledger.action(turn.connection, identity)
        if action is None:
            raise HTTPException(404, f"there is no action {identity}")
        return action

    # --- incidents ---------------------------------------------------------------------------------------------------

    def acknowledge(self, identity: str, body: Acknowledgement) -> dict[str, Any]:
        with self._turn() as turn:
            self._incident(turn, identity)
            incident = incidents.acknowledge(turn, identity, by=body.by, note=body.note or "")
            self._audit(turn, body.by, "acknowledge", identity)
        by = incident.acknowledged_by if incident else body.by
        return {"id": identity, "state": "acknowledged", "acknowledged_by": by}

    def resolve(self, identity: str, body: Acknowledgement) -> dict[str, Any]:
        with self._turn() as turn:
            handling.resolve(turn, self._incident(turn, identity), by=body.by, text=body.note or "")
            self._audit(turn, body.by, "resolve", identity)
        return {"id": identity, "state": "resolved"}

    def note(self, identity: str, body: Note) -> dict[str, Any]:
        with self._turn() as turn:
            handling.note(turn, self._incident(turn, identity), by=body.by, text=body.text)
            self._audit(turn, body.by, "note", identity)
        return {"id": identity, "note": body.text}

    def tick(self, identity: str, body: Tick) -> dict[str, Any]:
        with self._turn() as turn:
            place = (body.step, body.item)
            item = handling.tick(turn, self._incident(turn, identity), place, done=body.done, by=body.by)
            self._audit(turn, body.by, "tick", identity)
        return {"id": identity, "step": body.step, "item": body.item, "text": item, "done": body.done}

    def silence(self, identity: str, body: Quiet) -> dict[str, Any]:
        with self._turn() as turn:
            made = handling.silence(turn, self._incident(turn, identity), body.duration, by=body.by)
            self._audit(turn, body.by, "silence", identity)
            shown = [silencing.shown(one, turn.at) for one in made]
        return {"id": identity, "silences": shown}

    def summary(self, identity: str) -> str:
        """The post-incident summary in Markdown."""
        with self._database.read() as connection:
            text = summary.of_incident(connection, self._config, identity)
        if text is None:
            raise HTTPException(404, f"there is no incident {identity}")
        return text

    def _incident(self, turn: Turn, identity: str) -> IncidentRow:
        incident = ledger.incident(turn.connection, identity)
        if incident is None:
            raise HTTPException(404, f"there is no incident {identity}")
        return incident

    def _audit(self, turn: Turn, by: str, what: str, identity: str) -> None:
        ledger.audit_entry(turn.connection, turn.wall, by, f"incident.{what}", identity)

    # --- pauses and links --------------------------------------------------------------------------------------------

    def add_pause(self, body: NewPause) -> dict[str, Any]:
        with self._turn() as turn:
            ends = turn.wall + body.duration if body.duration else None
            pause = pauses.add(
                turn.connection, body.model or "", turn.wall, ends, by=body.by, comment=body.comment
            )
            ledger.audit_entry(turn.connection, turn.wall, body.by, "pause.create", pause.id)
            return pauses.shown(pause, turn.wall)

    def list_pauses(self) -> dict[str, Any]:
        wall = self._clock()
        with self._database.read() as connection:
            return {"pauses": [pauses.shown(pause, wall) for pause in pauses.newest(connection)]}

    def end_pause(self, identity: str) -> dict[str, Any]:
        with self._turn() as turn:
            pause = pauses.end(turn.connection, identity, turn.wall)
            if pause is None:
                raise HTTPException(404, f"there is no pause {identity}")
            ledger.audit_entry(turn.connection, turn.wall, "api", "pause.end", identity)
            return pauses.shown(pause, turn.wall)

    def permission(self, word: str) -> links.Permission | None:
        """What a signed link permits now."""
        wall = self._clock()
        with self._database.write() as connection:
            return links.read(ledger.signing_key(connection, wall), word, wall)

    def subject(self, permission: links.Permission) -> IncidentRow | ActionRow | None:
        """What a link is about."""
        with self._database.read() as connection:
            if permission.verb in {"approve", "reject"}:
                return ledger.action(connection, permission.subject)
            return ledger.incident(connection, permission.subject)
