"""`remora server` as the process that it is: started, killed, stopped and cut off, beside a receiver that remembers."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx
import sqlalchemy as sa

from collector.store import Store, shapes_of
from remora import schema
from remora import tables as t
from remora.config import Config
from remora.database import Database, connect
from remora.records import Batch, Prediction

__all__ = ["Received", "Receiver", "Server", "fill", "free_port", "prepared", "wait_for"]

PATIENCE = 90.0


def wait_for(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """What `condition` gives once it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def prepared(url: str) -> Database:
    opened = connect(url)
    schema.prepare(opened)
    return opened


def fill(database: Database, config: Config, bad: dict[str, list[bool]], start: datetime) -> None:
    """Three answers in each window of each model, all of them errors where it is bad."""
    rows = [
        Prediction(
            model=model, id=f"{model}-{number}-{one}",
            timestamp=start + number * config.model(model).windows.size + timedelta(seconds=one),
            status=500 if broken else 200, latency_ms=1.0, prediction=True,
        )
        for model, windows in bad.items() for number, broken in enumerate(windows) for one in range(3)
    ]  # fmt: skip
    Store(database, shapes_of(config)).write(Batch(id="fill", source="test", predictions=rows), start)


def _environment() -> dict[str, str]:
    """The test's own, but that what is started dozens of times is compiled once."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}


class Server:
    """One `remora server` that can be started again with the same options."""

    def __init__(self, folder: Path, database: str, config: Path, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.log = folder / "server.log"
        self._folder = folder
        self._command = [
            sys.executable, "-m", "remora", "server", "--listen", f"127.0.0.1:{self.port}", "--database", database,
            "--config", str(config), "--spool", str(folder / "spool"), "--reports", str(folder / "reports"),
            "--archive", str(folder / "archive"), *options,
        ]  # fmt: skip
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stderr=log, stdout=log, cwd=self._folder, env=_environment()
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> Self:
        wait_for(self._answers, f"the server: {self.log.read_text()[-3000:]}")
        return self

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        return False

    def clock(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/v1/clock", timeout=30).json())

    def move_clock(self, to: datetime) -> None:
        answer = httpx.put(f"{self.url}/v1/clock", json={"now": to.isoformat()}, timeout=30)
        assert answer.status_code == 200, answer.text

    def kill(self) -> None:
        """SIGKILL, which no program hears."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.resume()
            self.process.terminate()
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                self.kill()

    def lapse(self, database: Database) -> None:
        """Let the leases of this process, which is dead, run out at once: a test need not wait for what time does."""
        assert self.process.poll() is not None, "a living process keeps its leases"
        mine, over = f"%-{self.process.pid}-%", datetime(2000, 1, 1, tzinfo=UTC)
        with database.write() as connection:
            for table, owner in (
                (t.job_runs, t.job_runs.c.owner),
                (t.deliveries, t.deliveries.c.lease_owner),
            ):
                held = owner.like(mine) & (table.c.lease_until > datetime.now(UTC))
                connection.execute(sa.update(table).where(held).values(lease_until=over))


class Received:
    """A call: where to, its `webhook-id`, and its JSON."""

    def __init__(self, path: str, identity: str, body: dict[str, Any], at: float) -> None:
        self.path, self.id, self.body, self.at = path, identity, body, at

    @property
    def what(self) -> str:
        """Which event it tells of, whatever it is numbered: the same thing said twice has the same text."""
        data = self.body["data"]
        incident = data.get("incident") or {}
        alerts = sorted((one["fingerprint"], one["status"]) for one in data.get("alerts", []))
        parts = [self.path, self.body["type"], self.body["timestamp"], alerts, data.get("reason"), incident.get("id"),
                 data.get("action_id")]  # fmt: skip
        return json.dumps(parts)


class Receiver:
    """A real HTTP server that remembers what came, answers after a moment, and sometimes breaks off instead.

    `loses` is the share of calls that are taken in and never answered, so that the sender cannot know.
    """

    def __init__(self, *, slowest: float = 0.05, loses: float = 0.0, seed: int = 1) -> None:
        outer, self.received, self._lock = self, list[Received](), threading.Lock()
        chance = random.Random(seed)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                identity = self.headers.get("webhook-id", "")
                with outer._lock:
                    outer.received.append(Received(self.path, identity, body, time.monotonic()))
                    pause, lost = chance.uniform(0, slowest), chance.random() < loses
                time.sleep(pause)
                if lost:
                    self.close_connection = True
                    return
                with contextlib.suppress(OSError):  # whoever asked may have been killed
                    self.send_response(200)
                    self.send_header("content-length", "2")
                    self.end_headers()
                    self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def calls(self) -> list[Received]:
        with self._lock:
            return list(self.received)
