"""Start what plans asked for: each request once, and where nobody can know whether it was, a person is asked.

A target that recognises a repetition is asked again when no answer came. Of every other one a call that may have arrived,
or whose server died in the middle of it, is never made a second time by itself.
"""

from __future__ import annotations

import random
import ssl
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpcore
import sqlalchemy as sa

from alerts import actions, announcements, ledger, metrics, pauses, queries, requests
from alerts.calls import Meaning, Run, Startable, build, meaning, run_of
from alerts.commands import Commands
from alerts.errors import BlockedAddressError, CommandError
from alerts.receivers.base import Answer, redact
from alerts.requests import Request
from alerts.schedule import next_attempt, retry_after
from alerts.targets import startables
from alerts.transport import call
from alerts.turn import Turn
from remora.config import Config
from remora.database import Database
from remora.errors import UnavailableError
from remora.telemetry import get_logger

__all__ = ["Starter"]

log = get_logger("starter")

_MARGIN = timedelta(seconds=15)  # for what surrounds a call: the name, the database, a machine that is busy
_USUAL = timedelta(seconds=15)  # of a target that this server does not know
_UNKNOWN_FOR = timedelta(minutes=15)  # another server may know a target that this one does not, or not yet
_WORKERS = 4
_EXCERPT = 4000
_NOT_SENT = (httpcore.ConnectError, httpcore.ConnectTimeout, BlockedAddressError, CommandError)


@dataclass(frozen=True)
class _Tried:
    """What came of one attempt."""

    meaning: Meaning
    error: str | None = None
    answer: Answer | None = None
    run: Run = field(default_factory=Run)


class Starter:
    """Claims, calls and notes. Secrets are read when it is made: raises `UserError` for one that cannot be."""

    def __init__(
        self, database: Database, config: Config, owner: str, *, commands: Commands, patience: float = 0.2
    ) -> None:
        self._database, self._config, self._owner = database, config, owner
        self._patience = patience
        self._targets = startables(config)
        self._commands = commands
        commands.check(self._targets)
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="starter")
        self._busy: dict[str, Future[bool]] = {}
        self._tls = ssl.create_default_context()
        self._random = random.SystemRandom().random

    def run_once(self, wall: datetime, *, patience: float | None = None) -> int:
        """Begin what is due at `wall`; returns how many attempts ended since the last call."""
        began = time.monotonic()
        with self._database.read() as connection:
            switches = pauses.switches(connection, self._config, wall)
            waiting = requests.waiting(connection, wall, switches.paused) if switches.enabled else []
            stale = requests.is_stale(connection, wall)
        if stale:
            with self._database.write() as connection:
                for target in requests.expire(connection, wall):
                    metrics.DELIVERIES.labels(target, "expired").inc()
        for identity, target in waiting:
            if identity not in self._busy:
                known = self._targets.get(target)
                self._busy[identity] = self._pool.submit(self._work, identity, known, wall, began)
        wait(self._busy.values(), timeout=self._patience if patience is None else patience)
        self._commands.collect(self._conclude)
        ended = [identity for identity, future in self._busy.items() if future.done()]
        return sum(self._busy.pop(identity).result() for identity in ended)

    def close(self) -> None:
        """Let running attempts end; commands go on by themselves, and may report by the callback."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, identity: str, known: Startable | None, wall: datetime, began: float) -> bool:
        """One attempt. The edge of an action: nothing leaves it but a log line."""
        try:
            at = wall + timedelta(seconds=time.monotonic() - began)
            with self._database.write() as connection:
                lease = (known.timeout if known else _USUAL) + _MARGIN
                request = requests.claim(connection, identity, owner=self._owner, wall=at, lease=lease)
                lost = request is not None and requests.lost_attempt(connection, request)
            if request is not None:
                self._start(request, at, lost=lost)
        except UnavailableError as error:
            log.warning("unavailable", error=str(error))
        except Exception as error:  # noqa: BLE001  # the edge, logged and counted
            metrics.DELIVERIES.labels("starter", "crashed").inc()
            hidden = [text for target in self._targets.values() for text in target.credentials.secrets()]
            text = redact(str(error), [text for text in hidden if text])
            log.error("start_crashed", request=identity, error=f"{type(error).__name__}: {text}")  # noqa: TRY400  # no traceback: it could show the URL
        return True

    def _start(self, request: Request, wall: datetime, *, lost: bool) -> None:
        target = self._targets.get(request.target)
        began = time.monotonic()
        if target is None:
            tried = _Tried(Meaning.LATER, "the target is not in this server's configuration")
        elif lost and not target.preset.idempotent:
            tried = _Tried(Meaning.UNKNOWN, "the server ended in the middle of the call")
        else:
            tried = self._call(request, target, wall)
        seconds = time.monotonic() - began
        now = wall + timedelta(seconds=seconds)
        outcome = self._outcome(request, tried, now)
        attempt = {
            "started_at": wall, "duration_ms": seconds * 1000, "error": tried.error,
            "status": tried.answer.status if tried.answer else None, "response": _excerpt(tried, target),
        }  # fmt: skip
        with self._database.write() as connection:
            queries.lock_alerts(connection)
            if requests.finish(connection, request, attempt, outcome, owner=self._owner):
                self._tell(connection, request, tried, now)
        metrics.DELIVERIES.labels(
            request.target, "retry" if outcome["state"] == "pending" else outcome["state"]
        ).inc()
        log.info("start", id=request.id, action=request.action_id, target=request.target, attempt=request.attempts,
                 meaning=str(tried.meaning), error=tried.error)  # fmt: skip

    def _call(self, request: Request, target: Startable, wall: datetime) -> _Tried:
        try:
            if target.command:
                run = self._commands.start(request, target)
                return _Tried(Meaning.STARTED, run=Run(run))
            wanted = build(target, request.message, message_id=request.id, timestamp=int(wall.timestamp()))
            answer = call(wanted, timeout=target.timeout.total_seconds(), tls=self._tls)
        except _NOT_SENT as error:
            return _Tried(Meaning.LATER, _text(error, target))
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            sure = Meaning.LATER if target.preset.idempotent else Meaning.UNKNOWN
            return _Tried(sure, f"no answer came: {_text(error, target)}")
        said = meaning(target.preset, answer.status)
        if said is Meaning.STARTED:
            headers = {"location": answer.location} if answer.location else {}
            return _Tried(said, answer=answer, run=run_of(target, request.message, headers, answer.excerpt))
        moved = ": it redirects, which is not followed" if 300 <= answer.status < 400 else ""
        return _Tried(said, f"status {answer.status}{moved}", answer)

    def _outcome(self, request: Request, tried: _Tried, now: datetime) -> dict[str, Any]:
        noted = {"last_status": tried.answer.status if tried.answer else None, "last_error": tried.error}
        if tried.meaning is Meaning.STARTED:
            return {**noted, "state": "delivered", "delivered_at": now}
        if tried.meaning is not Meaning.LATER:
            return {**noted, "state": "dead"}
        asked = retry_after(tried.answer.retry_after if tried.answer else None, now)
        later = next_attempt(request.attempts, now, asked, self._random)
        if later >= request.expires_at:
            text = f"{tried.error}; given up after {request.attempts} attempts"
            return {**noted, "state": "dead", "last_error": text}
        return {**noted, "state": "pending", "next_attempt_at": later}

    def _tell(self, connection: sa.Connection, request: Request, tried: _Tried, now: datetime) -> None:
        """What the attempt says of the action, in its own words and in its incident's timeline."""
        action = ledger.action(connection, request.action_id)
        if action is None:
            return
        turn = Turn(connection, self._config, queries.business_time(connection, self._config, now), now)
        if tried.meaning is Meaning.STARTED:
            actions.started(turn, action, run_id=tried.run.id, url=tried.run.url)
        elif tried.meaning is Meaning.UNKNOWN and action.state not in actions.FINAL:
            sentence = actions.doubt(turn, action, tried.error or "")
            incident = ledger.incident(connection, action.incident_id or "")
            if incident is not None:
                announcements.tell(turn, incident, "incident.updated", reason=sentence)

    def _conclude(self, action_id: str, state: str, details: dict[str, str | None]) -> None:
        """A command has ended: what it was started for is over, unless it said so itself."""
        wall = self._commands.now()
        with self._database.write() as connection:
            queries.lock_alerts(connection)
            action = ledger.action(connection, action_id)
            if action is not None and action.state not in actions.FINAL:
                at = queries.business_time(connection, self._config, wall)
                actions.report(Turn(connection, self._config, at, wall), action, state, details)


def _text(error: Exception, target: Startable) -> str:
    hidden = [text for text in target.credentials.secrets() if text]
    return redact(f"{type(error).__name__}: {error}".strip(": "), hidden)[:500]


def _excerpt(tried: _Tried, target: Startable | None) -> str | None:
    if tried.answer is None or target is None:
        return None
    hidden = [text for text in target.credentials.secrets() if text]
    text = redact(tried.answer.excerpt.decode("utf-8", "replace"), hidden)
    return text.replace("\x00", "")[:_EXCERPT]  # PostgreSQL's text has no NUL
