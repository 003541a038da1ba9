"""A small world for tests of the alerts: days of findings, a clock that they turn, and a receiver that can misbehave."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import sqlalchemy as sa

from alerts.jobs import run_due
from remora import tables as t
from remora.catalogue import METRICS
from remora.config import Config, parse
from remora.database import Database, insert_new

DAY = timedelta(days=1)
START = datetime(2013, 3, 1, tzinfo=UTC)
WALL = datetime(2026, 11, 1, 12, tzinfo=UTC)
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


class World:
    """One model, `flights`, in one database."""

    def __init__(self, database: Database, config: str | Config) -> None:
        self.database = database
        self.config = parse(config) if isinstance(config, str) else config
        with database.write() as connection:
            row = {"name": "flights", "first_seen": START, "last_seen": START}
            insert_new(connection, t.models, [row], ["name"])

    def found(self, day: int, metric: str, value: float | None, *, done: bool = True, **more: Any) -> None:
        """A finding of a whole day, and the run of the detectors that found it."""
        start = START + day * DAY
        row = {
            "model": "flights", "version": "", "segment": "", "metric": metric, "feature": "", "window_start": start,
            "window_end": start + DAY, "value": value, "size": 1000, "verdict": "ok", "reason": "as expected",
            "revision": 0, "latest": True, "computed_at": WALL, "coverage": 0.9,
        } | more  # fmt: skip
        with self.database.write() as connection:
            connection.execute(sa.insert(t.findings).values(row))
        if done:
            self.done(day, METRICS[metric].job, row["model"])

    def done(self, day: int, job: str, model: str = "flights") -> None:
        start = START + day * DAY
        run = {
            "job": job, "model": model, "window_start": start, "window_end": start + DAY, "state": "done",
            "owner": "detector", "lease_until": WALL, "epoch": 1, "attempts": 1, "revision": 0, "watermark": 0,
        }  # fmt: skip
        with self.database.write() as connection:
            insert_new(connection, t.job_runs, [run], ["job", "model", "window_start"])

    def run(self, now: datetime, *, wall: datetime = WALL, owner: str = "me", sending: bool = True) -> int:
        """A round of the alerts; every message is delivered at once, unless nobody is `sending`."""
        done = run_due(self.database, self.config, now=now, wall=wall, owner=owner)
        if sending:
            with self.database.write() as connection:
                waiting = sa.update(t.deliveries).where(t.deliveries.c.state == "pending")
                connection.execute(waiting.values(state="delivered", attempts=1, delivered_at=wall))
        return done

    def rows(self, table: sa.Table, *order: str) -> list[Any]:
        with self.database.read() as connection:
            return list(connection.execute(sa.select(table).order_by(*(table.c[name] for name in order))))

    def sent(self) -> list[tuple[str, str, dict[str, Any]]]:
        """(receiver, kind, body) of everything in the outbox, in order."""
        return [
            (row.receiver, row.kind, json.loads(row.body))
            for row in self.rows(t.deliveries, "created_at", "id")
        ]

    def timeline(self) -> list[tuple[datetime, str]]:
        return [(row.at, row.kind) for row in self.rows(t.incident_events, "id")]


def due(day: int, job: str = "performance") -> datetime:
    """When the window of a day is judged, with the default lateness."""
    lateness = DAY if job == "performance" else timedelta(minutes=5)
    return START + (day + 1) * DAY + lateness


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeReceiver:
    """A real HTTP server on the loopback address. `answers` are used one after the other, the last one again and again.

    An answer is (status, headers, body), or a callable that is given the request's handler.
    """

    answers: deque[Any] = field(default_factory=lambda: deque([(200, {}, b"ok")]))
    received: list[Received] = field(default_factory=list)

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.received.append(Received(self.path, headers, body))
                answer = outer.answers.popleft() if len(outer.answers) > 1 else outer.answers[0]
                if callable(answer):
                    answer(self)
                    return
                status, extra, text = answer
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook/s3cret-path"
