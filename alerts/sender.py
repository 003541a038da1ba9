"""Deliver what is in the outbox: receivers side by side, each one's messages one after the other.

At least once: an attempt whose answer was lost is made again under the same id, so receivers can tell.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Any

import httpcore

from alerts import metrics, outbox
from alerts.breaker import Breaker
from alerts.errors import BlockedAddressError
from alerts.outbox import Delivery
from alerts.receivers import RECEIVERS
from alerts.receivers.base import Outgoing, Target, Verdict, redact
from alerts.schedule import next_attempt, retry_after
from alerts.secrets import resolve
from alerts.transport import Answer, call
from remora.config import Config
from remora.database import Database
from remora.errors import UnavailableError
from remora.telemetry import get_logger

__all__ = ["Sender"]

log = get_logger("sender")

_LEASE = timedelta(seconds=90)  # longer than the longest timeout of a receiver
_UNKNOWN_FOR = timedelta(minutes=15)  # another server may know a receiver that this one does not, or not yet
_WORKERS = 8
_BATCH = 20
_EXCERPT = 4000


class Sender:
    """Claims, calls and notes. Secrets are read when it is made: raises `UserError` for one that cannot be."""

    def __init__(self, database: Database, config: Config, owner: str, *, patience: float = 0.2) -> None:
        self._database = database
        self._config = config
        self._owner = owner
        self._patience = patience
        self._closing = False
        self._targets: Mapping[str, Target] = resolve(config)
        self._breakers = {name: Breaker() for name in config.receivers}
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="sender")
        self._busy: dict[str, Future[int]] = {}
        self._tls = ssl.create_default_context()
        self._random = random.SystemRandom().random

    def run_once(self, wall: datetime, *, patience: float | None = None) -> int:
        """Begin what is due at `wall` and return how many attempts ended since the last call.

        Waits `patience` seconds at most: a slow receiver goes on beside the next call and blocks nobody else.
        """
        began = time.monotonic()
        with self._database.read() as connection:
            waiting = outbox.receivers_waiting(connection, wall)
        if waiting:
            self._bury(waiting, wall)
        for receiver in waiting:
            known = receiver in self._breakers and receiver not in self._busy
            if known and self._breakers[receiver].allows(wall):
                self._busy[receiver] = self._pool.submit(self._work, receiver, wall, began)
        wait(self._busy.values(), timeout=self._patience if patience is None else patience)
        ended = [receiver for receiver, future in self._busy.items() if future.done()]
        return sum(self._busy.pop(receiver).result() for receiver in ended)

    def close(self) -> None:
        """Let running attempts end; what is not done stays in the outbox."""
        self._closing = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _bury(self, waiting: list[str], wall: datetime) -> None:
        gone = [receiver for receiver in waiting if receiver not in self._breakers]
        with self._database.write() as connection:
            for receiver in outbox.bury_expired(connection, wall):
                metrics.DELIVERIES.labels(receiver, "expired").inc()
            for receiver in gone:
                text = "the receiver is not in the configuration any more"
                outbox.bury(connection, receiver, text, before=wall - _UNKNOWN_FOR)

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
                    delivery = outbox.claim(connection, receiver, owner=self._owner, wall=at, lease=_LEASE)
                if delivery is None:
                    break
                done += 1
                if not self._deliver(delivery, at):
                    break
        except UnavailableError as error:
            log.warning("unavailable", error=str(error))
        except Exception as error:  # noqa: BLE001  # the edge of delivery, logged and counted
            metrics.DELIVERIES.labels(receiver, "crashed").inc()
            text = redact(str(error), self._targets[receiver].secrets())
            log.error("delivery_crashed", receiver=receiver, error=f"{type(error).__name__}: {text}")  # noqa: TRY400  # no traceback: it could show the URL
        return done

    def _deliver(self, delivery: Delivery, wall: datetime) -> bool:
        """One attempt; whether the receiver may be tried with the next message at once."""
        began = time.monotonic()
        answer, error = self._call(delivery, wall)
        seconds = time.monotonic() - began
        now = wall + timedelta(seconds=seconds)
        verdict = self._verdict(delivery, answer)
        breaker = self._breakers[delivery.receiver]
        if verdict is Verdict.RETRY:
            breaker.failed(now)
        else:
            breaker.succeeded()
        metrics.BREAKER_OPEN.labels(delivery.receiver).set(breaker.is_open)
        metrics.DELIVERY_SECONDS.labels(delivery.receiver).observe(seconds)
        outcome = self._outcome(delivery, verdict, answer, error, now)
        metrics.DELIVERIES.labels(
            delivery.receiver, outcome["state"] if verdict is not Verdict.RETRY else "retry"
        ).inc()
        attempt = {
            "started_at": wall,
            "duration_ms": seconds * 1000,
            "status": answer.status if answer else None,
            "error": error,
            "response": self._excerpt(delivery, answer),
        }
        with self._database.write() as connection:
            outbox.finish(connection, delivery, attempt, outcome, owner=self._owner)
        log.info(
            "delivery", id=delivery.id, receiver=delivery.receiver, kind=delivery.kind, attempt=delivery.attempts,
            status=attempt["status"], error=error, state=outcome["state"],
        )  # fmt: skip
        return verdict is not Verdict.RETRY

    def _call(self, delivery: Delivery, wall: datetime) -> tuple[Answer | None, str | None]:
        receiver, target = self._config.receivers[delivery.receiver], self._targets[delivery.receiver]
        outgoing = Outgoing(delivery.id, delivery.body, int(wall.timestamp()))
        request = RECEIVERS[receiver.kind].request(outgoing, target)
        try:
            answer = call(request, timeout=receiver.timeout.total_seconds(), tls=self._tls)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            text = redact(f"{type(error).__name__}: {error}".strip(": "), target.secrets())
            return None, text[:500]
        except BlockedAddressError as error:
            return None, str(error)
        if 300 <= answer.status < 400:
            return answer, "it redirects, which is not followed: configure the address it leads to"
        return answer, None if answer.status < 300 else f"status {answer.status}"

    def _verdict(self, delivery: Delivery, answer: Answer | None) -> Verdict:
        kind = RECEIVERS[self._config.receivers[delivery.receiver].kind]
        return kind.verdict(answer.status) if answer else Verdict.RETRY

    def _outcome(
        self, delivery: Delivery, verdict: Verdict, answer: Answer | None, error: str | None, now: datetime
    ) -> dict[str, Any]:
        noted = {"last_status": answer.status if answer else None, "last_error": error}
        if verdict is Verdict.DELIVERED:
            return {**noted, "state": "delivered", "delivered_at": now}
        if verdict is Verdict.FINAL:
            return {**noted, "state": "dead"}
        asked = retry_after(answer.retry_after if answer else None, now)
        again = next_attempt(delivery.attempts, now, asked, self._random)
        if again >= delivery.expires_at:
            return {
                **noted,
                "state": "dead",
                "last_error": f"{error}; given up after {delivery.attempts} attempts",
            }
        return {**noted, "state": "pending", "next_attempt_at": again}

    def _excerpt(self, delivery: Delivery, answer: Answer | None) -> str | None:
        if answer is None:
            return None
        text = redact(answer.excerpt.decode("utf-8", "replace"), self._targets[delivery.receiver].secrets())
        return text.replace("\x00", "")[:_EXCERPT]  # PostgreSQL's text has no NUL
