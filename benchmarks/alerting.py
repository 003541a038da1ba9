"""How many windows a second go through a thousand rules, how soon a receiver hears of one, and how many messages it gets.

    python benchmarks/alerting.py [--models 100] [--rules 1000] [--minutes 5] [--quick]

Three tables, each with its goal and the ratio to it:

* `windows`: windows of one model each, judged by the detectors and by the rules, in one process over SQLite. Every rule looks at
  every model, so that there are rules x models series.
* `lateness`: a server by itself, on the system's clock, with windows of a minute. From the instant at which a window is due (its
  end and `lateness`) until the first byte of its model's message is at the receiver; every model has one, each minute.
* `deliveries`: signed messages a second to receivers on the loopback address that answer at once.

`--quick` takes three models and ten rules, and a replayed clock instead of waiting for minutes: only to prove that it works.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

import alerts.jobs
import detectors.jobs
from alerts import outbox
from alerts.receivers.base import Event
from alerts.sender import Sender
from collector.store import Store, shapes_of
from remora import schema
from remora.config import Config, parse
from remora.database import Database, connect
from remora.records import Batch, Prediction

MINUTE = timedelta(minutes=1)
LATENESS = timedelta(seconds=2)
GOAL_SECONDS = 2.0
GOAL_WINDOWS = 100.0
GOAL_DELIVERIES = 100.0
METRICS = ("error_rate", "latency_p50", "latency_p95", "latency_p99", "predictions")


def configuration(models: int, rules: int, url: str, clock: str) -> str:
    """One rule fires in every other window, the others look and find nothing; each model is a group of its own."""
    sections = "\n".join(
        f"  m{number}: {{windows: {{size: 1m, lateness: 2s, label_lateness: 2s}}}}"
        for number in range(models)
    )
    quiet = "\n".join(
        f'  - {{alert: R{number}, metric: {METRICS[number % len(METRICS)]}, condition: "> {1e6 + number:.0f}"}}'
        for number in range(rules - 1)
    )
    receivers = "\n".join(f'  r{number}: {{kind: webhook, url: "{url}/r{number}"}}' for number in range(8))
    return (
        f"version: 1\nschedule: {{clock: {clock}}}\nmodels:\n{sections}\nreceivers:\n{receivers}\n"
        "routes:\n- {receivers: [r0], group_by: [model], group_wait: 0s, group_interval: 0s}\n"
        f'groups:\n- name: g\n  rules:\n  - {{alert: Errors, metric: error_rate, condition: "> 0.5"}}\n{quiet}\n'
    )


def fill(database: Database, config: Config, start: datetime, models: int, *, bad: bool) -> None:
    """Ten answers of each model in the window that begins at `start`."""
    chance = random.Random(start.timestamp())
    rows = [
        Prediction(
            model=f"m{model}", id=f"{model}-{start.timestamp():.0f}-{number}", timestamp=start + timedelta(seconds=number),
            status=500 if bad else 200, latency_ms=chance.lognormvariate(3, 1), prediction=True,
        )
        for model in range(models) for number in range(10)
    ]  # fmt: skip
    name = f"{start.timestamp():.0f}"
    Store(database, shapes_of(config)).write(Batch(id=name, source="benchmark", predictions=rows), start)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[tuple[str, Database]]:
    url = f"sqlite:///{folder}/alerts.db"
    database = connect(url)
    schema.prepare(database)
    try:
        yield url, database
    finally:
        database.dispose()


# --- the receiver ----------------------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """Notes when each message's first byte came, and answers at once."""

    came: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """Its address."""
        came = self.came

        class Handler(BaseHTTPRequestHandler):
            wbufsize = -1

            def do_POST(self) -> None:
                at = time.time()  # the request line has been read: the first bytes are here
                body = self.rfile.read(int(self.headers["content-length"]))
                came.append((at, json.loads(body)))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

        server = Server(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


# --- windows a second ------------------------------------------------------------------------------------------------


def windows(models: int, rules: int, rounds: int) -> None:
    """Judge and evaluate `rounds` windows of every model; the detectors' part and the rules' apart."""
    start, taken = datetime(2026, 1, 5, tzinfo=UTC), {"detectors": 0.0, "rules": 0.0}
    with (
        tempfile.TemporaryDirectory(prefix="remora-alerts-") as folder,
        opened(Path(folder)) as (_, database),
    ):
        config = parse(configuration(models, rules, "http://127.0.0.1:9", "replay"))
        for number in range(rounds):
            fill(database, config, start + number * MINUTE, models, bad=number % 2 == 0)
            now = start + (number + 1) * MINUTE + LATENESS
            began = time.perf_counter()
            while detectors.jobs.run_due(database, config, now=now, wall=now, owner="benchmark"):
                pass
            judged = time.perf_counter()
            alerts.jobs.evaluate(database, config, now=now, wall=now, owner="benchmark")
            taken["detectors"] += judged - began
            taken["rules"] += time.perf_counter() - judged
        count = models * rounds
    print(f"\n{'windows of a model a second':<36} {'a second':>9} {'goal':>7} {'ratio':>6}")
    row("judged by the detectors (3 jobs)", count / taken["detectors"])
    row(f"through {rules:,} rules", count / taken["rules"])
    row("both", count / sum(taken.values()), GOAL_WINDOWS)


def row(name: str, value: float, goal: float | None = None, *, digits: int = 0) -> None:
    ratio = f"{goal:>7,.0f} {value / goal:>6.2f}" if goal else ""
    print(f"{name:<36} {value:>9,.{digits}f} {ratio}", flush=True)


# --- from a window's end to the receiver -------------------------------------------------------------------------------


@contextlib.contextmanager
def server(folder: Path, url: str, text: str) -> Iterator[str]:
    """`remora server` in its own process; its address."""
    (folder / "remora.yaml").write_text(text)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "remora", "server", "--listen", address, "--database", url,
               "--config", "remora.yaml"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log, cwd=folder, env=environment)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://{address}/readyz").status_code == 200:
                    break
            if time.monotonic() > deadline or process.poll() is not None:
                sys.exit((folder / "server.log").read_text()[-3000:])
            time.sleep(0.1)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait()


def lateness(models: int, rules: int, minutes: int, *, replayed: bool) -> None:
    """Every minute a message for every model, of alternating content; how late each is beyond the window's own lateness."""
    receiver, late = Receiver(), list[float]()
    with (
        tempfile.TemporaryDirectory(prefix="remora-alerts-") as name, opened(Path(name)) as (url, database),
        receiver.serving() as address,
    ):  # fmt: skip
        text = configuration(models, rules, address, "replay" if replayed else "system")
        config = parse(text)
        with server(Path(name), url, text) as api:
            for number in range(minutes):
                receiver.came.clear()
                start = datetime(2026, 1, 5, 0, number, tzinfo=UTC) if replayed else whole_minute()
                fill(database, config, start, models, bad=number % 2 == 0)
                due = start + MINUTE + LATENESS
                began = move_clock(api, due) if replayed else due.timestamp()
                wait_for(receiver, models, began)
                late += [at - began for at, _ in receiver.came]
    print(f"\n{'s from due to the first byte':<36} {'s':>9} {'goal':>7} {'ratio':>6}")
    late.sort()
    row(f"median of {len(late)} messages", late[len(late) // 2], digits=2)
    row("p99", late[int(0.99 * (len(late) - 1))], GOAL_SECONDS, digits=2)
    row("longest", late[-1], digits=2)


def whole_minute() -> datetime:
    """The minute that has begun, early enough to fill it before it ends."""
    while 60 - time.time() % 60 < 20:
        time.sleep(0.5)
    return datetime.now(UTC).replace(second=0, microsecond=0)


def move_clock(api: str, to: datetime) -> float:
    began = time.time()
    httpx.put(f"{api}/v1/clock", json={"now": to.isoformat()}, timeout=30).raise_for_status()
    return began


def wait_for(receiver: Receiver, count: int, began: float) -> None:
    while len(receiver.came) < count:
        if time.time() > began + 60:
            sys.exit(f"only {len(receiver.came)} of {count} messages came within a minute")
        time.sleep(0.05)


# --- deliveries a second -------------------------------------------------------------------------------------------------


def deliveries(each: int) -> None:
    """`each` messages to one receiver, and to each of eight side by side."""
    print(f"\n{'deliveries a second':<36} {'a second':>9} {'goal':>7} {'ratio':>6}")
    for receivers in (1, 8):
        seconds = sent_in(receivers, each)
        row(f"{receivers} receiver{'s' * (receivers > 1)}", receivers * each / seconds, GOAL_DELIVERIES)


def sent_in(receivers: int, each: int) -> float:
    receiver, wall = Receiver(), datetime.now(UTC)
    with (
        tempfile.TemporaryDirectory(prefix="remora-alerts-") as name, opened(Path(name)) as (_, database),
        receiver.serving() as address,
    ):  # fmt: skip
        config = parse(configuration(1, 1, address, "system"))
        for number in range(receivers):
            for one in range(each):
                event = Event("alert.firing", wall, f"r{number}", f"number {one}", "http://remora.example")
                with database.write() as connection:
                    outbox.enqueue(
                        connection, config, event, event_id=f"e{one}", order_key=f"k{one}", wall=wall
                    )
        sender = Sender(database, config, "benchmark")
        began = time.perf_counter()
        while len(receiver.came) < receivers * each:
            sender.run_once(datetime.now(UTC))
        seconds = time.perf_counter() - began
        sender.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--minutes", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small: only to prove that it works")
    options = parser.parse_args()
    if options.quick:
        options.models, options.rules, options.minutes = 3, 10, 2
    windows(options.models, options.rules, 2 if options.quick else 4)
    lateness(options.models, options.rules, options.minutes, replayed=options.quick)
    deliveries(10 if options.quick else 200)


if __name__ == "__main__":
    main()
