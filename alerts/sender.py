"""Deliver what is in the outbox: receivers side by side, each one's messages one after the other.

At least once: an attempt whose answer was lost is made again under the same id, so receivers can tell.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Any

from alerts import carriers, metrics, outbox, receiver_state
from alerts.breaker import Breaker
from alerts.carriers import Ended
from alerts.deliveries import Delivery
from alerts.receivers.base import Answer, Outgoing, Target, Verdict, redact
from alerts.schedule import next_attempt, retry_after
from alerts.secrets import resolve
from remora.config import Config
from remora.database import Database
from remora.errors import UnavailableError
from remora.telemetry import get_logger

__all__ = ["Sender"]

log = get_logger("sender")

_MARGIN = timedelta(seconds=15)  # for what surrounds a call: the name, the database, a machine that is busy
_UNKNOWN_FOR = timedelta(minutes=15)  # another server may know a receiver that this one does not, or not yet
_WORKERS = 8
_BATCH = 20
_EXCERPT = 4000
_GONE = 410


class Sender:
    """Claims, calls and notes. Secrets are read when it is made: raises `UserError` for one that cannot be."""

    def __init__(self, database: Database, config: Config, owner: str, *, patience: float = 0.2) -> None:
        self._database = database
        self._config = config
        self._owner = owner
        self._patience = patience
        self._closing = False
        carriers.check_extras(config)
        self._targets: Mapping[str, Target] = resolve(config)
        self._tls = carriers.contexts(config)
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="sender")
        self._busy: dict[str, Future[int]] = {}
        self._random = random.SystemRandom().random

    def run_once(self, wall: datetime, *, patience: float | None = None) -> int:
        """Begin what is due at `wall` and return how many attempts ended since the last call.

        Waits `patience` seconds at most: a slow receiver goes on beside the next call and blocks nobody else.
        """
        began = time.monotonic()
        with self._database.read() as connection:
            waiting = outbox.receivers_waiting(connection, wall)
            breakers = receiver_state.breakers(connection) if waiting else {}
        if waiting:
            self._bury(waiting, wall)
        for receiver in waiting:
            known = receiver in self._targets and receiver not in self._busy
            if known and self._may_try(receiver, breakers.get(receiver), wall):
                self._busy[receiver] = self._pool.submit(self._work, receiver, wall, began)
        wait(self._busy.values(), timeout=self._patience if patience is None else patience)
        ended = [receiver for receiver, future in self._busy.items() if future.done()]
        return sum(self._busy.pop(receiver).result() for receiver in ended)

    def close(self) -> None:
        """Let running attempts end; what is not done stays in the outbox."""
        self._closing = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _may_try(self, receiver: str, breaker: Breaker | None, wall: datetime) -> bool:
        """Whether its breaker is closed, or it is this process that asks again."""
        metrics.BREAKER_OPEN.labels(receiver).set(breaker is not None and breaker.is_open)
        if breaker is None or not breaker.is_open:
            return True
        if not breaker.allows(wall):
            return False
        with self._database.write() as connection:
            return receiver_state.claim_probe(connection, receiver, breaker, wall + self._lease(receiver))

    def _lease(self, receiver: str) -> timedelta:
        """As long as an attempt may take and no longer: after that, another process goes on where this one died."""
        return self._config.receivers[receiver].timeout + _MARGIN

    def _bury(self, waiting: list[str], wall: datetime) -> None:
        gone = [receiver for receiver in waiting if receiver not in self._targets]
        with self._database.write() as connection:
            expired = outbox.bury_expired(connection, wall)
            for receiver in expired:
                metrics.DELIVERIES.labels(receiver, "expired").inc()
            for receiver in gone:
                text = "the receiver is not in the configuration any more"
                outbox.bury(connection, receiver, text, before=wall - _UNKNOWN_FOR)
            if expired or gone:
                outbox.call_fallbacks(connection, wall, unanswered=[])

    def _work(self, receiver: str, wall: datetime, began: float) -> int:
        """One receiver's due deliveries, until one fails. The edge of delivery: nothing leaves it but a log line.

        It was `wall` when the machine's clock showed `began`; since then this may have waited for a free worker.
        """
        done = 0
        try:
            for _ in range(_BATCH):
                if self._closing:
                    break
                at = wall + timedelta(seconds=time.monotonic() - began)
                with self._database.write() as connection:
                    lease = self._lease(receiver)
                    delivery = outbox.claim(connection, receiver, owner=self._owner, wall=at, lease=lease)
                    reference = (
                        receiver_state.reference(connection, receiver, delivery.order_key) if delivery else ""
                    )
                if delivery is None:
                    break
                done += 1
                if not self._deliver(delivery, reference, at):
                    break
        except UnavailableError as error:
            log.warning("unavailable", error=str(error))
        except Exception as error:  # noqa: BLE001  # the edge of delivery, logged and counted
            metrics.DELIVERIES.labels(receiver, "crashed").inc()
            text = redact(str(error), self._targets[receiver].secrets())
            log.error("delivery_crashed", receiver=receiver, error=f"{type(error).__name__}: {text}")  # noqa: TRY400  # no traceback: it could show the URL
        return done

    def _deliver(self, delivery: Delivery, reference: str, wall: datetime) -> bool:
        """One attempt; whether the receiver may be tried with the next message at once."""
        began = time.monotonic()
        receiver = delivery.receiver
        outgoing = Outgoing(delivery.id, delivery.body, int(wall.timestamp()), delivery.kind, reference)
        ended = carriers.attempt(
            outgoing,
            self._targets[receiver],
            kind=self._config.receivers[receiver].kind,
            tls=self._tls[receiver],
        )
        seconds = time.monotonic() - began
        outcome = self._outcome(delivery, ended, wall + timedelta(seconds=seconds))
        attempt = {
            "started_at": wall, "duration_ms": seconds * 1000, "status": ended.status, "error": ended.error,
            "response": self._excerpt(delivery, ended.answer),
        }  # fmt: skip
        self._note(delivery, ended, attempt, outcome, wall + timedelta(seconds=seconds))
        metrics.DELIVERY_SECONDS.labels(receiver).observe(seconds)
        state = "retry" if ended.verdict is Verdict.RETRY else outcome["state"]
        metrics.DELIVERIES.labels(receiver, state).inc()
        log.info(
            "delivery", id=delivery.id, receiver=receiver, kind=delivery.kind, attempt=delivery.attempts,
            status=ended.status, error=ended.error, state=outcome["state"],
        )  # fmt: skip
        return ended.verdict is not Verdict.RETRY and ended.status != _GONE

    def _note(
        self,
        delivery: Delivery,
        ended: Ended,
        attempt: dict[str, Any],
        outcome: dict[str, Any],
        now: datetime,
    ) -> None:
        """What came of it, in one transaction: the delivery, the receiver's breaker, and who is told instead."""
        gone = ended.status == _GONE
        failed = (
            gone or ended.verdict is Verdict.RETRY
        )  # a refusal of one message is no fault of the receiver
        with self._database.write() as connection:
            outbox.finish(connection, delivery, attempt, outcome, owner=self._owner)
            breaker = receiver_state.note(connection, delivery.receiver, now, failed=failed, gone=gone)
            if breaker.is_open or outcome["state"] == "dead":
                unanswered = [delivery.receiver] if breaker.is_open else []
                outbox.call_fallbacks(connection, now, unanswered=unanswered)
            if outcome["state"] == "delivered":
                over = delivery.kind.endswith(".resolved")
                receiver_state.remember_reference(connection, delivery, ended.reference, over=over, at=now)
        metrics.BREAKER_OPEN.labels(delivery.receiver).set(breaker.is_open)

    def _outcome(self, delivery: Delivery, ended: Ended, now: datetime) -> dict[str, Any]:
        noted = {"last_status": ended.status, "last_error": ended.error}
        if ended.verdict is Verdict.DELIVERED:
            return {**noted, "state": "delivered", "delivered_at": now}
        if ended.verdict is Verdict.FINAL:
            return {**noted, "state": "dead"}
        asked = retry_after(ended.answer.retry_after if ended.answer else None, now)
        again = next_attempt(delivery.attempts, now, asked, self._random)
        if again >= delivery.expires_at:
            text = f"{ended.error}; given up after {delivery.attempts} attempts"
            return {**noted, "state": "dead", "last_error": text}
        return {**noted, "state": "pending", "next_attempt_at": again}

    def _excerpt(self, delivery: Delivery, answer: Answer | None) -> str | None:
        if answer is None:
            return None
        text = redact(answer.excerpt.decode("utf-8", "replace"), self._targets[delivery.receiver].secrets())
        return text.replace("\x00", "")[:_EXCERPT]  # PostgreSQL's text has no NUL
