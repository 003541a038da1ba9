"""A real run, small: days of traffic through `remora server` and a sidecar, with everything going wrong at the end.

The server, the sidecar before a model, three receivers of which one answers and two do not, PostgreSQL, and a clock
that is set once a day has arrived: what then stands in the tables and at `/metrics`, Remora has put there itself.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np
import pandas as pd

from detectors.references import build
from remora.config import parse
from remora.database import connect
from tests.sidecar_world import Model, Sidecar, wait_for

__all__ = ["DAYS", "MODEL", "START", "TOKEN", "WARM", "Run", "running"]

MODEL, TOKEN = "flights", "secret"
START, DAY = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=1)
DAYS, WARM, ROWS = 10, 7, 300
_CONFIG = """
version: 1
external_url: {url}
models:
  flights:
    kind: binary
    positive: "true"
    windows: {{size: 1d, lateness: 0s, label_lateness: 12h}}
    segments: [origin]
    drift: {{min_samples: 50}}
schedule: {{tick: 50ms, clock: replay}}
delivery: {{interval: 20ms}}
slos:
  - {{name: answers, model: flights, objective: 95%}}
receivers:
  chat: {{kind: webhook, url: "{receivers}/chat"}}
  gone: {{kind: webhook, url: "{receivers}/gone"}}
  busy: {{kind: webhook, url: "{receivers}/busy"}}
routes:
  - {{receivers: [chat, gone, busy], group_by: [alertname], group_wait: 0s}}
groups:
  - name: all
    rules:
      - {{alert: Errors, metric: error_rate, condition: "> 0.1", labels: {{severity: page}}, plan: fix}}
      - {{alert: ErrorsForLong, metric: error_rate, condition: "> 0.1", for: 9d}}
      - {{alert: Slow, metric: latency_p95, condition: "> 100", labels: {{severity: page}}}}
      - {{alert: Drift, metric: psi, by: [model, feature], windows: 2 of 3, labels: {{severity: ticket}}}}
plans:
  - {{name: fix, steps: [{{notify: chat}}, {{action: chat}}, {{checklist: [Look]}}]}}
"""


class _Receiver(BaseHTTPRequestHandler):
    """`/chat` takes everything, `/gone` is no more, `/busy` has no time."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response({"/chat": 200, "/gone": 410}.get(self.path, 503))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@dataclass(frozen=True)
class Run:
    """Where it can be asked, and what makes it go on."""

    server: str
    sidecar: Sidecar
    client: httpx.Client

    def arrive(self, day: int) -> None:
        """A day's predictions and labels, one more through the sidecar, and a record that is refused."""
        predictions, labels = _records(day)
        self.client.post("/v1/predictions", json=predictions).raise_for_status()
        self.client.post("/v1/labels", json=labels).raise_for_status()
        self.client.post("/v1/predictions", json=[{"model": MODEL, "id": 1}])
        with httpx.Client() as caller:
            self.sidecar.predict(caller, f"r{day}", {"temp": 14.0, "origin": "JFK"})

    def judge(self, day: int) -> None:
        """The clock moves to noon after a day, when its labels are in."""
        wait_for(lambda: not self.client.get("/v1/status").json()["pending"], "all of it in the database")
        due = START + (day + 1) * DAY + DAY / 2
        self.client.put("/v1/clock", json={"now": due.isoformat()}).raise_for_status()

        def settled() -> bool:
            until = self.client.get("/v1/clock").json()["settled"]
            return until is not None and datetime.fromisoformat(until) >= due

        wait_for(settled, "windows judged and told")


def _rows(day: int, seed: int) -> pd.DataFrame:
    """A day's rows: temperatures that are higher from `WARM` on, and a score that is right about as often as it says."""
    random = np.random.default_rng(seed)
    score = random.beta(2, 4, ROWS)
    return pd.DataFrame(
        {
            "timestamp": [START + day * DAY + number * DAY / ROWS for number in range(ROWS)],
            "temp": random.normal(27 if day >= WARM else 15, 4, ROWS),
            "origin": random.choice(["EWR", "JFK", "LGA"], ROWS),
            "seldom": random.normal(size=ROWS),
            "score": score,
            "prediction": score > 0.5,
            "label": random.random(ROWS) < score,
        }
    )


def _records(day: int) -> tuple[list[dict], list[dict]]:
    """Predictions and labels. On the last day every third answer fails; on the day after it they are slow as well."""
    predictions, labels = [], []
    for number, row in enumerate(_rows(day, day).itertuples()):
        one = {"model": MODEL, "id": f"{day}-{number}"}
        predictions.append(one | {
            "timestamp": row.timestamp.isoformat(), "prediction": bool(row.prediction), "scores": row.score,
            "version": "one" if day < 5 else "two", "latency_ms": 500.0 if day >= DAYS else 9.0 + number % 7,
            "status": 500 if day >= DAYS - 1 and number % 3 == 0 else 200,
            "features": {"temp": row.temp, "origin": row.origin, "seldom": row.seldom if number < 5 else None},
        })  # fmt: skip
        seen = row.timestamp + DAY / 4
        labels.append(one | {"label": bool(row.label), "timestamp": seen.isoformat()})
    return predictions, labels


def _reference(database_url: str, folder: Path, config: str) -> None:
    rows = pd.concat([_rows(0, 1000 + number) for number in range(10)])
    rows.drop(columns="timestamp").to_csv(folder / "reference.csv", index=False)
    database = connect(database_url)
    build(database, parse(config), model=MODEL, version="", path=folder / "reference.csv", now=START)
    database.dispose()


@contextlib.contextmanager
def _listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextlib.contextmanager
def _server(folder: Path, url: str, database_url: str) -> Iterator[httpx.Client]:
    command = [sys.executable, "-m", "remora", "server", "--listen", url.removeprefix("http://"), "--database", database_url,
               "--config", "remora.yaml", "--token", TOKEN]  # fmt: skip
    ours = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, cwd=folder, env=ours)
    try:
        headers = {"authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=url, headers=headers, timeout=20) as client:
            yield client
    finally:
        process.terminate()
        process.wait(40)


def _ready(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return client.get("/readyz").is_success
    return False


@contextlib.contextmanager
def running(folder: Path, database_url: str, free_port: int) -> Iterator[Run]:
    """The run, once all its `DAYS` are judged and told; `database_url` is a PostgreSQL with Remora's tables."""
    url = f"http://127.0.0.1:{free_port}"
    with _listening(_Receiver) as receivers, _listening(Model) as model:
        config = _CONFIG.format(url=url, receivers=receivers)
        (folder / "remora.yaml").write_text(config)
        sidecar = Sidecar(folder, model, "--model", MODEL, "--forward", url, "--forward-token", TOKEN, "--token", TOKEN)  # fmt: skip
        try:
            with _server(folder, url, database_url) as client:
                _reference(database_url, folder, config)
                wait_for(lambda: _ready(client), "the server")
                run = Run(url, sidecar.ready(), client)
                for day in range(DAYS):
                    run.arrive(day)
                run.judge(DAYS - 1)
                yield run
        finally:
            sidecar.stop()
